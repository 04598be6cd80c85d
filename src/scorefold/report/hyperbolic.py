"""The hyperbolic plane in the Poincaré disk."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.views import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.patches import Patch


@dataclasses.dataclass(frozen=True)
class PoincareDisk(Chart):
    """H² (hyperboloid, time coordinate first) in the unit disk:

        u = (x₁, x₂)/(1 + x₀),   dvol = 4/(1 − |u|²)² du.

    Geodesics are arcs that meet the boundary at right angles. The circles drawn are at distances
    1, 2, 3, … from the origin, radius tanh(r/2); densities are drawn within distance ``reach``.
    """

    reach: float = 5.0

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-1.0, 1.0, -1.0, 1.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points[:, 1:] / (1.0 + points[:, :1]), np.ones(len(points), dtype=bool)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return np.hypot(xy[:, 0], xy[:, 1]) <= math.tanh(self.reach / 2.0)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return 4.0 / np.maximum(1.0 - (xy**2).sum(-1), 1e-12) ** 2

    def lift(self, xy: np.ndarray) -> np.ndarray:
        edge = math.tanh(self.reach / 2.0)
        u = xy / np.maximum(np.hypot(xy[:, 0], xy[:, 1]) / edge, 1.0)[:, None]
        squared = (u**2).sum(-1, keepdims=True)
        return np.concatenate([1.0 + squared, 2.0 * u], -1) / (1.0 - squared)

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        from matplotlib.patches import Circle

        axes.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
        axes.set_axis_off()
        edge = Circle((0, 0), 1.0, fill=False, ec="0.15", lw=1.4, zorder=5)
        axes.add_patch(edge)
        ink = "white" if filled else "0.55"
        for distance in range(1, 5):
            radius = math.tanh(distance / 2.0)
            axes.add_patch(Circle((0, 0), radius, fill=False, ec=ink, lw=0.5, alpha=0.5, zorder=2))
            if distance <= 3:
                at = radius * math.sqrt(0.5)
                axes.text(at, at, str(distance), color=ink, fontsize=7, zorder=2)
        return edge
