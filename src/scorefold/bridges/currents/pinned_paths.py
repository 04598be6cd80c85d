"""``pinned_paths``: a drifted Brownian motion from one point to another."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold._warnings import warn
from scorefold._weights import systematic
from scorefold.bridges.currents.drift import Drift, MovedDrift
from scorefold.bridges.currents.intake import check_drift, counted_draws
from scorefold.bridges.currents.simulated import guided, line
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.reference.integrated import check_times
from scorefold.bridges.snapshots.inner import around_mean
from scorefold.manifolds import Manifold

_AT_ONCE = 256
_WIDE = 0.5
"""Noise of a step, radians, above which it is said that steps are too few."""
_STEPS, _MOST_STEPS = 24, 2000
_FEW = 30
"""Draws that count, below which paths are said to be few."""


class PinnedPaths(NamedTuple):
    """``paths``, shape ``(n, len(at), *shape)``, on flat coordinates with all their digits;
    ``log_density``: log p(y | x) with respect to volume, nats; ``effective``: how many of the
    n·draws draws count, 1/Σŵ². (It does not know of routes that no draw took.)"""

    paths: NumPyOrJax
    log_density: float
    effective: float


def pinned_paths(
    key: Key,
    drift: Drift,
    x: Values,
    y: Values,
    at: Values,
    n: int,
    *,
    rate: float,
    draws: int = 32,
    steps: int | None = None,
) -> PinnedPaths:
    """n paths of

        dX = b(X, t) dt + √r dB   given   X(t_0) = x, X(t_K) = y,

    at the times t_0 < … < t_K of ``at``, and the density of y that the free process has.

    They are taken from n·``draws`` of the process bent onto y as if it were normal about a likely
    path (``guided`` in ``bridges.currents.simulated``), by the ratio of the two laws. On flat space
    with an affine drift all weigh the same and both answers are exact; elsewhere what is left is
    of the order of 1/``draws`` and of 1/``steps`` (in so many or more [t_0, t_K] is walked; default
    24, or two for each time that the drift along the geodesic from x to y grows by e in, 1/|∇b|, up
    to 2,000).

    Draws lie about one path. Where there are several routes (through another well, another way
    round) or the time of a crossing is free (a steep barrier and much time), they find but one of
    them: few draws count then, which is said, or none takes the other route, which nothing says.

    **Raises:** ``ValueError`` naming the argument for times that do not increase, points that are
    not on the manifold of the drift, a drift that is not finite or not tangent there, a rate that
    is not positive, and numbers below 1; ``FloatingPointError`` for a drift that runs away between
    them. **Warns:** where fewer draws count than there are paths, or than 30 (and not half of all),
    and where noise moves a path by more than half a radian in a step.

    Source: Schauer et al. 2017, "Guided proposals for simulating
    multi-dimensional diffusion bridges".
    """
    m, times = drift.manifold, check_times(at)
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive variance per unit of time, got {rate!r}.")
    n, draws = counted_draws("n", n), counted_draws("draws", draws)
    steps = None if steps is None else counted_draws("steps", steps)
    exact = [_one(m, p, name) for name, p in (("x", x), ("y", y))]
    check_drift(drift, m, times[[0, -1]], exact, ("x", "y"))
    # Times are counted from t_0, and flat coordinates from the middle: they keep their digits.
    origin, ends = around_mean(m, exact)
    moved = MovedDrift(m, drift, np.zeros(m.shape) if origin is None else origin, float(times[0]))
    times = times - times[0]
    dtype = jnp.result_type(*ends)
    start, end = (p[0].astype(dtype) for p in ends)
    if steps is None:
        steepest = float(_steepest(moved, start, end, jnp.asarray(times[-1], dtype)))
        wanted = 2.0 * times[-1] * (steepest if math.isfinite(steepest) else 0.0)
        steps = int(np.clip(math.ceil(wanted), _STEPS, _MOST_STEPS))
    parts = np.maximum(np.ceil(max(steps, 2) * np.diff(times) / np.ptp(times)).astype(int), 1)
    if parts.sum() < 2:
        parts[:] = 2
    spans = zip(times[:-1], times[1:], parts, strict=True)
    fine = [np.linspace(low, high, part, endpoint=False) for low, high, part in spans]
    grid = jnp.asarray(np.concatenate([*fine, times[-1:]]), dtype)
    places = jnp.asarray(np.concatenate([[0], np.cumsum(parts)]))
    walk, pick = jax.random.split(key)
    keys = jax.random.split(walk, n * draws)
    drawn, log_w = _drawn(moved, start, end, grid, keys, jnp.asarray(rate, dtype), places)
    logs = np.asarray(jnp.where(jnp.isfinite(log_w), log_w, -jnp.inf), np.float64)
    if not np.isfinite(logs).any():
        raise FloatingPointError(
            "drift: it runs away: no draw is finite between x and y. If it is steep and not "
            "unstable, take more steps."
        )
    weights = np.exp(logs - logs.max())
    total = float(np.log(weights.mean()) + logs.max())
    effective = float(weights.sum() ** 2 / np.sum(weights**2))
    # Equal paths are neighbours: in another order, the first few are draws, too.
    rows = systematic(weights, n)[np.asarray(jax.random.permutation(pick, n))]
    paths = np.asarray(drawn)[rows]
    if origin is not None:
        paths = paths.astype(np.float64) + origin
    wide = math.sqrt(m.dim * rate * float(jnp.max(jnp.diff(grid))))
    if not m.euclidean and wide > _WIDE:
        least = math.ceil(m.dim * rate * float(grid[-1]) / _WIDE**2)
        warn(
            f"steps: noise moves a path by {wide:.2g} radians in one, which is not small beside "
            f"the curvature: log_density may be off by tenths of a nat. Take {least} or more."
        )
    if effective < min(max(n, _FEW), 0.5 * n * draws):
        warn(
            f"paths: {effective:.3g} of {n * draws} draws count, so the {n} paths are few in truth "
            "and log_density is rough. Take more draws, more steps or a shorter time."
        )
    return PinnedPaths(paths, total, effective)


def _one(manifold: Manifold, point: Values, name: str) -> NumPyOrJax:
    found = np.asarray(point)
    if found.shape != manifold.shape:
        raise ValueError(f"{name}: is one point, of shape {manifold.shape}, got {found.shape}.")
    return exact_rows(manifold, found[None], name)


@eqx.filter_jit
def _steepest(drift: Drift, x: Point, y: Point, span: Scalar) -> Scalar:
    """The largest |∇b| along the geodesic at the pace of the paths."""
    m = drift.manifold

    def at(part: Scalar) -> Scalar:
        z = m.exp(x, part * m.log(x, y))
        return jnp.linalg.norm(jax.jacfwd(lambda p: drift(p, part * span))(z).ravel())

    return jnp.max(jax.vmap(at)(jnp.linspace(0.0, 1.0, _STEPS + 1, dtype=x.dtype)))


@eqx.filter_jit
def _drawn(
    drift: Drift, x: Point, y: Point, grid: Array, keys: Array, rate: Scalar, at: Array
) -> tuple[Array, Array]:
    """Draws about one likely path at the places ``at``, and the logarithms of their weights."""
    about = line(drift, x, y, grid)

    def one(key: Key) -> tuple[Array, Scalar]:
        path, log_w = guided(drift, about, grid, key, rate)
        return path[at], log_w

    return jax.lax.map(one, keys, batch_size=_AT_ONCE)
