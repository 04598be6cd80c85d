"""The course of a bridge that is learned in alternating directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold.report._text import plain
from scorefold.report.panels import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scorefold.bridges import AlternationHistory


def half_steps(history: AlternationHistory, *, ends: tuple[str, str] = ("A", "B")) -> Figure:
    """Half-step by half-step: the sliced Wasserstein distance at the end that it leads to, with the
    floor of fresh points dashed, and the change of the process in nats (the convergence curve)."""
    toward = np.asarray(history.toward)
    number = np.arange(1, len(toward) + 1)
    figure = new_figure(8.4, 3.4)
    gap, change = figure.subplots(1, 2)
    for end, color, marker, name, floor in zip(
        "ab", (BLUE, ORANGE), "os", ends, history.floor, strict=True
    ):
        of, label = toward == end, f"at {plain(name)}"
        gap.plot(number[of], history.gap[of], color=color, marker=marker, lw=1.2, label=label)
        gap.axhline(floor, color=color, ls="--", lw=0.9)
        change.plot(number[of], history.change[of], color=color, marker=marker, lw=1.2)
    gap.set_ylabel("sliced $W_2$ (dashed: fresh points)")
    change.set_ylabel("change of the process (nats)")
    change.set_yscale("log")
    gap.set_ylim(bottom=0.0)
    gap.legend(fontsize=8, frameon=False)
    for axes in (gap, change):
        axes.set_xlabel("half-step")
        axes.grid(color="0.9")
        axes.tick_params(labelsize=8)
    return figure
