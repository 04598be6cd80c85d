"""A map of a part of the sphere: points near each other need no picture of all of it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.coast import coastlines
from scorefold.report.maps import Globe, shade_land
from scorefold.report.views import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel

LARGEST = 0.5
"""Radians around their middle within which points have a map of their own."""
_SHARE = 0.99
"""Of the points, that have to."""
_COAST = 1.5
"""Degrees from the middle to an edge below which the coastlines, of 1 : 110 million, are no use."""
_STEPS = (30.0, 20.0, 10.0, 5.0, 2.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Patch(Chart):
    """The surroundings of a point with true areas, north up, in degrees from it (Lambert's
    azimuthal projection):

        (x, y) = √(2/(1 + ⟨p, centre⟩)) (⟨p, east⟩, ⟨p, north⟩),   |x|, |y| ≤ reach.

    ``lat``, ``lon``, ``reach`` in degrees; ``earth`` draws coastlines; ``outside`` of ``total``
    points are not on the map, which it says. Source: Snyder, Map Projections: A Working Manual
    (1987), p. 185.
    """

    lat: float
    lon: float
    reach: float
    earth: bool = False
    outside: int = 0
    total: int = 0

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-self.reach, self.reach, -self.reach, self.reach)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = np.asarray(points, np.float64) @ Globe(self.lat, self.lon).axes3().T
        scale = np.sqrt(2.0 / np.maximum(1.0 + turned[:, 2], 1e-12))
        xy = np.degrees(scale[:, None] * turned[:, :2])
        return xy, self.inside(xy) & (turned[:, 2] > -0.99)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return np.abs(xy).max(axis=-1) <= self.reach

    def lift(self, xy: np.ndarray) -> np.ndarray:
        flat = np.radians(np.clip(xy, -self.reach, self.reach))
        # |(x, y)| = 2 sin(c/2) at the angle c from the centre.
        square = np.minimum((flat**2).sum(-1, keepdims=True), 4.0)
        turned = np.concatenate([flat * np.sqrt(1.0 - square / 4.0), 1.0 - square / 2.0], -1)
        return turned @ Globe(self.lat, self.lon).axes3()

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.full(len(xy), math.radians(1.0) ** 2)

    def decorate(self, axes: Panel, *, filled: bool) -> None:
        left, right, bottom, top = self.extent
        ink = "white" if filled else "0.45"
        if self.earth and self.reach >= _COAST:
            if not filled:
                shade_land(axes, self)
            for ring in coastlines():
                self._draw(axes, ring, color=ink, lw=0.6, zorder=3)
        ticks: tuple[list[tuple[float, str]], list[tuple[float, str]]] = ([], [])
        for across, lines in enumerate((self._meridians(), self._parallels())):
            for value, line in lines:
                xy = self._draw(axes, line, color=ink, lw=0.4, alpha=0.45, zorder=2)
                for place in _crossings(xy, 1 - across, -self.reach):
                    ticks[across].append((place, _label(value, "EWNS"[2 * across :])))
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        for axis, found in zip((axes.xaxis, axes.yaxis), ticks, strict=True):
            near = sorted(tick for tick in found if abs(tick[0]) <= self.reach)
            axis.set_ticks([place for place, _ in near], [name for _, name in near], fontsize=7)
        if self.outside:
            axes.text(0.5, 0.01, f"{self.outside:,} of {self.total:,} points lie outside",
                      transform=axes.transAxes, fontsize=6, ha="center", va="bottom", zorder=6,
                      color=ink)  # fmt: skip

    def _draw(self, axes: Panel, line: np.ndarray, **style: object) -> np.ndarray:
        """A line of longitudes and latitudes, where it is near the map; in plot coordinates."""
        lon, lat = np.radians(line).T
        points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
        xy = self.project(points)[0]
        xy = np.where((np.abs(xy).max(-1) < 3.0 * self.reach)[:, None], xy, np.nan)
        axes.plot(*xy.T, **style)  # type: ignore[arg-type]
        return xy

    @property
    def _corner(self) -> float:
        """Degrees from the middle to a corner."""
        return 1.5 * self.reach

    def _meridians(self) -> list[tuple[float, np.ndarray]]:
        south, north = self.lat - self._corner, self.lat + self._corner
        widest = math.cos(math.radians(min(max(abs(south), abs(north)), 90.0)))
        polar = max(abs(south), abs(north)) > 85.0
        step = 30.0 if polar else _step(3.0 * self.reach / max(widest, 0.05))
        half = 180.0 if polar else min(self._corner / widest, 180.0)
        lat = np.linspace(max(south, -90.0), min(north, 90.0), 201)
        return [(lon, np.stack([np.full(201, lon), lat], -1))
                for lon in _multiples(self.lon - half, self.lon + half, step, 360.0)]  # fmt: skip

    def _parallels(self) -> list[tuple[float, np.ndarray]]:
        south, north = self.lat - self._corner, self.lat + self._corner
        widest = math.cos(math.radians(min(max(abs(south), abs(north)), 89.0)))
        half = min(self._corner / widest, 180.0)
        lon = np.linspace(self.lon - half, self.lon + half, 721)
        step = _step(2.0 * self.reach)
        return [
            (lat, np.stack([lon, np.full(721, lat)], -1))
            for lat in _multiples(max(south, -90.0 + step / 2), min(north, 90.0 - step / 2), step)
        ]


def patch_of(points: np.ndarray, earth: bool = False) -> Patch | None:
    """The map of points of S² of which 99 in 100 lie within half a radian of their middle; None for
    others, and for no points."""
    rows = np.asarray(points, np.float64).reshape(-1, 3)
    if not len(rows):
        return None
    near = np.ones(len(rows), bool)
    for _ in range(2):  # again without those that are far off
        middle = rows[near].mean(axis=0)
        size = float(np.linalg.norm(middle))
        if size < 0.5:
            return None
        middle = middle / size
        away = np.arctan2(np.linalg.norm(np.cross(rows, middle), axis=-1), rows @ middle)
        limit = float(np.quantile(away, _SHARE, method="higher"))
        if limit > LARGEST:
            return None
        near = away <= 2.0 * limit
    lat = math.degrees(math.atan2(middle[2], math.hypot(middle[0], middle[1])))
    lon = math.degrees(math.atan2(middle[1], middle[0]))
    xy = Patch(lat, lon, 180.0).project(rows[near])[0]
    reach = max(1.1 * float(np.abs(xy).max()), 1e-6)
    map_ = Patch(lat, lon, reach, earth)
    outside = int((~map_.project(rows)[1]).sum())
    return dataclasses.replace(map_, outside=outside, total=len(rows))


def _step(span: float) -> float:
    """A round number of degrees that ``span`` has about four of."""
    wanted = span / 4.0
    for step in _STEPS:
        if step <= wanted:
            return step
    scale = 10.0 ** math.floor(math.log10(wanted))
    return scale * max(k for k in (1.0, 2.0, 5.0) if k * scale <= wanted)


def _multiples(low: float, high: float, step: float, turn: float | None = None) -> list[float]:
    """Those of ``step`` between two numbers; modulo a turn each once, from −turn/2 on."""
    found = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
    if turn is not None:
        found = (found + turn / 2) % turn - turn / 2
    return [float(value) for value in dict.fromkeys(np.round(found, 9).tolist())]


def _crossings(xy: np.ndarray, across: int, at: float) -> list[float]:
    """Where a line comes over coordinate ``across`` = ``at``: the other coordinate."""
    ahead, along = xy[:, across] - at, xy[:, 1 - across]
    with np.errstate(invalid="ignore"):
        (k,) = np.nonzero(ahead[:-1] * ahead[1:] < 0.0)
    part = ahead[k] / (ahead[k] - ahead[k + 1])
    return [float(value) for value in along[k] + part * (along[k + 1] - along[k])]


def _label(value: float, signs: str) -> str:
    side = "" if value == 0.0 or abs(value) == 180.0 else signs[0] if value > 0.0 else signs[1]
    return f"{abs(value):.7g}°{side}"
