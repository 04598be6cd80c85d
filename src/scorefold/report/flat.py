"""Two coordinates of flat space, or of anything drawn as a scatter of coordinates."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.views import Chart, View

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.patches

__all__ = ["CoordinatePair", "Plane", "limits_of"]


@dataclasses.dataclass(frozen=True)
class CoordinatePair(View):
    """Coordinates ``first`` and ``second`` of points that are vectors, plus ``shift``, in a box."""

    box: tuple[float, float, float, float]
    first: int = 0
    second: int = 1
    labels: tuple[str, str] = ("$x_1$", "$x_2$")
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return self.box

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xy = points[:, [self.first, self.second]] + np.array(self.shift)
        return xy, self.inside(xy)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return _in_box(xy, self.box)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy))

    def decorate(
        self, axes: matplotlib.axes.Axes, *, filled: bool
    ) -> matplotlib.patches.Patch | None:
        _decorate_box(axes, self.box, self.labels)
        return None


@dataclasses.dataclass(frozen=True)
class Plane(Chart):
    """R² itself, plus ``shift``, in the box ``box`` = (left, right, bottom, top)."""

    box: tuple[float, float, float, float]
    labels: tuple[str, str] = ("$x_1$", "$x_2$")
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return self.box

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xy = points + np.array(self.shift)
        return xy, self.inside(xy)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return _in_box(xy, self.box)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy))

    def lift(self, xy: np.ndarray) -> np.ndarray:
        return xy - np.array(self.shift)

    def decorate(
        self, axes: matplotlib.axes.Axes, *, filled: bool
    ) -> matplotlib.patches.Patch | None:
        _decorate_box(axes, self.box, self.labels)
        return None


def limits_of(values: np.ndarray) -> tuple[float, float]:
    """A range for an axis: the central 99.8 % of the values and a tenth more on either side."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return (-1.0, 1.0)
    low, high = np.quantile(finite, [0.001, 0.999])
    margin = 0.1 * (high - low) or max(abs(low), 1.0) * 0.1
    return float(low - margin), float(high + margin)


def _in_box(xy: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    left, right, bottom, top = box
    x, y = xy.T
    return (left <= x) & (x <= right) & (bottom <= y) & (y <= top)


def _decorate_box(axes, box, labels: tuple[str, str]) -> None:
    left, right, bottom, top = box
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=labels[0], ylabel=labels[1])
    # One unit is one unit on both axes, unless one range is far longer than the other.
    if 0.25 < (right - left) / (top - bottom) < 4.0 and math.isfinite(right - left):
        axes.set_aspect("equal")
