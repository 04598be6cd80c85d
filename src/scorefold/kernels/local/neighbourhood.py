"""Local covariances from the neighbours of each centre, with some of the data left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, taken
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax
from scorefold.kernels.local.precision import diagonal_of
from scorefold.kernels.wrapped.coordinates import seen_from
from scorefold.manifolds import Manifold, nearest

R = TypeVar("R")

_Pair = tuple[Array, Array]

_ROWS = 1 << 13


class Neighbourhoods(eqx.Module):
    """The nearest neighbours of n points z_i: v_ij = log_{z_i}(z_j) in the frame at z_i.

    ``index``: rows of the neighbours, nearest first, the point itself left out, shape ``(n, m)``;
    ``vectors``: shape ``(n, m, d)``. With ``rows``, only those points look around.
    """

    index: Array = fixed()
    vectors: Array = fixed()

    @classmethod
    def of(
        cls, manifold: Manifold, points: Array, m: int, rows: np.ndarray | None = None
    ) -> Neighbourhoods:
        index = neighbours(manifold, points, m, rows)
        centres = points if rows is None else taken(points, rows)
        seen = logs_in_frames(manifold, centres, taken(points, index))
        return cls(device(index, np.int32), seen)

    def moments(
        self, counts: tuple[int, ...], keep: Array, weights: Array | None = None
    ) -> tuple[Array, Array]:
        """C_k = (1/k) Σ v vᵀ and μ_k = (1/k) Σ v over the k nearest neighbours for which ``keep``,
        for k in ``counts``: C packed, shape ``(n, len(counts), d(d+1)/2)``, and μ, shape
        ``(n, len(counts), d)``. ``keep``: a mask of all points as neighbours. Neighbours
        that are missing count as zero. ``weights`` w of all points: with w_j/w̄ in the sums, w̄ the
        mean over the neighbours that count.
        """

        def one(index: Array, vectors: Array) -> tuple[Array, Array]:
            own = None if weights is None else weights[index]
            return moments_of(vectors, keep[index], counts, own)

        return _each(one, self.index, self.vectors)


def neighbours(
    manifold: Manifold, points: Array, m: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Rows of the m neighbours of each point, or of these ``rows``, nearest first, the point itself
    left out: shape ``(n, m)``."""
    if rows is None:
        return nearest(manifold, points, points, m, exclude_self=True)[0]
    near, _ = nearest(manifold, points, points[rows], m + 1)
    # The point itself goes to the end; where copies hid it, the farthest does.
    order = np.argsort(near == rows[:, None], axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)[:, :m]


def moments_of(
    vectors: Array, kept: Array, counts: tuple[int, ...], weights: Array | None = None
) -> tuple[Array, Array]:
    """(C_k, μ_k) of one point from the vectors of its neighbours, ``(m, d)``, of which those count
    that are ``kept``: ``(K, d(d+1)/2)`` and ``(K, d)`` for K ``counts``."""
    rows, columns = np.tril_indices(vectors.shape[-1])
    outer = vectors[:, rows] * vectors[:, columns]
    rank = jnp.cumsum(kept)
    each = [jnp.where(kept & (rank <= k), 1.0 / k, 0.0) for k in counts]
    if weights is not None:
        each = [a.astype(weights.dtype) for a in each]
        # Over their mean: a neighbourhood of heavy rows has no larger moments.
        total = [jnp.maximum(jnp.sum(a * weights), jnp.finfo(a.dtype).tiny) for a in each]
        each = [a * weights * (jnp.sum(a) / t) for a, t in zip(each, total, strict=True)]
    both = jnp.concatenate([outer, vectors], -1)
    moments = jnp.matmul(jnp.stack(each).astype(outer.dtype), both, precision="highest")
    return moments[..., : len(rows)], moments[..., len(rows) :]


def moments_of_rows(vectors: Array, kept: Array, counts: tuple[int, ...]) -> tuple[Array, Array]:
    """``moments_of`` for many points at once, ``(n, m, d)`` and ``(n, m)``: a neighbour of all of
    them after another, which for small K and d takes a tenth of the time of n small products."""
    n, _, d = vectors.shape
    rows, columns = np.tril_indices(d)
    sizes = jnp.asarray(counts, jnp.int32)[:, None]

    def add(carry: _Pair, row: _Pair) -> tuple[_Pair, None]:
        (rank, total), (v, counted) = carry, row
        rank = rank + counted.astype(rank.dtype)
        both = jnp.concatenate([v[rows] * v[columns], v])
        some = (counted[None] & (rank[None] <= sizes)).astype(v.dtype)
        return (rank, total + some[:, None] * both[None]), None

    start = jnp.zeros(n, jnp.int32), jnp.zeros((len(counts), len(rows) + d, n), vectors.dtype)
    by_neighbour = jnp.transpose(vectors, (1, 2, 0)), kept.T
    (_, total), _ = jax.lax.scan(add, start, by_neighbour)
    total = jnp.transpose(total / sizes[:, :, None].astype(total.dtype), (2, 0, 1))
    return total[..., : len(rows)], total[..., len(rows) :]


