"""Random subsets and relabellings, from a JAX key."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from scorefold._types import Key

__all__ = ["Law", "generator", "limit", "permutation_values"]

Law = Callable[[np.ndarray], np.ndarray]


def generator(key: Key) -> np.random.Generator:
    """A NumPy generator that is a function of the key."""
    words = jax.random.bits(key, (4,), np.uint32)
    return np.random.default_rng(np.asarray(words))


def limit(rows: np.ndarray, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """All rows, or ``at_most`` of them drawn without replacement."""
    if len(rows) <= at_most:
        return rows
    return rows[np.sort(rng.permutation(len(rows))[:at_most])]


def permutation_values(
    statistic: Law, n: int, m: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """A statistic of ``count`` random labellings of n + m rows, n of them True; ``statistic``
    takes the labels, shape ``(n + m, count)``."""
    labels = np.zeros((n + m, count), bool)
    labels[:n] = True
    return statistic(rng.permuted(labels, axis=0))
