"""Linear references on flat space, and the affine fields of bridges between Gaussian laws."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar
from scorefold.manifolds import Euclidean
from scorefold.noising import Noising, OrnsteinUhlenbeck, VarianceExploding

__all__ = ["AffineScore", "centre", "is_linear", "kernel_moments", "pull"]


def is_linear(reference: Noising) -> bool:
    """Whether the reference is Brownian motion or an Ornstein–Uhlenbeck process on flat space."""
    flat = isinstance(reference.manifold, Euclidean)
    return flat and isinstance(reference, VarianceExploding | OrnsteinUhlenbeck)


def kernel_moments(reference: Noising, r: Array) -> tuple[Array, Array]:
    """(m, v) with X_r − μ | x₀ ~ N(m(x₀ − μ), v I): (1, r) for Brownian motion."""
    if isinstance(reference, OrnsteinUhlenbeck):
        rate = 1.0 / reference.std**2
        return jnp.exp(-0.5 * rate * r), -jnp.expm1(-rate * r) / rate
    return jnp.ones_like(r), r


def centre(reference: Noising, x: Point) -> Point:
    """μ, the point that the reference is drawn to (0 for Brownian motion)."""
    if isinstance(reference, OrnsteinUhlenbeck) and reference.law.location is not None:
        return jnp.asarray(reference.law.location, x.dtype)
    return jnp.zeros_like(x)


def pull(reference: Noising) -> float:
    """1/σ² of an Ornstein–Uhlenbeck process, 0 for Brownian motion: −2b(x) = pull·(x − μ)."""
    return 1.0 / reference.std**2 if isinstance(reference, OrnsteinUhlenbeck) else 0.0


class AffineScore(eqx.Module):
    """∇ log f_r(x), f_r the Gaussian function f₀(x) = e^{−½yᵀΛy + hᵀy}, y = x − μ, after the
    reference has run for r:

        ∇ log f_r = −Q (λ u − m η)/(m² + vλ),   u = Qᵀ(x − μ),  Λ = Q diag(λ) Qᵀ,  η = Qᵀh.

    Λ need not be positive (f is one factor of a density): it is above −m²/v at every r in use.
    """

    reference: Noising
    vectors: Array = fixed()
    values: Array = fixed()
    linear: Array = fixed()

    def __call__(self, x: Point, r: Scalar) -> Point:
        m, v = kernel_moments(self.reference, r)
        u = (x - centre(self.reference, x)) @ self.vectors
        return self.vectors @ ((m * self.linear - self.values * u) / (m * m + v * self.values))

    def spread(self, z: Array, r: Scalar, ratio: Scalar) -> Array:
        """√(I + ratio·∇² log ψ) z, ψ = f_r over the stationary density of the reference."""
        m, v = kernel_moments(self.reference, r)
        curvature = pull(self.reference) - self.values / (m * m + v * self.values)
        root = jnp.sqrt(jnp.maximum(1.0 + ratio * curvature, 0.0))
        return self.vectors @ (root * (z @ self.vectors))
