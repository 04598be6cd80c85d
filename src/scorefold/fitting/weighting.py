"""Which rows a batch has where rows carry weights: systematic draws from the stream of rows."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key
from scorefold.fitting.batches import mixed


class RowWeights(NamedTuple):
    """Weights of training rows and of held-out ones, of mean 1 each; None: all alike."""

    data: Array | None
    val: Array | None


class Strata(NamedTuple):
    """n rows of weights w, of mean 1, one after another on a line of length n: row r has
    [C_{r−1}, C_r), C_r = w_1 + … + w_r.

    Where the stream of rows (``batch_rows``) has number i, the batch has the row in which the place
    i + u lies, u one number in [0, 1) an epoch. So every epoch has each row ⌊w⌋ or ⌈w⌉ times, w in
    the mean over epochs (systematic sampling), the batch at a step stays a function of the key
    and the step, and equal weights give the stream itself.

    ``whole``, ``part``: the integer and, in 2⁻³², the fractional part of C_r, shape ``(n,)``.
    """

    whole: Array
    part: Array

    @classmethod
    def of(cls, weights: np.ndarray) -> Strata:
        n = len(weights)
        ends = np.cumsum(weights) * (n / np.sum(weights))
        # In 2⁻³², which is exact below 2²¹ rows and finer than a float32 weight beyond.
        whole = np.floor(ends)
        part = np.minimum(np.floor((ends - whole) * 2.0**32), 2.0**32 - 1)
        whole[-1], part[-1] = n, 0.0
        return cls(jnp.asarray(whole, jnp.int32), jnp.asarray(part, jnp.uint32))

    def rows(self, numbers: Array, key: Key, step: Array) -> Array:
        """Rows of the batch at ``step`` that the stream gives these numbers, shape ``(size,)``."""
        n, size = len(self.whole), len(numbers)
        position = step.astype(jnp.uint32) * size + jnp.arange(size, dtype=jnp.uint32)
        word = jax.random.bits(jax.random.fold_in(key, 0), (), jnp.uint32)
        offset = mixed(mixed(position // n ^ word) ^ word)
        low, high = jnp.zeros(size, jnp.int32), jnp.full(size, n - 1, jnp.int32)
        for _ in range(n.bit_length()):
            middle = (low + high) // 2
            whole, part = self.whole[middle], self.part[middle]
            beyond = (whole > numbers) | ((whole == numbers) & (part > offset))
            low, high = jnp.where(beyond, low, middle + 1), jnp.where(beyond, middle, high)
            low = jnp.minimum(low, high)
        return high


class WeightedRows(NamedTuple):
    """What training does with weights: rows are drawn by ``strata``, or in an order of the
    trainer's own their losses are multiplied by ``losses``; ``val``: of held-out examples."""

    strata: Strata | None = None
    losses: Array | None = None
    val: Array | None = None
