"""Weights of rows: one check, and the sums that are taken with them."""

from __future__ import annotations

from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, listed
from scorefold._types import DTypeLike, NumPyOrJax, Values

R = TypeVar("R", np.ndarray, Array)


def check_weights(name: str, weights: Values, n: int) -> np.ndarray:
    """Weights w of n rows over the largest of them, float64, shape ``(n,)``.

    **Raises:** ``ValueError`` with the name of the argument, for weights of another shape,
    negative or not finite ones (with their rows), and where all are 0.
    """
    if isinstance(weights, np.ma.MaskedArray) and np.ma.is_masked(weights):
        hidden = listed(np.flatnonzero(np.ma.getmaskarray(weights).reshape(-1)))
        raise ValueError(f"{name}: rows {hidden} are masked: give 0 for rows that do not count.")
    try:
        given = np.asarray(weights)
        if given.dtype.kind in "mMc":
            raise TypeError(f"they are {given.dtype}")
        w = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not one array of numbers ({str(error)[:200]}).") from None
    if w.shape != (n,):
        raise ValueError(
            f"{name}: one weight for each of {n} rows is needed, got an array of shape {w.shape}."
        )
    for wrong, what in ((~np.isfinite(w), "are not finite"), (w < 0, "are negative")):
        if wrong.any():
            rows = listed(np.flatnonzero(wrong))
            raise ValueError(
                f"{name}: {int(wrong.sum())} of {n} weights {what} (rows {rows}). State weights "
                "≥ 0, 0 for rows that do not count."
            )
    most = w.max(initial=0.0)
    if not most > 0:
        raise ValueError(
            f"{name}: all {n} weights are 0, so no row counts (rows {listed(np.arange(n))}). State "
            "a positive weight for the rows that do, or no weights."
        )
    return w / most


def rows_that_count(
    name: str, weights: Values | None, n: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows of positive weight (None: all), and their weights, of mean 1; None where all are equal:
    then they say nothing."""
    if weights is None:
        return None, None
    w = check_weights(name, weights, n)
    kept = np.flatnonzero(w)
    w = w[kept]
    alike = bool(np.ptp(w) <= 4.0 * np.finfo(np.float64).eps)
    return None if len(kept) == n else kept, None if alike else w / w.mean()


def counted(rows: R, kept: np.ndarray | None) -> R:
    """The rows that count."""
    return rows if kept is None else rows[kept]


def effective_number(weights: np.ndarray) -> float:
    """(Σ w)²/Σ w²: of so many equal weights a mean would have the variance that it has (Kish
    1965)."""
    w = weights / np.max(weights)
    return float(np.sum(w) ** 2 / np.sum(w * w))


def mean(values: Array, weights: Array | None, axis: int = 0) -> Array:
    """Σ w x/Σ w along an axis; the plain mean for None."""
    if weights is None:
        return jnp.mean(values, axis=axis)
    w = weights.astype(values.dtype)
    shape = [1] * values.ndim
    shape[axis] = len(w)
    return jnp.sum(values * w.reshape(shape), axis=axis) / jnp.sum(w)


def average(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """``mean`` over rows on the host."""
    if weights is None:
        return np.asarray(values.mean(axis=0))
    return np.asarray(np.average(values, axis=0, weights=weights))


def quantiles(values: np.ndarray, weights: np.ndarray, shares: list[float]) -> np.ndarray:
    """The least number below or at which a share q of the weight lies, of each column, shape
    ``(len(shares), …)``: the same whether a row has weight 2 or is there twice."""
    flat = values.reshape(len(values), -1)
    order = np.argsort(flat, axis=0, kind="stable")
    reached = np.cumsum(weights[order], axis=0)
    # A rounding of the sum does not move a quantile by a row.
    levels = np.asarray(shares)[:, None] * reached[-1] * (1.0 - 1e-12)
    at = np.stack([np.sum(reached < level, axis=0) for level in levels])
    found = np.take_along_axis(np.take_along_axis(flat, order, axis=0), at, axis=0)
    return found.reshape(len(shares), *values.shape[1:])


def systematic(weights: np.ndarray, count: int) -> np.ndarray:
    """Rows in which ``count`` evenly spaced places of a line lie that all rows share in proportion
    to their weights: row i ⌊count·w_i/Σw⌋ or one more times."""
    ends = np.cumsum(weights)
    places = (np.arange(count) + 0.5) * (ends[-1] / count)
    return np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)


def on_device(weights: NumPyOrJax | None, dtype: DTypeLike) -> Array | None:
    """On the device, None for None."""
    return None if weights is None else device(np.asarray(weights), dtype)
