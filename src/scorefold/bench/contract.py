"""What a table of results is made of: cells that measure, runs that were measured, and what the
table knows about them. Nothing here needs JAX."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scorefold._types import Document, ReadOnlyDocument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Length = Literal["quick", "default", "full"]
"""Minutes on two cores; what committed results were made with; the published length."""
Name = tuple[str, str, str, int]


@dataclass(frozen=True)
class Measurement:
    """What one run found.

    - ``values``: by the measures of the table; None for what could not be measured, with its
      reason in ``missing``.
    - ``floors``: the same measures for a perfect method.
    - ``seconds`` of wall clock for fitting, compilation included, ``compile_seconds`` of them for
      compiling; ``nfe``: evaluations of the network that a likelihood or a draw took, 0 in closed
      form; ``parameters``: numbers in the model; ``stopped``: why training ended; ``split``: a hash
      of the points that it was fitted to, chosen by and tested on. None where there is none.
    - ``more``: what figures are drawn from.
    """

    values: Mapping[str, float | None]
    floors: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    compile_seconds: float | None = None
    nfe: float | None = None
    parameters: int | None = None
    stopped: str | None = None
    split: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    more: ReadOnlyDocument = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = {k: f"not finite ({v})" for k, v in self.values.items() if v is not None}
        bad = {k: why for k, why in bad.items() if not math.isfinite(self.values[k] or 0.0)}
        values = {k: None if k in bad else v for k, v in self.values.items()}
        floors = {k: v for k, v in self.floors.items() if math.isfinite(v)}
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "floors", floors)
        object.__setattr__(self, "missing", {**bad, **self.missing})
        silent = [k for k, v in values.items() if v is None and k not in self.missing]
        if silent:
            raise ValueError(f"{', '.join(silent)}: None needs a reason in missing.")


@dataclass(frozen=True)
class Result(Measurement):
    """A measurement with its name. Runs that differ in the seed only are averaged.

    ``source``: versions, device, commit, load of the machine and date."""

    data: str = ""
    protocol: str = ""
    method: str = ""
    seed: int = 0
    source: ReadOnlyDocument = field(default_factory=dict)

    @property
    def name(self) -> Name:
        return self.data, self.protocol, self.method, self.seed


@dataclass(frozen=True)
class Cell:
    """A run that can be made: its name, and what measures it. ``file``: a hash of the user's file
    that it is made of and of how it is read, ``options``: of what the user states of its method: a
    run of another hash is made again."""

    data: str
    protocol: str
    method: str
    seed: int
    make: Callable[[], Measurement]
    file: str | None = None
    options: str | None = None

    @property
    def name(self) -> Name:
        return self.data, self.protocol, self.method, self.seed


@dataclass(frozen=True)
class TableRequest:
    """What is asked of a table. ``data``, ``protocols``, ``methods``, ``seeds``: None for those
    of the length. ``out``: the folder of the results."""

    length: Length = "default"
    data: tuple[str, ...] | None = None
    protocols: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    seeds: int | None = None
    data_dir: str | None = None
    out: Path | None = None


@dataclass(frozen=True)
class TableMeasure:
    """``heading`` with its unit; ``digits`` after the point; ``shown`` in ``table.md``."""

    heading: str
    digits: int = 3
    shown: bool = True


@dataclass(frozen=True)
class Published:
    """A row of others: ``cells`` as they print them, by data; ``note``: where they stand, what
    their ± is, and what to keep in mind."""

    method: str
    protocol: str
    cells: Mapping[str, str]
    note: str
    measure: str = "test_nll"


Figures = Iterable[tuple[str, "Figure"]]


@dataclass(frozen=True)
class Table:
    """A table of results.

    - ``measures``: by name, those of its runs.
    - ``data``, ``protocols``, ``methods``: all that can be asked for; ``usual``: for each length,
      the methods that are run where none are named.
    - ``cells``: those of a request, cheap to list; the names asked for are picked by the caller.
    - ``published``: rows of others. ``caption``: lines above the table, from its runs.
    - ``figures``: (file name without ending, figure) beside ``charts``, from its runs and the
      folder of results.
    - ``own_data``: whether ``--data`` takes files of the user's as well. ``seeded``: whether
      another seed makes another run.
    - ``lines`` of ``table.md``: methods, with data in the columns, a table for each measure; or
      cells, a line for each data set and method, with measures in the columns; or quantities, a
      line for each value of a cell, beside it the values that are called ``NAME, expected`` and
      ``NAME, bound``.
    """

    name: str
    title: str
    measures: Mapping[str, TableMeasure]
    data: tuple[str, ...]
    protocols: tuple[str, ...]
    methods: tuple[str, ...]
    cells: Callable[[TableRequest], Iterator[Cell]]
    usual: Mapping[Length, tuple[str, ...]] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    caption: Callable[[Sequence[Result]], Sequence[str]] = lambda runs: ()
    figures: Callable[[Sequence[Result], Path], Figures] = lambda runs, folder: ()
    own_data: bool = False
    seeded: bool = True
    lines: Literal["methods", "cells", "quantities"] = "methods"

    def wanted(self, request: TableRequest) -> Iterator[Cell]:
        """The cells that are asked for.

        **Raises:** ``ValueError`` for names that the table does not have."""
        asked = (
            ("--data", request.data, self.data),
            ("--protocols", request.protocols, self.protocols),
            ("--methods", request.methods, self.methods),
        )
        for option, names, known in asked:
            unknown = [n for n in names or () if n not in known]
            if option == "--data" and self.own_data:
                unknown = [n for n in unknown if not (n.isprintable() and Path(n).exists())]
            if unknown:
                raise ValueError(
                    f"{option}: table {self.name} has no {', '.join(map(repr, unknown))}; choices: "
                    f"{'; '.join(known)}."
                )
        if request.seeds is not None and not self.seeded:
            raise ValueError(
                f"--seeds: each run of table {self.name} is made once, whatever the seed: leave "
                "--seeds out."
            )
        some = False
        methods = request.methods or self.usual.get(request.length, self.methods)
        for cell in self.cells(request):
            inside = (
                (request.data is None or cell.data in request.data)
                and (request.protocols is None or cell.protocol in request.protocols)
                and cell.method in methods
            )
            if inside:
                some = True
                yield cell
        if not some:
            raise ValueError(
                f"table {self.name}, length {request.length}: no run has these names together. Its "
                f"methods: {'; '.join(self.methods)}; protocols: {'; '.join(self.protocols)}."
            )


def plain(run: Result) -> Document:
    """A run as JSON has it: what names it first."""
    first = {name: getattr(run, name) for name in ("method", "data", "protocol", "seed")}
    rest = {k: v for k, v in vars(run).items() if k not in first}
    return {**first, **rest}