@eqx.filter_jit
def logs_in_frames(manifold: Manifold, centres: Array, points: Array) -> Array:
    """log_{z_i}(x_ij) in the frame at z_i, shape ``(n, m, d)`` for centres z of shape
    ``(n, …)`` and points x of shape ``(n, m, …)``."""

    def one(z: Array, x: Array) -> Array:
        return seen_from(manifold, z, x)[0]

    return _each(jax.vmap(one, (None, 0)), centres, points)


@eqx.filter_jit
def logs_of_neighbours(manifold: Manifold, centres: Array, data: Array, index: Array) -> Array:
    """log_{z_i}(x_j) in the frame at z_i for the rows j of ``data`` in ``index``, ``(n, m)``:
    shape ``(n, m, d)``. Neighbours are looked up some at a time."""

    def one(z: Array, rows: Array) -> Array:
        return jax.vmap(lambda x: seen_from(manifold, z, x)[0])(data[rows])

    return _each(one, centres, index)


def _each(function: Callable[..., R], *rows: Array) -> R:
    """Row by row; of many rows, so few at a time that memory is that of the result."""
    if len(rows[0]) <= 2 * _ROWS:
        return jax.vmap(function)(*rows)
    return jax.lax.map(lambda row: function(*row), rows, batch_size=_ROWS)


def shape_features(moments: Array, floor: float | Array, d: int) -> Array:
    """Logarithms of size and of roundness of each packed moment, shape ``(n, 2K)``:

    log (tr C_k / d + floor²),   log (tr C_k² / (tr C_k)²), from −log d (round) to 0 (a line).
    """
    small = floor * floor
    trace = jnp.sum(moments[..., diagonal_of(d)], -1) + d * small
    # Scaled before squaring: fourth powers of distances leave float32.
    scaled = moments / trace[..., None]
    diagonal = scaled[..., diagonal_of(d)]
    square = 2.0 * jnp.sum(scaled * scaled, -1) - jnp.sum(diagonal * diagonal, -1)
    square = jnp.maximum(square, 1e-6)
    return jnp.concatenate([jnp.log(trace / d), jnp.log(square)], -1)


def folds_of(points: NumPyOrJax, folds: int, key: Key, *, grouped: bool) -> np.ndarray:
    """A random fold for each row, ``(n,)``, of equal sizes; ``grouped``: equal rows in one."""
    x = np.asarray(points).reshape(len(points), -1)
    if grouped:
        _, group = np.unique(x, axis=0, return_inverse=True)
        group = group.ravel()
    else:
        group = np.arange(len(x))
    order = np.asarray(jax.random.permutation(key, int(group.max()) + 1))
    return order[group] % folds


def resolution(manifold: Manifold, points: Array, stated: float | None) -> float:
    """The smallest standard deviation of a kernel: as stated, or the smallest positive distance
    between two of the points (what they were rounded to), at least 1e-6 of their
    spread; and at most 1e-3 of it in three and more dimensions, where no two points are close.
    Never so small that its inverse square leaves the numbers of the points' dtype.

    **Raises:** ``ValueError`` if all points are equal and nothing is stated.
    """
    least = float(jnp.finfo(points.dtype).tiny) ** 0.4
    if stated is not None:
        return max(float(stated), least)
    x = np.unique(np.asarray(points).reshape(len(points), -1), axis=0)
    if len(x) < 2:
        raise ValueError(
            "data: all points are equal, so nothing says how wide a kernel should be. State a "
            "resolution, KernelModel(..., floor=...), or check the data."
        )
    x = x.reshape(-1, *manifold.shape)
    gap = nearest(manifold, x, x, 1, exclude_self=True)[1]
    _, spread = nearest(manifold, x[:1], x, 1)
    positive = gap[gap > 0]
    size = float(np.sqrt(np.mean(spread**2)))
    closest = float(positive.min()) if len(positive) else 0.0
    most = 1e-3 * size if manifold.dim > 2 else math.inf
    return max(min(max(closest, 1e-6 * size), most), least)
