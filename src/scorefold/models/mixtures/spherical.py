"""What laws on the sphere that depend on x through ⟨μ, x⟩ share: coordinates and the resultant."""

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Point, Scalar, safe_norm
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import Moments


def projected(m: Manifold, x: Point, z: Point) -> tuple[Array, Scalar]:
    """The components of x across z in the frame at z, and 1 − ⟨z, x⟩, both to their own relative
    accuracy where x is near z."""
    gap = x - z
    return m.components(z, m.to_tangent(z, gap)), 0.5 * jnp.sum(gap * gap)


def resultant(moments: Moments) -> tuple[Array, Scalar]:
    """From the mean of x as seen from z: the tangent vector at z that leads to the direction of the
    mean, and 1 − r for its length r. With ρ = 1 − ⟨z, x̄⟩ and t the part of x̄ across z,

        r² = (1 − ρ)² + |t|²,   1 − r = (2ρ − ρ² − |t|²)/(1 + r).
    """
    rho, across = moments.distance, safe_norm(moments.mean)
    square = rho * rho + across * across
    r = jnp.sqrt(jnp.maximum(1.0 - 2.0 * rho + square, 0.0))
    angle = jnp.arctan2(across, 1.0 - rho)
    away = across > 0
    step = jnp.where(away, angle / jnp.where(away, across, 1.0), 1.0) * moments.mean
    return step, jnp.maximum((2.0 * rho - square) / (1.0 + r), 0.0)
