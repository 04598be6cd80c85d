"""Rows with weights as independent rows that are all alike."""

import numpy as np

from scorefold._foreign import plain
from scorefold._types import Key, Values
from scorefold._weights import rows_that_count
from scorefold.metrics._draws import generator

_BEYOND = 0.05
"""Share of the weight that may lie beyond the bound of the rejection."""


def thinned(points: Values, weights: Values, *, key: Key) -> np.ndarray:
    """Numbers of different rows, drawn in proportion to their weights: row i is kept with
    probability min(w_i, c)/c, w_i the weight of all rows equal to it (rejection).

        rows = metrics.thinned(points, weights, key=jax.random.key(0))
        metrics.mmd(manifold, samples, points[rows], key=jax.random.key(1))

    Where rows are independent draws of a law q and w is proportional to p/q, the kept ones are
    independent draws of p, as the nulls of two-sample measures suppose; but for the at most 5 % of
    the weight beyond c. About Σw/c rows are kept.

    **Arguments:** ``points``: shape ``(n, …)``; ``weights``: ≥ 0, shape ``(n,)``.
    **Raises:** ``ValueError`` for weights that are none.
    """
    rows = np.asarray(plain("points", points))
    kept, w = rows_that_count("weights", weights, len(rows))
    kept = np.arange(len(rows)) if kept is None else kept
    w = np.ones(len(kept)) if w is None else w
    return kept[kept_rows(rows[kept], w, generator(key))]


def kept_rows(rows: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``thinned`` for positive weights."""
    flat = rows.reshape(len(rows), -1) + 0.0
    _, first, same = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    w = np.bincount(same.reshape(-1), weights)
    ordered = np.sort(w)[::-1]
    # With c between the k-th and the next, what is beyond it is the sum of k of them less k c.
    caps = (np.cumsum(ordered) - _BEYOND * w.sum()) / np.arange(1, len(w) + 1)
    cap = caps[np.argmax(caps >= np.append(ordered[1:], 0.0))]
    return np.sort(first[rng.uniform(size=len(first)) < np.minimum(w, cap) / cap])
