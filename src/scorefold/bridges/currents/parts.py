"""What a drift does: turns everything as one body, follows a potential, or stirs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Values
from scorefold.bridges.currents.drift import Drift, LearnedDrift, untrained_drift
from scorefold.bridges.reference.integrated import check_times
from scorefold.manifolds import Manifold, check_points

_FEATURES, _RIDGE, _MOST = 200, 1e-5, 2000


class DriftParts(NamedTuple):
    """Root mean squares over the points, length per unit of time, of the drift (``speed``) and of
    three parts that are orthogonal in the mean over the points, speed² = rotation² + gradient² +
    rest²: ``rotation``: a motion of everything as one body (generators of isometries, and of R^d
    translations); ``gradient``: ∇U of what is left, the part that changes where points are dense;
    ``rest``: what stirs them without changing that, ∇·(p·rest) = 0 for their density p."""

    speed: float
    rotation: float
    gradient: float
    rest: float


def drift_parts(drift: Drift, times: Values, points: Sequence[Values]) -> DriftParts:
    """The parts of a drift at snapshots: least squares over (at most 2000 of) their points, U a sum
    of 200 random cosines, of length one deviation of the points.

    **Raises:** ``ValueError`` where times and points do not fit each other.

    Source: Ambrosio, Gigli & Savaré 2008, Chapter 8 (the decomposition in L²(p)).
    """
    at, m = check_times(times), drift.manifold
    if len(points) != len(at):
        raise ValueError(f"points: {len(at)} times need as many snapshots, got {len(points)}.")
    rows = [jnp.asarray(check_points(m, p, f"points[{k}]")) for k, p in enumerate(points)]
    clock = np.repeat(at, [len(r) for r in rows])
    every = jnp.concatenate(rows)
    some = np.linspace(0, len(every) - 1, min(_MOST, len(every))).astype(int)
    x, t = every[some], jnp.asarray(clock[some], every.dtype)
    waves = untrained_drift(m, x, _FEATURES, 1.0, None, jax.random.key(0))
    values, rigid, slopes = (np.asarray(a, np.float64) for a in _seen(drift, waves, x, t))
    flat = values.ravel()
    turned = _nearest(rigid.reshape(-1, len(flat)).T, flat)
    followed = _nearest(slopes.reshape(-1, len(flat)).T, flat - turned)

    def size(v: np.ndarray) -> float:
        return math.sqrt(float(v @ v) / len(values))

    return DriftParts(size(flat), size(turned), size(followed), size(flat - turned - followed))


@eqx.filter_jit
def _seen(drift: Drift, waves: LearnedDrift, x: Array, t: Array) -> tuple[Array, Array, Array]:
    """Components (n, d) of the drift, (k, n, d) of rigid motions, (M, n, d) of gradients."""
    m = drift.manifold

    def one(p: Point, at: Array) -> tuple[Array, Array, Array]:
        into = lambda v: m.components(p, v)  # noqa: E731
        slopes = jax.jacrev(waves.cosines)(p)
        gradients = jax.vmap(lambda df: into(m.gradient(p, df)))(slopes)
        return into(drift(p, at)), jax.vmap(into)(_rigid(m, p)), gradients

    values, rigid, slopes = jax.lax.map(lambda a: one(*a), (x, t), batch_size=64)
    return values, rigid.swapaxes(0, 1), slopes.swapaxes(0, 1)


def _rigid(manifold: Manifold, x: Point) -> Array:
    """Motions of everything as one body: of R^d rotations too."""
    fields = manifold.killing(x)
    if not manifold.euclidean:
        return fields
    i, j = np.triu_indices(manifold.dim, k=1)
    turns = x[i][:, None] * fields[j] - x[j][:, None] * fields[i]
    return jnp.concatenate([fields, turns])


def _nearest(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The combination of the columns nearest to the values, with a little ridge."""
    gram = columns.T @ columns
    ridge = _RIDGE * np.trace(gram) / len(gram)
    return columns @ np.linalg.solve(gram + ridge * np.eye(len(gram)), columns.T @ values)
