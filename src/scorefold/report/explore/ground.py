"""What points of a manifold are placed on, so that it can be turned: a sphere, a torus, a
rectangle, a box."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from scorefold.report._text import visible
from scorefold.report.axes import Axes
from scorefold.report.coast import coastlines
from scorefold.report.density import LogProb, density_raster, evaluate, histogram_raster
from scorefold.report.explore.scene import Ruler, Shape
from scorefold.report.maps import densified, graticule
from scorefold.report.views import Chart, View

_TUBE = 0.42
"""Radius of the tube of the torus, whose other radius is 1."""
_AROUND, _ROWS = 36, 12
_SIGNS = {"degrees": "°", "radians": " rad", "hours": " h"}
Lines = list[np.ndarray]


class Ground(abc.ABC):
    """Where points are placed in space, and what surface they lie on."""

    shape: Shape
    rulers: tuple[Ruler, ...]
    """Names and ranges of what is read off."""
    unit: str = "unit area"

    @property
    def disk(self) -> float:
        """Radius of one that is round."""
        return 0.0

    @property
    def half(self) -> tuple[float, float]:
        """Half of the width and of the height, where it is flat."""
        return (1.0, 1.0)

    @abc.abstractmethod
    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (n, *shape) in space, (n, 3)."""

    def raster(
        self, log_prob: LogProb | None, draws: np.ndarray | None, cells: int
    ) -> tuple[np.ndarray, str] | None:
        """log p on a grid of about ``cells`` rows, from the lower left, and what it is of: the
        density, or where that cannot be had the histogram of draws. None where there is neither."""
        return None

    def split(self, line: np.ndarray) -> Lines:
        """A line (m, 3) in pieces where it leaves the picture at one side and comes back at
        another."""
        return [line]

    def grid(self) -> Lines:
        """Lines that help the eye, in space."""
        return []

    def labels(self) -> list[tuple[str, tuple[float, float, float]]]:
        """Words at places."""
        return []


@dataclasses.dataclass(frozen=True)
class OnSphere(Ground):
    """S² itself, latitudes and longitudes read off; or, with ``axis``, where a rotation takes the
    axis x, y or z. Its density there is ∫ p over the rotations about that axis, the circle of which
    has ``_AROUND`` nodes."""

    earth: bool = False
    axis: int | None = None
    shape: Shape = dataclasses.field(default="globe", init=False)
    unit: str = dataclasses.field(default="steradian", init=False)
    rulers: tuple[Ruler, ...] = dataclasses.field(
        default=(Ruler("longitude (°)", -180.0, 180.0, True), Ruler("latitude (°)", -90.0, 90.0)),
        init=False,
    )

    def place(self, points: np.ndarray) -> np.ndarray:
        return points if self.axis is None else points[:, :, self.axis]

    def raster(
        self, log_prob: LogProb | None, draws: np.ndarray | None, cells: int
    ) -> tuple[np.ndarray, str] | None:
        if log_prob is None:
            if self.axis is None or draws is None or len(draws) < _FEW:
                return None
            return self._counted(draws), "histogram of the draws"
        rows = cells if self.axis is None else cells // 5
        lat = (np.arange(rows) + 0.5) * (math.pi / rows) - math.pi / 2
        lon = (np.arange(2 * rows) + 0.5) * (math.pi / rows) - math.pi
        places = _on_sphere(*(a.ravel() for a in np.meshgrid(lon, lat)))
        if self.axis is None:
            values = evaluate(log_prob, places)
        else:
            log_p = evaluate(log_prob, _turning(places, self.axis).reshape(-1, 3, 3))
            values = _log_mean(log_p.reshape(-1, _AROUND)) + math.log(2.0 * math.pi)
        return values.reshape(rows, 2 * rows), "model density"

    def grid(self) -> Lines:
        rings = [np.radians(densified(ring)) for ring in graticule()]
        return [_on_sphere(*ring.T) for ring in rings]

    def _counted(self, draws: np.ndarray) -> np.ndarray:
        """log of count / (n · solid angle) in cells of 15°."""
        z = self.place(np.asarray(draws))
        lat = np.arctan2(z[:, 2], np.hypot(z[:, 0], z[:, 1]))
        lon = np.arctan2(z[:, 1], z[:, 0])
        box = [[-math.pi / 2, math.pi / 2], [-math.pi, math.pi]]
        count, edges, _ = np.histogram2d(lat, lon, bins=(_ROWS, 2 * _ROWS), range=box)
        angle = np.diff(np.sin(edges)) * (math.pi / _ROWS)
        with np.errstate(divide="ignore"):
            return np.log(count / (len(z) * angle[:, None]))

    def coast(self) -> Lines:
        """Outlines of the land."""
        rings = [np.radians(densified(ring)) for ring in coastlines()] if self.earth else []
        return [_on_sphere(*ring.T) for ring in rings]

    def labels(self) -> list[tuple[str, tuple[float, float, float]]]:
        if self.axis is None:
            return []
        return [("x", (1.08, 0.0, 0.0)), ("y", (0.0, 1.08, 0.0)), ("z", (0.0, 0.0, 1.08))]


