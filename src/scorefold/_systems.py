"""Coordinate systems: how points of a space are written in the columns of a table."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

Columns = Callable[[np.ndarray, bool], np.ndarray]
"""Of columns, or points, and whether angles are in degrees."""


def rings(periods: np.ndarray) -> Columns:
    """``place`` of numbers with these periods: those of period 0 as they are, each other one as a
    point on a circle in the plane, of which the period is the length."""
    periods = periods.ravel()
    closed = periods > 0
    turn = 2.0 * np.pi / periods[closed]

    def place(values: np.ndarray, degrees: bool) -> np.ndarray:
        angle = values[:, closed] * turn
        # To 1e-10 radians: numbers that differ by whole turns differ in their last bits.
        angle = np.remainder(np.round(np.remainder(angle, 2.0 * np.pi), 10), 2.0 * np.pi)
        circles = np.concatenate([np.cos(angle) / turn, np.sin(angle) / turn], axis=1)
        return np.concatenate([values[:, ~closed] + 0.0, circles], axis=1)

    return place


class System(NamedTuple):
    """One way of writing points of a space in columns, in the order of ``roles``.

    ``read(values, degrees)`` makes points of float64 columns, shape (n, k); None: the columns are
    the numbers of a point. ``write(points, degrees)`` goes back. ``place(values, degrees)`` gives
    float64 coordinates in which equal points are equal rows (to rounding) and distance is a chord,
    whose geodesic distance is ``arc(chord)``. ``outside(values, degrees)`` says which rows are out
    of range.
    """

    name: str
    """As ``run.json`` holds it. Names of columns are looked up under it, if it is a usual one."""
    title: str
    roles: tuple[str, ...]
    read: Callable[[np.ndarray, bool], Array] | None = None
    write: Columns = lambda points, degrees: points.reshape(len(points), -1)
    place: Columns = lambda values, degrees: values + 0.0
    outside: Columns = lambda values, degrees: np.zeros(len(values), dtype=bool)
    arc: Callable[[np.ndarray], np.ndarray] = lambda chord: chord
    angles: tuple[bool, ...] = ()
    """Which columns are angles; empty: none."""
    bounded: tuple[str, ...] = ()
    """Roles of angles that run over half a turn and end there: latitude."""
    unit: str | None = None
    """The unit of angles where none is stated."""
    wraps: bool = True
    """Whether whole turns of an angle change nothing."""
    ordered: bool = True
    """Whether the order of the columns says which is which."""
    ambiguous: bool = False
    """Whether one point can be written in several ways: by whole turns, as q and as −q."""
    columns: tuple[str, ...] = ()
    """Names of columns for points that came from no table; empty: x0, x1, …"""

    @property
    def circular(self) -> tuple[bool, ...]:
        """Which columns are angles that close after a whole turn, as longitude does."""
        if not self.wraps:
            return (False,) * len(self.roles)
        angles = self.angles or (False,) * len(self.roles)
        return tuple(a and r not in self.bounded for a, r in zip(angles, self.roles, strict=True))
