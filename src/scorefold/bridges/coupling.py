"""Entropic transport between blocks of points: a first coupling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key
from scorefold.noising import Noising

__all__ = ["transport_coupling"]

_BLOCK, _ITERATIONS = 256, 100


def transport_coupling(reference: Noising, key: Key, start: Array, far: Array) -> Array:
    """A partner y among ``far`` for each of ``start``, drawn from the plan

        P_ij = u_i p_S(y_j | x_i) v_j   with uniform marginals,

    of each block of 256 rows: the Schrödinger bridge between two small samples, by 100 rounds of
    Sinkhorn's iteration in the log domain. Blocks of few points couple nearer than the laws do.
    """
    total = jnp.asarray(reference.schedule.total, start.dtype)
    blocks = max(1, len(start) // _BLOCK)
    used = len(start) // blocks * blocks

    def one(k: Key, x: Array, y: Array) -> Array:
        density = lambda p, q: reference.log_prob(q, p, total)  # noqa: E731
        kernel = jax.vmap(lambda p: jax.vmap(lambda q: density(p, q))(y))(x)

        def iterate(_: Any, v: Array) -> Array:
            u = -jax.nn.logsumexp(kernel + v[None, :], axis=1)
            return -jax.nn.logsumexp(kernel + u[:, None], axis=0)

        v = jax.lax.fori_loop(0, _ITERATIONS, iterate, jnp.zeros(len(y), x.dtype))
        return y[jax.random.categorical(k, kernel + v[None, :], axis=1)]

    shape = (blocks, used // blocks, *start.shape[1:])
    keys = jax.random.split(key, blocks)
    found = jax.lax.map(lambda args: one(*args), (keys, start[:used].reshape(shape),
                                                  far[:used].reshape(shape)))  # fmt: skip
    return jnp.concatenate([found.reshape(used, *start.shape[1:]), far[used:]])