@dataclasses.dataclass(frozen=True)
class OnPlane(Ground):
    """A rectangle, or a disk of some ``radius``: any view that is flat. ``vectors`` brings points
    into the form that it takes."""

    view: View
    rulers: tuple[Ruler, ...]
    vectors: Callable[[np.ndarray], np.ndarray] = lambda points: points
    unit: str = "unit area"
    radius: float = 0.0
    shape: Shape = dataclasses.field(default="flat", init=False)

    @property
    def disk(self) -> float:
        return self.radius

    @property
    def half(self) -> tuple[float, float]:
        """1 for the longer side; a side that is far longer than the other is drawn shorter."""
        left, right, bottom, top = self.view.extent
        ratio = (top - bottom) / (right - left)
        ratio = ratio if 0.25 < ratio < 4.0 else 1.0
        return (1.0, ratio) if ratio <= 1.0 else (1.0 / ratio, 1.0)

    def place(self, points: np.ndarray) -> np.ndarray:
        share = 2.0 * self.shares(points) - 1.0
        return np.concatenate([share * self.half, np.zeros((len(points), 1))], axis=1)

    def shares(self, points: np.ndarray) -> np.ndarray:
        """Where points lie between the left and the right, the bottom and the top; from 0 to 1."""
        left, right, bottom, top = self.view.extent
        xy, _ = self.view.project(self.vectors(points))
        return (xy - [left, bottom]) / [right - left, top - bottom]

    def raster(
        self, log_prob: LogProb | None, draws: np.ndarray | None, cells: int
    ) -> tuple[np.ndarray, str] | None:
        if log_prob is not None and isinstance(self.view, Chart):
            found = density_raster(self.view, log_prob, pixels=3 * cells // 2)
            return found.log_density, "model density"
        if draws is None or len(draws) < _FEW:
            return None
        bins = int(np.clip(1.2 * len(draws) ** 0.4, 24, 90))
        counted = histogram_raster(self.view, self.vectors(draws), bins=bins)
        return counted.log_density, "histogram of the draws"

    def split(self, line: np.ndarray) -> Lines:
        step = np.abs(np.diff(line[:, :2], axis=0)) / np.array(self.half)
        left = (step > 0.8) & [ruler.round for ruler in self.rulers]
        return np.split(line, np.flatnonzero(left.any(axis=1)) + 1)

    def grid(self) -> Lines:
        if not self.disk:
            return []
        radii = [*np.tanh(0.5 * np.arange(1, 5)), 1.0]
        turn = np.linspace(0.0, 2.0 * math.pi, 121)
        circle = np.stack([np.cos(turn), np.sin(turn), 0.0 * turn], -1)
        return [radius * circle for radius in radii]

    def labels(self) -> list[tuple[str, tuple[float, float, float]]]:
        if not self.disk:
            return []
        side = math.sqrt(0.5)
        return [
            (f"{k}", (side * math.tanh(k / 2), side * math.tanh(k / 2), 0.0)) for k in (1, 2, 3)
        ]


@dataclasses.dataclass(frozen=True)
class OnTorus(OnPlane):
    """Two angles on a torus of revolution: the first goes round its axis, the second round the
    tube. Lengths and areas are not those of the flat torus; densities are."""

    shape: Shape = dataclasses.field(default="torus", init=False)

    def place(self, points: np.ndarray) -> np.ndarray:
        return _on_torus(2.0 * math.pi * self.shares(points))

    def split(self, line: np.ndarray) -> Lines:
        return [line]

    def grid(self) -> Lines:
        turn, quarters = np.linspace(0.0, 2.0 * math.pi, 97), np.arange(4) * (math.pi / 2)
        full = np.ones_like(turn)
        pairs = [(turn, q * full) for q in quarters] + [(q * full, turn) for q in quarters]
        return [_on_torus(np.stack(pair, -1)) for pair in pairs]

    def labels(self) -> list[tuple[str, tuple[float, float, float]]]:
        found = []
        for k, ruler in enumerate(self.rulers):
            for quarter in range(4):
                if k and not quarter:
                    continue
                value = ruler.low + (ruler.high - ruler.low) * quarter / 4.0
                sign = "°" if ruler.label.endswith("(°)") else ""
                angles = np.array([[math.pi / 2 * quarter, 0.0] if k == 0 else
                                   [0.0, math.pi / 2 * quarter]])  # fmt: skip
                at = 1.09 * _on_torus(angles)[0]
                name = ruler.label.removesuffix(" (°)")
                found.append((f"{name} {value:.4g}{sign}".replace("-", "−"), tuple(at.tolist())))
        return found


@dataclasses.dataclass(frozen=True)
class InBox(Ground):
    """Three numbers of every point, in a box; ``ball``: rotation vectors, within a ball of radius
    π."""

    numbers: Callable[[np.ndarray], np.ndarray]
    rulers: tuple[Ruler, ...]
    ball: bool = False
    shape: Shape = dataclasses.field(default="cloud", init=False)

    @property
    def disk(self) -> float:
        return float(self.ball)

    def place(self, points: np.ndarray) -> np.ndarray:
        low, high = np.array([(ruler.low, ruler.high) for ruler in self.rulers]).T
        return 2.0 * (self.numbers(points) - low) / (high - low) - 1.0

    def grid(self) -> Lines:
        turn = np.linspace(0.0, 2.0 * math.pi, 97)
        if self.ball:
            ring = np.stack([np.cos(turn), np.sin(turn), 0.0 * turn], -1)
            axes = [np.outer([-1.0, 1.0], row) for row in np.eye(3)]
            return [ring, np.roll(ring, 1, axis=1), np.roll(ring, 2, axis=1), *axes]
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]], float)
        floor, roof = (np.column_stack([corners, np.full(5, z)]) for z in (-1.0, 1.0))
        return [floor, roof, *(np.stack([floor[k], roof[k]]) for k in range(4))]

    def labels(self) -> list[tuple[str, tuple[float, float, float]]]:
        x, y, z = (ruler.label for ruler in self.rulers)
        if self.ball:
            return [(x, (1.1, 0.0, 0.0)), (y, (0.0, 1.1, 0.0)), (z, (0.0, 0.0, 1.1))]
        return [(x, (0.0, -1.15, -1.0)), (y, (1.15, 0.0, -1.0)), (z, (-1.1, -1.1, 0.0))]


