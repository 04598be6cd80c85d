"""Densities on the Earth, kept on a grid and drawn side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold._files import write_whole
from scorefold.bench.fitted import density_for_maps
from scorefold.models import Model
from scorefold.report.density import Raster, evaluate, pixel_centres
from scorefold.report.maps import Mollweide

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 160, 80


def kept_density(path: Path, model: Model) -> None:
    """log p on a Mollweide map of 160 × 80, in half precision."""
    chart = Mollweide(earth=True)
    xy, _ = pixel_centres(chart, _WIDTH, _HEIGHT)
    inside = chart.inside(xy)
    values = np.full(len(xy), np.nan, np.float16)
    found = evaluate(density_for_maps(model), chart.lift(xy[inside]), batch=4096)
    most = float(np.finfo(np.float16).max)
    values[inside] = np.clip(found, -most, most)
    buffer = io.BytesIO()
    np.save(buffer, values.reshape(_HEIGHT, _WIDTH), allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def density_maps(fields: Mapping[str, np.ndarray], title: str) -> Figure:
    """A map for each method, with one scale of colours."""
    from scorefold.report import panels

    chart = Mollweide(earth=True)
    rasters = {name: Raster(chart, field.astype(np.float64)) for name, field in fields.items()}
    # The scale ends at the median of the methods' largest values: a spike of one hides no other.
    top = float(np.median([np.nanmax(field) for field in fields.values()]))
    usual = [Raster(chart, np.fmin(field, top)) for field in fields.values()]
    limits = panels.colour_limits(usual, "nats")
    columns = min(3, len(rasters))
    rows = -(-len(rasters) // columns)
    figure = panels.new_figure(4.2 * columns + 0.8, 2.4 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(rasters) :]:
        axes.set_axis_off()
    for axes, (name, raster) in zip(grid, rasters.items(), strict=False):
        image = panels.draw_heat(axes, raster, limits, "nats")
        axes.set_title(name, fontsize=9)
    panels.colour_bar(figure, image, list(grid), "nats", "steradian")
    apart = 360.0 / _WIDTH
    figure.suptitle(f"{title}, at pixels {apart:.0f}° apart: narrower peaks fall between them")
    return figure
