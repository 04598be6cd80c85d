"""What all maps of S² share: places as longitude and latitude, densities, and their mass."""

from __future__ import annotations

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Values
from scorefold._warnings import warn
from scorefold.data import Law
from scorefold.interop._law import require_law
from scorefold.manifolds import Manifold, PointsError, Sphere
from scorefold.manifolds.points import exact_points
from scorefold.manifolds.sphere import unit_vectors
from scorefold.models import Model

_MISSED = 0.01
"""Share of the mass that a map may miss in silence."""


def require_sphere(manifold: Manifold, what: str) -> None:
    """**Raises:** ``ValueError`` for other spaces than S²."""
    if manifold.picture != "sphere":
        raise ValueError(f"model: {what} is of S^2, not of {manifold.name}.")


def places(points: Values, name: str = "points") -> np.ndarray:
    """Longitude and latitude in degrees, shape ``(n, 2)``, float64; longitude in (−180, 180]."""
    found = np.asarray(exact_points(Sphere(2), points, name), np.float64).reshape(-1, 3)
    return Sphere(2).to_latlon(found)[:, ::-1]


def points_of_places(lon: np.ndarray, lat: np.ndarray, name: str) -> np.ndarray:
    """Unit vectors, float64, shape ``(n, 3)``, of degrees.

    **Raises:** ``PointsError`` naming the rows, with ``name`` in front.
    """
    try:
        return unit_vectors(lat, lon, degrees=True)
    except PointsError as error:
        raise PointsError(f"{name}: {error}") from None


def density(model: Model | Law, points: np.ndarray) -> np.ndarray:
    """p at unit vectors, per steradian, float64.

    **Raises:** ``ValueError`` where it is not a finite number.
    """
    found = np.exp(np.asarray(model.log_prob(points), np.float64))
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        raise ValueError(f"model: its density is not finite at {bad.size} of {found.size} places.")
    return found


def check_model(model: Model | Law, what: str) -> None:
    require_law(model)
    require_sphere(model.manifold, what)


def say_mass(what: str, mass: float, fix: str) -> None:
    """Warn where a map holds more or less than the mass 1 by more than a hundredth."""
    if abs(mass - 1.0) > _MISSED:
        warn(f"{what}: the density times the area sums to {mass:.4g} in the place of 1: {fix}")


def require_densities(name: str, values: np.ndarray) -> None:
    """**Raises:** ``ValueError`` for values that are no densities, or 0 everywhere."""
    flat = values.ravel()
    bad = np.flatnonzero(~np.isfinite(flat))
    if bad.size:
        raise ValueError(
            f"{name}: {bad.size} of {flat.size} values are not finite (first: {listed(bad, 3)}): "
            "fill what is missing (.fillna(0.0)) if there is no mass."
        )
    bad = np.flatnonzero(flat < 0.0)
    if bad.size:
        raise ValueError(
            f"{name}: {bad.size} of {flat.size} values are negative (first: {flat[bad[0]]:.3g}), "
            "which densities are not; log densities: give exp(…)."
        )
    if not flat.any():
        raise ValueError(f"{name}: is 0 everywhere.")
