"""Distances of laws from kernels: maximum mean discrepancy and energy distance."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from scorefold._types import Key, Values
from scorefold.manifolds import Manifold, pairwise
from scorefold.metrics._draws import Statistic, generator, limit, permutation_values, points_of
from scorefold.metrics._kernel import heat_matrix
from scorefold.metrics._verdicts import FRESH, UNTOLD


class TwoSample(NamedTuple):
    """``value``: the statistic of n samples against m reference points.
    ``null_95``, ``p_value``: 95 % quantile over random relabellings of the pooled points, and the
    share of relabellings (this one included) that reach the value.
    ``floor``: 95 % quantile over random halvings of the reference, half against half.
    ``scales``: of the kernels, as distances √s; empty for other statistics.
    ``metric``: whether the value in the limit is 0 for equal laws only."""

    value: float
    null_95: float
    p_value: float
    floor: float
    n: int
    m: int
    scales: tuple[float, ...] = ()
    metric: bool = True

    @property
    def verdict(self) -> str:
        if self.p_value <= 0.01:
            return "differs from fresh data"
        # So few relabellings that none can be called rare.
        if math.comb(self.n + self.m, self.n) < 200:
            return UNTOLD
        return FRESH


def mmd(
    manifold: Manifold,
    samples: Values,
    reference: Values,
    *,
    key: Key,
    scales: Sequence[float] | None = None,
    at_most: int = 1000,
    permutations: int = 199,
) -> TwoSample:
    """MMD² = E k(X, X′) + E k(Y, Y′) − 2 E k(X, Y), unbiased: sums over i ≠ j
    (Gretton et al. 2012, equation 3).

    k is the mean over ``scales`` σ of heat kernels k_σ(x, y) = p_s(x | y)/p_s(o | o), s = σ²: on
    R^d the Gaussian exp(−r²/2σ²). A heat kernel is positive definite, and MMD a metric on laws, on
    every geometry; exp(−r²/2σ²) with the geodesic distance r is that on flat space alone.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; of longer ones ``at_most``
    rows are drawn with ``key``, without replacement. ``scales``: default ¼, ½ and 1 times the
    median distance of (at most 500 of) the pooled points, which relabelling does not change.
    **Raises:** ``ValueError`` for fewer than 4 points in either array, or scales not positive.
    """
    rng = generator(key)
    pooled, n = _pair(manifold, samples, reference, at_most, rng)
    if scales is None:
        some = limit(pooled, 500, rng)
        apart = pairwise(manifold, some, some)
        if not (apart > 0).any():
            raise ValueError("samples: all points are equal, so there is no median distance.")
        median = float(np.median(apart[apart > 0]))
        scales = (median / 4, median / 2, median)
    scales = tuple(float(scale) for scale in scales)
    if not scales or not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise ValueError(f"scales: must be positive distances, got {scales}.")
    kernel = heat_matrix(manifold, pooled, scales)
    return _two_sample(kernel, n, rng, permutations)._replace(scales=scales)


def energy_distance(
    manifold: Manifold,
    samples: Values,
    reference: Values,
    *,
    key: Key,
    at_most: int = 1000,
    permutations: int = 199,
) -> TwoSample:
    """2 E r(X, Y) − E r(X, X′) − E r(Y, Y′), r the geodesic distance, unbiased: sums over i ≠ j
    (Székely and Rizzo 2013). On a line it is 2∫(F − G)².

    It is a metric on laws (squared) where r is strictly of negative type: R^d and H^d. On S^d
    (and T^1) r is of negative type but not strictly: the value is never negative, but it is blind
    to what is even under the antipodal map beyond total mass, so that two laws that both are
    symmetric under it are at distance 0. On T^d with d ≥ 2 and on SO(3) r is not of negative
    type (r has positive Fourier coefficients there), and on products it need not be: different
    laws could have a negative "distance", so it is refused.

    **Arguments:** as for ``mmd``.
    **Raises:** ``ValueError`` where the distance is not of negative type.
    """
    if manifold.negative_type is None:
        raise ValueError(
            f"manifold: the distance of {manifold.name} is not of negative type, so an energy "
            "distance of different laws could be negative; use mmd."
        )
    rng = generator(key)
    pooled, n = _pair(manifold, samples, reference, at_most, rng)
    found = _two_sample(-pairwise(manifold, pooled, pooled), n, rng, permutations)
    return found._replace(metric=manifold.negative_type == "strict")


def compared(
    statistic: Statistic, within: Statistic, n: int, m: int, rng: np.random.Generator, count: int
) -> TwoSample:
    """The ``statistic`` of n samples followed by m reference points, beside its values for
    ``count`` random labellings of them; and the floor, from ``within``, the same statistic of the
    reference points alone."""
    value = float(statistic(np.arange(n + m)[:, None] < n)[0])
    null = permutation_values(statistic, n, m, count, rng)
    halves = permutation_values(within, m // 2, m - m // 2, 100, rng)
    reached = float((1 + np.sum(null >= value)) / (1 + count))
    null_95, floor = (float(np.quantile(v, 0.95)) for v in (null, halves))
    return TwoSample(value, null_95, reached, floor, n, m)


def _pair(
    manifold: Manifold, samples: Values, reference: Values, at_most: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Samples and reference points one after the other, and the number of samples."""
    given = points_of(manifold, samples=samples, reference=reference)
    x, y = (limit(rows, at_most, rng) for rows in given)
    for name, rows in (("samples", x), ("reference", y)):
        if len(rows) < 4:
            raise ValueError(f"{name}: needs at least 4 points, got {len(rows)}.")
    return np.concatenate([x, y]), len(x)


def _two_sample(
    kernel: np.ndarray, n: int, rng: np.random.Generator, permutations: int
) -> TwoSample:
    np.fill_diagonal(kernel, 0.0)
    whole, within = (partial(_unbiased, k) for k in (kernel, np.ascontiguousarray(kernel[n:, n:])))
    return compared(whole, within, n, len(kernel) - n, rng, permutations)


def _unbiased(kernel: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The statistic of each column of labels from a kernel matrix with zero diagonal."""
    a = labels.astype(np.float64)
    n, m = a[:, 0].sum(), (1.0 - a[:, 0]).sum()
    rows = kernel @ a
    both = np.sum(rows * a, axis=0)
    across = np.sum(rows, axis=0) - both
    other = kernel.sum() - both - 2.0 * across
    return both / (n * (n - 1)) + other / (m * (m - 1)) - 2.0 * across / (n * m)
