"""How long Brownian motion between two laws lasts, where nobody says."""

import numpy as np

from scorefold._types import NumPyOrJax
from scorefold.manifolds import Manifold, pairwise

_SHARE = 0.1
_SEEN = 500


def mean_square_gap(manifold: Manifold, a: NumPyOrJax, b: NumPyOrJax) -> float:
    """The mean squared distance of points of A and of B per dimension, flat coordinates taken from
    the mean of their own end: moving an end as a whole changes no coupling. Of the first 500 of
    each, shape ``(n, *shape)``."""
    flat = manifold.flat_coordinates
    first, last = (np.asarray(rows, np.float64) for rows in (a, b))
    first, last = (x - np.where(flat, x.mean(axis=0), 0.0) for x in (first, last))
    return float(np.mean(pairwise(manifold, first[:_SEEN], last[:_SEEN]) ** 2)) / manifold.dim


def usual_variance(gap: float) -> float:
    """A tenth of ``mean_square_gap``, to two digits."""
    return float(f"{_SHARE * gap:.2g}")
