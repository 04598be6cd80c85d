"""Checks at the public edge of the samplers."""

import math

import jax
import numpy as np

from scorefold._blocks import listed
from scorefold._types import NumPyOrJax
from scorefold.noising import Noising


def levels(noising: Noising, s_min: float, s_max: float | None) -> tuple[float, float]:
    """(s_min, s_max) as floats, s_max from the schedule's end if not given."""
    with jax.ensure_compile_time_eval():
        s_min = float(s_min)
        s_max = noising.schedule.total if s_max is None else float(s_max)
    if not (math.isfinite(s_min) and s_min > 0):
        raise ValueError(f"s_min must be a positive variance-time, got {s_min}.")
    if not (math.isfinite(s_max) and s_max > s_min):
        raise ValueError(f"s_max must be finite and above s_min={s_min}, got {s_max}.")
    return s_min, s_max


def require_finite(name: str, values: NumPyOrJax, what: str, hint: str) -> None:
    """``FloatingPointError`` naming the rows that are not finite; nothing while JAX traces."""
    if isinstance(values, jax.core.Tracer):
        return
    fail_at_rows(name, ~np.isfinite(np.asarray(values)), what, hint)


def fail_at_rows(name: str, bad: NumPyOrJax, what: str, hint: str) -> None:
    """``FloatingPointError`` naming the rows where ``bad`` holds; nothing while JAX traces."""
    if isinstance(bad, jax.core.Tracer):
        return
    rows = np.flatnonzero(np.asarray(bad).any(axis=tuple(range(1, bad.ndim))))
    if rows.size:
        raise FloatingPointError(
            f"{name}: {rows.size} of {bad.shape[0]} rows are {what} (rows {listed(rows)}). {hint}"
        )
