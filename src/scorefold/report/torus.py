"""Pairs of angles of a torus: the Ramachandran picture."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.lines import turn_ticks
from scorefold.report.views import Chart, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.patches import Patch


@dataclasses.dataclass(frozen=True)
class AnglePair(View):
    """Angles ``first`` and ``second`` of T^d in the units and ranges of ``axes``, in degrees from
    −180 to 180 where it says nothing. Densities are marginal, per rad²: a square degree holds
    (π/180)² of it."""

    first: int = 0
    second: int = 1
    axes: Axes = UNNAMED

    @property
    def extent(self) -> tuple[float, float, float, float]:
        (left, wide), (bottom, high) = self._turns()
        return (left, left + wide, bottom, bottom + high)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, full = np.array(self._turns()).T
        turned = points[:, [self.first, self.second]] * (full / (2.0 * math.pi))
        return (turned - low) % full + low, np.ones(len(points), dtype=bool)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy), dtype=bool)

    def area(self, xy: np.ndarray) -> np.ndarray:
        (_, wide), (_, high) = self._turns()
        return np.full(len(xy), (2.0 * math.pi) ** 2 / (wide * high))

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        left, right, bottom, top = self.extent
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect=(right - left) / (top - bottom))
        for axis, lines, k in (
            (axes.xaxis, axes.axvline, self.first),
            (axes.yaxis, axes.axhline, self.second),
        ):
            low, full = self.axes.turn(k, "degrees")
            turn_ticks(axis, low, full, quarters=True)
            for quarter in (1, 2, 3):
                colour = "white" if filled else "0.6"
                lines(low + 0.25 * quarter * full, color=colour, lw=0.5, alpha=0.35, zorder=2)
        axes.set_xlabel(self.axes.label(self.first, f"angle {self.first + 1}", "degrees"))
        axes.set_ylabel(
            self.axes.label(self.second, f"angle {self.second + 1}", "degrees"), labelpad=0
        )
        return None

    def _turns(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return self.axes.turn(self.first, "degrees"), self.axes.turn(self.second, "degrees")


class TorusChart(AnglePair, Chart):
    """T² itself: an ``AnglePair`` that is one-to-one."""

    def lift(self, xy: np.ndarray) -> np.ndarray:
        _, full = np.array(self._turns()).T
        angle = xy * (2.0 * math.pi / full)
        return (angle + math.pi) % (2.0 * math.pi) - math.pi
