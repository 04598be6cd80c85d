"""Snapshots and drifts as they are given, checked."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, NumPyOrJax, Scalar
from scorefold.bridges.currents.drift import Drift
from scorefold.manifolds import Manifold, check_points


def around_origin(
    manifold: Manifold, exact: Sequence[NumPyOrJax], drift: Drift | None
) -> tuple[np.ndarray | None, list[Array]]:
    """Flat coordinates around their mean, in which a learned drift works; a given one is asked in
    the coordinates that it was given for."""
    if drift is None and manifold.flat_coordinates.any():
        every = np.concatenate([np.asarray(rows, np.float64) for rows in exact])
        origin = np.where(manifold.flat_coordinates, every.mean(axis=0), 0.0)
        moved = [np.asarray(rows, np.float64) - origin for rows in exact]
        kinds = {np.asarray(rows).dtype for rows in exact}
        dtype = jnp.result_type(float) if kinds == {np.dtype(np.float64)} else jnp.float32
        return origin, [
            check_points(manifold, jnp.asarray(rows, dtype), "points") for rows in moved
        ]
    return None, [jnp.asarray(check_points(manifold, rows, "points")) for rows in exact]


def alike(key: Key, points: Sequence[Array], at_most: int) -> Array:
    """As many points of each snapshot: some of a large one, those of a small one repeated."""
    count = min(at_most, max(map(len, points)))
    found = []
    for k, rows in zip(jax.random.split(key, len(points)), points, strict=True):
        order = np.asarray(jax.random.permutation(k, len(rows)))
        found.append(rows[np.tile(order, -(-count // len(rows)))[:count]])
    return jnp.stack(found)


def check_drift(
    drift: Drift, manifold: Manifold, times: np.ndarray, points: Sequence[NumPyOrJax]
) -> None:
    if drift.manifold.name != manifold.name:
        raise ValueError(f"drift: is on {drift.manifold.name}, the points on {manifold.name}.")
    for k, (t, rows) in enumerate(zip(times, points, strict=True)):
        x = jnp.asarray(check_points(manifold, rows, f"points[{k}]"))
        values, off = _asked(drift, x, jnp.asarray(t, x.dtype))
        bad = np.flatnonzero(~np.isfinite(np.asarray(values)).all(axis=1))
        if bad.size:
            raise ValueError(f"drift: is not finite at rows {bad[:10].tolist()} of points[{k}].")
        bad = np.flatnonzero(np.asarray(off))
        if bad.size:
            raise ValueError(
                f"drift: is not tangent at rows {bad[:10].tolist()} of points[{k}]: project it by "
                "manifold.to_tangent(x, v)."
            )


@eqx.filter_jit
def _asked(drift: Drift, x: Array, t: Scalar) -> tuple[Array, Array]:
    """Values, one row each, and whether they leave the tangent space."""
    m = drift.manifold

    def one(p: Array) -> tuple[Array, Array]:
        v = drift(p, t)
        off = jnp.linalg.norm(jnp.ravel(v - m.to_tangent(p, v)))
        return jnp.ravel(v), off > 1e-3 * (jnp.linalg.norm(jnp.ravel(v)) + 1e-6)

    return jax.vmap(one)(x)
