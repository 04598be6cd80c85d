"""Trajectories: how single points move, on the view that suits the manifold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scorefold.manifolds import Manifold, Sphere
from scorefold.report.maps import Globe, best_centre
from scorefold.report.panels import BLUE, ORANGE, draw_points, legend_below, new_figure
from scorefold.report.picture import line_values, view_points, views_of
from scorefold.report.views import View

if TYPE_CHECKING:
    import matplotlib.figure

__all__ = ["trajectories"]

_INK = "0.35"


def trajectories(
    manifold: Manifold,
    paths: Any,
    *,
    times: Any = None,
    at_most: int = 60,
    ends: tuple[str, str] = ("start", "end"),
    title: str = "",
    earth: bool = True,
) -> matplotlib.figure.Figure:
    """Paths of points as lines, with where they start and where they end.

    The sphere is seen from two sides; manifolds of dimension 1 are drawn against time; others in
    at most two of the views of ``picture``. A line is broken where it leaves the view or jumps
    across it (at ±180°).

    **Arguments:** ``paths``: shape (n, levels, *shape), of which the first ``at_most`` are drawn;
    ``times``: one for each level; ``ends``: what to call the two ends.
    **Raises:** ``ValueError`` for another shape, and for products, which have no picture.
    """
    lines = np.asarray(paths, np.float64)
    if lines.ndim != 2 + len(manifold.shape) or lines.shape[2:] != manifold.shape or not lines.size:
        raise ValueError(
            f"paths must have shape (n, levels, *{manifold.shape}), got {lines.shape}."
        )
    lines = lines[:at_most]
    if manifold.dim == 1:
        return _against_time(manifold, lines, times, ends, title)
    everything = lines.reshape(-1, *manifold.shape)
    if isinstance(manifold, Sphere) and manifold.d == 2:
        first = Globe(*best_centre(everything), earth)
        views: list[View] = [first, first.opposite()]
    else:
        views = views_of(manifold, [everything], earth=earth)[:2]
    if not views:
        raise ValueError(f"There is no picture of paths on {manifold.name}: draw its factors.")
    figure = new_figure(4.4 * len(views), 4.7)
    row = figure.subplots(1, len(views), squeeze=False)[0]
    flat = view_points(manifold, everything)
    for axes, view in zip(row, views, strict=True):
        view.decorate(axes, filled=False)
        xy, visible = view.project(flat)
        shape = lines.shape[:2]
        _draw_lines(axes, view, xy.reshape(*shape, 2), visible.reshape(shape))
        tips = flat.reshape(*shape, *flat.shape[1:])
        for k, colour, name in ((0, BLUE, ends[0]), (-1, ORANGE, ends[1])):
            draw_points(axes, view, {name: tips[:, k]}, on_heat=False, colours=(colour,))
    legend_below(figure, row[0])
    figure.suptitle(title)
    return figure


def _draw_lines(axes: Any, view: View, xy: np.ndarray, visible: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    left, right, bottom, top = view.extent
    pieces = np.stack([xy[:, :-1], xy[:, 1:]], axis=2)
    jump = np.abs(pieces[:, :, 1] - pieces[:, :, 0])
    close = (jump[..., 0] < 0.4 * (right - left)) & (jump[..., 1] < 0.4 * (top - bottom))
    shown = pieces[visible[:, :-1] & visible[:, 1:] & close]
    lines = LineCollection(list(shown), colors=_INK, linewidths=0.6, alpha=0.5, zorder=3)
    axes.add_collection(lines, autolim=False)


def _against_time(
    manifold: Manifold, lines: np.ndarray, times: Any, ends: tuple[str, str], title: str
) -> Any:
    figure = new_figure(6.5, 3.6)
    axes = figure.subplots(1, 1)
    t = np.linspace(0.0, 1.0, lines.shape[1]) if times is None else np.asarray(times)
    for line in lines:
        values = line_values(manifold, line)[0]
        broken = np.where(np.abs(np.diff(values, append=values[-1])) > np.pi, np.nan, values)
        angular = line_values(manifold, line)[1]
        axes.plot(t, broken if angular else values, color=_INK, lw=0.6, alpha=0.6)
    axes.set(xlabel="t", ylabel="angle (rad)" if line_values(manifold, lines[0])[1] else "x",
             xlim=(float(t[0]), float(t[-1])))  # fmt: skip
    axes.set_title(f"{ends[0]} (left) to {ends[1]} (right)", fontsize=9)
    figure.suptitle(title)
    return figure
