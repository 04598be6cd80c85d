"""``table.md``: means over seeds, floors, and rows of others with footnotes."""

from __future__ import annotations

from collections.abc import Sequence

from scorefold.bench.contract import Result, Table, TableMeasure
from scorefold.bench.results import Mean, by_rest_of_name, in_order, mean


def markdown(table: Table, runs: Sequence[Result]) -> str:
    """A table for each protocol and each measure that is shown."""
    lines = [f"# {table.title}"]
    for line in table.caption(runs):
        lines += ["", line]
    notes: list[str] = []
    for protocol in in_order(table.protocols, [run.protocol for run in runs]):
        ours = [run for run in runs if run.protocol == protocol]
        if table.lines != "methods":
            shown = _cells if table.lines == "cells" else _quantities
            lines += ["", f"## {protocol}", "", *shown(table, ours)]
            continue
        for name, measure in table.measures.items():
            having = [run for run in ours if name in run.values]
            if measure.shown and having:
                lines += ["", f"## {protocol}: {measure.heading}", ""]
                lines += _measure(table, protocol, name, measure, having, notes)
    missing = _missing(runs)
    if missing:
        lines += ["", "Not measured:", "", *(f"- {line}" for line in missing)]
    if notes:
        lines += ["", *(f"[^{k}]: {note}" for k, note in enumerate(notes, start=1))]
    return "\n".join(lines) + "\n"


def _measure(
    table: Table,
    protocol: str,
    name: str,
    measure: TableMeasure,
    runs: Sequence[Result],
    notes: list[str],
) -> list[str]:
    data = in_order(table.data, [run.data for run in runs])
    methods = in_order(table.methods, [run.method for run in runs])
    groups = by_rest_of_name(runs)
    seeds = max(len(found) for found in groups.values())
    found = {
        (m, d): mean(run.values[name] for run in groups.get((d, protocol, m), ()))
        for m in methods
        for d in data
    }
    costs = _costs(runs)
    head = ["method", *data, *(heading for heading, _ in costs)]
    lines = [_row(head), _row(["---"] * len(head))]
    for method in methods:
        own = [run for run in runs if run.method == method]
        cells = [_value(found[method, d], measure, seeds) for d in data]
        lines.append(_row([method, *cells, *(_cost(own, kind) for _, kind in costs)]))
    floors = {d: mean(_floors(runs, d, name)) for d in data}
    if any(floors.values()):
        cells = [_value(floors[d], measure, None) for d in data]
        lines.append(_row(["*floor: a perfect method*", *cells, *("" for _ in costs)]))
    for row in table.published:
        if (row.protocol, row.measure) == (protocol, name) and any(d in row.cells for d in data):
            if row.note not in notes:
                notes.append(row.note)
            cells = [row.cells.get(d, "") for d in data]
            label = f"{row.method} (published)[^{notes.index(row.note) + 1}]"
            lines.append(_row([label, *cells, *("" for _ in costs)]))
    spread = f"Mean ± standard deviation over {seeds} seeds" if seeds > 1 else "One seed"
    fewer = "; (n) where fewer" if seeds > 1 and any(
        mean_ is not None and mean_.n < seeds for mean_ in found.values()
    ) else ""  # fmt: skip
    return [*lines, "", f"{spread}{fewer}."]


def _cells(table: Table, runs: Sequence[Result]) -> list[str]:
    """A line for each data set and method, the floor behind a value where there is one."""
    shown = [
        (name, measure)
        for name, measure in table.measures.items()
        if measure.shown and any(run.values.get(name) is not None for run in runs)
    ]
    costs = _costs(runs)
    head = ["", "method", *(m.heading for _, m in shown), *(heading for heading, _ in costs)]
    lines = [_row(head), _row(["---"] * len(head))]
    groups = by_rest_of_name(runs)
    seeds = max(len(found) for found in groups.values())
    for data in in_order(table.data, [run.data for run in runs]):
        for method in in_order(table.methods, [r.method for r in runs if r.data == data]):
            own = next(
                found for name, found in groups.items() if (name[0], name[2]) == (data, method)
            )
            cells = [_with_floor(own, name, measure, seeds) for name, measure in shown]
            lines.append(_row([data, method, *cells, *(_cost(own, kind) for _, kind in costs)]))
    return lines


def _quantities(table: Table, runs: Sequence[Result]) -> list[str]:
    """Each value of each cell, to four digits."""
    besides = [b for b in _BESIDES if any(n.endswith(f", {b}") for r in runs for n in r.values)]
    floors = any(run.floors for run in runs)
    head = ["", "method", "quantity", "seen", *besides, *(["floor"] if floors else [])]
    lines = [_row(head), _row(["---"] * len(head))]
    for (data, _, method), own in by_rest_of_name(runs).items():
        for name in own[0].values:
            if name.endswith(tuple(f", {b}" for b in _BESIDES)):
                continue
            found = [mean(run.values.get(n) for run in own) for n in _with_besides(name, besides)]
            if floors:
                found.append(mean(run.floors.get(name) for run in own))
            lines.append(_row([data, method, name, *map(_four, found)]))
    return lines


_BESIDES = ("expected", "bound")


def _with_besides(name: str, besides: Sequence[str]) -> list[str]:
    return [name, *(f"{name}, {beside}" for beside in besides)]


def _four(found: Mean | None) -> str:
    return "" if found is None else f"{found.value:.4g}".replace("-", "−")


def _with_floor(runs: Sequence[Result], name: str, measure: TableMeasure, seeds: int) -> str:
    text = _value(mean(run.values.get(name) for run in runs), measure, seeds)
    floor = mean(run.floors.get(name) for run in runs)
    return text if floor is None else f"{text} [{_value(floor, measure, None)}]"


_COSTS = (
    ("evaluations", "nfe"), ("seconds", "seconds"), ("of them compiling", "compile_seconds"),
    ("numbers in the model", "parameters"),
)  # fmt: skip


def _costs(runs: Sequence[Result]) -> list[tuple[str, str]]:
    """Those that any run has."""
    return [(heading, kind) for heading, kind in _COSTS if any(getattr(r, kind) for r in runs)]


def _cost(runs: Sequence[Result], kind: str) -> str:
    found = mean(getattr(run, kind) for run in runs)
    if found is None:
        return ""
    return f"{found.value:,.0f}" if found.value >= 10 or kind == "nfe" else f"{found.value:.1f}"


def _floors(runs: Sequence[Result], data: str, name: str) -> list[float | None]:
    return [run.floors.get(name) for run in runs if run.data == data]


def _value(found: Mean | None, measure: TableMeasure, seeds: int | None) -> str:
    if found is None:
        return ""
    text = f"{found.value:.{measure.digits}f}"
    if seeds is not None and found.std is not None:
        text += f" ± {found.std:.{measure.digits}f}"
    text = text.replace("-", "−")
    return text + (f" ({found.n})" if seeds is not None and found.n < seeds else "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _missing(runs: Sequence[Result]) -> list[str]:
    lines = {
        f"{run.method}, {run.data}, {run.protocol}: {name}: {why}"
        for run in runs
        for name, why in run.missing.items()
    }
    return sorted(lines)
