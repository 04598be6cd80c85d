"""The one loop that drives every fixed-step sampler."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from scorefold._types import Key, Point
from scorefold.samplers._base import Step


def walk(step: Step, key: Key, x: Point, grid: Float[Array, " n"], *, keep: bool = False) -> Array:
    """x_{k+1} = step(key_k, x_k, s_k, s_{k+1} − s_k) along the noise levels of ``grid``.

    **Arguments:**

    - ``x``: one starting point (``jax.vmap`` over keys and points for many).
    - ``grid``: variance-times s_0 … s_N in the order they are visited, in the dtype of ``x``.
    - ``keep``: return every state, shape ``(N + 1, *shape)`` with the start first, instead of
      the last one.

    Step k uses ``jax.random.fold_in(key, k)``, so a walk is a pure function of its key and grid.
    """

    def body(state: Point, inputs: tuple) -> tuple[Point, PyTree]:
        k, s, ds = inputs
        state = step(jax.random.fold_in(key, k), state, s, ds)
        return state, (state if keep else None)

    n = grid.shape[0] - 1
    last, path = jax.lax.scan(body, x, (jnp.arange(n), grid[:-1], jnp.diff(grid)))
    return jnp.concatenate([x[None], path]) if keep else last
