"""Geometries: one file each, one contract."""

from scorefold.manifolds._base import Manifold
from scorefold.manifolds._check import PointsError
from scorefold.manifolds.sphere import Sphere

__all__ = ["Manifold", "PointsError", "Sphere"]
