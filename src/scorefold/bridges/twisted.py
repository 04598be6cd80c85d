"""The step of a learned bridge on flat space."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.affine import centre, kernel_moments
from scorefold.bridges.field import BridgeField
from scorefold.noising import Noising
from scorefold.samplers import Step

__all__ = ["TwistedStep"]


class TwistedStep(Step):
    """A step of a bridge over a linear reference on flat space, whose field F(x, r) = ∇ log f_r
    steers to its end, reached at r = 0. With c = F − 2b = ∇ log ψ and h = |dr| the transition has

        E[Y | x] = μ + m(x − μ) + (v/m) c(x, r),   Cov[Y | x] = v(I + (v/m²) ∇c(x, r)),

    (m, v) the moments of the reference over h. The mean is exact for every bridge (Tweedie's
    formula), the covariance with the affine part of the field: exact between Gaussian laws at any
    number of steps. Without an affine part it is v I, as in Euler's method.
    """

    reference: Noising
    field: BridgeField

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        m, v = kernel_moments(self.reference, jnp.abs(ds))
        mu = centre(self.reference, x)
        twist = self.field(x, s) - 2.0 * self.reference.drift(x)
        z = jax.random.normal(key, x.shape, x.dtype)
        if self.field.affine is not None:
            z = self.field.affine.spread(z, s, v / (m * m))
        return mu + m * (x - mu) + v / m * twist + jnp.sqrt(v) * z
