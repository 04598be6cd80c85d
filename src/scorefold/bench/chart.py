"""A picture of a table: a panel for each data set, a line for each method."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scorefold.bench.contract import Figures, Published, Result, Table
from scorefold.bench.results import Mean, by_rest_of_name, in_order, mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

_COLUMNS = 4
_SPAN = 50.0
"""Positive numbers whose ratio is larger are shown by their logarithms."""


def charts(table: Table, runs: Sequence[Result]) -> Figures:
    """One for each protocol and each measure that is shown: means with their standard deviations,
    the floor as a line, rows of others hollow."""
    for protocol in in_order(table.protocols, [run.protocol for run in runs]):
        for name, measure in table.measures.items():
            found = [r for r in runs if r.protocol == protocol and r.values.get(name) is not None]
            if measure.shown and found:
                file = re.sub(r"[^0-9a-z]+", "-", f"{protocol} {name}".lower()).strip("-")
                yield file, _chart(table, protocol, name, found)


def _chart(table: Table, protocol: str, name: str, runs: Sequence[Result]) -> Figure:
    from scorefold.report.panels import new_figure

    data = in_order(table.data, [run.data for run in runs])
    groups = by_rest_of_name(runs)
    others = [p for p in table.published if (p.protocol, p.measure) == (protocol, name)]
    others = [row for row in others if any(d in row.cells for d in data)]
    methods = in_order(table.methods, [run.method for run in runs])
    lines = [*methods, *(f"{row.method} (published)" for row in others)]
    columns = min(_COLUMNS, len(data))
    rows = -(-len(data) // columns)
    figure = new_figure(2.6 * columns + 2.0, (0.26 * len(lines) + 1.1) * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.ravel()[len(data) :]:
        axes.set_axis_off()
    shown = []
    for axes, where in zip(grid.ravel(), data, strict=False):
        own = {m: groups.get((where, protocol, m), ()) for m in methods}
        found = {m: mean(run.values[name] for run in rows_) for m, rows_ in own.items()}
        floor = mean(r.floors.get(name) for r in runs if r.data == where)
        shown.append(_panel(axes, found, [_printed(row, where) for row in others], floor))
        axes.set_title(where, fontsize=9)
        axes.set_yticks(range(len(lines)), lines, fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
    far_apart = any(max(panel) > _SPAN * min(panel) for panel in shown)
    positive = all(min(panel) > 0.0 for panel in shown)
    for axes, panel in zip(grid.ravel(), shown, strict=False):
        if positive and far_apart:
            _logarithmic(axes, max(panel) / min(panel))
        else:
            axes.locator_params(axis="x", nbins=4)
    grid[0, 0].invert_yaxis()
    figure.suptitle(f"{table.title}, {protocol}: {table.measures[name].heading}", fontsize=10)
    return figure


def _panel(
    axes: Panel,
    found: Mapping[str, Mean | None],
    others: Sequence[tuple[float, float] | None],
    floor: Mean | None,
) -> list[float]:
    """The numbers that are shown."""
    axes.grid(axis="x", color="0.9")
    for k, value in enumerate(found.values()):
        if value is not None:
            axes.errorbar(value.value, k, xerr=value.std or 0.0, fmt="o", color="#0072B2", ms=4)
    for k, printed in enumerate(others, start=len(found)):
        if printed is not None:
            axes.errorbar(
                printed[0], k, xerr=printed[1], fmt="o", color="#D55E00", mfc="white", ms=4
            )
    if floor is not None:
        axes.axvline(floor.value, color="0.3", ls="--", lw=1.0)
    shown = [value.value for value in (*found.values(), floor) if value is not None]
    return shown + [printed[0] for printed in others if printed is not None]


def _logarithmic(axes: Panel, span: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    subs = (1.0, 2.0, 5.0) if span < 8.0 else (1.0, 3.0) if span < 30.0 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _printed(row: Published, data: str) -> tuple[float, float] | None:
    """The number and its ± of a cell of others."""
    numbers = re.findall(r"[−-]?\d*\.?\d+", row.cells.get(data, ""))
    if not numbers:
        return None
    value, *spread = (float(n.replace("−", "-")) for n in numbers)
    return value, spread[0] if spread else 0.0
