"""Exact nearest neighbours and distances of many points, in NumPy and float64."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.manifolds import _rotations
from scorefold.manifolds._base import Manifold
from scorefold.manifolds._check import PointsError, as_numbers, require_rows
from scorefold.manifolds.euclidean import Euclidean
from scorefold.manifolds.hyperbolic import Hyperbolic
from scorefold.manifolds.product import Product
from scorefold.manifolds.so3 import SO3
from scorefold.manifolds.sphere import Sphere
from scorefold.manifolds.torus import Torus

__all__ = ["flat_coordinates", "nearest", "pairwise", "rows_of"]

_CELLS = 1 << 21
"""Distances held at once."""
_TURN = 2.0 * math.pi
_ORDERED = (Euclidean, Torus, Sphere, SO3)
# Exact types throughout: a subclass may measure distance in another way.


def nearest(
    manifold: Manifold, points: Any, queries: Any, k: int, *, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k of ``points`` nearest to each of ``queries`` in the geodesic distance.

    Exact for every geometry: a k-d tree is asked in coordinates in which the flat distance is at
    most the geodesic one, for more and more neighbours, until the flat distance of the last one
    exceeds the k-th geodesic distance found: no other point can be nearer. Those coordinates are
    the points themselves on R^d, angles with period 2π on T^d, unit vectors on S^d, matrices/√2
    on SO(3), log at the origin on H^d (which shortens distances where curvature is not positive)
    and all of these side by side on products. One round is enough where the flat distance decides
    the order (R^d, T^d, S^d, SO(3)). On H^d far from the origin, and for a ``Manifold`` unknown
    here, all distances are computed. Memory stays bounded.

    **Arguments:** ``points``, shape ``(n, *manifold.shape)``; ``queries``, shape
    ``(m, *manifold.shape)``: NumPy or JAX arrays. ``exclude_self``: query i IS point i, and row i
    is left out of its own answer (an equal point in another row is not).
    **Returns:** ``indices``, shape ``(m, k)``, and ``distances``, shape ``(m, k)`` in float64,
    nearest first. Points at equal distance are in the order of their rows; if they tie for the
    last place, any of them may be the one that is returned.
    **Raises:** ``ValueError`` for shapes that do not fit, values not finite, and k outside 1…n
    (1…n − 1 with ``exclude_self``).
    """
    x, q = rows_of(manifold, "points", points), rows_of(manifold, "queries", queries)
    n, most = len(x), len(x) - bool(exclude_self)
    if exclude_self and len(q) != n:
        raise ValueError(
            f"exclude_self: needs query i to be point i, got {len(q)} queries and {n} points; "
            "pass the same array twice, or exclude_self=False."
        )
    if not 1 <= k <= most:
        raise ValueError(f"k: must be from 1 to {most} with {n} points, got {k}.")
    need = k + bool(exclude_self)
    flat, period = flat_coordinates(manifold, x)
    asked = flat_coordinates(manifold, q)[0] if flat is not None else None
    indices, distances = np.empty((len(q), k), np.int64), np.empty((len(q), k))
    tree = None
    if flat is not None:
        from scipy.spatial import cKDTree

        tree = cKDTree(flat, boxsize=period)
    ordered = type(manifold) in _ORDERED
    wide = need if ordered else min(2 * need + 8, n)
    step = max(1, _CELLS // (4 * wide))
    for start in range(0, len(q), step):
        rows = np.arange(start, min(start + step, len(q)))
        own = rows if exclude_self else None
        if tree is None or asked is None:
            found = _all(manifold, x, q[rows], need, own)
        else:
            found = _by_tree(manifold, tree, x, q[rows], asked[rows], need, wide, ordered, own)
        indices[rows], distances[rows] = found[0][:, :k], found[1][:, :k]
    return indices, distances


def pairwise(manifold: Manifold, x: Any, y: Any) -> np.ndarray:
    """Geodesic distances of all pairs, shape ``(n, m)``, float64; 8 n m bytes."""
    x, y = rows_of(manifold, "x", x), rows_of(manifold, "y", y)
    out = np.empty((len(x), len(y)))
    step = max(1, _CELLS // (4 * len(y)))
    for start in range(0, len(x), step):
        out[start : start + step] = _distance(manifold, x[start : start + step, None], y[None])
    return out


def rows_of(manifold: Manifold, name: str, points: Any) -> np.ndarray:
    """``points`` as float64 rows, shape ``(n, *manifold.shape)``; one point becomes one row.
    Angles of a torus are wrapped to [0, 2π), unit vectors are normalised in float64.

    **Raises:** ``PointsError`` (a ``ValueError``) naming the argument, for another shape, no rows
    and values that are not finite.
    """
    array = as_numbers(name, points).astype(np.float64)
    shape = manifold.shape
    if array.shape != shape and array.shape[1:] != shape:
        form = ", ".join(str(n) for n in shape)
        raise PointsError(
            f"{name}: has shape {array.shape}; points of {manifold.name} have shape (n, {form}). "
            f"{manifold.readers}"
        )
    array = array.reshape(-1, *shape)
    require_rows(name, array)
    return _clean(manifold, array)


def _clean(manifold: Manifold, x: np.ndarray) -> np.ndarray:
    if type(manifold) is Torus:
        return np.remainder(np.remainder(x, _TURN), _TURN)  # the first may round up to 2π
    if type(manifold) is Sphere:
        size = np.linalg.norm(x, axis=-1, keepdims=True)
        return x / np.where(size > 0, size, 1.0)
    if _is_product(manifold):
        parts = zip(manifold.factors, _split(manifold, x), strict=True)
        return np.concatenate([_clean(m, p).reshape(len(x), -1) for m, p in parts], axis=1)
    return x


def _is_product(manifold: Manifold) -> TypeGuard[Product]:
    return type(manifold) is Product


def _split(manifold: Product, x: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([math.prod(m.shape) for m in manifold.factors])[:-1]
    parts = np.split(x, ends, axis=-1)
    lead = x.shape[:-1]
    return [p.reshape(*lead, *m.shape) for m, p in zip(manifold.factors, parts, strict=True)]


def flat_coordinates(
    manifold: Manifold, x: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Coordinates whose flat distance is at most the geodesic one, and their periods (0: none)."""
    if type(manifold) in (Euclidean, Sphere):
        flat = x
    elif type(manifold) is Torus:
        return x, np.full(x.shape[1], _TURN)
    elif type(manifold) is SO3:
        flat = x.reshape(len(x), 9) / math.sqrt(2.0)
    elif type(manifold) is Hyperbolic:
        size = np.linalg.norm(x[:, 1:], axis=1, keepdims=True)
        flat = np.where(size > 0, np.arcsinh(size) / np.where(size > 0, size, 1.0), 1.0) * x[:, 1:]
    elif _is_product(manifold):
        parts = zip(manifold.factors, _split(manifold, x), strict=True)
        each = [flat_coordinates(m, p) for m, p in parts]
        known = [(f, p) for f, p in each if f is not None and p is not None]
        if len(known) < len(each):
            return None, None
        return np.concatenate([f for f, _ in known], 1), np.concatenate([p for _, p in known])
    else:
        return None, None
    return flat, np.zeros(flat.shape[1])


def _distance(manifold: Manifold, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Geodesic distances of arrays of points that broadcast over their leading axes."""
    if type(manifold) is Euclidean:
        return _norm(x - y)
    if type(manifold) is Torus:
        gap = np.abs(x - y)
        return _norm(np.minimum(gap, _TURN - gap))
    if type(manifold) is Sphere:
        return 2.0 * np.arctan2(_norm(x - y), _norm(x + y))
    if type(manifold) is SO3:
        p, q = _quaternions(x), _quaternions(y)
        apart, sum_ = _norm(p - q), _norm(p + q)
        return 4.0 * np.arctan2(np.minimum(apart, sum_), np.maximum(apart, sum_))
    if type(manifold) is Hyperbolic:
        # sinh²(r/2) = sinh²((a − b)/2) + sinh a sinh b sin²(φ/2): two sides and the angle.
        sizes = [_norm(z[..., 1:]) for z in (x, y)]
        ends = [
            z[..., 1:] / np.where(s > 0, s, 1.0)[..., None]
            for z, s in zip((x, y), sizes, strict=True)
        ]
        radial = np.sinh(0.5 * (np.arcsinh(sizes[0]) - np.arcsinh(sizes[1])))
        across = 0.5 * np.sqrt(sizes[0]) * np.sqrt(sizes[1]) * _norm(ends[0] - ends[1])
        return 2.0 * np.arcsinh(np.hypot(radial, across))
    if _is_product(manifold):
        pairs = zip(manifold.factors, _split(manifold, x), _split(manifold, y), strict=True)
        return np.sqrt(sum(_distance(m, p, q) ** 2 for m, p, q in pairs))
    lead = np.broadcast_shapes(*(z.shape[: z.ndim - len(manifold.shape)] for z in (x, y)))
    a, b = (
        np.broadcast_to(z, (*lead, *manifold.shape)).reshape(-1, *manifold.shape) for z in (x, y)
    )
    return np.asarray(_by_jax(manifold, jnp.asarray(a), jnp.asarray(b)), np.float64).reshape(lead)


@jax.jit(static_argnums=0)
def _by_jax(manifold, x, y):
    return jax.vmap(manifold.dist)(x, y)


def _norm(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", v, v))


def _quaternions(x: np.ndarray) -> np.ndarray:
    flat = _rotations.to_quaternion(x.reshape(-1, 3, 3), "wxyz")
    return np.asarray(flat).reshape(*x.shape[:-2], 4)


def _by_tree(manifold, tree, x, q, asked, need, wide, ordered, own):
    indices, distances = np.empty((len(q), need), np.int64), np.empty((len(q), need))
    todo = np.arange(len(q))
    while len(todo):
        if not ordered and 4 * wide > len(x) and len(x) > 64:
            mine = own[todo] if own is not None else None
            indices[todo], distances[todo] = _all(manifold, x, q[todo], need, mine)
            break
        chord, index = tree.query(asked[todo], k=np.arange(1, wide + 1))
        exact = _distance(manifold, q[todo, None], x[index])
        if own is not None:
            exact = np.where(index == own[todo, None], np.inf, exact)
        best, dist = _sorted(index, exact, need)
        enough = need - 1 if own is not None else need
        # Rounding of the coordinates is left a margin.
        done = ordered or wide == len(x) or chord[:, -1] > dist[:, enough - 1] * (1 + 1e-12)
        done = np.broadcast_to(done, (len(todo),))
        indices[todo[done]], distances[todo[done]] = best[done], dist[done]
        todo, wide = todo[~done], min(2 * wide, len(x))
    return indices, distances


def _all(manifold, x, q, need, own):
    """The same by all distances, in pieces."""
    indices, distances = np.empty((len(q), need), np.int64), np.empty((len(q), need))
    step = max(1, _CELLS // (4 * len(x)))
    for start in range(0, len(q), step):
        rows = slice(start, start + step)
        exact = _distance(manifold, q[rows, None], x[None])
        if own is not None:
            exact[np.arange(len(exact)), own[rows]] = np.inf
        some = np.argpartition(exact, need - 1, axis=1)[:, :need]
        indices[rows], distances[rows] = _sorted(some, np.take_along_axis(exact, some, 1), need)
    return indices, distances


def _sorted(index, distance, need):
    """The first ``need`` by distance, equal distances by row."""
    order = np.argsort(index, axis=1)
    index, distance = np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :need]
    return np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
