"""The folder of a run: its model, its numbers, and how its data were read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scorefold import fitting
from scorefold.cli.parser import UsageError
from scorefold.data import Coordinates, Dataset, load
from scorefold.manifolds import manifold_from_name

__all__ = ["Run"]


class Run:
    """``model.safetensors``, ``run.json`` (data and settings), ``metrics.json``,
    ``history.json`` and ``checkpoints/`` in one folder."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, folder: str) -> Run:
        run = cls(folder)
        if not run.folder.is_dir():
            raise UsageError(f"no folder {folder}: give the --out of a fit.")
        for name in ("run.json", "model.safetensors"):
            if not (run.folder / name).exists():
                raise UsageError(f"{folder} holds no finished run ({name} is missing).")
        return run

    @property
    def model_file(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def model(self) -> Any:
        return fitting.load(self.model_file)

    # -- documents -------------------------------------------------------------------------------
    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write ``name`` whole or not at all."""
        path = self.folder / name
        part = path.with_name(f".{name}.{os.getpid()}")
        part.write_text(json.dumps(document, indent=1, allow_nan=False, default=_plain) + "\n")
        part.replace(path)

    def read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            document = json.loads(path.read_text())
        except (ValueError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is damaged ({error}).") from error
        if not isinstance(document, dict):
            raise UsageError(f"{path} is damaged (not a JSON object).")
        return document

    # -- data ------------------------------------------------------------------------------------
    def describe(self, data: str, options: dict[str, Any], seed: int, dataset: Dataset) -> None:
        """Write how the data were read, so that samples come out in their units."""
        c = dataset.coordinates
        path = data if dataset.name == data else str(Path(data).resolve())
        self.write(
            "run.json",
            {
                "data": path,
                "options": {k: v for k, v in options.items() if k != "data_dir"},
                "seed": seed,
                "coordinates": {**asdict(c), "manifold": c.manifold.name},
            },
        )

    def coordinates(self) -> Coordinates:
        fields = dict(self._description()["coordinates"])
        fields["manifold"] = manifold_from_name(fields["manifold"])
        for name in ("columns", "turns"):
            fields[name] = tuple(fields[name])
        return Coordinates(**fields)

    @property
    def seed(self) -> int:
        return int(self._description()["seed"])

    def dataset(self, data_dir: str | None = None) -> Dataset:
        """The data of the run, split as they were."""
        found = self._description()
        more: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        return load(found["data"], seed=found["seed"], **found["options"], **more)

    def _description(self) -> dict[str, Any]:
        found = self.read("run.json")
        missing = [k for k in ("data", "options", "seed", "coordinates") if k not in found]
        if missing:
            raise UsageError(
                f"{self.folder / 'run.json'} does not describe a run (no {', '.join(missing)}): "
                "give the --out of a fit."
            )
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
