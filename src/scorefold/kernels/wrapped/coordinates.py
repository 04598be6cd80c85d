"""Points as kernels see them, fast for many pairs in few dimensions."""

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Point, Scalar
from scorefold.manifolds import Manifold

MOST_NUMBERS = 12
"""Dimensions up to which components are single numbers in a program; with more it grows long."""


def seen_from(manifold: Manifold, z: Point, x: Point) -> tuple[Array, Scalar]:
    """The components of log_z(x) in the frame at z, shape ``(d,)``, and log |det d exp_z| there."""
    if manifold.dim <= MOST_NUMBERS:
        v, log_det = manifold.normal_coordinates(z, x)
        return jnp.stack(v), log_det
    u = manifold.log(z, x)
    return manifold.components(z, u), manifold.exp_log_det(z, u)
