"""What laws on the sphere that depend on x through ⟨μ, x⟩ share: coordinates and the resultant."""

import functools

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._matmul import matmul
from scorefold._types import Point, Scalar, safe_norm
from scorefold.models.mixtures.component import WeightedMoments


def projected(z: Point, across: Array, x: Point) -> tuple[list[Scalar], Scalar]:
    """⟨E_k, x⟩ for the tangent vectors E_k at z that are the rows of ``across``, and 1 − ⟨z, x⟩, to
    its own relative accuracy where x is near z. One product for each, so that many points and many
    laws make plain matrix products."""
    c = matmul(z, x)
    t = [matmul(e, x) - matmul(e, z) for e in across]
    square = functools.reduce(jnp.add, [u * u for u in t])
    ahead = c > 0
    return t, jnp.where(ahead, square / (1.0 + jnp.where(ahead, c, 0.0)), 1.0 - c)


def resultant(moments: WeightedMoments) -> tuple[Array, Scalar]:
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
