"""Trajectories: how single points move, on the view that suits the manifold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold._types import Values
from scorefold.manifolds import Manifold
from scorefold.report._text import plain
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.maps import Globe, best_centre
from scorefold.report.panels import BLUE, ORANGE, draw_points, legend_below, new_figure
from scorefold.report.patch import patch_of
from scorefold.report.picture import Line, view_points, views_of
from scorefold.report.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

_INK = "0.35"


def trajectories(
    manifold: Manifold,
    paths: Values,
    *,
    times: Values | None = None,
    at_most: int = 60,
    ends: tuple[str, str] = ("start", "end"),
    title: str = "",
    axes: Axes = UNNAMED,
    earth: bool = False,
) -> Figure:
    """Paths of points as lines, with where they start and where they end.

    The sphere is seen from two sides, or as a map of the part where all paths are; manifolds of
    dimension 1 are drawn against time; others in at most two of the views of ``picture``. A line
    is broken where it leaves the view or jumps across it (at ±180°).

    **Arguments:** ``paths``: shape (n, levels, *shape), of which the first ``at_most`` are drawn;
    ``times``: one for each level; ``ends``: what to call the two ends; ``axes``: names and units of
    the table; ``earth``: coastlines on S².
    **Raises:** ``ValueError`` for another shape, and for products, which have no picture.
    """
    lines = np.asarray(paths, np.float64)
    if lines.ndim != 2 + len(manifold.shape) or lines.shape[2:] != manifold.shape or not lines.size:
        raise ValueError(
            f"paths must have shape (n, levels, *{manifold.shape}), got {lines.shape}."
        )
    lines = lines[:at_most]
    first, last = (plain(name) for name in ends)
    if manifold.dim == 1:
        figure = _against_time(Line.of(manifold, axes), lines, times, (first, last))
        figure.suptitle(plain(title))
        return figure
    everything = lines.reshape(-1, *manifold.shape)
    views = views_of_lines(manifold, everything, axes, earth)
    figure = new_figure(4.4 * len(views), 4.7)
    row = figure.subplots(1, len(views), squeeze=False)[0]
    flat = view_points(manifold, everything)
    for panel, view in zip(row, views, strict=True):
        view.decorate(panel, filled=False)
        xy, visible = view.project(flat)
        shape = lines.shape[:2]
        _draw_lines(panel, view, xy.reshape(*shape, 2), visible.reshape(shape))
        tips = flat.reshape(*shape, *flat.shape[1:])
        for k, colour, name in ((0, BLUE, first), (-1, ORANGE, last)):
            draw_points(panel, view, {name: tips[:, k]}, on_heat=False, colours=(colour,))
    legend_below(figure, row[0])
    figure.suptitle(plain(title))
    return figure


def views_of_lines(manifold: Manifold, points: np.ndarray, axes: Axes, earth: bool) -> list[View]:
    """Two sides of the sphere or the part of it where the points are, or at most two views of
    another manifold.

    **Raises:** ``ValueError`` for products, which have none.
    """
    if manifold.picture == "sphere":
        patch = patch_of(points, earth)
        if patch is not None:
            return [patch]
        near = Globe(*best_centre(points), earth)
        return [near, near.opposite()]
    views = views_of(manifold, [points], axes=axes, earth=earth)[:2]
    if not views:
        raise ValueError(f"There is no picture of paths on {manifold.name}: draw its factors.")
    return views


def _draw_lines(axes: Panel, view: View, xy: np.ndarray, visible: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    left, right, bottom, top = view.extent
    pieces = np.stack([xy[:, :-1], xy[:, 1:]], axis=2)
    jump = np.abs(pieces[:, :, 1] - pieces[:, :, 0])
    close = (jump[..., 0] < 0.4 * (right - left)) & (jump[..., 1] < 0.4 * (top - bottom))
    shown = pieces[visible[:, :-1] & visible[:, 1:] & close]
    lines = LineCollection(list(shown), colors=_INK, linewidths=0.6, alpha=0.5, zorder=3)
    axes.add_collection(lines, autolim=False)


def _against_time(
    line: Line, lines: np.ndarray, times: Values | None, ends: tuple[str, str]
) -> Figure:
    figure = new_figure(6.5, 3.6)
    axes = figure.subplots(1, 1)
    t = np.linspace(0.0, 1.0, lines.shape[1]) if times is None else np.asarray(times)
    for path in lines:
        values = line.values(path)
        if line.full is not None:
            jump = np.abs(np.diff(values, append=values[-1])) > 0.5 * line.full
            values = np.where(jump, np.nan, values)
        axes.plot(t, values, color=_INK, lw=0.6, alpha=0.6)
    axes.set(xlabel="t", ylabel=line.label, xlim=(float(t[0]), float(t[-1])))
    axes.set_title(f"{ends[0]} (left) to {ends[1]} (right)", fontsize=9)
    return figure
