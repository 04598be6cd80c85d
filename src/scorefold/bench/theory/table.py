"""The experiments on theorems as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from scorefold.bench.contract import Cell, Figures, Result, Table, TableRequest
from scorefold.bench.theory import (
    ergodicity,
    flat_total_variation,
    manifold_hypothesis,
    reversed_walk,
    target_variance,
    targets,
    weak_walk,
)

EXPERIMENTS: Mapping[str, ModuleType] = {
    "geometric ergodicity": ergodicity,
    "reversed walk": reversed_walk,
    "flat total variation": flat_total_variation,
    "manifold hypothesis": manifold_hypothesis,
    "weak order of the walk": weak_walk,
    "targets": targets,
    "target moments": target_variance,
}
"""By protocol. A module has ``cells``, ``sentence`` and ``figure``."""


def _cells(request: TableRequest) -> Iterator[Cell]:
    for protocol, experiment in EXPERIMENTS.items():
        for data, method, make in experiment.cells(request.length):
            yield Cell(data, protocol, method, 0, make)


def _found(runs: Sequence[Result], protocol: str) -> dict[tuple[str, str], Result]:
    return {(run.data, run.method): run for run in runs if run.protocol == protocol}


def _caption(runs: Sequence[Result]) -> list[str]:
    """What one sees of each experiment that is complete, in a sentence."""
    lines = []
    for protocol, experiment in _complete(runs).items():
        lines.append(f"**{protocol.capitalize()}.** {experiment.sentence(_found(runs, protocol))}")
    return lines


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    for protocol, experiment in _complete(runs).items():
        yield protocol.replace(" ", "-"), experiment.figure(_found(runs, protocol))


def _complete(runs: Sequence[Result]) -> dict[str, ModuleType]:
    """The experiments all cells of which were made, at one of the lengths."""
    complete = {}
    for protocol, experiment in EXPERIMENTS.items():
        found = set(_found(runs, protocol))
        for length in ("default", "quick"):
            asked = {(data, method) for data, method, _ in experiment.cells(length)}
            if asked == found:
                complete[protocol] = experiment
    return complete


def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of data and methods."""
    cells = [c for e in EXPERIMENTS.values() for n in ("default", "quick") for c in e.cells(n)]
    return tuple(dict.fromkeys(c[0] for c in cells)), tuple(dict.fromkeys(c[1] for c in cells))


DATA, METHODS = _names()
TABLE = Table(
    name="theory",
    title="Theorems, measured",
    measures={},
    data=DATA,
    protocols=tuple(EXPERIMENTS),
    methods=METHODS,
    cells=_cells,
    caption=_caption,
    figures=_figures,
    lines="quantities",
    seeded=False,
)
