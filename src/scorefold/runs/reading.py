"""How the tables of a run are read and split."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from scorefold._types import Document
from scorefold.data import SNAPSHOTS, Coordinates, datasets
from scorefold.data.laws.evolutions import EVOLUTIONS
from scorefold.data.laws.synthetic import is_synthetic


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The arguments of ``data.load`` that say how a table is read and split; None: not stated."""

    manifold: str | None = None
    columns: str | None = None
    degrees: bool | None = None
    group: str | None = None
    drop: bool | None = None
    drop_value: Sequence[str] | None = None
    weights: str | None = None
    protocol: str | None = None

    def stated(self) -> Document:
        return {name: value for name, value in asdict(self).items() if value is not None}


def reading_as(name: str, coordinates: Coordinates, **stated: object) -> Document:
    """The arguments of ``data.load`` for another table: a file is read as the table of
    ``coordinates`` was, but for what is ``stated``."""
    if name in {row.name for row in datasets()}:
        return {}
    stated = {name: value for name, value in stated.items() if value is not None}
    return {"like": coordinates, "protocol": "random", **stated}


def is_pipe(name: str) -> bool:
    """Whether the data can be read once only: standard input, a FIFO, a device."""
    return name == "-" or (os.path.exists(name) and not os.path.isfile(name)
                           and not os.path.isdir(name))  # fmt: skip


def is_named(name: str) -> bool:
    """Whether the data are known by name, rather than a file of one's own."""
    known = {row.name for row in datasets()} | set(snapshot_names())
    return is_synthetic(name) or name in known


def is_snapshots(names: Sequence[str]) -> bool:
    """Whether ``names`` stand for more than two snapshots: three or more, or a recorded set."""
    return len(names) > 2 or (len(names) == 1 and names[0] in snapshot_names())


def snapshot_names() -> list[str]:
    """The sets of snapshots that are known by name."""
    return [*SNAPSHOTS, *EVOLUTIONS]
