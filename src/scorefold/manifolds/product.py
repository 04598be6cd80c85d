"""Products of manifolds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._types import Key, Point, Scalar, safe_norm
from scorefold.manifolds._base import Manifold

__all__ = ["Product"]


class Product(Manifold):
    """M₁ × … × M_k with the product metric: ⟨u, v⟩ = Σ ⟨u_i, v_i⟩, dist² = Σ dist_i².

    A point is ONE flat array: the parts ravelled and concatenated; ``split`` and ``join`` convert.
    Factors may be products themselves. Each factor's own tie-break applies to its part.
    """

    factors: tuple[Manifold, ...]

    def __init__(self, *factors: Manifold):
        if not factors:
            raise ValueError("Product(...) needs at least one factor.")
        self.factors = factors

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.factors))})"

    def split(self, x: Array) -> tuple[Array, ...]:
        """The parts of one point or tangent vector, each in its factor's shape."""
        ends = np.cumsum([math.prod(m.shape) for m in self.factors])[:-1]
        parts = jnp.split(x, ends) if len(ends) else [x]
        return tuple(p.reshape(m.shape) for p, m in zip(parts, self.factors, strict=True))

    def join(self, parts: Sequence[Array]) -> Array:
        """One flat array from the parts: the inverse of ``split``."""
        return jnp.concatenate([jnp.ravel(p) for p in parts])

    @property
    def name(self) -> str:
        names = [f"({m.name})" if isinstance(m, Product) else m.name for m in self.factors]
        return " x ".join(names)

    @property
    def dim(self) -> int:
        return sum(m.dim for m in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(math.prod(m.shape) for m in self.factors),)

    @property
    def log_volume(self) -> float:
        return sum(m.log_volume for m in self.factors)

    @property
    def diameter(self) -> float:
        return math.hypot(*(m.diameter for m in self.factors))

    @property
    def spectral_gap(self) -> float:
        return min(m.spectral_gap for m in self.factors)

    @property
    def readers(self) -> str:
        return "Product.join(parts), under jax.vmap for many, makes flat points from the parts."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.ProductHeat(self)

    def _each(self, method: str, *points: Array) -> list[Array]:
        """The method of every factor on its parts of the points."""
        parts = zip(*(self.split(p) for p in points), strict=True)
        return [getattr(m, method)(*p) for m, p in zip(self.factors, parts, strict=True)]

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return self.join([m.origin(dtype) for m in self.factors])

    def exp(self, x: Point, v: Point) -> Point:
        return self.join(self._each("exp", x, v))

    def log(self, x: Point, y: Point) -> Point:
        return self.join(self._each("log", x, y))

    def dist(self, x: Point, y: Point) -> Scalar:
        return safe_norm(jnp.stack(self._each("dist", x, y)))

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        return jnp.sum(jnp.stack(self._each("inner", x, u, v)))

    def norm(self, x: Point, v: Point) -> Scalar:
        return safe_norm(jnp.stack(self._each("norm", x, v)))

    def to_tangent(self, x: Point, u: Point) -> Point:
        return self.join(self._each("to_tangent", x, u))

    def project(self, u: Point) -> Point:
        return self.join(self._each("project", u))

    def frame(self, x: Point) -> Array:
        return _blocks(self._each("frame", x))

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        return self.join(self._each("transport", x, y, v))

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        return jnp.sum(jnp.stack(self._each("exp_log_det", x, v)))

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        keys = jax.random.split(key, len(self.factors))
        return self.join([m.uniform(k, dtype) for m, k in zip(self.factors, keys, strict=True)])

    def defect(self, x: Point) -> Scalar:
        """The largest defect of a part."""
        return jnp.max(jnp.stack(self._each("defect", x)))

    def embed(self, x: Point) -> Array:
        return self.join(self._each("embed", x))

    def killing(self, x: Point) -> Array:
        return _blocks(self._each("killing", x))

    def audit(self, name: str, points: np.ndarray) -> None:
        start = 0
        for k, factor in enumerate(self.factors):
            stop = start + math.prod(factor.shape)
            part = points[:, start:stop].reshape(-1, *factor.shape)
            factor.audit(f"{name}, factor {k} ({factor.name})", part)
            start = stop


def _blocks(fields: list[Array]) -> Array:
    """Lists of vectors of the factors as vectors of the product, each zero in the other parts."""
    return jax.scipy.linalg.block_diag(*(f.reshape(f.shape[0], -1) for f in fields))
