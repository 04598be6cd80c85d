"""The folder of a run: its model, its numbers, and how its data were read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scorefold import fitting
from scorefold._files import remove_leftovers, write_whole
from scorefold._version import __version__
from scorefold._warnings import ScorefoldWarning
from scorefold.cli.parser import UsageError
from scorefold.data import SNAPSHOTS, Coordinates, DataError, Dataset, datasets, load
from scorefold.data.laws.evolutions import EVOLUTIONS
from scorefold.data.laws.synthetic import is_synthetic
from scorefold.fitting import DirectoryInUse, History
from scorefold.fitting.fingerprint import describe, differences
from scorefold.fitting.lock import locked
from scorefold.runs import documents

__all__ = [
    "Run",
    "description",
    "description_of_bridge",
    "description_of_seeds",
    "is_pipe",
    "settled",
]

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
    def open(cls, folder: str) -> Run:
        """A finished run, or the folder above several.

        **Raises:** ``UsageError`` if it is neither.
        """
        run = cls._found(folder, "fit")
        if "bridge" in run._description():
            raise UsageError(
                f"{folder} holds a bridge, whose numbers are in {run.folder / 'metrics.json'} and "
                "its report.html: carry moves points along it; evaluate, sample and report take "
                "the --out of a fit."
            )
        for one in run.seeds or [run]:
            one._refuse_unfinished("fit")
        return run

    @classmethod
    def open_bridge(cls, folder: str) -> Run:
        """A finished bridge.

        **Raises:** ``UsageError`` if it is none.
        """
        run = cls._found(folder, "bridge")
        if "bridge" not in run._description():
            raise UsageError(f"{folder} holds a model, not a bridge: sample draws from it.")
        run._refuse_unfinished("bridge")
        return run

    @classmethod
    def _found(cls, folder: str, command: str) -> Run:
        run = cls(folder)
        if not run.folder.is_dir():
            raise UsageError(f"no folder {folder}: give the --out of a {command}.")
        run.refuse_links()
        if not (run.folder / "run.json").exists():
            raise UsageError(f"{folder} holds no finished run (run.json is missing).")
        return run

    def _refuse_unfinished(self, command: str) -> None:
        if not self.model_file.exists():
            raise UsageError(f"{self.folder} holds no finished run ({self.model_file.name} is "
                             f"missing): {command} … --resume finishes it.")  # fmt: skip

    @property
    def model_file(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def seeds(self) -> list[Run]:
        """The runs of the seeds below, if this is the folder above them."""
        seeds = self._description().get("seeds", [])
        return [Run(self.folder / f"seed-{seed}") for seed in seeds]

    # -- what was trained ------------------------------------------------------------------------
    def keep(self, model: Any, history: Any) -> None:
        """Save what training gave. A model file says that its history is there too."""
        self.write_text("history.json", history.to_json() + "\n")
        fitting.save(self.model_file, model)

    def model(self) -> Any:
        return fitting.load(self.model_file)

    def history(self) -> History:
        path = self.folder / "history.json"
        found = documents.read(path, documents.HISTORY)
        if len(found["step"]) != len(found["loss"]) or len(found["val_step"]) != len(
            found["val_nll"]
        ):
            raise UsageError(f"{path} is damaged (columns of different lengths).")
        with documents.describes(path):
            return History.from_json(path.read_text())

    def model_digest(self) -> str:
        """Of the file of the model: numbers in ``metrics.json`` belong to one model."""
        return file_digest(self.model_file) or ""

    # -- documents -------------------------------------------------------------------------------
    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write ``name`` whole or not at all."""
        documents.write(self.folder / name, document)

    def write_text(self, name: str, text: str) -> None:
        write_whole(self.folder / name, text)

    def metrics(self) -> dict[str, Any]:
        return documents.read(self.folder / "metrics.json", documents.METRICS)

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
                raise UsageError(
                    f"{self.folder}: {error.strerror}. Choose by --out a folder that can be "
                    "written."
                ) from error
            yield

    def refuse_links(self) -> None:
        """**Raises:** ``UsageError`` naming a link among the files of the run: what it points to
        would be read, or written over."""
        for folder in (self.folder, self.checkpoints):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for entry in os.scandir(folder):
                    if entry.is_symlink() and _OURS.fullmatch(entry.name):
                        raise UsageError(
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

    def refuse_another(self, identity: dict[str, Any], resume: bool) -> None:
        """Compare what is to be fitted with what the folder holds, before anything is changed.

        **Raises:** ``UsageError`` if the folder holds a run and ``resume`` is False, or holds one
        of other data or settings, naming what differs.
        """
        self.refuse_links()
        held, stated = self.holds(), (self.folder / "run.json").exists()
        if held and not resume:
            raise UsageError(
                f"{self.folder} already holds {held}: choose another --out, or go on with it by "
                "--resume."
            )
        if held and not stated:
            raise UsageError(f"{self.folder} holds {held}, but not of what (run.json is missing): "
                             "choose another --out.")  # fmt: skip
        if not stated:
            return
        description = self._description()
        if not held:
            return
        then, now = self._identity(description), self._identity(identity)
        changed = differences(then, now)
        if changed:
            lines = [f"{name}: {old} there, {new} here" for name, (old, new) in changed.items()]
            raise UsageError(
                f"{self.folder} belongs to another run: {'; '.join(lines[:6])}. Resume with what "
                "it was started with, or choose another --out."
            )

    @staticmethod
    def _identity(description: dict[str, Any]) -> dict[str, str]:
        """The fields that make a run another one, as they look in a file."""
        found = documents.plain(description)
        return {
            name: value
            for key in ("seed", "seeds", "bridge", "options", "settings", "points")
            for name, value in describe(found.get(key), key).items()
            if not value.startswith("dict of")
        }

    # -- data ------------------------------------------------------------------------------------
    def describe(self, description: dict[str, Any]) -> None:
        """Write how the data were read, so that samples come out in their units."""
        self.write("run.json", description)

    @property
    def version(self) -> str:
        return self._description()["scorefold"]

    def coordinates(self) -> Coordinates:
        try:
            return Coordinates.from_dict(self._single()["coordinates"])
        except DataError as error:
            raise UsageError(f"{self.folder / 'run.json'}: {error}") from error

    @property
    def seed(self) -> int:
        return self._single()["seed"]

    @property
    def earth(self) -> bool:
        """Whether pictures have coastlines."""
        return self._description()["earth"]

    def dataset(self, data_dir: str | None = None) -> Dataset:
        """The data of the run, split as they were.

        **Raises:** ``UsageError`` if they came from a pipe, or have changed since; ``DataError`` if
        they cannot be read any more.
        """
        found, path = self._single(), self.folder / "run.json"
        if found["file"] == "pipe":
            raise UsageError(
                f"the data of {self.folder} came from a pipe and cannot be read again: give DATA."
            )
        more: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        with documents.describes(path):
            dataset = load(found["data"], seed=found["seed"], **found["options"], **more)
        changed = differences(found["points"], point_digests(dataset))
        if changed:
            lines = [f"{n}: {then} there, {now} here" for n, (then, now) in changed.items()]
            raise UsageError(
                f"{found['data']} has changed since {self.folder} was fitted ({'; '.join(lines)}): "
                "its numbers would be those of other points. Restore it, or fit again into another "
                "--out."
            )
        return dataset

    def sources(self) -> list[str]:
        """What the data of a bridge were read from: names and files."""
        return self._description()["data"]

    def changed_file(self) -> str:
        """The name of the data file if its bytes are not those that were fitted, else empty."""
        path = self.data_file()
        if path is None or file_digest(path) == self._single()["file"]:
            return ""
        return str(path)

    def data_file(self) -> Path | None:
        """The file of the data, if they came from one that is there."""
        found = self._single()
        here = found["file"] and found["file"] != "pipe" and Path(found["data"]).is_file()
        return Path(found["data"]) if here else None

    def _single(self) -> dict[str, Any]:
        found = self._description()
        if "seeds" in found:
            raise UsageError(f"{self.folder} holds several seeds: give one of its folders.")
        return found

    def _description(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        found = documents.read(path, dict)
        missing = [k for k in ("data", "options", "settings") if k not in found]
        if missing:
            raise UsageError(
                f"{path} does not describe a run (no {', '.join(missing)}): give the --out of a "
                "fit."
            )
        kinds = {"seeds": documents.SEEDS, "bridge": documents.BRIDGE}
        shape = next((kinds[word] for word in kinds if word in found), documents.RUN)
        return documents.read(path, shape)


@contextlib.contextmanager
def settled(described: Mapping[Run, dict[str, Any]], resume: bool) -> Iterator[None]:
    """Hold the locks of the folders of ``described``, whose ``run.json`` says then what is in each.

    A command that is refused changes nothing: first look, then lock, look again, and only then
    write.

    **Raises:** ``UsageError`` if a folder holds another run, or one without ``resume``;
    ``DirectoryInUse`` if another process writes there.
    """
    for run, identity in described.items():
        run.refuse_another(identity, resume)
    with contextlib.ExitStack() as stack:
        for run in sorted(described, key=lambda run: len(run.folder.parts)):
            stack.enter_context(run.writing())
            run.refuse_another(described[run], resume)
        for run, identity in described.items():
            if resume and run.holds() and run.version != __version__:
                warnings.warn(
                    f"{run.folder} was begun with scorefold {run.version}, this is {__version__}: "
                    "the result may differ from that of an uninterrupted run.",
                    ScorefoldWarning,
                    stacklevel=3,
                )
            run.describe(identity)
        yield


# -- what identifies the data --------------------------------------------------------------------
def description(
    data: str, options: dict[str, Any], settings: dict[str, Any], dataset: Dataset, earth: bool
) -> dict[str, Any]:
    """What ``run.json`` says of one seed: where the data are, how they were read, digests of the
    points of each part and of the bytes of the file, settings, whether pictures have coastlines,
    version."""
    return {
        **_common(data, options, settings, earth),
        "seed": dataset.seed,
        "coordinates": dataset.coordinates.to_dict(),
        "points": point_digests(dataset),
    }


def description_of_seeds(
    data: str,
    options: dict[str, Any],
    settings: dict[str, Any],
    sets: list[Dataset],
    earth: bool,
) -> dict[str, Any]:
    """What ``run.json`` says in the folder above several seeds."""
    return {**_common(data, options, settings, earth), "seeds": [d.seed for d in sets]}


def description_of_bridge(
    names: list[str],
    data: list[str],
    options: dict[str, Any],
    settings: dict[str, Any],
    parts: Mapping[str, list[np.ndarray]],
    seed: int,
    earth: bool,
    coordinates: Coordinates,
) -> dict[str, Any]:
    """What ``run.json`` says of a bridge: ``parts`` holds the points to train, to validate and to
    test, an array for each of ``names``; ``coordinates`` are those of the first table."""
    digests = {
        part: [describe(np.asarray(rows), part)[part] for rows in points]
        for part, points in parts.items()
    }
    return {
        "bridge": names,
        **_sources(data, options, settings, earth),
        "points": digests,
        "seed": seed,
        "coordinates": coordinates.to_dict(),
    }


def _sources(
    data: list[str], options: dict[str, Any], settings: dict[str, Any], earth: bool
) -> dict[str, Any]:
    """``_common`` of several tables."""
    found = [_common(name, options, settings, earth) for name in data]
    common = {name: value for name, value in found[0].items() if name not in ("data", "file")}
    return {"data": [f["data"] for f in found], "files": [f["file"] for f in found], **common}


def _common(
    data: str, options: dict[str, Any], settings: dict[str, Any], earth: bool
) -> dict[str, Any]:
    named, pipe = is_named(data), is_pipe(data)
    return {
        "data": data if named or pipe else str(Path(data).resolve()),
        "file": "pipe" if pipe else None if named else file_digest(data),
        "options": {k: v for k, v in options.items() if k != "data_dir"},
        "settings": settings,
        "earth": earth,
        "scorefold": __version__,
    }


def point_digests(dataset: Dataset) -> dict[str, str]:
    """Of the points that are computed with: dtype, shape, SHA-256."""
    parts = {name: np.asarray(getattr(dataset, name)) for name in ("train", "val", "test")}
    return {name: describe(part, name)[name] for name, part in parts.items()}


def file_digest(path: str | os.PathLike) -> str | None:
    """SHA-256 of the bytes of a file; None if it is none."""
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def is_pipe(data: str) -> bool:
    """Whether the data can be read once only: standard input, a FIFO, a device."""
    return data == "-" or (os.path.exists(data) and not os.path.isfile(data)
                           and not os.path.isdir(data))  # fmt: skip


def is_named(data: str) -> bool:
    """Whether the data are known by name, rather than a file of one's own."""
    known = {row.name for row in datasets()} | {*SNAPSHOTS, *EVOLUTIONS}
    return is_synthetic(data) or data in known
