"""The law of what no kernel reaches."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold, Product, pairwise
from scorefold.noising import Reference, UniformReference

__all__ = ["ProductReference", "TangentNormal", "background"]

_WIDER = 2.0
"""Standard deviations of the background law over those of the data."""
_LOOKED_AT = 512


class TangentNormal(Reference):
    """The law of exp_μ(Lz), z standard normal in the frame at μ. With v = log_μ(x) in that frame,

        log p(x) = −|L⁻¹v|²/2 − log |L| − (d/2) log 2π − log |det d(exp_μ)_v|.

    For manifolds whose exponential map is one to one (R^d, H^d). ``location``: μ; ``root``: L,
    lower triangular, shape ``(d, d)``.
    """

    manifold: Manifold
    location: Array = fixed()
    root: Array = fixed()

    def log_prob(self, x: Point) -> Scalar:
        m, mu, root = self.manifold, self.location.astype(x.dtype), self.root.astype(x.dtype)
        v = m.log(mu, x)
        z = jax.scipy.linalg.solve_triangular(root, m.components(mu, v), lower=True)
        normaliser = 0.5 * m.dim * math.log(2.0 * math.pi) + jnp.sum(jnp.log(jnp.diagonal(root)))
        return -0.5 * jnp.sum(z * z) - normaliser - m.exp_log_det(mu, v)

    def score(self, x: Point) -> Point:
        return self.manifold.gradient(x, jax.grad(self.log_prob)(x))

    def sample(self, key: Key, dtype=None) -> Point:
        dtype = dtype or jnp.result_type(float)
        mu, root = self.location.astype(dtype), self.root.astype(dtype)
        z = jax.random.normal(key, (self.manifold.dim,), dtype)
        return self.manifold.exp(mu, self.manifold.from_components(mu, root @ z))


class ProductReference(Reference):
    """Independent laws on the factors of a product: log p(x) = Σ log p_i(x_i)."""

    manifold: Product
    parts: tuple[Reference, ...]

    def log_prob(self, x: Point) -> Scalar:
        pairs = zip(self.parts, self.manifold.split(x), strict=True)
        return jnp.sum(jnp.stack([part.log_prob(p) for part, p in pairs]))

    def score(self, x: Point) -> Point:
        pairs = zip(self.parts, self.manifold.split(x), strict=True)
        return self.manifold.join([part.score(p) for part, p in pairs])

    def sample(self, key: Key, dtype=None) -> Point:
        keys = jax.random.split(key, len(self.parts))
        return self.manifold.join(
            [part.sample(k, dtype) for part, k in zip(self.parts, keys, strict=True)]
        )


def background(manifold: Manifold, data: Any) -> Reference:
    """Uniform on compact manifolds; elsewhere a normal law in the tangent space at the most
    central of 512 points, with twice their spread; on products the one or the other for each
    factor."""
    if manifold.compact:
        return UniformReference(manifold)
    if isinstance(manifold, Product):
        split = jax.vmap(manifold.split)(jnp.asarray(data))
        parts = zip(manifold.factors, split, strict=True)
        return ProductReference(manifold, tuple(background(m, p) for m, p in parts))
    x = np.asarray(data)
    rows = np.unique(np.linspace(0, len(x) - 1, _LOOKED_AT).round().astype(int))
    some = x[rows]
    location = jnp.asarray(some[int(np.argmin((pairwise(manifold, some, some) ** 2).sum(1)))])
    seen = jax.vmap(lambda p: manifold.components(location, manifold.log(location, p)))
    v = np.asarray(seen(jnp.asarray(x)), np.float64)
    spread = v.T @ v / len(v)
    # A direction without spread still gets some.
    spread = spread + 1e-6 * max(float(np.trace(spread)) / manifold.dim, 1e-12) * np.eye(
        len(spread)
    )
    root = _WIDER * np.linalg.cholesky(spread)
    return TangentNormal(manifold, location, jnp.asarray(root, location.dtype))
