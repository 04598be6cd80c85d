"""The file of a table's runs: each is written when it is made, and not made again."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scorefold._files import write_whole
from scorefold._types import Document
from scorefold.bench.contract import Cell, Length, Measurement, Name, Result, Table, plain

FILE = "results.json"


class Results:
    """The runs of a table in ``folder/results.json``.

    **Raises:** ``ValueError`` for a file that is not of this table and length.
    """

    def __init__(self, table: Table, length: Length, folder: Path | None = None) -> None:
        self.table, self.length, self.folder = table, length, folder
        self.runs: list[Result] = []
        self.failed = 0
        if folder is not None and (folder / FILE).exists():
            self.runs = _read(folder / FILE, table, length)

    def __contains__(self, name: Name) -> bool:
        return any(run.name == name for run in self.runs)

    def forget(self, data: str, file: str) -> int:
        """Leave out runs that were made of another content of the user's file ``data``; how many.
        They stay in the folder until the first new run is written."""
        kept = [r for r in self.runs if r.data != data or r.more.get("file") == file]
        count, self.runs = len(self.runs) - len(kept), kept
        return count

    def forget_others(self, cells: Iterable[Cell]) -> list[Result]:
        """Leave out the runs that methods of other options made, of all seeds, and return them."""
        stated = {cell.name[:3]: cell.options for cell in cells if cell.options}
        gone = []
        for run in self.runs:
            own = run.more.get("options")
            if stated.get(run.name[:3], own) != own:
                gone.append(run)
        self.runs = [run for run in self.runs if run not in gone]
        return gone

    def add(self, name: Name, found: Measurement, source: Document) -> Result:
        data, protocol, method, seed = name
        run = Result(
            **vars(found), data=data, protocol=protocol, method=method, seed=seed, source=source
        )
        self.runs.append(run)
        self.write()
        return run

    def write(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {
            "table": self.table.name,
            "length": self.length,
            "measures": {name: measure.heading for name, measure in self.table.measures.items()},
            "runs": [_storable(plain(run)) for run in self.runs],
        }
        text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
        write_whole(self.folder / FILE, text + "\n")


def _storable(value: object) -> object:
    """As JSON has it: numbers of NumPy as plain ones, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): _storable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(v) for v in value]
    if hasattr(value, "tolist"):
        return _storable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_OBJECTS = ("source", "more", "missing", "values", "floors")
_NUMBERS = ("nfe", "compile_seconds", "seconds", "parameters")


def _run_of(found: Document) -> Result:
    """**Raises:** ``ValueError`` for a field that is not of its kind."""
    for name in ("data", "protocol", "method"):
        word = found[name]
        if not isinstance(word, str) or not word.isprintable() or ("|" in word and name != "data"):
            raise ValueError(f"{name} {word!r:.40}")
    if type(found["seed"]) is not int:
        raise ValueError(f"seed {found['seed']!r:.40}")
    for name in _OBJECTS:
        if not isinstance(found[name], dict):
            raise ValueError(f"{name} is no object")
    numbers = [*found["values"].values(), *found["floors"].values(), *map(found.get, _NUMBERS)]
    wrong = [n for n in numbers if n is not None and not _is_number(n)]
    if wrong or not _is_number(found["seconds"]):
        raise ValueError(f"{(wrong or [found['seconds']])[0]!r:.40} where a number should be")
    return Result(**{**found, "seconds": float(found["seconds"])})


def _is_number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value)  # type: ignore[arg-type]


def _read(path: Path, table: Table, length: Length) -> list[Result]:
    try:
        if not path.is_file() or path.is_symlink():
            raise ValueError("no plain file")
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["table"], document["length"]
        runs = [_run_of(run) for run in document["runs"]]
        for run in runs:
            if table.measures and not table.measures.keys() & {*run.values, *run.missing}:
                raise ValueError(f"{run.method} on {run.data} holds nothing of this table")
        if len({run.name for run in runs}) < len(runs):
            raise ValueError("a run stands in it twice")
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OSError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{path}: is not a file of results ({error}). Choose another --out."
        ) from error
    if found != (table.name, length):
        raise ValueError(
            f"{path}: holds table {found[0]}, length {found[1]}; asked for is table {table.name}, "
            f"length {length}. Choose another --out."
        )
    return runs


class Mean(NamedTuple):
    """Over seeds; ``std`` None for one."""

    value: float
    std: float | None
    n: int


def mean(values: Iterable[float | None]) -> Mean | None:
    """None where nothing was measured."""
    known = [float(v) for v in values if v is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Mean(statistics.fmean(known), std, len(known))


def source(load: Sequence[float]) -> Document:
    """Versions, device, commit, date, and the load of the machine before and after."""
    from scorefold._provenance import provenance

    return {**provenance(), "load": [round(v, 2) for v in load], "date": time.strftime("%Y-%m-%d")}


def by_rest_of_name(runs: Iterable[Result]) -> Mapping[tuple[str, str, str], list[Result]]:
    """Runs that differ in the seed only, by (data, protocol, method)."""
    found: dict[tuple[str, str, str], list[Result]] = {}
    for run in runs:
        found.setdefault(run.name[:3], []).append(run)
    return found


def in_order(known: Sequence[str], found: Iterable[str]) -> list[str]:
    """Names in the order of the table; those of the user after them."""
    there = dict.fromkeys(found)
    return [n for n in known if n in there] + [n for n in there if n not in known]
