"""Heat kernel of a product of manifolds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.heat._base import HeatKernel

if TYPE_CHECKING:
    from scorefold.manifolds import Product

__all__ = ["ProductHeat"]


class ProductHeat(HeatKernel):
    """Brownian motions on the factors are independent and run at the same s:

        p_s((x₁, …, x_k) | (y₁, …, y_k)) = Π_i p_s^{(i)}(x_i | y_i).

    A point is one flat array, the factors' points ravelled and concatenated.
    """

    manifold: Product

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        terms = [
            factor.heat.log_prob(part, centre, s) for factor, part, centre in self._parts(x, x0)
        ]
        return jnp.sum(jnp.stack(terms))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        return self.manifold.join(
            tuple(factor.heat.score(part, centre, s) for factor, part, centre in self._parts(x, x0))
        )

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        factors = self.manifold.factors
        keys = jax.random.split(key, len(factors))
        centres = self.manifold.split(x0)
        return self.manifold.join(
            tuple(
                factor.heat.sample(k, centre, s)
                for factor, k, centre in zip(factors, keys, centres, strict=True)
            )
        )

    def _parts(self, x: Point, x0: Point):
        m = self.manifold
        return zip(m.factors, m.split(x), m.split(x0), strict=True)
