"""The file of a table's runs: each is written when it is made, and not made again."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scorefold._files import write_whole
from scorefold._types import Document
from scorefold.bench.contract import Length, Measurement, Name, Result, Table, plain

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
            "runs": [plain(run) for run in self.runs],
        }
        text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
        write_whole(self.folder / FILE, text + "\n")


def _read(path: Path, table: Table, length: Length) -> list[Result]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["table"], document["length"]
        runs = [Result(**run) for run in document["runs"]]
    except (ValueError, KeyError, TypeError, OSError) as error:
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
    known = [v for v in values if v is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Mean(statistics.fmean(known), std, len(known))


def source(load: Sequence[float]) -> Document:
    """Versions, device, commit, date, and the load of the machine before and after."""
    from scorefold._provenance import provenance

    return {**provenance(), "load": [round(v, 2) for v in load], "date": time.strftime("%Y-%m-%d")}


def machine_load() -> float:
    """Programs that run or wait, mean of a minute; not known on some systems."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


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
