"""Film strips: how samples move from noise to data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.manifolds import Manifold
from scorefold.report._text import plain
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.lines import draw_histograms
from scorefold.report.panels import BLUE, ORANGE, Points, draw_points, new_figure, point_sets
from scorefold.report.picture import Line, view_points, views_of
from scorefold.report.rotations import AxisView
from scorefold.report.views import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Shot(NamedTuple):
    label: str
    points: np.ndarray
    colour: str


def film(
    manifold: Manifold,
    trajectory: Values,
    *,
    times: Sequence[float] | np.ndarray | None = None,
    titles: Sequence[str] | None = None,
    frames: int = 6,
    data: Points = None,
    view: View | None = None,
    title: str = "",
    axes: Axes = UNNAMED,
    earth: bool = False,
) -> Figure:
    """A row of snapshots of a trajectory, evenly spaced from its first frame to its last.

    **Arguments:** ``trajectory``: (frames, n, *shape); ``times``: the time of each frame, for
    the titles; ``titles``: other titles, one a frame; ``data``: points (n, *shape) for one more
    panel at the end; ``view``: another view than the usual one of the manifold, e.g. a ``Globe``.
    Manifolds with several views (three axes of SO(3), pairs of angles) have a row for each, at most
    three. ``axes``: names and units of the table; ``earth``: coastlines on S².
    **Raises:** ``ValueError`` if the trajectory has another shape, is empty, or ``times`` does
    not have one value a frame.
    """
    path = np.asarray(trajectory, dtype=np.float64)
    if path.ndim != 2 + len(manifold.shape) or path.shape[2:] != manifold.shape or not len(path):
        raise ValueError(
            f"trajectory must have shape (frames, n, *{manifold.shape}), got {path.shape}."
        )
    if times is not None and len(times) != len(path):
        raise ValueError(f"times must have {len(path)} values, one a frame, got {len(times)}.")
    if titles is not None and len(titles) != len(path):
        raise ValueError(f"titles must be {len(path)}, one a frame, got {len(titles)}.")
    if titles is None and times is not None:
        titles = [f"t = {t:.2g}" if abs(t) < 10.0 else f"t = {t:.4g}" for t in times]
    chosen = np.unique(np.linspace(0, len(path) - 1, max(frames, 1)).round().astype(int))
    shots: list[_Shot] = []
    for k in chosen:
        name = f"frame {k}" if titles is None else titles[k]
        shots += [_Shot(*s, BLUE) for s in point_sets(path[k], name, manifold.shape).items()]
    shots += [_Shot(*s, ORANGE) for s in point_sets(data, "data", manifold.shape).items()]
    everything = [shot.points for shot in shots]
    views = [view] if view else views_of(manifold, everything, axes=axes, earth=earth)[:3]
    if not views and manifold.dim == 1:
        figure = _film_of_lines(Line.of(manifold, axes), shots)
    elif not views:
        raise ValueError(f"film has no picture of {manifold.name}: film its factors.")
    else:
        figure = _film_of_views(manifold, shots, views)
    figure.suptitle(plain(title))
    return figure


def _film_of_views(manifold: Manifold, shots: list[_Shot], views: list[View]) -> Figure:
    left, right, bottom, top = views[0].extent
    aspect = float(np.clip((right - left) / (top - bottom), 0.5, 2.0))
    figure = new_figure(1.6 * aspect**0.5 * len(shots) + 0.4, 1.6 * len(views) / aspect**0.5 + 0.55)
    grid = figure.subplots(len(views), len(shots), squeeze=False)
    for axes_row, view in zip(grid, views, strict=True):
        for column, (axes, shot) in enumerate(zip(axes_row, shots, strict=True)):
            view.decorate(axes, filled=False)
            placed = {shot.label: view_points(manifold, shot.points)}
            draw_points(axes, view, placed, on_heat=False, colours=(shot.colour,), size=0.4)
            axes.tick_params(labelsize=6)
            if column:
                axes.set_ylabel("")
                axes.set_yticklabels([])
            elif isinstance(view, AxisView):
                where = f"axis {'xyz'[view.axis]}"
                axes.text(-0.04, 0.5, where, transform=axes.transAxes, rotation=90, fontsize=8,
                          ha="right", va="center")  # fmt: skip
            if view is views[0]:
                axes.set_title(shot.label, fontsize=9)
    return figure


def _film_of_lines(line: Line, shots: list[_Shot]) -> Figure:
    figure = new_figure(1.8 * len(shots) + 0.4, 2.3)
    values = [line.values(shot.points) for shot in shots]
    limits = line.limits(np.concatenate(values))
    row = figure.subplots(1, len(shots), squeeze=False, sharey=True)[0]
    for axes, shot, numbers in zip(row, shots, values, strict=True):
        draw_histograms(axes, {shot.label: numbers}, limits, bins=40, colours=(shot.colour,))
        line.ticks(axes)
        axes.set_title(shot.label, fontsize=9)
        axes.set_xlabel(line.label, fontsize=8)
        axes.tick_params(labelsize=7)
    return figure
