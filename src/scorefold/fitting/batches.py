"""The order of the data: a pure function of (key, step), computed where it is used."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key

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
    tweaks = mixed(epoch[None, :] ^ keys[:, None]).reshape(_ROUNDS // 2, 2, batch_size)
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)

    def rounds(halves: tuple[Array, Array], tweak: Array) -> tuple[tuple[Array, Array], None]:
        left, right = halves
        left = (left + mixed(right + tweak[0]) % a) % a
        right = (right + mixed(left + tweak[1]) % b) % b
        return (left, right), None

    def shuffle(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        index, out = carry
        (left, right), _ = jax.lax.scan(rounds, (index // b, index % b), tweaks)
        index = jnp.where(out, left * b + right, index)
        return index, index >= n

    # Positions of [n, ab) lead on along their cycle until it returns to [0, n).
    start = position % n, jnp.full(batch_size, True)
    index, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1]), shuffle, start)
    return index.astype(jnp.int32)


def mixed(h: Array) -> Array:
    """A bijection of 32-bit words in which every output bit depends on every input bit."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
