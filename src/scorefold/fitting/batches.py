"""The order of the data: a pure function of (key, step), computed where it is used."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key

__all__ = ["batch_rows"]

_ROUNDS = 6


def batch_rows(key: Key, step: Array, n: int, batch_size: int) -> Array:
    """Row numbers of the batch at ``step``, shape ``(batch_size,)``, int32.

    The batches are consecutive pieces of an endless stream that is one fresh permutation of the
    n rows after another: in every epoch each row appears exactly once, no tail is dropped, and
    a batch larger than the data holds each row ⌊B/n⌋ or ⌈B/n⌉ times.

    The permutation is evaluated at the B positions needed, in O(B), by an alternating Feistel
    network on Z_a × Z_b with ab ≥ n and walking along the cycle (Black & Rogaway 2002, Ciphers
    with arbitrary finite domains). Shuffling whole arrays instead costs 3.5 ms an epoch for
    n = 6000 and 0.7 s for n = 10⁶ on a processor core.

    The stream starts again after 2³² examples (in the same order).
    """
    position = step.astype(jnp.uint32) * batch_size + jnp.arange(batch_size, dtype=jnp.uint32)
    epoch = position // n
    keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)
    tweaks = [_mix(epoch ^ keys[r]) for r in range(_ROUNDS)]
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)

    def shuffle(index: Array) -> Array:
        left, right = index // b, index % b
        for r in range(0, _ROUNDS, 2):
            left = (left + _mix(right + tweaks[r]) % a) % a
            right = (right + _mix(left + tweaks[r + 1]) % b) % b
        return left * b + right

    # Positions of [n, ab) lead on along their cycle until it returns to [0, n).
    index = jax.lax.while_loop(
        lambda index: jnp.any(index >= n),
        lambda index: jnp.where(index >= n, shuffle(index), index),
        shuffle(position % n),
    )
    return index.astype(jnp.int32)


def _mix(h: Array) -> Array:
    """A bijection of 32-bit words in which every output bit depends on every input bit."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
