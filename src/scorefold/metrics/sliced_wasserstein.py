"""Transport distance of laws projected to lines or circles."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from scorefold._types import Key, Values
from scorefold.manifolds import Manifold
from scorefold.metrics._draws import Statistic, generator, limit, points_of
from scorefold.metrics.two_sample import TwoSample, compared

_TURN = 2.0 * math.pi
_Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sliced_wasserstein(
    manifold: Manifold,
    samples: Values,
    reference: Values,
    *,
    key: Key,
    order: int = 1,
    projections: int = 50,
    at_most: int = 2000,
    permutations: int = 199,
) -> TwoSample:
    """SW_p = (E_u W_p(u(X), u(Y))^p)^{1/p}, the mean over random ``projections`` u that do not
    lengthen distances, so that SW_p ≤ W_p with the geodesic distance.

    * R^d: u(x) = ⟨u, x⟩, u uniform on the unit sphere (Rabin et al. 2011).
    * S^d, SO(3): the same with unit vectors of R^{d+1}, and with the matrices /√2 in R^9: chords
      are shorter than arcs.
    * T^d: u(x) = k·x mod 2π on the circle of length 2π/|k|, k ∈ Z^d with few and small entries
      (every k has positive probability; common divisors are divided out), p = 1. The
      laws of all k·x determine the law of x, as they have its Fourier coefficients.
    * H^d and products: refused. Lines through the origin of H^d single out one point (moving
      both laws would change the value), and the factors of a product have units of their own.

    The mean over all projections is a metric on laws; ``projections`` of them, drawn with ``key``,
    estimate it. See ``TwoSample`` for the null and the floor, which are those of this statistic.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``order``: p, 1 or 2 (1 on
    tori).
    **Raises:** ``ValueError`` for H^d and products, and for orders other than these.
    """
    given = points_of(manifold, samples=samples, reference=reference)
    some = manifold.chords(given[1])
    if some is None or not some.ordered:
        raise ValueError(
            f"manifold: there are no projections of {manifold.name} to lines or circles that "
            "treat all its points alike; use wasserstein or mmd."
        )
    if order not in ((1,) if manifold.toral else (1, 2)):
        allowed = "1" if manifold.toral else "1 or 2"
        raise ValueError(f"order: must be {allowed} on {manifold.name}, got {order}.")
    rng = generator(key)
    x, y = (limit(rows, at_most, rng) for rows in given)
    if len(y) < 2:
        raise ValueError(f"reference: needs at least 2 points, got {len(y)}.")
    pooled = np.concatenate([x, y])
    if manifold.toral:
        slices, weights, lengths = _characters(manifold.dim, projections, rng)
        images = np.remainder(slices @ pooled.T, _TURN) * (lengths / _TURN)[:, None]
        distance: _Distance = partial(circle_wasserstein, lengths=lengths)
    else:
        chords = manifold.chords(pooled)
        assert chords is not None
        flat = chords.coordinates
        slices = rng.normal(size=(projections, flat.shape[1]))
        images = slices @ flat.T / np.linalg.norm(slices, axis=1, keepdims=True)
        weights = np.full(projections, 1.0 / projections)
        distance = partial(line_wasserstein, order=order)
    n = len(x)
    whole, within = (_statistic(i, weights, distance, order) for i in (images, images[:, n:]))
    return compared(whole, within, n, len(y), rng, permutations)


def _statistic(
    images: np.ndarray, weights: np.ndarray, distance: _Distance, order: int
) -> Statistic:
    """SW_p of each column of labels; the images are sorted once for all of them."""
    places = np.argsort(images, axis=1)
    values = np.take_along_axis(images, places, axis=1)

    def of(labels: np.ndarray) -> np.ndarray:
        each = [weights @ distance(values, a[places]) ** order for a in labels.T]
        return np.asarray(each) ** (1.0 / order)

    return of


def line_wasserstein(values: np.ndarray, first: np.ndarray, order: int) -> np.ndarray:
    """W_p on the line between the values where ``first`` holds and the others, row by row:
    W_p^p = ∫₀¹ |F⁻¹(u) − G⁻¹(u)|^p du. ``values``, shape ``(k, n + m)``, are sorted; every row
    has n marked values."""
    k = len(values)
    x, y = values[first].reshape(k, -1), values[~first].reshape(k, -1)
    n, m = x.shape[1], y.shape[1]
    if n == m:
        return np.mean(np.abs(x - y) ** order, axis=1) ** (1.0 / order)
    # Between multiples of 1/n and 1/m both quantile functions are constant; in units of 1/(nm).
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], ends[:-1]])
    gap = np.abs(x[:, starts // m] - y[:, starts // n])
    return (gap**order @ ((ends - starts) / (n * m))) ** (1.0 / order)


def circle_wasserstein(values: np.ndarray, first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """W₁ on circles of the given lengths, row by row: ∫ |F − G − c| dt with c the median of F − G
    in t (Rabin, Delon, Gousseau 2011). Arguments as for ``line_wasserstein``."""
    n = first.sum(axis=1, keepdims=True)
    m = first.shape[1] - n
    height = np.cumsum(np.where(first, 1.0 / n, -1.0 / m), axis=1)
    ends = np.concatenate([values[:, 1:], values[:, :1] + lengths[:, None]], axis=1)
    gaps = ends - values
    order = np.argsort(height, axis=1)
    reach = np.cumsum(np.take_along_axis(gaps, order, axis=1), axis=1)
    middle = np.argmax(reach >= 0.5 * reach[:, -1:], axis=1)
    sorted_ = np.take_along_axis(height, order, axis=1)
    median = np.take_along_axis(sorted_, middle[:, None], axis=1)
    return np.sum(np.abs(height - median) * gaps, axis=1)


def _characters(
    d: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different primitive k ∈ Z^d up to sign, their shares among ``count`` draws and 2π/|k|."""
    k = np.zeros((count, d), np.int64)
    for row in k:
        some = rng.permutation(d)[: rng.geometric(0.5)]
        row[some] = rng.geometric(0.5, len(some)) * rng.choice([-1, 1], len(some))
        row //= np.gcd.reduce(row)
        row *= np.sign(row[np.flatnonzero(row)[0]])
    different, counts = np.unique(k, axis=0, return_counts=True)
    return different, counts / count, _TURN / np.linalg.norm(different, axis=1)
