"""Densities on a grid of pixels: exact ones from a model, estimated ones from samples."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._types import Values
from scorefold.report.views import Chart, View


@runtime_checkable
class _HasDensity(Protocol):
    def log_prob(self, x: Array) -> Values: ...


LogProb = _HasDensity | Callable[[Array], Values]
"""A model, or a function of a batch of points (n, *shape) → (n,) in nats."""


@dataclasses.dataclass(frozen=True)
class Raster:
    """log p at the centres of square pixels, row 0 at the bottom, shape (height, width).

    Densities are with respect to Riemannian volume (nats); −∞ where a histogram is empty.
    """

    view: View
    log_density: np.ndarray

    def mass(self) -> float:
        """∫ p over the picture: Σ p · (volume per plot area) · (pixel area), pixels whose centre
        is inside. 1 for a normalised density of a compact manifold, to the error of the grid."""
        height, width = self.log_density.shape
        xy, pixel = pixel_centres(self.view, width, height)
        weight = np.where(self.view.inside(xy), self.view.area(xy), 0.0) * pixel
        return float(np.exp(self.log_density.ravel()) @ weight)


def density_raster(chart: Chart, log_prob: LogProb, *, pixels: int = 180) -> Raster:
    """The density itself at the centres of ``pixels`` columns; rows to match."""
    width, height = _size(chart, pixels)
    xy, _ = pixel_centres(chart, width, height)
    return Raster(chart, evaluate(log_prob, chart.lift(xy)).reshape(height, width))


def histogram_raster(view: View, points: np.ndarray, *, bins: int = 60) -> Raster:
    """log of count / (n · volume of the cell), a density estimate in the units of an exact one.

    n counts all points, so that points outside the picture are missing from its mass.
    """
    width, height = _size(view, bins)
    xy, visible = view.project(points)
    left, right, bottom, top = view.extent
    box = [[bottom, top], [left, right]]
    count, *_ = np.histogram2d(xy[visible, 1], xy[visible, 0], bins=(height, width), range=box)
    centres, pixel = pixel_centres(view, width, height)
    volume = (view.area(centres) * pixel).reshape(height, width)
    with np.errstate(divide="ignore"):
        return Raster(view, np.log(count / (max(len(points), 1) * volume)))


def evaluate(log_prob: LogProb, points: np.ndarray, *, batch: int = 16384) -> np.ndarray:
    """log p of many points, in equal batches so that a jitted function compiles once; float64.

    **Raises:** ``ValueError`` if ``log_prob`` does not return one number for each point.
    """
    function = log_prob.log_prob if isinstance(log_prob, _HasDensity) else log_prob
    dtype = jnp.result_type(float)
    pieces = -(-len(points) // batch)
    each = -(-len(points) // pieces)
    padded = np.concatenate([points, np.repeat(points[-1:], pieces * each - len(points), 0)])
    values = []
    for piece in np.split(padded, pieces):
        value = np.asarray(function(device(piece, dtype)), dtype=np.float64)
        if value.shape != (each,):
            raise ValueError(
                f"log_prob returned shape {value.shape} for {each} points; it must take a batch "
                f"(n, *shape) and return (n,). Wrap a function of one point in jax.vmap."
            )
        values.append(value)
    return np.concatenate(values)[: len(points)]


def _size(view: View, columns: int) -> tuple[int, int]:
    left, right, bottom, top = view.extent
    ratio = (top - bottom) / (right - left)
    return columns, round(columns * ratio) if 0.25 < ratio < 4.0 else columns


def pixel_centres(view: View, width: int, height: int) -> tuple[np.ndarray, float]:
    """Pixel centres (height·width, 2), row by row, and the plot area of a pixel."""
    left, right, bottom, top = view.extent
    x = left + (right - left) * (np.arange(width) + 0.5) / width
    y = bottom + (top - bottom) * (np.arange(height) + 0.5) / height
    pixel = (right - left) / width * (top - bottom) / height
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2), pixel
