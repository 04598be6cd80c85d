"""Points of a caller, and random subsets and relabellings of them, from a JAX key."""

from collections.abc import Callable

import jax
import numpy as np

from scorefold._types import Key, Values
from scorefold.manifolds import Manifold
from scorefold.manifolds.neighbours import rows_of

Statistic = Callable[[np.ndarray], np.ndarray]
"""A number for each column of labels, shape ``(n + m, count)``."""


def points_of(manifold: Manifold, **given: Values) -> list[np.ndarray]:
    """The rows of each array, float64. **Raises:** ``ValueError`` naming the argument."""
    return [rows_of(manifold, name, rows) for name, rows in given.items()]


def generator(key: Key) -> np.random.Generator:
    """A NumPy generator that is a function of the key."""
    words = jax.random.bits(key, (4,), np.uint32)
    return np.random.default_rng(np.asarray(words))


def limit(rows: np.ndarray, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """All rows, or ``at_most`` of them drawn without replacement."""
    if len(rows) <= at_most:
        return rows
    return rows[np.sort(rng.permutation(len(rows))[:at_most])]


def independent(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Different rows, drawn from rows of which some repeat others, so that they are independent
    where the repeats are not: a place recorded m times is kept once, with probability
    min(m, c)/c. Places and rows then have one law, but for the at most 5 % of rows beyond c."""
    flat = rows.reshape(len(rows), -1) + 0.0
    _, first, times = np.unique(flat, axis=0, return_index=True, return_counts=True)
    if len(first) == len(rows):
        return rows
    cap = next(c for c in range(1, len(rows) + 1)
               if np.maximum(times - c, 0).sum() <= 0.05 * len(rows))  # fmt: skip
    kept = rng.uniform(size=len(first)) < np.minimum(times, cap) / cap
    return rows[np.sort(first[kept])]


def permutation_values(
    statistic: Statistic, n: int, m: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """A statistic of ``count`` random labellings of n + m rows, n of them True."""
    labels = np.zeros((n + m, count), bool)
    labels[:n] = True
    return statistic(rng.permuted(labels, axis=0))
