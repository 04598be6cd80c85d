"""Exact transport distance of samples with geodesic cost, beside its finite-sample floor."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._types import Key, Values
from scorefold.manifolds import Manifold, pairwise
from scorefold.metrics._draws import generator, points_of
from scorefold.metrics._verdicts import FRESH, UNTOLD

_LEAST = 10


class Wasserstein(NamedTuple):
    """``value`` ± ``value_std``: W_p of n samples to n reference points, mean and standard
    deviation (None for one) over ``repeats`` draws of both. ``floor`` ± ``floor_std``: the same of
    n other reference points."""

    value: float
    value_std: float | None
    floor: float
    floor_std: float | None
    order: int
    n: int
    repeats: int

    @property
    def verdict(self) -> str:
        if self.n < _LEAST or self.value_std is None or self.floor_std is None:
            return UNTOLD
        if self.value > self.floor + 3 * math.hypot(self.value_std, self.floor_std):
            return f"{self.value / self.floor:.3g} times the floor" if self.floor else "above 0"
        return FRESH


def wasserstein(
    manifold: Manifold,
    samples: Values,
    reference: Values,
    *,
    key: Key,
    order: int = 2,
    at_most: int = 500,
    repeats: int = 4,
) -> Wasserstein:
    """W_p(samples, A) and, beside it, W_p(B, A), with A and B disjoint parts of ``reference``.

    The distance of two finite samples of ONE law is not 0, and in d dimensions it falls slowly,
    like n^{−1/d} for large d. So a value says something only against the floor at the same n,
    which is n = min(samples, half the reference, ``at_most``). Each of ``repeats`` draws A, B and
    the samples anew with ``key``, without replacement. The draws overlap, so the standard
    deviations are a scale to compare with, not errors of a mean.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``order``: p, 1 or 2.
    **Raises:** ``ValueError`` for fewer than 2 reference points.
    """
    x, y = points_of(manifold, samples=samples, reference=reference)
    n = min(len(x), len(y) // 2, at_most)
    if n < 1:
        raise ValueError("reference: needs at least 2 points, to compare them with each other.")
    rng = generator(key)
    values, floors = [], []
    for _ in range(repeats):
        mine, theirs = x[rng.permutation(len(x))[:n]], y[rng.permutation(len(y))[: 2 * n]]
        values.append(transport_distance(manifold, mine, theirs[:n], order))
        floors.append(transport_distance(manifold, theirs[n:], theirs[:n], order))
    value_std, floor_std = (
        float(np.std(v, ddof=1)) if repeats > 1 else None for v in (values, floors)
    )
    value, floor = float(np.mean(values)), float(np.mean(floors))
    return Wasserstein(value, value_std, floor, floor_std, order, n, repeats)


def transport_distance(manifold: Manifold, x: Values, y: Values, order: int = 2) -> float:
    """W_p = (min over permutations π of (1/n) Σ r(x_i, y_π(i))^p)^{1/p}, r the geodesic distance:
    exact, by assignment, in O(n³) time and 16 n² bytes (0.1 s for n = 1000).

    **Raises:** ``ValueError`` if x and y differ in number, or p is not 1 or 2.
    """
    from scipy.optimize import linear_sum_assignment

    if order not in (1, 2):
        raise ValueError(f"order: must be 1 or 2, got {order}.")
    cost = pairwise(manifold, x, y) ** order
    if cost.shape[0] != cost.shape[1]:
        raise ValueError(
            f"y: needs as many points as x, got {cost.shape[1]} and {cost.shape[0]}; "
            "wasserstein draws equally many."
        )
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean() ** (1.0 / order))
