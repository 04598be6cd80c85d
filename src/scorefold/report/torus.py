"""Pairs of angles of a torus, in degrees: the Ramachandran picture."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from scorefold.report.views import Chart, View

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.patches

__all__ = ["AnglePair", "TorusChart"]

_RADIAN = 180.0 / math.pi


@dataclasses.dataclass(frozen=True)
class AnglePair(View):
    """Angles ``first`` and ``second`` of T^d in degrees, from −180 to 180. Densities are
    marginal, per rad²: the plane's degree² holds (π/180)² of it."""

    first: int = 0
    second: int = 1
    labels: tuple[str, str] = ("angle 1", "angle 2")

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-180.0, 180.0, -180.0, 180.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        degrees = points[:, [self.first, self.second]] * _RADIAN
        return (degrees + 180.0) % 360.0 - 180.0, np.ones(len(points), dtype=bool)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy), dtype=bool)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.full(len(xy), _RADIAN**-2)

    def decorate(
        self, axes: matplotlib.axes.Axes, *, filled: bool
    ) -> matplotlib.patches.Patch | None:
        _decorate_torus(axes, self.labels, filled=filled)
        return None


@dataclasses.dataclass(frozen=True)
class TorusChart(Chart):
    """T² itself, in degrees: an ``AnglePair`` that is one-to-one."""

    labels: tuple[str, str] = ("angle 1", "angle 2")

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return (-180.0, 180.0, -180.0, 180.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return AnglePair().project(points)

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return np.ones(len(xy), dtype=bool)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return np.full(len(xy), _RADIAN**-2)

    def lift(self, xy: np.ndarray) -> np.ndarray:
        return xy / _RADIAN

    def decorate(
        self, axes: matplotlib.axes.Axes, *, filled: bool
    ) -> matplotlib.patches.Patch | None:
        _decorate_torus(axes, self.labels, filled=filled)
        return None


def _decorate_torus(axes, labels: tuple[str, str], *, filled: bool) -> None:
    ticks = range(-180, 181, 90)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=ticks, yticks=ticks, aspect="equal")
    axes.set_xlabel(f"{labels[0]} (°)")
    axes.set_ylabel(f"{labels[1]} (°)", labelpad=0)
    for at in (-90, 0, 90):
        axes.axvline(at, color="white" if filled else "0.6", lw=0.5, alpha=0.35, zorder=2)
        axes.axhline(at, color="white" if filled else "0.6", lw=0.5, alpha=0.35, zorder=2)
