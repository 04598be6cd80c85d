"""How costs grow with the dimension, beside what is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorefold.bench.complexity.programs import CASES, PHASES
from scorefold.bench.contract import Result

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FROM = 10
"""Orders are fitted from this dimension on: below, all programs are short."""
_PRINTED = {0: "O(1)", 1: "O(d)", None: "–"}
_TOLERANCE = 0.3
_WHY = {
    ("sampling step", "Moser flow"): "its velocity divides by 1 − div u, so that a step of "
    "sampling costs as many passes as a divergence",
}
_SHOWN = {
    "passes": "passes a point", "milliseconds": "milliseconds", "megabytes": "megabytes",
}  # fmt: skip


def growth_lines(runs: Sequence[Result]) -> list[str]:
    """A table of orders, and sentences on what is not as printed."""
    groups = _groups(runs)
    rows = [
        "| phase | method | printed | passes | order of matrix products | of time | of memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    faster: list[str] = []
    slower: list[str] = []
    other: list[str] = []
    timed = 0
    for (phase, method), own in groups.items():
        printed = CASES[method].published[phase]
        passes = polynomial([(r.more["d"], r.values["passes"]) for r in own])
        orders = [order(own, name) for name in ("products", "milliseconds", "megabytes")]
        text = "–" if passes is None else written(passes)
        rows.append(_row((phase, method, _PRINTED[printed], text, *map(_power, orders))))
        name, time = f"{method} ({phase})", orders[1]
        if printed is not None and passes is not None and len(passes) - 1 != printed:
            why = _WHY.get((phase, method))
            reason = f": {why}" if why else ""
            other.append(f"{name}: printed {_PRINTED[printed]}, counted {text}{reason}.")
        if time is not None and passes is not None:
            timed, excess = timed + 1, time - (len(passes) - 1)
            if abs(excess) > _TOLERANCE:
                group = faster if excess > 0 else slower
                group.append(f"{name} d^{_power(time)} for {text}")
    spheres = _on_spheres(runs)
    lines = [
        "\n".join(rows),
        "Printed: De Bortoli et al. 2022, Tables 2 and 4, for one step. Orders are slopes of "
        f"log cost against log d on tori from d = {_FROM} on; – where fewer than three were "
        f"measured.{spheres}",
    ]
    if other:
        lines.append("Passes that are not as printed. " + " ".join(other))
    elif any(CASES[m].published[p] is not None for p, m in groups):
        lines.append("All passes that were counted are as printed.")
    if timed:
        as_counted = timed - len(faster) - len(slower)
        lines.append(
            f"Time grows as passes do, within d^±{_TOLERANCE}, in {as_counted} of {timed}."
        )
    if slower:
        lines.append(
            "It grows slower where a pass in many directions at once is one larger product of "
            f"matrices, or where other work is most of it: {'; '.join(slower)}."
        )
    if faster:
        lines.append(
            "It grows faster where what is not counted does: on a torus the first and the last "
            "layer of a network have 2d and d numbers, noise and targets d, and a step of the "
            f"solver of likelihoods solves for d unknowns: {'; '.join(faster)}."
        )
    return lines


def _power(value: float | None) -> str:
    """With one digit, without the sign of a zero."""
    return "–" if value is None else f"{round(value, 1) + 0.0:.1f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _groups(runs: Sequence[Result]) -> Mapping[tuple[str, str], list[Result]]:
    """Runs on tori by phase and method, in the order of d."""
    found: dict[tuple[str, str], list[Result]] = {}
    for phase in PHASES:
        for method in CASES:
            own = [r for r in runs if (r.protocol, r.method) == (phase, method)]
            own = [r for r in own if r.data.startswith("T")]
            if own:
                found[phase, method] = sorted(own, key=lambda r: r.more["d"])
    return found


def _on_spheres(runs: Sequence[Result]) -> str:
    """Where spheres do not take what the polynomial of the tori says; empty without spheres."""
    groups = _groups(runs)
    others: dict[str, None] = {}
    spheres = [r for r in runs if r.data.startswith("S")]
    for run in spheres:
        own = groups.get((run.protocol, run.method), ())
        found = polynomial([(r.more["d"], r.values["passes"]) for r in own])
        if found is None or not np.isclose(np.polyval(found[::-1], run.more["d"]), _passes(run)):
            others[f"{run.method} ({run.protocol})"] = None
    if not spheres:
        return ""
    most = f" but for {', '.join(others)}, where projections are differentiated" if others else ""
    return f" Spheres take the same passes as tori{most}."


def _passes(run: Result) -> float:
    passes = run.values["passes"]
    assert passes is not None
    return passes


def polynomial(pairs: Sequence[tuple[int, float | None]]) -> list[int] | None:
    """The whole coefficients, constant first, of the polynomial of lowest degree (2 at most) that
    goes through all (d, passes); None where there is none, or too few pairs to tell."""
    d, y = np.asarray([(d, y) for d, y in pairs if y is not None], np.float64).reshape(-1, 2).T
    for degree in range(min(3, len(d)) if len(d) > 1 else 0):
        found = np.linalg.lstsq(np.vander(d, degree + 1, increasing=True), y, rcond=None)[0]
        whole = np.round(found)
        if np.allclose(np.polyval(whole[::-1], d), y, rtol=1e-6):
            return [int(c) for c in whole]
    return None


def written(coefficients: Sequence[int]) -> str:
    """2 + 3d + d²."""
    words = []
    for c, power in zip(coefficients, ("", "d", "d²"), strict=False):
        if c or len(coefficients) == 1:
            words.append(f"{c}" if not power else power if c == 1 else f"{c}{power}")
    return " + ".join(words)


def order(runs: Sequence[Result], name: str) -> float | None:
    """The slope of log cost against log d; None for fewer than three dimensions."""
    pairs = [(r.more["d"], r.values[name]) for r in runs if r.more["d"] >= _FROM]
    known = [(d, v) for d, v in pairs if v]
    if len(known) < 3:
        return None
    d, v = np.log(np.asarray(known, np.float64)).T
    return float(np.polyfit(d, v, 1)[0])


def growth_figure(runs: Sequence[Result]) -> Figure:
    """Costs against d, a column for each phase; dashed: the printed orders of passes through
    the first point. Circles are spheres."""
    from scorefold.report.panels import new_figure

    phases = [p for p in PHASES if any(r.protocol == p for r in runs)]
    figure = new_figure(3.3 * len(phases) + 2.4, 8.0)
    grid = figure.subplots(len(_SHOWN), len(phases), squeeze=False, sharex=True)
    handles: dict[str, Artist] = {}
    dimensions = sorted({int(r.more["d"]) for r in runs if r.data.startswith("T")})
    for axes, phase in zip(grid[0], phases, strict=True):
        axes.set_title(phase, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("dimension d")
    for row, (name, label) in zip(grid, _SHOWN.items(), strict=True):
        for axes, phase in zip(row, phases, strict=True):
            for method, case in CASES.items():
                own = [r for r in runs if (r.protocol, r.method) == (phase, method)]
                _draw(axes, own, name, method, case.published.get(phase))
            found, names = axes.get_legend_handles_labels()
            handles |= dict(zip(names, found, strict=True))
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(dimensions, [str(d) for d in dimensions], fontsize=8)
            axes.tick_params(axis="y", which="both", labelsize=8)
            axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
            axes.grid(color="0.92")
            axes.set_axisbelow(True)
        row[0].set_ylabel(label)
    figure.suptitle(
        "On tori (circles: spheres); dashed: printed orders of passes, from the first point on",
        fontsize=10,
    )
    names = [name for name in CASES if name in handles]
    lines = [handles[name] for name in names]
    figure.legend(lines, names, loc="outside right center", fontsize=8, frameon=False)
    return figure


def _style(method: str) -> tuple[str, str]:
    """Colour and marker."""
    colours = ("#0072B2", "#56B4E9", "#009E73", "#7A7A7A", "#D55E00", "#E69F00", "#F0C800",
               "#000000", "#999933", "#CC79A7", "#AA3377", "#882255")  # fmt: skip
    k = list(CASES).index(method)
    return colours[k % len(colours)], "ovs^D<>Pp*Xh"[k % 12]


def _draw(axes: Axes, runs: Sequence[Result], name: str, method: str, printed: int | None) -> None:
    """The line of tori, circles for spheres, and the printed order."""
    colour, marker = _style(method)
    for kind in "TS":
        own = [run for run in runs if run.data.startswith(kind)]
        pairs = sorted((run.more["d"], v) for run in own if (v := run.values[name]))
        if not pairs:
            continue
        d, value = np.asarray(pairs, np.float64).T
        if kind == "S":
            axes.plot(d, value, "o", ms=7, mfc="none", color=colour)
            continue
        axes.plot(d, value, "-", ms=4, lw=1.2, color=colour, marker=marker, label=method)
        if printed is not None and name == "passes" and len(d) > 1:
            axes.plot(d, value[0] * (d / d[0]) ** printed, "--", lw=0.9, color=colour)
