"""Drifts as they are given, checked."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import NumPyOrJax, Scalar
from scorefold.bridges.currents.drift import Drift
from scorefold.manifolds import Manifold, check_points


def check_drift(
    drift: Drift,
    manifold: Manifold,
    times: np.ndarray,
    points: Sequence[NumPyOrJax],
    names: Sequence[str] | None = None,
) -> None:
    """**Raises:** ``ValueError`` for a drift on another manifold, and one that is not finite or not
    tangent at points, by rows of ``points[k]`` or the ``names`` of those."""
    if drift.manifold.name != manifold.name:
        raise ValueError(f"drift: is on {drift.manifold.name}, the points on {manifold.name}.")
    called = [f"points[{k}]" for k in range(len(points))] if names is None else names
    for name, t, rows in zip(called, times, points, strict=True):
        x = jnp.asarray(check_points(manifold, rows, name))
        values, off = _asked(drift, x, jnp.asarray(t, x.dtype))
        bad = np.flatnonzero(~np.isfinite(np.asarray(values)).all(axis=1))
        if bad.size:
            raise ValueError(f"drift: is not finite at rows {bad[:10].tolist()} of {name}.")
        bad = np.flatnonzero(np.asarray(off))
        if bad.size:
            raise ValueError(
                f"drift: is not tangent at rows {bad[:10].tolist()} of {name}: project it by "
                "manifold.to_tangent(x, v)."
            )


def counted_draws(name: str, count: object, least: int = 1) -> int:
    """**Raises:** ``ValueError`` for what is no whole number, or less than ``least``."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, got {count!r}.")
    return int(count)


@eqx.filter_jit
def _asked(drift: Drift, x: Array, t: Scalar) -> tuple[Array, Array]:
    """Values, one row each, and whether they leave the tangent space."""
    m = drift.manifold

    def one(p: Array) -> tuple[Array, Array]:
        v = drift(p, t)
        off = jnp.linalg.norm(jnp.ravel(v - m.to_tangent(p, v)))
        return jnp.ravel(v), off > 1e-3 * (jnp.linalg.norm(jnp.ravel(v)) + 1e-6)

    return jax.vmap(one)(x)
