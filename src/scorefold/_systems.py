"""Coordinate systems: how points of a space are written in the columns of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

__all__ = ["System"]


def _numbers(points: np.ndarray, degrees: bool) -> np.ndarray:
    return points.reshape(len(points), -1)


def _as_written(values: np.ndarray, degrees: bool) -> np.ndarray:
    return values + 0.0


def _inside(values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def _straight(chord: np.ndarray) -> np.ndarray:
    return chord


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
    write: Callable[[np.ndarray, bool], np.ndarray] = _numbers
    place: Callable[[np.ndarray, bool], np.ndarray] = _as_written
    outside: Callable[[np.ndarray, bool], np.ndarray] = _inside
    arc: Callable[[np.ndarray], np.ndarray] = _straight
    angles: tuple[bool, ...] = ()
    """Which columns are angles; empty: none."""
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
