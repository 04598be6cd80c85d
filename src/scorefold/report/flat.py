"""Two coordinates of flat space, or of anything drawn as a scatter of coordinates."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.views import Chart, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.patches import Patch


class _InBox(View):
    """Coordinates as they are, plus ``shift``, in ``box`` = (left, right, bottom, top)."""

    box: tuple[float, float, float, float]
    labels: tuple[str, str]
    shift: tuple[float, float]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return self.box

    def inside(self, xy: np.ndarray) -> np.ndarray:
        left, right, bottom, top = self.box
        x, y = xy.T
        return (left <= x) & (x <= right) & (bottom <= y) & (y <= top)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy))

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        left, right, bottom, top = self.box
        x, y = self.labels
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=x, ylabel=y)
        # One unit is one unit on both axes, unless one range is far longer than the other.
        if 0.25 < (right - left) / (top - bottom) < 4.0 and math.isfinite(right - left):
            axes.set_aspect("equal")
        return None


@dataclasses.dataclass(frozen=True)
class CoordinatePair(_InBox):
    """Coordinates ``first`` and ``second`` of points that are vectors, plus ``shift``, in a box."""

    box: tuple[float, float, float, float]
    first: int = 0
    second: int = 1
    labels: tuple[str, str] = ("$x_1$", "$x_2$")
    shift: tuple[float, float] = (0.0, 0.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xy = points[:, [self.first, self.second]] + np.array(self.shift)
        return xy, self.inside(xy)


@dataclasses.dataclass(frozen=True)
class Plane(_InBox, Chart):
    """R² itself, plus ``shift``, in the box ``box`` = (left, right, bottom, top)."""

    box: tuple[float, float, float, float]
    labels: tuple[str, str] = ("$x_1$", "$x_2$")
    shift: tuple[float, float] = (0.0, 0.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xy = points + np.array(self.shift)
        return xy, self.inside(xy)

    def lift(self, xy: np.ndarray) -> np.ndarray:
        return xy - np.array(self.shift)


def limits_of(values: np.ndarray) -> tuple[float, float]:
    """A range for an axis: the central 99.8 % of the values and a tenth more on either side."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return (-1.0, 1.0)
    low, high = np.quantile(finite, [0.001, 0.999])
    margin = 0.1 * (high - low) or max(abs(low), 1.0) * 0.1
    return float(low - margin), float(high + margin)
