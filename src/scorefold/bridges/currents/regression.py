"""Drifts from velocities along paths, by ridge regression."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Scalar
from scorefold.bridges.currents.drift import LearnedDrift, moving_fields
from scorefold.bridges.reference.linear import matmul

_CHUNK = 1024


class Velocities(NamedTuple):
    """S observed velocities: ``at`` and ``velocity``, shape ``(S, *shape)``, ``time`` and
    ``weight``, shape ``(S,)``."""

    at: Array
    time: Array
    velocity: Array
    weight: Array


def regressed(drift: LearnedDrift, seen: Sequence[Velocities], ridge: Scalar) -> LearnedDrift:
    """The coefficients that minimise Σ_i w_i |b(x_i, t_i) − v_i|² / Σ w_i + λ|C|², over all that is
    ``seen``."""
    sums = [_sums(drift, part) for part in seen]
    gram, right, total = (functools.reduce(operator.add, each) for each in zip(*sums, strict=True))
    return dataclasses.replace(drift, coefficients=_solved(drift, gram, right, total, ridge))


@eqx.filter_jit
def _sums(drift: LearnedDrift, seen: Velocities) -> tuple[Array, Array, Scalar]:
    """Σ w φφᵀ, Σ w φv and Σ w."""
    flat = drift.manifold.periods is not None
    count, fields = drift.coefficients.shape
    size, sides = (count, fields) if flat else (count * fields, 1)
    design = _flat_design if flat else _design
    dtype = seen.weight.dtype
    zero = (jnp.zeros((size, size), dtype), jnp.zeros((size, sides), dtype))

    def add(sums: tuple[Array, Array], part: Velocities) -> tuple[tuple[Array, Array], None]:
        rows, values, w = design(drift, part)
        weighted = w[:, None] * rows
        gram = sums[0] + matmul(weighted.T, rows)
        return (gram, sums[1] + matmul(weighted.T, values)), None

    gram, right = jax.lax.scan(add, zero, _chunks(seen))[0]
    return gram, right, jnp.sum(seen.weight)


@eqx.filter_jit
def _solved(drift: LearnedDrift, gram: Array, right: Array, total: Scalar, ridge: Scalar) -> Array:
    ridges = ridge * jnp.eye(len(gram), dtype=gram.dtype)
    factor = jax.scipy.linalg.cho_factor(gram / total + ridges)
    found = jax.scipy.linalg.cho_solve(factor, right / total)
    return found.reshape(drift.coefficients.shape)


def _flat_design(drift: LearnedDrift, part: Velocities) -> tuple[Array, Array, Array]:
    """Each coordinate of the velocity is a sum of the same features."""
    rows = jax.vmap(drift.features)(part.at, part.time)
    return rows, part.velocity, part.weight


def _design(drift: LearnedDrift, part: Velocities) -> tuple[Array, Array, Array]:
    """A row for each component in a frame, a column for each feature and field."""
    m = drift.manifold

    def one(x: Array, t: Scalar, v: Array) -> tuple[Array, Array]:
        fields = jax.vmap(lambda k: m.components(x, k))(moving_fields(m, x))
        phi = drift.features(x, t)
        return jnp.einsum("p,ki->ipk", phi, fields).reshape(m.dim, -1), m.components(x, v)

    rows, values = jax.vmap(one)(part.at, part.time, part.velocity)
    weight = jnp.repeat(part.weight, m.dim)
    return rows.reshape(-1, rows.shape[-1]), values.reshape(-1, 1), weight


def _chunks(seen: Velocities) -> Velocities:
    """Padded by rows of weight 0 to whole chunks, shape ``(chunks, size, …)``."""
    n = len(seen.weight)
    size = min(_CHUNK, n)
    missing = -n % size

    def cut(a: Array) -> Array:
        return jnp.concatenate([a, a[:missing]]).reshape(-1, size, *a.shape[1:])

    weight = jnp.concatenate([seen.weight, jnp.zeros((missing,), seen.weight.dtype)])
    return Velocities(cut(seen.at), cut(seen.time), cut(seen.velocity), weight.reshape(-1, size))