def ruler(axes: Axes, k: int, name: str, unit: str = "", *, angle: bool = False) -> Ruler:
    """The ruler of column k of a table, with its names and units where it has them; of an ``angle``
    also its range."""
    own, shown = axes.unit(k, unit), axes.names[k] if k < len(axes.names) else name
    label = f"{visible(shown)} ({_SIGNS.get(own, own).strip()})" if own else visible(shown)
    low, full = axes.turn(k, unit) if angle else (-1.0, 2.0)
    return Ruler(label, low, low + full, angle)


def ranged(rulers: Sequence[Ruler], limits: Sequence[tuple[float, float]]) -> tuple[Ruler, ...]:
    """Rulers of other ranges."""
    return tuple(dataclasses.replace(r, low=low, high=high)
                 for r, (low, high) in zip(rulers, limits, strict=True))  # fmt: skip


_FEW = 200
"""Draws below which a histogram says little."""


def _on_sphere(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    across = np.cos(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), np.sin(lat)], -1)


def _on_torus(angles: np.ndarray) -> np.ndarray:
    around, tube = angles.T
    across = 1.0 + _TUBE * np.cos(tube)
    return np.stack([across * np.cos(around), across * np.sin(around), _TUBE * np.sin(tube)], -1)


def _turning(places: np.ndarray, axis: int) -> np.ndarray:
    """Rotations that take an axis to each of n places, turned about it evenly, (n, _AROUND, 3, 3)
    in all."""
    other = np.eye(3)[np.argmin(np.abs(places), axis=1)]
    one = np.cross(places, other)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(places, one)
    turn = 2.0 * math.pi * np.arange(_AROUND) / _AROUND
    cos, sin = np.cos(turn)[None, :, None], np.sin(turn)[None, :, None]
    found = np.empty((len(places), _AROUND, 3, 3))
    found[..., axis] = places[:, None, :]
    found[..., (axis + 1) % 3] = cos * one[:, None] + sin * two[:, None]
    found[..., (axis + 2) % 3] = cos * two[:, None] - sin * one[:, None]
    return found


def _log_mean(log_p: np.ndarray) -> np.ndarray:
    top = log_p.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(log_p - top).mean(axis=1, keepdims=True)))[:, 0]
