"""Power series with fixed coefficients."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array


def polynomial(coefficients: Sequence[float], q: Array) -> Array:
    """Σ_k c_k q^k, elementwise in q, by Horner's rule."""
    total = jnp.full_like(q, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * q + c
    return total


def derivative(coefficients: Sequence[float], q: Array) -> Array:
    """d/dq Σ_k c_k q^k."""
    return polynomial([k * c for k, c in enumerate(coefficients)][1:], q)
