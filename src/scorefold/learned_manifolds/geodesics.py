"""Shortest curves under a learned metric: a graph, then a polyline of least energy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._types import Values
from scorefold.learned_manifolds.dimension import _rows
from scorefold.learned_manifolds.metric import LearnedMetric

_BATCH = 256
_TRIALS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
"""Parts of a step that are tried; the one of least energy is taken."""


class Geodesics(NamedTuple):
    """Polylines of b pairs of ends."""

    points: Array
    """Shape ``(b, segments + 1, D)``, the ends included."""
    length: Array
    """Under the metric, at the middles of the segments, ``(b,)``."""
    energy: Array
    """½ ∫ |γ̇|² over unit time, ``(b,)``: length²/2 for constant speed, never less."""
    euclidean: Array
    """Length in R^D, ``(b,)``."""
    graph_length: Array
    """Of the path in the graph that it began with, under the metric, ``(b,)``."""
    steps: Array
    """Taken, ``(b,)``."""
    converged: Array
    """Whether the last step lowered the energy by no more than the tolerance, ``(b,)``."""


def geodesics(
    metric: LearnedMetric,
    starts: Values,
    ends: Values,
    *,
    segments: int = 32,
    neighbours: int = 8,
    steps: int = 200,
    tolerance: float = 1e-5,
) -> Geodesics:
    """Curves between points that minimise, among polylines of m ``segments`` in unit time,

        E(γ) = (m/2) Σ_j Δ_jᵀ g(γ̄_j) Δ_j,   Δ_j = γ_{j+1} − γ_j,   γ̄_j = (γ_j + γ_{j+1})/2.

    The first curve is the shortest path in the graph that joins the kernel centres (and the ends)
    to their nearest ``neighbours``, with the lengths of the edges under g, drawn anew with even
    speed. Then come steps of gradient descent in the inner product Σ_j δ_jᵀ g(γ̄_j) δ_j of the
    current curve: the Hessian of E but for derivatives of g, so that where g is constant one step
    arrives. Of six lengths of a step the best is taken. The minimum is a local one: the graph
    decides around which side of a hole the curve goes.

    **Arguments:** ``starts``, ``ends``: shape ``(b, D)``; ``steps``: at most; ``tolerance``:
    relative fall of the energy at which a curve is done.
    **Raises:** ``ValueError`` for shapes that do not fit, and for ends that the graph does not
    join (rows named).
    """
    a, b = _rows(metric.learned, starts), _rows(metric.learned, ends)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(
            f"starts, ends: need one shape and dtype, got {a.shape} {a.dtype} and {b.shape} "
            f"{b.dtype}."
        )
    if segments < 2:
        raise ValueError(f"segments: must be at least 2, got {segments}.")
    curves, through = _graph_paths(metric, a, b, segments, neighbours)
    points, energy, taken, done = quick_jit(_relax)(
        metric, jnp.asarray(curves, a.dtype), jnp.int32(steps), jnp.asarray(tolerance, a.dtype)
    )
    flat = jnp.sum(jnp.linalg.norm(jnp.diff(points, axis=1), axis=-1), axis=1)
    length = curve_length(metric, points)
    return Geodesics(points, length, energy, flat, jnp.asarray(through, a.dtype), taken, done)


def curve_length(metric: LearnedMetric, curves: Array) -> Array:
    """Σ_j (Δ_jᵀ g(γ̄_j) Δ_j)^½ of polylines, shape ``(b, m + 1, D)``."""
    b, nodes, d = curves.shape
    middles = 0.5 * (curves[:, 1:] + curves[:, :-1])
    flat = quick_jit(_lengths)(
        metric, middles.reshape(-1, d), jnp.diff(curves, axis=1).reshape(-1, d)
    )
    return jnp.sum(flat.reshape(b, nodes - 1), axis=1)


def _lengths(metric: LearnedMetric, at: Array, step: Array) -> Array:
    def one(pair: tuple[Array, Array]) -> Array:
        x, v = pair
        return jnp.sqrt(jnp.maximum(v @ metric.tensor(x) @ v, 0.0))

    return jax.lax.map(one, (at, step), batch_size=_BATCH)


def _graph_paths(
    metric: LearnedMetric, a: Array, b: Array, segments: int, neighbours: int
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import cKDTree

    centres = metric.learned.centres
    nodes = jnp.concatenate([centres.astype(a.dtype), a, b])
    place = np.asarray(nodes, np.float64)
    n, pairs = len(centres), len(a)
    k = min(neighbours, n - 1)
    # Ends are joined to centres, not to each other; their own ties at distance 0 are left out.
    near = np.asarray(cKDTree(place[:n]).query(place, k + 1)[1]).reshape(len(place), -1)
    rows, columns = np.repeat(np.arange(len(place)), k + 1), near.ravel()
    kept = rows != columns
    low, high = np.minimum(rows, columns)[kept], np.maximum(rows, columns)[kept]
    edges = np.unique(np.stack([low, high], 1), axis=0)
    i, j = jnp.asarray(edges[:, 0]), jnp.asarray(edges[:, 1])
    cost = np.asarray(quick_jit(_lengths)(metric, 0.5 * (nodes[i] + nodes[j]), nodes[j] - nodes[i]))
    # csgraph takes a stored 0 for a missing edge.
    cost = np.maximum(cost.astype(np.float64), np.finfo(np.float64).tiny)
    graph = coo_array((cost, (edges[:, 0], edges[:, 1])), shape=(len(place),) * 2).tocsr()
    first = n + np.arange(pairs)
    far, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    through = far[np.arange(pairs), first + pairs]
    if not np.isfinite(through).all():
        lost = np.flatnonzero(~np.isfinite(through))
        raise ValueError(
            f"starts, ends: no path in the graph of {neighbours} neighbours joins rows "
            f"{', '.join(map(str, lost[:5]))}. Use more neighbours, or ends on one piece."
        )
    curves = [
        _evenly(place[_trail(before[p], n + p, n + pairs + p)], segments) for p in range(pairs)
    ]
    return np.stack(curves), through


def _trail(before: np.ndarray, start: int, end: int) -> list[int]:
    trail = [end]
    while trail[-1] != start:
        trail.append(int(before[trail[-1]]))
    return trail[::-1]


def _evenly(path: np.ndarray, segments: int) -> np.ndarray:
    """A polyline with its nodes at equal lengths of R^D along a path."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], segments + 1)
    return np.stack([np.interp(at, along, column) for column in path.T], axis=1)


