"""The folder of a run: its model or bridge, its numbers, and how its data were read."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx

from scorefold import fitting
from scorefold._files import remove_leftovers, write_whole
from scorefold._processes import leads
from scorefold._types import Document, ReadOnlyDocument
from scorefold.data import Coordinates, DataError
from scorefold.fitting import DirectoryInUse
from scorefold.fitting.fingerprint import differences
from scorefold.fitting.lock import locked
from scorefold.runs import documents, histories
from scorefold.runs.errors import RunError
from scorefold.runs.identity import file_digest, identity

_OURS = re.compile(
    r"run\.(lock|json)|metrics\.json|history\.json|model\.safetensors|report\.html|.*\.png"
    r"|checkpoints|checkpoint-.*|seed-\d+"
)


class Run:
    """``model.safetensors``, ``run.json`` (data and settings), ``metrics.json``,
    ``history.json`` and ``checkpoints/`` in one folder; or the folder above several seeds, whose
    ``run.json`` names them."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, folder: str | os.PathLike, kind: str | None = None) -> Run:
        """A finished run, or the folder above several seeds; of the ``kind`` "model" or "bridge"
        (between two data sets, or through many), if one is asked for.

        **Raises:** ``RunError`` if it is none, naming what takes it if it is of the other kind.
        """
        run, command = cls(folder), "bridge" if kind == "bridge" else "fit"
        if not run.folder.is_dir():
            raise RunError(f"no folder {folder}: give the --out of a {command}.")
        run.refuse_links()
        if not run.file("run.json").exists():
            raise RunError(f"{folder} holds no finished run (run.json is missing).")
        command = "bridge" if run.kind == "bridge" else "fit"
        if kind == "model" and command == "bridge":
            raise RunError(
                f"{folder} holds a bridge, whose numbers are in {run.file('metrics.json')} and "
                "its report.html: carry moves points along it; sample takes the --out of a fit."
            )
        if kind == "bridge" and command == "fit":
            raise RunError(f"{folder} holds a model, not a bridge: sample draws from it.")
        for one in run.seeds or [run]:
            if not one.model_file.exists():
                raise RunError(f"{one.folder} holds no finished run ({one.model_file.name} is "
                               f"missing): {command} … --resume finishes it.")  # fmt: skip
        return run

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def kind(self) -> str:
        """What is there: "model", "bridge", or "seeds", the folder above several runs."""
        return next((kind for kind in ("bridge", "seeds") if kind in self.description), "model")

    @property
    def model_file(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def seeds(self) -> list[Run]:
        """The runs of the seeds below, if this is the folder above them."""
        seeds = self.description.get("seeds", [])
        return [Run(self.folder / f"seed-{seed}") for seed in seeds]

    # -- what was trained ------------------------------------------------------------------------
    def keep(self, model: eqx.Module, course: histories.Course) -> None:
        """Save what training gave. A model file says that its history is there too. Of several
        processes the first saves."""
        if not leads():
            return
        write_whole(self.file("history.json"), histories.text(course))
        fitting.save(self.model_file, model)

    def model(self, also: Iterable[type] = ()) -> Any:
        """The model or the bridge; ``also``: classes from outside that the file may use, beside
        those of installed packages."""
        return fitting.load(self.model_file, also=also)

    def history(self) -> histories.Course:
        return histories.read(self.file("history.json"))

    def model_digest(self) -> str:
        """Of the file of the model: numbers in ``metrics.json`` belong to one model."""
        return file_digest(self.model_file) or ""

    # -- documents -------------------------------------------------------------------------------
    def write(self, name: str, document: ReadOnlyDocument) -> None:
        """Write ``name`` whole or not at all."""
        documents.write(self.file(name), document)

    def metrics(self) -> Document:
        """The numbers of the run."""
        kinds = {"bridge": documents.BRIDGE_METRICS, "seeds": documents.SUMMARY}
        return documents.read(self.file("metrics.json"), kinds.get(self.kind, documents.METRICS))

    def measured(self) -> Document | None:
        """The numbers of the run, if there are some and they are those of the model that is
        there."""
        if not self.file("metrics.json").exists():
            return None
        found = self.metrics()
        return found if found["model_sha256"] == self.model_digest() else None

    # -- who writes ------------------------------------------------------------------------------
    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the folder, which is made if need be. What a killed process left half
        written is removed."""
        self.refuse_links()
        with contextlib.ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder))
                remove_leftovers(self.folder)
            except DirectoryInUse:
                raise
            except OSError as error:
                raise RunError(
                    f"{self.folder}: {error.strerror}. Choose by --out a folder that can be "
                    "written."
                ) from error
            yield

    def refuse_links(self) -> None:
        """**Raises:** ``RunError`` naming a link among the files of the run: what it points to
        would be read, or written over."""
        for folder in (self.folder, self.checkpoints):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for entry in os.scandir(folder):
                    if entry.is_symlink() and _OURS.fullmatch(entry.name):
                        raise RunError(
                            f"{entry.path} is a symbolic link: files of a run are never linked. "
                            "Remove the link, or choose another folder."
                        )

    def holds(self) -> str:
        """``"a finished run"``, ``"an unfinished run"`` or nothing of worth."""
        seeds = [Run(path) for path in self.folder.glob("seed-*") if path.is_dir()]
        found = [one.holds() for one in seeds]
        if self.model_file.exists() or "a finished run" in found:
            return "a finished run"
        return (
            "an unfinished run" if any(found) or any(self.checkpoints.rglob("checkpoint-*")) else ""
        )

    def refuse_another(self, wanted: ReadOnlyDocument, resume: bool) -> None:
        """Compare what is to be fitted with what the folder holds, before anything is changed.

        **Raises:** ``RunError`` if the folder holds a run and ``resume`` is False, or holds one
        of other data or settings, naming what differs.
        """
        self.refuse_links()
        held, stated = self.holds(), self.file("run.json").exists()
        if held and not resume:
            raise RunError(
                f"{self.folder} already holds {held}: choose another --out, or go on with it by "
                "--resume."
            )
        if held and not stated:
            raise RunError(f"{self.folder} holds {held}, but not of what (run.json is missing): "
                             "choose another --out.")  # fmt: skip
        if not stated:
            return
        then = self.description
        changed = differences(identity(then), identity(wanted)) if held else {}
        if changed:
            lines = [f"{name}: {old} there, {new} here" for name, (old, new) in changed.items()]
            raise RunError(
                f"{self.folder} belongs to another run: {'; '.join(lines[:6])}. Resume with what "
                "it was started with, or choose another --out."
            )

    # -- how its data were read ------------------------------------------------------------------
    @property
    def description(self) -> Document:
        """What ``run.json`` says.

        **Raises:** ``RunError`` if it is not there, damaged, or says too little.
        """
        path = self.file("run.json")
        found = documents.read(path, dict)
        missing = [k for k in ("data", "options", "settings") if k not in found]
        if missing:
            raise RunError(
                f"{path} does not describe a run (no {', '.join(missing)}): give the --out of a "
                "fit."
            )
        kinds = {"bridge": documents.BRIDGE, "seeds": documents.SEEDS}
        shape = next((kinds[word] for word in kinds if word in found), documents.RUN)
        documents.check(path, found, shape)
        return found

    def single(self) -> Document:
        """The description of one run, not of several seeds."""
        found = self.description
        if "seeds" in found:
            raise RunError(f"{self.folder} holds several seeds: give one of its folders.")
        return found

    def coordinates(self) -> Coordinates:
        """The columns of the (first) table, their units and ranges."""
        try:
            return Coordinates.from_dict(self.single()["coordinates"])
        except DataError as error:
            raise RunError(f"{self.file('run.json')}: {error}") from error

    @property
    def sources(self) -> list[tuple[str, str | None]]:
        """The names of the data, each with the digest of its file ("pipe", or None for a set that
        is known by name)."""
        found = self.single()
        if "file" in found:
            return [(found["data"], found["file"])]
        return list(zip(found["data"], found["files"], strict=False))

    @property
    def files(self) -> list[Path]:
        """The files of the data that are there still."""
        return [Path(name) for name, digest in self.sources
                if digest and digest != "pipe" and Path(name).is_file()]  # fmt: skip

    @property
    def changed_files(self) -> list[str]:
        """The files of the data whose bytes are not those that were fitted."""
        digests = dict(self.sources)
        return [str(path) for path in self.files if file_digest(path) != digests[str(path)]]
