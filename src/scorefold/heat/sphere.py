"""Heat kernel of the round sphere S^d as a function of the angle."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from scorefold._types import Key, Scalar
from scorefold.heat import _sphere_large, _sphere_small
from scorefold.heat._base import RadialProfile

__all__ = ["SphereProfile"]


class SphereProfile(RadialProfile):
    """p_s(r) on S², r the angle in [0, π] (other dimensions follow)."""

    d: int = 2

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        small = s < 1
        few = jnp.where(small, s, 1.0)
        many = jnp.where(small, 1.0, s)
        near = _sphere_small.log_reduced(r, few) - r * r / (2 * few)
        far = _sphere_large.log_prob(self.d, r, many, self._terms(r.dtype))
        return jnp.where(small, near, far)

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        small = s < 1
        few = jnp.where(small, s, 1.0)
        many = jnp.where(small, 1.0, s)
        near = _sphere_small.slope(r, few)
        far = _sphere_large.slope(self.d, r, many, self._terms(r.dtype))
        return jnp.where(small, near, far)

    def sample(self, key: Key, s: Scalar, dtype) -> Scalar:
        grid = jnp.linspace(0.0, math.pi, 1025, dtype=dtype)
        logp = jax.vmap(lambda r: self.log_prob(r, s))(grid)
        w = jnp.exp(logp - jnp.max(logp)) * jnp.sin(grid)
        c = jnp.cumsum(w)
        return jnp.interp(jax.random.uniform(key, (), dtype) * c[-1], c, grid)

    def _terms(self, dtype) -> int:
        return 7 if dtype == jnp.float32 else 10
