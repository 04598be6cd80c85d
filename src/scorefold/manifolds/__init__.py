"""Geometries: one file each, one contract."""

from scorefold._geometry import Chords, Manifold, SineVolume
from scorefold._systems import System
from scorefold.manifolds._check import PointsError
from scorefold.manifolds.charts import CoordinateChart, Exponential, Stereographic
from scorefold.manifolds.euclidean import Euclidean
from scorefold.manifolds.hyperbolic import Hyperbolic
from scorefold.manifolds.names import manifold_from_name
from scorefold.manifolds.neighbours import count_within, nearest, pairwise
from scorefold.manifolds.points import check_points, exact_points
from scorefold.manifolds.product import Product
from scorefold.manifolds.so3 import SO3
from scorefold.manifolds.sphere import Sphere
from scorefold.manifolds.torus import Torus

__all__ = [
    "SO3",
    "Chords",
    "CoordinateChart",
    "Euclidean",
    "Exponential",
    "Hyperbolic",
    "Manifold",
    "PointsError",
    "Product",
    "SineVolume",
    "Sphere",
    "Stereographic",
    "System",
    "Torus",
    "check_points",
    "count_within",
    "exact_points",
    "manifold_from_name",
    "nearest",
    "pairwise",
]
