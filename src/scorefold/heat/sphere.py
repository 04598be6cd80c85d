"""Heat kernel of the round sphere S^d as a function of the angle."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Key, Scalar, constant
from scorefold.heat._base import RadialProfile

__all__ = ["SphereProfile"]


class SphereProfile(RadialProfile):
    """PLACEHOLDER S^2 small-s expansion + Legendre; replaced by the exact kernel."""

    d: int = 2

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        return jnp.where(s < 0.3, self._wkb(r, jnp.minimum(s, 0.3)), self._series(r, s))

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        safe = jnp.where(r > 1e-3, r, 1e-3)
        return -jax.grad(self.log_prob)(safe, s) / safe

    def _wkb(self, r, s):
        safe = jnp.clip(r, 1e-3, math.pi - 1e-3)
        a1 = (1 / 8) * (1 + (1 - safe / jnp.tan(safe)) / safe**2)
        return -jnp.log(2 * math.pi * s) - r * r / (2 * s) + 0.5 * jnp.log(safe / jnp.sin(safe)) + s * a1

    def _series(self, r, s):
        l = constant(np.arange(1, 16), r)
        u = jnp.cos(r)
        p = [jnp.ones_like(u), u]
        for k in range(2, 16):
            p.append(((2 * k - 1) * u * p[-1] - (k - 1) * p[-2]) / k)
        tail = jnp.sum((2 * l + 1) * jnp.exp(-l * (l + 1) * jnp.maximum(s, 0.3) / 2) * jnp.stack(p[1:]))
        return jnp.log(jnp.maximum((1 + tail) / (4 * math.pi), 1e-30))

    def sample(self, key: Key, s: Scalar, dtype) -> Scalar:
        grid = jnp.linspace(0.0, math.pi, 2049, dtype=dtype)
        logp = jax.vmap(lambda r: self.log_prob(r, s))(grid)
        w = jnp.exp(logp - jnp.max(logp)) * jnp.sin(grid)
        c = jnp.cumsum(w)
        return jnp.interp(jax.random.uniform(key, (), dtype) * c[-1], c, grid)
