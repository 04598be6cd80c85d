"""Draws of one of very many, each with its weight."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key


class Choice(eqx.Module):
    """The law i ~ w_i of n numbers: a group of √n of them is drawn, then one of the group, each by
    its distribution function. A draw takes O(log n), and no probability is lost in the rounding of
    a sum over all n.

    ``of_group``: sums of weights up to each group, shape ``(g,)``; ``inside``: sums within the
    groups one after another, shape ``(g · width,)``.
    """

    of_group: Array
    inside: Array

    @classmethod
    def of(cls, log_weights: Array) -> Choice:
        """For log w up to a constant, shape ``(n,)``; −∞ is never drawn."""
        n = len(log_weights)
        width = math.isqrt(n - 1) + 1
        weights = jnp.exp(log_weights - jnp.max(log_weights))
        weights = jnp.pad(weights, (0, -n % width)).reshape(-1, width)
        return cls(jnp.cumsum(jnp.sum(weights, 1)), jnp.cumsum(weights, 1).reshape(-1))

    def draw(self, key: Key) -> Array:
        """One number, shape ``()``."""
        return self._at(jax.random.uniform(key, (2,), self.inside.dtype))

    def draws(self, key: Key, n: int) -> Array:
        """n numbers, shape ``(n,)``."""
        return jax.vmap(self._at)(jax.random.uniform(key, (n, 2), self.inside.dtype))

    def _at(self, u: Array) -> Array:
        width = len(self.inside) // len(self.of_group)
        group = _first_above(self.of_group, jnp.int32(0), len(self.of_group), u[0])
        return _first_above(self.inside, group * width, width, u[1])


def _first_above(sums: Array, first: Array, width: int, u: Array) -> Array:
    """The first place from ``first`` on where one of ``width`` growing sums is above the share u of
    the last: by halves."""
    total = sums[first + width - 1]
    level = jnp.minimum(u * total, jnp.nextafter(total, jnp.zeros_like(total)))
    low, high = first, first + width - 1
    for _ in range(width.bit_length()):
        middle = (low + high) // 2
        above = sums[middle] > level
        low, high = jnp.where(above, low, middle + 1), jnp.where(above, middle, high)
        low = jnp.minimum(low, high)
    return high
