"""``pinned_paths``: a drifted Brownian motion from one point to another."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, Values
from scorefold._warnings import warn
from scorefold.bridges.currents.drift import Drift
from scorefold.bridges.currents.intake import check_drift
from scorefold.bridges.currents.simulated import weighted
from scorefold.bridges.reference.integrated import check_times
from scorefold.manifolds import check_points

_AT_ONCE = 16
_FEW = 0.1
"""Share of draws that count, below which paths are said to be few."""


class PinnedPaths(NamedTuple):
    """``paths``, shape ``(n, len(at), *shape)``; ``log_density``: log p(y | x) with respect to
    volume, nats; ``effective``: the mean share of the draws of a path that counts, 1/Σŵ² of all."""

    paths: Array
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
    steps: int = 24,
) -> PinnedPaths:
    """n paths of

        dX = b(X, t) dt + √r dB   given   X(t_0) = x, X(t_K) = y,

    at the times t_0 < … < t_K of ``at``, and the density of y that the free process has.

    Each path is one of ``draws`` of the process bent onto y as if it were normal about a likely
    path (``guided`` in ``bridges.currents.simulated``), by the ratio of the two laws. On flat space
    with an affine drift all weigh the same and both answers are exact; elsewhere what is left is
    of the order of 1/``draws`` and of 1/``steps`` ([t_0, t_K] is walked in so many or more).
    Paths that go another way round a closed geodesic than the nearest are drawn rarely.

    **Raises:** ``ValueError`` naming the argument for times that do not increase, points that are
    not on the manifold of the drift, a drift that is not finite or not tangent there, a rate that
    is not positive, and numbers below 1. **Warns:** where fewer than a tenth of the draws count.

    Source: Schauer et al. 2017, "Guided proposals for simulating
    multi-dimensional diffusion bridges".
    """
    m, times = drift.manifold, check_times(at)
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive variance per unit of time, got {rate!r}.")
    for name, count in (("n", n), ("draws", draws), ("steps", steps)):
        if count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}.")
    ends = [check_points(m, np.asarray(p)[None], name)[0] for name, p in (("x", x), ("y", y))]
    check_drift(drift, m, times[[0, -1]], [np.asarray(p)[None] for p in ends])
    dtype = jnp.result_type(*ends)
    parts = np.maximum(np.ceil(max(steps, 2) * np.diff(times) / np.ptp(times)).astype(int), 1)
    if parts.sum() < 2:
        parts[:] = 2
    spans = zip(times[:-1], times[1:], parts, strict=True)
    fine = [np.linspace(low, high, part, endpoint=False) for low, high, part in spans]
    grid = jnp.asarray(np.concatenate([*fine, times[-1:]]), dtype)
    places = jnp.asarray(np.concatenate([[0], np.cumsum(parts)]))
    start, end = (p.astype(dtype) for p in ends)
    paths, share, whole = _drawn(
        drift, start, end, grid, jax.random.split(key, n), jnp.asarray(rate, dtype), places, draws
    )
    effective = float(jnp.mean(share))
    if not effective >= _FEW:
        warn(
            f"paths: {100 * effective:.2g} % of the draws count, so those of the {n} paths are few "
            "in truth. Take more draws, more steps or a shorter time."
        )
    total = float(jax.nn.logsumexp(whole)) - math.log(n)
    return PinnedPaths(paths, total, effective)


@eqx.filter_jit
def _drawn(
    drift: Drift, x: Point, y: Point, grid: Array, keys: Array, rate: Scalar, at: Array, draws: int
) -> tuple[Array, Array, Array]:
    def one(key: Key) -> tuple[Array, Scalar, Scalar]:
        path, share, whole = weighted(drift, x, y, grid, key, rate, draws)
        return path[at], share, whole

    return jax.lax.map(one, keys, batch_size=_AT_ONCE)
