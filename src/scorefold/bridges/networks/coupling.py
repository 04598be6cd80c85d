"""Entropic transport between blocks of points: a first coupling."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key
from scorefold.bridges.exact.transport import sinkhorn, transition_costs
from scorefold.noising import Noising

_BLOCK, _ITERATIONS = 256, 100


def transport_coupling(reference: Noising, key: Key, start: Array, far: Array) -> Array:
    """A partner y among ``far`` for each of ``start``, drawn from the plan

        P_ij = u_i p_S(y_j | x_i) v_j   with uniform marginals,

    of each block of 256 rows: the Schrödinger bridge between two small samples, by at most 100
    rounds of ``sinkhorn``. Blocks of few points couple nearer than the laws do.
    """
    blocks = max(1, len(start) // _BLOCK)
    used = len(start) // blocks * blocks

    def one(block: tuple[Key, Array, Array]) -> Array:
        k, x, y = block
        plan = sinkhorn(transition_costs(reference, x, y), max_iterations=_ITERATIONS)
        return y[plan.sample_targets(k, jnp.arange(len(x)))]

    shape = (blocks, used // blocks, *start.shape[1:])
    keys = jax.random.split(key, blocks)
    found = jax.lax.map(one, (keys, start[:used].reshape(shape), far[:used].reshape(shape)))
    return jnp.concatenate([found.reshape(used, *start.shape[1:]), far[used:]])
