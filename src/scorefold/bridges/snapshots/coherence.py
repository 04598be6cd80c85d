"""Whether the bends of paths through snapshots are motion, or noise of the pairs."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, NumPyOrJax, Point, Scalar
from scorefold.manifolds import Manifold, pairwise

_NEIGHBOURS = 5
_MOST = 300
_FEWEST = 6


def bend_coherence(
    key: Key, manifold: Manifold, times: np.ndarray, points: Sequence[NumPyOrJax]
) -> float | None:
    """The share of the squared change of velocity at an inner snapshot that a point has in common
    with its neighbours, its mean over the inner ones (each with the snapshot before and after),

        Σ_i ⟨δ_i, mean_{j near i} δ_j⟩ / Σ_i |δ_i|²,
        δ = log_x(x₂)/(t₂ − t₁) + log_x(x₀)/(t₁ − t₀),

    along optimal pairs of x = x₁ with x₀ and x₂, over five neighbours, moved to x_i by parallel
    transport. Of a smooth motion without noise it is 1, of independent noise of the pairs 0 on
    average. A path that bends by δ is nearer to a smooth one than a straight path is where more
    than half of |δ|² is motion: its error is the other part. None for fewer than 6 points in a
    snapshot, where no point moves, and for two snapshots.
    """
    found = [
        _of_three(jax.random.fold_in(key, k), manifold, times[k - 1 : k + 2], points[k - 1 : k + 2])
        for k in range(1, len(points) - 1)
    ]
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known else None


def _of_three(
    key: Key, manifold: Manifold, times: np.ndarray, points: Sequence[NumPyOrJax]
) -> float | None:
    count = min(_MOST, *map(len, points))
    if count < _FEWEST:
        return None
    keys = jax.random.split(key, 3)
    dtype = np.result_type(*(np.asarray(p).dtype for p in points))
    rows = [
        np.asarray(p, dtype)[np.asarray(jax.random.permutation(k, len(p)))[:count]]
        for k, p in zip(keys, points, strict=True)
    ]
    x = jnp.asarray(rows[1])
    before, after = (jnp.asarray(_partners(manifold, rows[1], rows[k])) for k in (0, 2))
    gaps = np.diff(np.asarray(times, np.float64))
    change = _changes(manifold, x, before, after, jnp.asarray(gaps, x.dtype))
    apart = np.array(pairwise(manifold, rows[1], rows[1]))
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1)[:, : min(_NEIGHBOURS, count - 1)]
    shared, whole = _sums(manifold, x, change, jnp.asarray(near))
    return float(shared) / float(whole) if float(whole) > 0.0 else None


def _partners(manifold: Manifold, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    return there[linear_sum_assignment(pairwise(manifold, here, there) ** 2)[1]]


@jax.jit(static_argnums=0)
def _changes(manifold: Manifold, x: Array, before: Array, after: Array, gaps: Array) -> Array:
    log = jax.vmap(manifold.log)
    return log(x, after) / gaps[1] + log(x, before) / gaps[0]


@jax.jit(static_argnums=0)
def _sums(manifold: Manifold, x: Array, change: Array, near: Array) -> tuple[Scalar, Scalar]:
    """Σ ⟨δ_i, mean δ_j⟩, and Σ |δ_i|²."""

    def of_one(p: Point, own: Point, others: Array) -> Scalar:
        moved = jax.vmap(lambda j: manifold.transport(x[j], p, change[j]))(others)
        return jnp.mean(jax.vmap(lambda v: manifold.inner(p, own, v))(moved))

    squares = jax.vmap(lambda p, v: manifold.inner(p, v, v))(x, change)
    return jnp.sum(jax.vmap(of_one)(x, change, near)), jnp.sum(squares)
