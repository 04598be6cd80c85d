"""Maps of the sphere S²: the whole of it with true areas, or one hemisphere as a globe."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.coast import coastlines, land_raster
from scorefold.report.density import pixel_centres
from scorefold.report.views import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.image import AxesImage
    from matplotlib.patches import Patch

_HALF = math.sqrt(2.0)


@dataclasses.dataclass(frozen=True)
class Mollweide(Chart):
    """The equal-area map of the whole sphere in an ellipse with half-axes 2√2 and √2:

        2θ + sin 2θ = π sin φ,   x = (2√2/π) (λ − λ₀) cos θ,   y = √2 sin θ.

    ``centre`` is λ₀ in degrees; ``earth`` draws coastlines. Source: Snyder, Map Projections: A
    Working Manual (1987), p. 251.
    """

    centre: float = 0.0
    earth: bool = False

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-2 * _HALF, 2 * _HALF, -_HALF, _HALF)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lon = np.arctan2(points[:, 1], points[:, 0]) - math.radians(self.centre)
        lon = (lon + math.pi) % (2 * math.pi) - math.pi
        across = np.hypot(points[:, 0], points[:, 1])
        # With δ = π − 2θ: δ − sin δ = π(1 − |sin φ|), written without cancellation at the poles.
        # Newton from below: the left side is convex, so after one step it descends to the root.
        target = math.pi * across**2 / (1.0 + np.abs(points[:, 2]))
        delta = np.cbrt(6.0 * target)
        for _ in range(8):
            slope = 2.0 * np.sin(delta / 2.0) ** 2
            error = delta - np.sin(delta) - target
            delta = np.clip(delta - error / np.where(slope > 1e-12, slope, 1.0), 0.0, math.pi)
        y = np.copysign(_HALF * np.cos(delta / 2.0), points[:, 2])
        x = 2.0 * _HALF / math.pi * lon * np.sin(delta / 2.0)
        return np.stack([x, y], -1), np.ones(len(points), dtype=bool)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return xy[:, 0] ** 2 / 8.0 + xy[:, 1] ** 2 / 2.0 <= 1.0

    def lift(self, xy: np.ndarray) -> np.ndarray:
        radius = np.sqrt(xy[:, 0] ** 2 / 8.0 + xy[:, 1] ** 2 / 2.0)
        x, y = (xy / np.maximum(radius, 1.0)[:, None]).T
        theta = np.arcsin(np.clip(y / _HALF, -1.0, 1.0))
        sine = np.clip((2.0 * theta + np.sin(2.0 * theta)) / math.pi, -1.0, 1.0)
        cosine = np.sqrt(1.0 - sine**2)
        width = 2.0 * _HALF * np.maximum(np.cos(theta), 1e-12)
        lon = math.pi * np.clip(x / width, -1.0, 1.0) + math.radians(self.centre)
        return np.stack([cosine * np.cos(lon), cosine * np.sin(lon), sine], -1)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy))

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        from matplotlib.patches import Ellipse

        edge = Ellipse((0, 0), 4 * _HALF, 2 * _HALF, fill=False, ec="0.25", lw=1.0, zorder=5)
        return _decorate_sphere(axes, self, edge, filled=filled)


@dataclasses.dataclass(frozen=True)
class Globe(Chart):
    """The hemisphere around a point, seen from far away, north up (orthographic):

        x = ⟨p, east⟩,   y = ⟨p, north⟩,   visible where ⟨p, centre⟩ ≥ 0.

    ``lat`` and ``lon`` of the centre in degrees; ``earth`` draws coastlines.
    """

    lat: float = 0.0
    lon: float = 0.0
    earth: bool = False

    def axes3(self) -> np.ndarray:
        """Rows east, north and centre: the rotation that turns the globe to the viewer."""
        phi, lam = math.radians(self.lat), math.radians(self.lon)
        east = [-math.sin(lam), math.cos(lam), 0.0]
        north = [-math.sin(phi) * math.cos(lam), -math.sin(phi) * math.sin(lam), math.cos(phi)]
        centre = [math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)]
        return np.array([east, north, centre])

    def opposite(self) -> Globe:
        """The other hemisphere."""
        return Globe(-self.lat, (self.lon + 360.0) % 360.0 - 180.0, self.earth)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-1.0, 1.0, -1.0, 1.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = points @ self.axes3().T
        return turned[:, :2], turned[:, 2] >= 0

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return (xy**2).sum(-1) <= 1.0

    def lift(self, xy: np.ndarray) -> np.ndarray:
        xy = xy / np.maximum(np.hypot(xy[:, 0], xy[:, 1]), 1.0)[:, None]
        depth = np.sqrt(np.maximum(1.0 - (xy**2).sum(-1), 0.0))
        return np.concatenate([xy, depth[:, None]], -1) @ self.axes3()

    def area(self, xy: np.ndarray) -> np.ndarray:
        return 1.0 / np.sqrt(np.maximum(1.0 - (xy**2).sum(-1), 1e-12))

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        from matplotlib.patches import Circle

        edge = Circle((0, 0), 1.0, fill=False, ec="0.25", lw=1.0, zorder=5)
        return _decorate_sphere(axes, self, edge, filled=filled)


def best_centre(points: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Latitude and longitude (degrees) of the globe on which most of the mass is seen, each unit
    of mass counted by how squarely it faces the viewer: argmax_c Σ wᵢ max(⟨c, xᵢ⟩, 0) over 1000
    centres spread evenly (Fibonacci lattice)."""
    centres = fibonacci(1000)
    weights = np.ones(len(points)) if weights is None else weights
    seen = np.maximum(centres @ points.T, 0.0) @ weights
    x, y, z = centres[np.argmax(seen)]
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def fibonacci(n: int) -> np.ndarray:
    """n points spread evenly over the sphere along a spiral, each for an area of 4π/n; (n, 3)."""
    z = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    lon = math.pi * (1.0 + math.sqrt(5.0)) * np.arange(n)
    across = np.sqrt(1.0 - z**2)
    return np.stack([across * np.cos(lon), across * np.sin(lon), z], -1)


