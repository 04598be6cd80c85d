"""The affine fields of bridges between Gaussian laws."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar
from scorefold.bridges.reference.linear import linear_transition
from scorefold.noising import Noising


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
        transition = linear_transition(self.reference)
        m, _, v = transition.moments(r)
        u = (x - jnp.asarray(transition.location, x.dtype)) @ self.vectors
        return self.vectors @ ((m * self.linear - self.values * u) / (m * m + v * self.values))

    def spread(self, z: Array, r: Scalar, ratio: Scalar) -> Array:
        """√(I + ratio·∇² log ψ) z, ψ = f_r over the stationary density of the reference."""
        transition = linear_transition(self.reference)
        m, _, v = transition.moments(r)
        curvature = transition.rate - self.values / (m * m + v * self.values)
        root = jnp.sqrt(jnp.maximum(1.0 + ratio * curvature, 0.0))
        return self.vectors @ (root * (z @ self.vectors))
