"""The scaling figure: likelihood, seconds a step and memory against the dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorefold.bench.contract import Result
from scorefold.bench.results import mean
from scorefold.bench.torus.wrapped import METHODS, NAMES, PROTOCOL, TRUTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#CC79A7", "#009E73", "#000000", "#999999")
_MARKERS = "osD^vPX*"
_LOWEST = -0.6
"""Nats a dimension below the truth where the first panel ends."""


def scaling(runs: Sequence[Result]) -> Figure:
    """Three panels against d; the truth is a line, and a line of constant cost a dimension stands
    beside seconds."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    from scorefold.report.panels import new_figure

    figure = new_figure(13.0, 4.2)
    panels = figure.subplots(1, 3)
    titles = (
        (
            "shortfall",
            "log-likelihood a dimension (nats),\nby the difference to the truth on the same points",
        ),
        ("seconds_per_step", "seconds a step of 512 points"),
        ("memory", "memory of a step (MiB)"),
    )
    for axes, (name, title) in zip(panels, titles, strict=True):
        for k, method in enumerate(METHODS):
            found = by_dimension(runs, method, name)
            if not found:
                continue
            d, y = np.asarray(list(found)), np.asarray(list(found.values()))
            if name == "shortfall":
                y = np.maximum(TRUTH * (1.0 - y / 100.0), TRUTH + _LOWEST)
            axes.plot(
                d, y, "-", marker=_MARKERS[k], ms=5, lw=1.3, color=_COLOURS[k], label=method,
                mfc="none" if name == "shortfall" and method != "score" else _COLOURS[k],
            )  # fmt: skip
            if name == "seconds_per_step" and method == "score" and 10 in found:
                axes.plot(d, found[10] / 10 * d, "k:", lw=1, label="as d, from score at d = 10")
        axes.set_xscale("log")
        axes.set_xlim(0.8, 1300)
        axes.set_xticks(tuple(NAMES.values()), [str(d) for d in NAMES.values()], fontsize=8)
        axes.minorticks_off()
        axes.set_xlabel("dimension d of the torus")
        axes.set_title(title, fontsize=10)
        axes.grid(color="0.9")
    first, second, third = panels
    first.axhline(TRUTH, color="k", lw=1, ls="--", label="truth")
    first.set_ylim(TRUTH + _LOWEST - 0.03, TRUTH + 0.08)
    first.text(0.02, 0.02, f"points on the floor: more than {-_LOWEST:g} nats below",
               transform=first.transAxes, fontsize=7, color="0.4")  # fmt: skip
    for axes in (second, third):
        axes.set_yscale("log")
    third.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    third.yaxis.set_major_formatter(ScalarFormatter())
    third.yaxis.set_minor_formatter(NullFormatter())
    handles, labels = [], []
    for axes in (first, second):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def by_dimension(runs: Sequence[Result], method: str, name: str) -> Mapping[int, float]:
    """Means over seeds of a measure of the wrapped normal laws, by d."""
    found = {}
    for data, d in NAMES.items():
        own = [r for r in runs if (r.data, r.protocol, r.method) == (data, PROTOCOL, method)]
        value = mean(run.values.get(name) for run in own)
        if value is not None:
            found[d] = value.value
    return found
