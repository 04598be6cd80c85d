"""A function of one row, over many rows in blocks."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

__all__ = ["in_blocks"]


def in_blocks(function: Callable[[Array], Array], x: Array, size: int) -> Array:
    """``jax.vmap(function)(x)``, ``size`` rows at a time, in whole blocks.

    The last block is filled up with copies of the last row. ``jax.lax.map`` computes what is left
    over in a second program instead; where both hold many small factorisations, XLA's processor
    backend has been seen not to come back (jaxlib 0.10.2).
    """
    fill = -len(x) % size if len(x) > size else 0
    whole = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (fill, *x.shape[1:]))])
    return jax.lax.map(function, whole, batch_size=size)[: len(x)]
