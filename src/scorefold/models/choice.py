"""Points of plain models in inner coordinates, and those that their parameters are chosen by."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array

from scorefold.manifolds import Manifold, exact_points
from scorefold.models.standardise import Units, to_inner

__all__ = ["scored_points", "standardised"]


def standardised(manifold: Manifold, data: Any, val: Any) -> tuple[Array, Array | None, Units]:
    """Training points and held-out ones in inner coordinates, and their units."""
    exact = exact_points(manifold, data, "data")
    if exact.ndim == len(manifold.shape) or len(exact) < 2:
        raise ValueError("data: needs two points or more.")
    units = Units.measure(manifold, exact, near=True)
    points = to_inner(manifold, units, exact, "data")
    if val is None:
        return points, None, units
    return points, to_inner(manifold, units, val, "val").astype(points.dtype), units


def scored_points(points: Array, held_out: Array | None, most: int) -> Array:
    """The points that bandwidths are compared on: held-out ones, or ``most`` of the data."""
    if held_out is not None:
        return held_out
    return points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))]
