"""Integrated Brownian motion: the reference process whose most likely paths are cubic splines."""

from collections.abc import Sequence

import numpy as np

from scorefold._types import Values


def position_precision(times: Values) -> np.ndarray:
    """Q, shape (K + 1, K + 1), of the kinetic reference process

        dx = v dt,   dv = √ε dW,   no preference at the start (x and v flat),
        log density of (x(t_0), …, x(t_K)) = −x·Q x/2ε + constant,
        x·Q x = min {∫|x''|² dt : x(t_k) = x_k} = r·R⁻¹ r,

    r_k = (x_{k+1} − x_k)/h_k − (x_k − x_{k−1})/h_{k−1}, R tridiagonal with (h_{k−1} + h_k)/3 and
    h_k/6: the energy of the natural cubic spline. Rank K − 1: straight motion costs nothing.

    Source: Wahba 1978; Green & Silverman 1994, Section 2.1.
    """
    differences, gram = second_differences(times)
    return differences.T @ np.linalg.solve(gram, differences)


def second_differences(times: Values) -> tuple[np.ndarray, np.ndarray]:
    """The matrix of r, shape (K − 1, K + 1), and R, shape (K − 1, K − 1). The second derivatives
    of the spline at inner knots are R⁻¹ r."""
    t = check_times(times)
    h, inner = np.diff(t), len(t) - 2
    differences = np.zeros((inner, inner + 2))
    gram = np.zeros((inner, inner))
    for k in range(inner):
        differences[k, k : k + 3] = 1 / h[k], -1 / h[k] - 1 / h[k + 1], 1 / h[k + 1]
        gram[k, k] = (h[k] + h[k + 1]) / 3
        if k + 1 < inner:
            gram[k, k + 1] = gram[k + 1, k] = h[k + 1] / 6
    return differences, gram


def knot_slopes(times: Values) -> np.ndarray:
    """B, shape (K + 1, K + 1): B x are the velocities at the knots of the natural cubic spline
    through x, x′_k = δ_k − h_k(2M_k + M_{k+1})/6 with M = x″ (0 at both ends), δ_k the slopes."""
    t = check_times(times)
    h, count = np.diff(t), len(t)
    slopes = np.zeros((count - 1, count))
    slopes[np.arange(count - 1), np.arange(count - 1)] = -1 / h
    slopes[np.arange(count - 1), np.arange(1, count)] = 1 / h
    bends = np.zeros((count, count))
    differences, gram = second_differences(t)
    bends[1:-1] = np.linalg.solve(gram, differences)
    left = slopes - h[:, None] * (2 * bends[:-1] + bends[1:]) / 6
    last = slopes[-1] + h[-1] * (bends[-2] + 2 * bends[-1]) / 6
    return np.concatenate([left, last[None]])


def pinned_moments(times: Values, at: Values) -> tuple[np.ndarray, np.ndarray]:
    """Of x at the m times ``at`` given x at the knots ``times``: gains A, shape (m, K + 1), and
    covariance V, shape (m, m), with

        x(at) | x_0, …, x_K ~ N(A x, ε V)   in every coordinate.

    A x is the natural cubic spline, inside and (straight) outside the knots. V = 0 at knots.
    """
    knots, s = check_times(times), np.atleast_1d(np.asarray(at, np.float64))
    # Times nearer than rounding to a knot are the knot.
    near = np.abs(s[:, None] - knots[None, :])
    tiny = 1e-12 * (knots[-1] - knots[0])
    every = np.unique(np.concatenate([knots, s[near.min(1) > tiny]]))
    precision = position_precision(every)
    where = np.searchsorted(every, knots)
    free = np.setdiff1d(np.arange(len(every)), where)
    gains, cov = np.zeros((len(every), len(knots))), np.zeros((len(every), len(every)))
    gains[where, np.arange(len(knots))] = 1.0
    if free.size:
        inner = precision[np.ix_(free, free)]
        gains[free] = -np.linalg.solve(inner, precision[np.ix_(free, where)])
        cov[np.ix_(free, free)] = np.linalg.inv(inner)
    rows = np.where(near.min(1) > tiny, np.searchsorted(every, s), where[near.argmin(1)])
    return gains[rows], cov[np.ix_(rows, rows)]


def check_times(times: Values) -> np.ndarray:
    """Times as float64. **Raises:** ``ValueError`` unless there are 2 or more that increase."""
    t = np.asarray(times, np.float64)
    if t.ndim != 1 or len(t) < 2 or not np.isfinite(t).all() or not (np.diff(t) > 0).all():
        raise ValueError(f"times: needs 2 or more numbers that increase, got {t.tolist()}.")
    return t


def snapshot_time(times: Sequence[float], start: float | None) -> float:
    """The time that paths start at, the first for None. **Raises:** ``ValueError`` unless it is one
    of the ``times``."""
    first = times[0] if start is None else float(start)
    if first not in times:
        known = ", ".join(f"{t:g}" for t in times)
        raise ValueError(f"start: {first:g} is not a snapshot time: choose one of {known}.")
    return first
