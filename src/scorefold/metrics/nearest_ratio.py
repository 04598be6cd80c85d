"""Share of samples much nearer to one training point than to any other."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scorefold.manifolds import Manifold, nearest
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._draws import two_proportions

__all__ = ["NearestRatio", "nearest_ratio"]


class NearestRatio(NamedTuple):
    """``value`` ± ``standard_error``: the share of samples with d₁/d₂ below the ratio.
    ``null``: ratio^d. ``fresh`` ± ``fresh_error``: the share of test points (NaN without).
    ``z``: difference of the two shares in pooled standard errors (NaN without test points).
    ``duplicates``: rows of ``train`` that repeat an earlier row, left out of the search."""

    value: float
    standard_error: float
    null: float
    fresh: float
    fresh_error: float
    z: float
    n: int
    duplicates: int

    @property
    def verdict(self) -> str:
        z = self.z
        if math.isnan(z):
            z = (self.value - self.null) / math.sqrt(self.null * (1 - self.null) / self.n)
        if z > 3:
            return "copies training points"
        if z < -3:
            return "fewer near training points than fresh data"
        return "consistent with fresh data"


def nearest_ratio(
    manifold: Manifold, samples: Any, train: Any, test: Any = None, *, ratio: float = 1 / 3
) -> NearestRatio:
    """#{x : d₁(x) < ratio · d₂(x)} / n, with d₁ and d₂ the geodesic distances from x to the
    nearest and to the second nearest DIFFERENT training point.

    **Null.** For data of locally uniform density the ball of radius d₂ has the nearest point
    anywhere in it, so the share is ratio^d: 1/9 of perfect samples in the plane, 1/3 on a line.
    Where the density varies within d₂ it is not exactly that; the share of the test points, which
    are fresh, is. d is the dimension of the manifold: data near a surface of lower dimension
    have a larger share, and only the test points tell.

    **Repeated training points** (equal in every coordinate) count once: otherwise d₂ = d₁ for
    every sample near a repeated point, and copies of it would go unnoticed.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``.
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

    def hits(name: str, x: Any) -> tuple[int, int]:
        _, distance = nearest(manifold, different, rows_of(manifold, name, x), 2)
        return int(np.sum(distance[:, 0] < ratio * distance[:, 1])), len(distance)

    count, n = hits("samples", samples)
    value, null = count / n, ratio**manifold.dim
    fresh, fresh_error, z = math.nan, math.nan, math.nan
    if test is not None:
        others, m = hits("test", test)
        fresh, z = others / m, two_proportions(count, n, others, m)
        fresh_error = math.sqrt(fresh * (1 - fresh) / m)
    error = math.sqrt(value * (1 - value) / n)
    repeats = len(rows) - len(different)
    return NearestRatio(value, error, null, fresh, fresh_error, z, n, repeats)
