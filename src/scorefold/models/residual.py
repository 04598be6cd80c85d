"""Residual of a kernel model's score: the field, and the noised points that train it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.fields import Architecture, Network, TangentField, TangentOutput, zero_network
from scorefold.kernels import ClusteredMixture
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.manifolds import Manifold

_ROWS = 256
"""Points at a time."""


class ResidualField(TangentField):
    """r(x, s) = output(network((embed(x) − shift)/unit, s/unit²)) / √s, with the last layer of the
    network at 0 to start with.

    ``s_min``, ``s_max``: variance-times between which it is learned; ``shift``, ``unit``: of the
    data on flat space, 0 and 1 elsewhere.
    """

    manifold: Manifold
    network: Network
    output: TangentOutput
    s_min: float
    s_max: float
    shift: Array = fixed()
    unit: Array = fixed()

    @classmethod
    def start(
        cls,
        manifold: Manifold,
        spec: Architecture,
        output: TangentOutput,
        data: Array,
        s_min: float,
        s_max: float,
        *,
        key: Key,
    ) -> ResidualField:
        features = jax.vmap(manifold.embed)(data)
        shift, unit = jnp.zeros_like(features[0]), jnp.ones((), data.dtype)
        if manifold.euclidean:
            shift = jnp.mean(features, axis=0)
            unit = jnp.sqrt(jnp.mean((features - shift[None]) ** 2))
        sizes = int(features[0].size), output.size(manifold)
        network = quick_jit(zero_network, level=0)(spec, *sizes, data.dtype, key)
        return cls(manifold, network, output, s_min, s_max, shift, unit)

    def __call__(self, x: Point, s: Scalar) -> Point:
        unit = self.unit.astype(x.dtype)
        h = (self.manifold.embed(x) - self.shift.astype(x.dtype)) / unit
        c = self.network(h, s / unit**2)
        return self.output(self.manifold, x, c) / jnp.sqrt(s)


class Noised(NamedTuple):
    """Points, each at several noise levels: a row a point."""

    s: Array
    """Variance-times, ``(n, levels)``."""
    x: Array
    """The points after Brownian motion for s, ``(n, levels, *shape)``."""
    error: Array
    """∇ log p_s(x) of the kernels minus ∇ log p_s(x | x₀), tangent at x, of the same shape."""
    nll: Array
    """−log p(x₀) of the kernels (0 for training points), ``(n,)``."""


def noised(
    manifold: Manifold, data: Array, key: Key, levels: int, s_min: float, s_max: float
) -> tuple[Array, Array, Array]:
    """(s, x, ∇ log p_s(x | x₀)) for each point x₀ of ``data`` at ``levels`` noise levels, an even
    number: log s is stratified over [s_min, s_max], and at each s there are a draw x of Brownian
    motion and its reflection exp_{x₀}(−log_{x₀} x), which has the same law on symmetric spaces and
    cancels what is odd in the noise."""
    n, pairs = len(data), levels // 2
    when, draw = jax.random.split(key)
    place = jax.random.uniform(when, (n, pairs), data.dtype)
    place = (jnp.arange(pairs, dtype=data.dtype)[None] + place) / pairs
    s = s_min * jnp.exp(math.log(s_max / s_min) * place)
    flat = jnp.repeat(data, pairs, axis=0), s.reshape(-1), jax.random.split(draw, n * pairs)
    x, score = in_pieces(lambda *a: quick_jit(_pairs)(manifold, *a), flat)
    join = lambda a: a.reshape(n, 2 * pairs, *manifold.shape)  # noqa: E731
    return jnp.repeat(s, 2, axis=1), join(x), join(score)


def _pairs(manifold: Manifold, data: Array, s: Array, keys: Array) -> tuple[Array, Array]:
    def one(x0: Point, level: Scalar, k: Key) -> tuple[Array, Array]:
        x = manifold.heat.sample(k, x0, level)
        both = jnp.stack([x, manifold.exp(x0, -manifold.log(x0, x))])
        return both, jax.vmap(lambda p: manifold.heat.score(p, x0, level))(both)

    return jax.vmap(one)(data, s, keys)


def kernel_errors(
    learner: CrossFit, s: Array, x: Array, score: Array, fold_of_row: np.ndarray
) -> Array:
    """∇ log p_s(x) without the fold of each row, minus ``score``, for what ``noised`` returns."""
    found = np.empty(x.shape, x.dtype)
    for fold in np.unique(fold_of_row):
        rows = np.flatnonzero(fold_of_row == fold)
        mixture = quick_jit(CrossFit.mixture)(learner, jnp.int32(fold))
        kernels = ClusteredMixture.of(mixture)
        flat = x[rows].reshape(-1, *x.shape[2:]), s[rows].reshape(-1)
        (value,) = in_pieces(lambda *a, k=kernels: (quick_jit(_scores)(k, *a),), flat)
        found[rows] = np.asarray(value).reshape(found[rows].shape)
    return jnp.asarray(found) - score


def _scores(kernels: ClusteredMixture, x: Array, s: Array) -> Array:
    return jax.vmap(kernels.score)(x, s)


def in_pieces(function: Callable, rows: tuple[Array, ...]) -> tuple[Array, ...]:
    """A function of rows in pieces of one size, so that one program serves every number of rows;
    the last piece is filled up with copies of the last row."""
    n, parts = len(rows[0]), []
    for first in range(0, n, _ROWS):
        at = np.minimum(np.arange(first, first + _ROWS), n - 1)
        parts.append(function(*(a[at] for a in rows)))
    return tuple(jnp.concatenate(p)[:n] for p in zip(*parts, strict=True))