# -- drawing -------------------------------------------------------------------------------------
def _decorate_sphere(axes: Panel, chart: Mollweide | Globe, edge: Patch, *, filled: bool) -> Patch:
    left, right, bottom, top = chart.extent
    axes.set(xlim=(left * 1.01, right * 1.01), ylim=(bottom * 1.01, top * 1.01), aspect="equal")
    axes.set_axis_off()
    axes.add_patch(edge)
    ink = "white" if filled else "0.45"
    axes.plot(*_lines(chart, graticule()), color=ink, lw=0.4, alpha=0.35, zorder=2)
    if chart.earth:
        if not filled:
            shade_land(axes, chart).set_clip_path(edge)
        axes.plot(*_lines(chart, coastlines()), color=ink, lw=0.6, zorder=3)
    return edge


def shade_land(axes: Panel, chart: Chart) -> AxesImage:
    """Land darker than water, below everything."""
    left, right, bottom, top = chart.extent
    height = 500
    width = round(height * (right - left) / (top - bottom))
    p = chart.lift(pixel_centres(chart, width, height)[0])
    lat = np.degrees(np.arctan2(p[:, 2], np.hypot(p[:, 0], p[:, 1])))
    lon = np.degrees(np.arctan2(p[:, 1], p[:, 0]))
    row = np.clip(((90.0 - lat) * 4.0).astype(int), 0, 719)
    column = ((lon + 180.0) * 4.0).astype(int) % 1440
    land = land_raster()[row, column].reshape(height, width)
    shade = np.where(land[..., None], 0.87, 0.97) * np.ones(3)
    return axes.imshow(shade, origin="lower", extent=chart.extent, zorder=0)


def graticule() -> list[np.ndarray]:
    """Meridians and parallels every 30°, as (n, 2) longitude and latitude."""
    along = np.linspace(-90.0, 90.0, 91)
    around = np.linspace(-180.0, 180.0, 181)
    meridians = [np.stack([np.full(91, lon), along], -1) for lon in range(-180, 180, 30)]
    parallels = [np.stack([around, np.full(181, lat)], -1) for lat in range(-60, 90, 30)]
    return meridians + parallels


def _lines(chart: Mollweide | Globe, rings: Iterable[np.ndarray]) -> np.ndarray:
    """Rows x and y of all lines, with NaN where the pen is up: between lines, on the far side
    and where a map is cut."""
    pieces: list[np.ndarray] = []
    for ring in rings:
        lonlat = np.radians(densified(ring))
        across = np.cos(lonlat[:, 1])
        xyz = [across * np.cos(lonlat[:, 0]), across * np.sin(lonlat[:, 0]), np.sin(lonlat[:, 1])]
        xy, visible = chart.project(np.stack(xyz, -1))
        xy = np.where(visible[:, None], xy, np.nan)
        cut = np.hypot(*np.diff(xy, axis=0).T) > 0.4
        pieces += [np.insert(xy, np.flatnonzero(cut) + 1, np.nan, axis=0), np.full((1, 2), np.nan)]
    return np.concatenate(pieces).T


def densified(ring: np.ndarray) -> np.ndarray:
    """Vertices at most 2° apart, the short way round."""
    step = np.diff(ring, axis=0)
    step[:, 0] = (step[:, 0] + 180.0) % 360.0 - 180.0
    pieces = np.maximum(np.ceil(np.abs(step).max(-1) / 2.0).astype(int), 1)
    start = np.repeat(np.arange(len(step)), pieces)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    inner = ring[start] + step[start] * (within / pieces[start])[:, None]
    return np.concatenate([inner, ring[-1:]])
