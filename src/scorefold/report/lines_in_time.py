"""A number against time, with what was seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefold._types import Values
from scorefold.report._text import plain
from scorefold.report.panels import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def against_time(
    times: Values,
    values: Values,
    *,
    seen: tuple[Values, Values],
    label: str,
    unit: str = "",
) -> Figure:
    """A line through ``values`` at ``times``, and dots: times and values that were ``seen``."""
    figure = new_figure(6.5, 3.4)
    axes = figure.subplots(1, 1)
    axes.plot(times, values, color=BLUE, lw=1.5, label="between snapshots")
    axes.plot(*seen, "o", color=ORANGE, label="snapshots")
    axes.set(xlabel=plain(f"t ({unit})" if unit else "t"), ylabel=plain(label))
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize=8)
    return figure
