"""How fast Brownian motion should be that joins snapshots, where nobody says."""

import itertools
from collections.abc import Sequence

import numpy as np

from scorefold._types import Values
from scorefold.bridges.reference.integrated import check_times
from scorefold.manifolds import Manifold, pairwise

_SHARE = 0.25
_COMPARED = 500


def snapshot_rate(manifold: Manifold, times: Values, points: Sequence[Values]) -> float:
    """A quarter of the variance per unit of time at which Brownian motion alone would move points
    as far as optimal transport does,

        ¼ Σ_k W₂²(μ_k, μ_{k+1}) / (d (t_K − t_0)),

    to two digits, from at most 500 points of each snapshot (evenly spaced rows)."""
    from scipy.optimize import linear_sum_assignment

    at, total = check_times(times), 0.0
    for a, b in itertools.pairwise(map(np.asarray, points)):
        n = min(len(a), len(b), _COMPARED)
        first, last = (x[np.linspace(0, len(x) - 1, n).astype(int)] for x in (a, b))
        square = pairwise(manifold, first, last) ** 2
        i, j = linear_sum_assignment(square)
        total += float(square[i, j].mean())
    if not total > 0:
        raise ValueError(
            "points: all snapshots are equal, so nothing moves: state rate (--variance)."
        )
    return float(f"{_SHARE * total / (manifold.dim * (at[-1] - at[0])):.2g}")
