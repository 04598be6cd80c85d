"""Exact nearest neighbours and distances of many points, in NumPy and float64."""

from typing import TYPE_CHECKING

import numpy as np

from scorefold._geometry import Manifold
from scorefold._types import Values
from scorefold.manifolds._check import PointsError, as_numbers, require_rows

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_CELLS = 1 << 21
"""Distances held at once."""


def nearest(
    manifold: Manifold, points: Values, queries: Values, k: int, *, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k of ``points`` nearest to each of ``queries`` in the geodesic distance.

    Exact for every geometry: a k-d tree is asked in coordinates in which the flat distance is at
    most the geodesic one, for more and more neighbours, until the flat distance of the last one
    exceeds the k-th geodesic distance found: no other point can be nearer. Those coordinates are
    the points themselves on R^d, angles with period 2π on T^d, unit vectors on S^d, matrices/√2
    on SO(3), log at the origin on H^d (which shortens distances where curvature is not positive)
    and all of these side by side on products. One round is enough where the flat distance decides
    the order (R^d, T^d, S^d, SO(3)). On H^d far from the origin, and for a geometry without
    ``chords``, all distances are computed. Memory stays bounded.

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
    chords, asked = manifold.chords(x), manifold.chords(q)
    indices, distances = np.empty((len(q), k), np.int64), np.empty((len(q), k))
    tree = None
    if chords is not None:
        from scipy.spatial import cKDTree

        tree = cKDTree(chords.coordinates, boxsize=chords.periods)
    ordered = chords is not None and chords.ordered
    wide = need if ordered else min(2 * need + 8, n)
    step = max(1, _CELLS // (4 * wide))
    for start in range(0, len(q), step):
        rows = np.arange(start, min(start + step, len(q)))
        own = rows if exclude_self else None
        if tree is None or asked is None:
            found = _all(manifold, x, q[rows], need, own)
        else:
            places = asked.coordinates[rows]
            found = _by_tree(manifold, tree, x, q[rows], places, need, wide, ordered, own)
        indices[rows], distances[rows] = found[0][:, :k], found[1][:, :k]
    return indices, distances


def count_within(
    manifold: Manifold, points: Values, queries: Values, radius: np.ndarray
) -> np.ndarray:
    """How many of ``points`` are within a geodesic distance, up to rounding, of each of m
    ``queries``: shape ``(m,)``. ``radius``: shape ``(m,)``. By a tree where the flat distance
    decides, by all distances elsewhere."""
    x, q = rows_of(manifold, "points", points), rows_of(manifold, "queries", queries)
    chords, asked = manifold.chords(x), manifold.chords(q)
    if chords is None or asked is None or not chords.ordered:
        count, step = np.empty(len(q), np.int64), max(1, _CELLS // (4 * len(x)))
        for start in range(0, len(q), step):
            rows = slice(start, start + step)
            inside = manifold.distances(q[rows, None], x[None]) <= radius[rows, None]
            count[rows] = inside.sum(1)
        return count
    from scipy.spatial import cKDTree

    tree = cKDTree(chords.coordinates, boxsize=chords.periods)
    reach = manifold.chord(np.maximum(radius, 0.0)) * (1 + 1e-12)
    found = tree.query_ball_point(asked.coordinates, reach, return_length=True, workers=-1)
    return np.where(radius < 0, 0, found)


def pairwise(manifold: Manifold, x: Values, y: Values) -> np.ndarray:
    """Geodesic distances of all pairs, shape ``(n, m)``, float64; 8 n m bytes."""
    a, b = rows_of(manifold, "x", x), rows_of(manifold, "y", y)
    out = np.empty((len(a), len(b)))
    step = max(1, _CELLS // (4 * len(b)))
    for start in range(0, len(a), step):
        out[start : start + step] = manifold.distances(a[start : start + step, None], b[None])
    return out


def rows_of(manifold: Manifold, name: str, points: Values) -> np.ndarray:
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
    return manifold.normalised(array)


def _by_tree(
    manifold: Manifold,
    tree: "cKDTree",
    x: np.ndarray,
    q: np.ndarray,
    asked: np.ndarray,
    need: int,
    wide: int,
    ordered: bool,
    own: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    indices, distances = np.empty((len(q), need), np.int64), np.empty((len(q), need))
    todo = np.arange(len(q))
    while len(todo):
        if not ordered and 4 * wide > len(x) and len(x) > 64:
            mine = own[todo] if own is not None else None
            indices[todo], distances[todo] = _all(manifold, x, q[todo], need, mine)
            break
        chord, index = tree.query(asked[todo], k=np.arange(1, wide + 1), workers=-1)
        exact = manifold.distances(q[todo, None], x[index])
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


def _all(
    manifold: Manifold, x: np.ndarray, q: np.ndarray, need: int, own: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The same by all distances, in pieces."""
    indices, distances = np.empty((len(q), need), np.int64), np.empty((len(q), need))
    step = max(1, _CELLS // (4 * len(x)))
    for start in range(0, len(q), step):
        rows = slice(start, start + step)
        exact = manifold.distances(q[rows, None], x[None])
        if own is not None:
            exact[np.arange(len(exact)), own[rows]] = np.inf
        some = np.argpartition(exact, need - 1, axis=1)[:, :need]
        indices[rows], distances[rows] = _sorted(some, np.take_along_axis(exact, some, 1), need)
    return indices, distances


def _sorted(index: np.ndarray, distance: np.ndarray, need: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``need`` by distance, equal distances by row."""
    order = np.argsort(index, axis=1)
    index, distance = np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :need]
    return np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
