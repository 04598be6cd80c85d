"""What inner snapshots, each left out in turn, say of a law of paths through the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, NumPyOrJax, Values
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.reference.integrated import check_times
from scorefold.manifolds import Manifold, check_points, pairwise

_SCORED = 4
"""Inner snapshots that are left out, at most."""
_ORDERS = 8


class Clouds(NamedTuple):
    """Snapshots with as many points each, around their mean on flat coordinates: ``clouds``, shape
    ``(K + 1, n, *shape)``."""

    manifold: Manifold
    times: np.ndarray
    clouds: Array

    @property
    def inner(self) -> list[int]:
        """Those that are left out in turn: evenly spaced ones, if there are many."""
        count = len(self.times) - 2
        if count < 1:
            return []
        return [1 + int(k) for k in np.unique(np.linspace(0, count - 1, _SCORED).astype(int))]

    def without(self, k: int) -> Clouds:
        keep = np.arange(len(self.times)) != k
        return self._replace(times=self.times[keep], clouds=self.clouds[keep])

    def missed(self, k: int, drawn: NumPyOrJax) -> float:
        """W₁ with geodesic cost between n draws and the points of snapshot k."""
        from scipy.optimize import linear_sum_assignment

        apart = pairwise(self.manifold, np.asarray(drawn), np.asarray(self.clouds[k]))
        i, j = linear_sum_assignment(apart)
        return float(apart[i, j].mean())


def floor_of(key: Key, manifold: Manifold, points: NumPyOrJax, at_most: int) -> float:
    """W₁ that fresh points of a snapshot's law have to as many of its points: that of its halves,
    in eight random orders, times 2^{−1/max(d, 2)}, as distances of samples fall with their size."""
    from scipy.optimize import linear_sum_assignment

    rows = np.asarray(points)
    half, found = min(len(rows), at_most) // 2, []
    for k in jax.random.split(key, _ORDERS):
        order = np.asarray(jax.random.permutation(k, len(rows)))
        apart = pairwise(manifold, rows[order[:half]], rows[order[half : 2 * half]])
        i, j = linear_sum_assignment(apart)
        found.append(float(apart[i, j].mean()))
    return float(np.mean(found)) * 2.0 ** (-1.0 / max(manifold.dim, 2))


def nearer(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether distances are smaller by a sixth in the mean, and by twice the standard error of the
    difference: the least of several is small by chance. Or smaller at each, and half in the mean:
    of two or three differences the error says little."""
    gain = np.subtract(other, one)
    if not np.isfinite(gain).all():
        return bool(np.mean(one) < np.mean(other))
    if (gain > 0.0).all() and np.mean(one) <= 0.5 * np.mean(other):
        return True
    error = gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return bool(gain.mean() > max(2.0 * error, float(np.mean(other)) / 6.0))


def checked_snapshots(
    manifold: Manifold, times: Values, points: Sequence[Values]
) -> tuple[np.ndarray, list[NumPyOrJax]]:
    """**Raises:** ``ValueError`` naming the argument for times that do not increase, points that
    do not fit them and fewer than 2 points in a snapshot."""
    at = check_times(times)
    if len(points) != len(at):
        raise ValueError(f"points: {len(at)} times need as many snapshots, got {len(points)}.")
    exact = [exact_rows(manifold, p, f"points[{k}]") for k, p in enumerate(points)]
    for k, rows in enumerate(exact):
        if len(rows) < 2:
            raise ValueError(f"points[{k}]: a snapshot needs 2 points or more, got {len(rows)}.")
    return at, exact


def around_mean(
    manifold: Manifold, exact: Sequence[NumPyOrJax]
) -> tuple[np.ndarray | None, list[Array]]:
    """Flat coordinates around their mean over all snapshots, and that mean (None: there are none),
    in the precision that they have."""
    if not manifold.flat_coordinates.any():
        return None, [jnp.asarray(check_points(manifold, rows, "points")) for rows in exact]
    every = np.concatenate([np.asarray(rows, np.float64) for rows in exact])
    origin = np.where(manifold.flat_coordinates, every.mean(axis=0), 0.0)
    moved = [np.asarray(rows, np.float64) - origin for rows in exact]
    kinds = {np.asarray(rows).dtype for rows in exact}
    dtype = jnp.result_type(float) if kinds == {np.dtype(np.float64)} else jnp.float32
    return origin, [check_points(manifold, jnp.asarray(rows, dtype), "points") for rows in moved]


def alike(key: Key, points: Sequence[NumPyOrJax], at_most: int) -> list[NumPyOrJax]:
    """As many points of each snapshot: some of a large one, those of a small one repeated."""
    count = min(at_most, max(map(len, points)))
    found = []
    for k, rows in zip(jax.random.split(key, len(points)), points, strict=True):
        order = np.asarray(jax.random.permutation(k, len(rows)))
        found.append(rows[np.tile(order, -(-count // len(rows)))[:count]])
    return found
