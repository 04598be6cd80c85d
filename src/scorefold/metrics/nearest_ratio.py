"""Share of samples much nearer to one training point than to any other."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.manifolds import Manifold, nearest
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._exchange import ODDS, Groups, Pool, held_out
from scorefold.metrics._verdicts import COPIES, FRESH, UNTOLD


class NearestRatio(NamedTuple):
    """``value`` ± ``standard_error``: the share of samples with d₁/d₂ below the ratio.
    ``null``: ratio^d. ``fresh`` ± ``fresh_error``: the share of test points (None without).
    ``z``: of the samples that close to one of the training and held-out points, how many more are
    beside training points than by chance, in standard deviations; ``odds``: how many a training
    point has beside it over how many a held-out point has, None if the latter have none (both None
    without test points, and with fewer than 10).
    ``duplicates``: rows of ``train`` that repeat an earlier row, left out of the search."""

    value: float
    standard_error: float
    null: float
    fresh: float | None
    fresh_error: float | None
    z: float | None
    odds: float | None
    n: int
    duplicates: int

    @property
    def verdict(self) -> str:
        if self.z is None:
            return UNTOLD
        copied = self.z > 3 and (self.odds is None or self.odds >= ODDS)
        return COPIES if copied else FRESH


def nearest_ratio(
    manifold: Manifold,
    samples: Values,
    train: Values,
    test: Values | None = None,
    *,
    val: Values | None = None,
    groups: Groups | None = None,
    ratio: float = 1 / 3,
) -> NearestRatio:
    """#{x : d₁(x) < ratio · d₂(x)} / n, with d₁ and d₂ the geodesic distances from x to the
    nearest and to the second nearest DIFFERENT training point.

    **Null.** For data of locally uniform density, drawn one independent of another, the ball of
    radius d₂ has the nearest point anywhere in it, so the share is ratio^d: 1/9 of perfect samples
    in the plane, 1/3 on a line. Points in clusters or on a surface of lower dimension have a larger
    share, points that repel each other a smaller one; so have the test points, ``fresh``. None of
    these is a null for samples that are not drawn exactly as the data were.

    **The verdict** is: of the samples with d₁ < ratio · d₂ among training and held-out points
    together, those beside training points are more than exchanged labels give, by 3 standard
    deviations, and for each training point twice as many as for each held-out one (``copying`` has
    the test in full).

    **Repeated training points** (equal in every coordinate) count once: otherwise d₂ = d₁ for
    every sample near a repeated point, and copies of it would go unnoticed.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``val``, ``groups``: as for
    ``copying``.
    **Raises:** ``ValueError`` if ``train`` has fewer than two different points, or ``ratio`` is
    not between 0 and 1.

    The share of samples below 1/3 is the criterion of Yoon et al. (2023) and of later work on
    memorisation in diffusion models, where it is stated without its null.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio: must be between 0 and 1, got {ratio}.")
    rows = rows_of(manifold, "train", train)
    different = np.unique(rows.reshape(len(rows), -1) + 0.0, axis=0).reshape(-1, *manifold.shape)
    if len(different) < 2:
        raise ValueError("train: needs at least two different points, all rows are equal.")

    def share(points: np.ndarray) -> tuple[float, float]:
        """Of the points that have d₁ < ratio · d₂, and its standard error."""
        _, distance = nearest(manifold, different, points, 2)
        value = int(np.sum(distance[:, 0] < ratio * distance[:, 1])) / len(points)
        return value, math.sqrt(value * (1 - value) / len(points))

    x = rows_of(manifold, "samples", samples)
    (value, error), null = share(x), ratio**manifold.dim
    n, repeats = len(x), len(rows) - len(different)
    if test is None:
        return NearestRatio(value, error, null, None, None, None, None, n, repeats)
    p = rows_of(manifold, "test", test)
    fresh, fresh_error = share(p)
    held = held_out(manifold, p, val)
    try:
        pool = Pool(manifold, rows, held, groups)
    except ValueError:
        return NearestRatio(value, error, null, fresh, fresh_error, None, None, n, repeats)
    near = pool.nearest(x)
    found = pool.beside(pool.counts(near, near.ratio < ratio))
    odds = found.odds if math.isfinite(found.odds) else None
    return NearestRatio(value, error, null, fresh, fresh_error, found.z, odds, n, repeats)
