"""Heat kernel of a product of manifolds."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from scorefold._geometry import HeatKernel, Manifold
from scorefold._types import Key, Point, Scalar, ScalarLike


class ProductHeat(HeatKernel):
    """Brownian motions on the factors are independent and run at the same s:

        p_s((x₁, …, x_k) | (y₁, …, y_k)) = Π_i p_s^{(i)}(x_i | y_i).

    ``kernels``: one for each of ``manifold.factors``.
    """

    manifold: Manifold
    kernels: tuple[HeatKernel, ...]

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        return jnp.sum(jnp.stack([k.log_prob(p, c, s) for k, p, c in self._parts(x, x0)]))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        return self.manifold.join([k.score(p, c, s) for k, p, c in self._parts(x, x0)])

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        keys = jax.random.split(key, len(self.kernels))
        each = zip(self.kernels, keys, self.manifold.split(x0), strict=True)
        return self.manifold.join([kernel.sample(k, c, s) for kernel, k, c in each])

    def _parts(self, x: Point, x0: Point) -> Iterator[tuple[HeatKernel, Point, Point]]:
        return zip(self.kernels, self.manifold.split(x), self.manifold.split(x0), strict=True)
