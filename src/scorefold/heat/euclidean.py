"""Heat kernel of flat space."""

import math

import jax
import jax.numpy as jnp

from scorefold._geometry import HeatKernel, Manifold
from scorefold._types import Key, Point, Scalar, ScalarLike


class EuclideanHeat(HeatKernel):
    """p_s(x | x₀) = (2πs)^{−d/2} e^{−|x − x₀|²/2s} on R^d; points of shape ``(d,)``."""

    manifold: Manifold

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        s = jnp.asarray(s, x.dtype)
        gap = x - x0
        return -0.5 * (self.manifold.dim * jnp.log(2.0 * math.pi * s) + jnp.sum(gap * gap) / s)

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        return (x0 - x) / jnp.asarray(s, x.dtype)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        spread = jnp.sqrt(jnp.asarray(s, x0.dtype))
        return x0 + spread * jax.random.normal(key, x0.shape, x0.dtype)
