"""Batches of rows that stay on disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._types import Key
from scorefold.fitting._contract import Trainer
from scorefold.fitting.intake import numbers
from scorefold.fitting.weighting import Strata

_BYTES = 2**26
"""Of the rows of a window."""
_MOST = 2**20
"""Rows that units and resolution are read off, and rows that are checked at a time."""


class RowStream:
    """The batches of ``steps`` consecutive steps at a time, a window, gathered from a file.

    Which rows a batch has is the same function of (key, step) as for data in memory, so that the
    result is the same, bit for bit. While a window is trained on, the next one is read. With
    weights, ``strata`` are those of the rows ``kept`` (None: of all).
    """

    def __init__(
        self,
        trainer: Trainer[object],
        rows: np.memmap,
        key: Key,
        size: int,
        capacity: int,
        strata: Strata | None = None,
        kept: np.ndarray | None = None,
    ) -> None:
        self.rows, self._strata, self._kept = rows, strata, kept
        self._trainer, self._order, self._size = trainer, jax.random.fold_in(key, 0), size
        each = size * max(1, rows[:1].nbytes)
        self.steps = max(1, min(capacity, _BYTES // each))
        self._numbers = np.zeros(0, np.int64)
        self._ahead: tuple[int, Future] | None = None
        self._reader = ThreadPoolExecutor(1)

    def window(self, first: int) -> PyTree:
        """Examples of the batches of steps ``first`` … ``first + steps − 1``, one after another."""
        if self._ahead is None or self._ahead[0] != first:
            self._read_ahead(first)
        assert self._ahead is not None
        self._numbers, found = self._ahead[1].result()
        self._read_ahead(first + self.steps)
        return self._trainer.examples(found, "data")

    def row_numbers(self, places: np.ndarray) -> np.ndarray:
        """Rows of the file that stand at places of the last window."""
        return self._numbers[places]

    def close(self) -> None:
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _read_ahead(self, first: int) -> None:
        n = len(self.rows) if self._kept is None else len(self._kept)
        steps = jnp.arange(first, first + self.steps, dtype=jnp.int32)
        found = _numbers(self._trainer, self._order, steps, n, self._size, self._strata)
        wanted = np.asarray(found).ravel()
        wanted = wanted if self._kept is None else self._kept[wanted]
        self._ahead = first, self._reader.submit(partial(_gathered, self.rows, wanted))


def rows_to_measure(n: int) -> np.ndarray:
    """Which of n rows units and resolution are read off: all, or 2²⁰, evenly spaced."""
    return np.arange(n) if n <= _MOST else np.linspace(0, n - 1, _MOST).astype(np.int64)


def check_rows(trainer: Trainer[object], rows: np.memmap) -> None:
    """Look at every row once, some at a time.

    **Raises:** ``ValueError`` naming the first part of the file with rows that are no points.
    """
    for first in range(0, len(rows), _MOST):
        part = rows[first : first + _MOST]
        name = "data" if first == 0 else f"data, counted from row {first}"
        trainer.examples(numbers(name, part), name)


def _gathered(rows: np.memmap, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In the order of the file, so that a disk is read in one direction."""
    order = np.argsort(wanted, kind="stable")
    found = np.empty((len(wanted), *rows.shape[1:]), rows.dtype)
    found[order] = rows[wanted[order]]
    return wanted, found


@eqx.filter_jit
def _numbers(
    trainer: Trainer[object], key: Key, steps: Array, n: int, size: int, strata: Strata | None
) -> Array:
    def one(step: Array) -> Array:
        rows = trainer.batch_rows(key, step, n, size)
        return rows if strata is None else strata.rows(rows, key, step)

    return jax.vmap(one)(steps)
