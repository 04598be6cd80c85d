"""Noise levels at which a fixed-step sampler stops."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike


def _check(start: float, end: float, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    for name, value in (("start", start), ("end", end)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite variance-time >= 0, got {value}.")


def uniform_grid(start: float, end: float, steps: int, dtype: DTypeLike | None = None) -> Array:
    """``steps + 1`` noise levels from ``start`` to ``end`` (either order), equally spaced in s."""
    _check(start, end, steps)
    return jnp.asarray(np.linspace(start, end, steps + 1), dtype or jnp.result_type(float))


def refined_grid(
    start: float, end: float, steps: int, dtype: DTypeLike | None = None, *, scale: float = 1.0
) -> Array:
    """``steps + 1`` noise levels from ``start`` to ``end`` (either order), finer towards data.

    Equally spaced in u(s) = log s + s/scale, so that ds = min(s, scale)·du up to a factor 2:
    equal ratios of s below ``scale``, where the score changes over times of order s, and equal
    steps above it, where nothing is faster than the process itself.

    **Arguments:** ``start``, ``end``: both > 0 (stop early, at the ε of the model: the score is
    singular at s = 0); ``scale``: the time in which the noising process forgets, in units of s.
    **Raises:** ``ValueError`` for a level that is not positive and finite.
    """
    _check(start, end, steps)
    if min(start, end) <= 0:
        raise ValueError(
            f"refined_grid needs start, end > 0, got {start} and {end}: stop at a small "
            "s_min > 0, or use uniform_grid."
        )
    # u is increasing and smooth in log s: invert it by interpolation on a fine table.
    fine = np.geomspace(min(start, end), max(start, end), 64 * steps + 2048)
    u = np.log(fine) + fine / scale
    at = np.linspace(u[0], u[-1], steps + 1)
    grid = np.exp(np.interp(at, u, np.log(fine)))
    grid[0], grid[-1] = fine[0], fine[-1]
    return jnp.asarray(grid if start < end else grid[::-1], dtype or jnp.result_type(float))
