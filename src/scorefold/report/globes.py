"""Globes: the sphere as one or two hemispheres with coastlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report import panels
from scorefold.report._text import plain
from scorefold.report.density import LogProb, density_raster, evaluate
from scorefold.report.maps import Globe, best_centre, fibonacci

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def globes(
    *,
    log_prob: LogProb | None = None,
    samples: panels.Points = None,
    data: panels.Points = None,
    centre: tuple[float, float] | None = None,
    hemispheres: int = 2,
    title: str = "",
    scale: panels.Scale = "nats",
    earth: bool = False,
    pixels: int = 200,
) -> Figure:
    """A density on S² and points of S² seen from space.

    **Arguments:** ``log_prob``: a model, or a function (n, 3) → (n,) in nats; ``samples`` and
    ``data``: arrays (n, 3), or mappings from label to array; ``centre``: (latitude, longitude)
    in degrees of the first globe, by default where most of the data, the samples or the density
    is seen (the first of these that is given); ``hemispheres``: 1, or 2 to see the far side too;
    ``earth``: coastlines, for points of the Earth.
    **Raises:** ``ValueError`` if there is nothing to draw or an array has another shape.
    """
    if hemispheres not in (1, 2):
        raise ValueError(f"hemispheres must be 1 or 2, got {hemispheres}.")
    sets = panels.point_sets(data, "data", (3,)) | panels.point_sets(samples, "samples", (3,))
    if not sets and log_prob is None:
        raise ValueError("Nothing to draw: give log_prob, samples or data.")
    lat, lon = centre if centre is not None else _centre(log_prob, sets)
    first = Globe(lat, lon, earth)
    charts = [first, first.opposite()][:hemispheres]
    rasters = [density_raster(c, log_prob, pixels=pixels) for c in charts] if log_prob else []
    limits = panels.colour_limits(rasters, scale)
    figure = panels.new_figure(4.4 * hemispheres + (0.9 if rasters else 0.0), 4.7)
    row = figure.subplots(1, hemispheres, squeeze=False)[0]
    for k, (axes, chart) in enumerate(zip(row, charts, strict=True)):
        if rasters:
            image = panels.draw_heat(axes, rasters[k], limits, scale)
        else:
            chart.decorate(axes, filled=False)
        panels.draw_points(axes, chart, sets, on_heat=bool(rasters))
        axes.set_title(f"seen from {_degrees(chart.lat, 'NS')}, {_degrees(chart.lon, 'EW')}",
                       fontsize=9)  # fmt: skip
    if rasters:
        panels.colour_bar(figure, image, list(row), scale, "steradian")
    panels.legend_below(figure, row[0])
    figure.suptitle(plain(title))
    return figure


def _centre(log_prob: LogProb | None, sets: Mapping[str, np.ndarray]) -> tuple[float, float]:
    for points in sets.values():
        if len(points):
            return best_centre(points)
    if log_prob is None:
        return (0.0, 0.0)
    points = fibonacci(4000)
    log_p = evaluate(log_prob, points)
    return best_centre(points, np.exp(log_p - log_p.max()))


def _degrees(angle: float, letters: str) -> str:
    return f"{abs(angle):.0f}°{letters[0] if angle >= 0 else letters[1]}"