def _relax(
    metric: LearnedMetric, curves: Array, most: Array, tolerance: Array
) -> tuple[Array, Array, Array, Array]:
    m, d = curves.shape[1] - 1, curves.shape[2]
    # Node differences: segment j is node j + 1 minus node j, the ends being held.
    differences = jnp.asarray(np.eye(m, m - 1) - np.eye(m, m - 1, -1), curves.dtype)

    def tensors(curve: Array) -> Array:
        return jax.vmap(metric.tensor)(0.5 * (curve[1:] + curve[:-1]))

    def energy(curve: Array) -> Array:
        step = jnp.diff(curve, axis=0)
        return 0.5 * m * jnp.einsum("ji,jik,jk->", step, tensors(curve), step)

    def one(curve: Array) -> tuple[Array, Array, Array, Array]:
        def body(state: tuple) -> tuple:
            now, before, k, _ = state
            slope = jax.grad(energy)(now)[1:-1]
            inner = m * jnp.einsum("ja,jik,jb->aibk", differences, tensors(now), differences)
            size = (m - 1) * d
            move = -jnp.linalg.solve(inner.reshape(size, size), slope.reshape(size))
            move = jnp.concatenate(
                [jnp.zeros((1, d), now.dtype), move.reshape(m - 1, d), jnp.zeros((1, d), now.dtype)]
            )
            tried = jax.lax.map(
                lambda part: energy(now + part * move), jnp.asarray(_TRIALS, now.dtype)
            )
            best = jnp.argmin(tried)
            better = tried[best] < before
            part = jnp.where(better, jnp.asarray(_TRIALS, now.dtype)[best], 0.0)
            after = jnp.where(better, tried[best], before)
            return now + part * move, after, k + 1, before - after > tolerance * before

        def unfinished(state: tuple) -> Array:
            return (state[2] < most) & state[3]

        start = (curve, energy(curve), jnp.int32(0), jnp.asarray(True))
        final, least, k, falling = jax.lax.while_loop(unfinished, body, start)
        return final, least, k, ~falling

    return jax.lax.map(one, curves)
