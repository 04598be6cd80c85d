"""The step of a learned bridge on flat space."""

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.reference.linear import linear_transition
from scorefold.noising import Noising
from scorefold.samplers import Step


class TwistedStep(Step):
    """A step of a bridge over a linear reference on flat space, whose field F(x, r) = ∇ log f_r
    steers to its end, reached at r = 0. With c = F − 2b = ∇ log ψ and h = |dr| the transition has

        E[Y | x] = μ + m(x − μ) + (v/m) c(x, r),   Cov[Y | x] = v(I + (v/m²) ∇c(x, r)),

    (m, v) the moments of the reference over h. The mean is exact for every bridge (Tweedie's
    formula). The noise is √v (√(I + q∇c₀) + ½q∇c₁) Z with q = v/m², c₀ the affine part of c and
    c₁ what the network adds, whose derivative along Z comes with its value: exact between Gaussian
    laws at any number of steps, of weak order 2 in general, at twice the cost of Euler's method.
    """

    reference: Noising
    field: BridgeField

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        m, shift, v = linear_transition(self.reference).moments(jnp.abs(ds))
        ratio = v / (m * m)
        z = jax.random.normal(key, x.shape, x.dtype)
        learned, along = jax.jvp(lambda y: self.field.residual(y, s), (x,), (z,))
        start, level = self.field.start, jnp.maximum(s, self.field.floor)
        twist = start(x, level) - 2.0 * self.reference.drift(x) + learned
        noise = start.spread(z, s, ratio) + 0.5 * ratio * along
        return m * x + shift + v / m * twist + jnp.sqrt(v) * noise
