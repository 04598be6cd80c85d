"""The network of a learned bridge: a field that steers to one of its two ends."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar
from scorefold.bridges.networks.affine import AffineScore
from scorefold.bridges.reference.linear import linear_transition
from scorefold.fields import TangentField, TangentOutput
from scorefold.manifolds import Manifold
from scorefold.noising import Noising

__all__ = ["BridgeField"]


class BridgeField(TangentField):
    """F_θ(x, r) = affine(x, r) + scale(r) · output(network(embed(x), r)),  r the variance-time
    left to the end that it steers to.

    F is the gradient of log of a function that the reference has smoothed for r, so its finest
    wave has decayed by e^{−|b|²r/2}: the network's features see r. Below ``floor`` the field is
    that at ``floor``. Without an affine part (curved spaces) it is 2b, the reference itself.

    ``scale`` makes targets O(1): with τ² the variance of each coordinate at the end, and (m, v)
    the moments of the reference over r, mτ/√(v(m²τ² + v)) on flat space (Karras et al. 2022,
    Table 1); on others ``reference.scale``. Flat coordinates enter as (x − shift)/width.
    """

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput
    reference: Noising
    floor: float
    affine: AffineScore | None = None
    std: Array | None = fixed(default=None)
    shift: Array | None = fixed(default=None)
    width: Array | None = fixed(default=None)

    def __call__(self, x: Point, r: Scalar) -> Point:
        return self.start(x, r) + self.residual(x, r)

    def start(self, x: Point, r: Scalar) -> Point:
        """What the field is before anything is learned."""
        if self.affine is None:
            return 2.0 * self.reference.drift(x)
        return self.affine(x, jnp.maximum(r, self.floor))

    def residual(self, x: Point, r: Scalar) -> Point:
        """What the network adds."""
        r = jnp.maximum(r, self.floor)
        if self.width is None or self.shift is None:
            c = self.network(self.manifold.embed(x), r)
        else:
            level = r / jnp.mean(self.width**2)
            c = self.network(self.manifold.embed((x - self.shift) / self.width), level)
        return self.scale(r) * self.output(self.manifold, x, c)

    def scale(self, r: Scalar) -> Array:
        """The size of targets at r: one number, or one a coordinate on flat space."""
        if self.std is None:
            return self.reference.scale(r)
        m, _, v = linear_transition(self.reference).moments(r)
        return m * self.std / jnp.sqrt(v * (m * m * self.std**2 + v))
