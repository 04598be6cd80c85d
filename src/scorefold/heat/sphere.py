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
    """p_s(r) on S^d, r the angle in [0, π]."""

    d: int = 2

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        switch = self._switch()
        small = s < switch
        few = jnp.where(small, s, switch)
        many = jnp.where(small, switch, s)
        near = _sphere_small.log_reduced(self.d, r, few) - r * r / (2 * few)
        far = _sphere_large.log_prob(self.d, r, many, self._terms(r.dtype))
        return jnp.where(small, near, far)

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        switch = self._switch()
        small = s < switch
        few = jnp.where(small, s, switch)
        many = jnp.where(small, switch, s)
        near = _sphere_small.slope(self.d, r, few)
        far = _sphere_large.slope(self.d, r, many, self._terms(r.dtype))
        return jnp.where(small, near, far)

    def sample(self, key: Key, s: Scalar, dtype) -> Scalar:
        grid = jnp.linspace(0.0, math.pi, 1025, dtype=dtype)
        logp = jax.vmap(lambda r: self.log_prob(r, s))(grid)
        w = jnp.exp(logp - jnp.max(logp)) * jnp.sin(grid) ** (self.d - 1)
        c = jnp.cumsum(w)
        return jnp.interp(jax.random.uniform(key, (), dtype) * c[-1], c, grid)

    def _switch(self):
        return min(1.0, 5.0 / (self.d + 3))

    def _terms(self, dtype) -> int:
        return 12
