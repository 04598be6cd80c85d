"""One-dimensional pictures: histograms of numbers with density curves over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.panels import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.axis import Axis


def draw_histograms(
    axes: Panel,
    sets: Mapping[str, np.ndarray],
    limits: tuple[float, float],
    *,
    bins: int = 60,
    colours: tuple[str, ...] = COLOURS,
) -> None:
    """Outlined histograms of several sets of numbers on common bins, as densities: each has area
    (numbers inside the limits)/n."""
    edges = np.linspace(*limits, bins + 1)
    for k, (label, values) in enumerate(sets.items()):
        count, _ = np.histogram(values, edges)
        height = count / (max(len(values), 1) * np.diff(edges))
        style = "--" if k % 2 else "-"
        colour = colours[k % len(colours)]
        axes.stairs(height, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(
            height, edges, color=colour, ls=style, lw=1.2, label=f"{label}, n = {len(values):,}"
        )
    axes.set_xlim(*limits)
    axes.set_ylim(bottom=0.0)


def draw_outlines(axes: Panel, sets: Mapping[str, np.ndarray], *, bins: int = 60) -> None:
    """Outlined counts of several sets of positive numbers on common bins of a logarithmic axis."""
    everything = np.concatenate(list(sets.values()))
    low, high = np.log(everything.min()), np.log(everything.max())
    edges = np.exp(np.linspace(low - 1e-3, high + 1e-3, bins + 1))
    for k, (label, values) in enumerate(sets.items()):
        count, _ = np.histogram(values, edges)
        colour = COLOURS[k % len(COLOURS)]
        axes.stairs(count, edges, fill=True, color=colour, alpha=0.2)
        axes.stairs(count, edges, color=colour, ls=("-", "--", ":")[k % 3], lw=1.4, label=label)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0.0)


def turn_ticks(axis: Axis, low: float, width: float, *, quarters: bool = False) -> None:
    """Limits low…low + width of an axis of angles, with ticks at halves (or quarters) of it, in
    multiples of π where it is a whole or half turn in radians."""
    ticks = low + width * np.linspace(0.0, 1.0, 5 if quarters else 3)
    axis.set_view_interval(low, low + width, ignore=True)
    if width > 2.0 * math.pi + 1e-9:
        axis.set_ticks(ticks)
    else:
        axis.set_ticks(ticks, [_of_pi(tick / math.pi) for tick in ticks])


def _of_pi(number: float) -> str:
    over = next((n for n in (1, 2, 4) if abs(number * n - round(number * n)) < 1e-9), 8)
    times = round(number * over)
    if times == 0:
        return "0"
    shown = {1: "π", -1: "−π"}.get(times, f"{times}π".replace("-", "−"))
    return shown if over == 1 else f"{shown}/{over}"
