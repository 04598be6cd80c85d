"""Sine as an activation: the same function as ``jax.numpy.sin``, many times as fast in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold.heat._polynomial import polynomial

# π in three parts of few bits, so that n times the first two is exact.
_PI = (3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7)
# sin r = r + r³ P(r²) on |r| ≤ π/2.
_SINE = (-1.6666667e-1, 8.3333310e-3, -1.9840874e-4, 2.7525562e-6, -2.3889859e-8)


@jax.custom_jvp
def sine(x: Array) -> Array:
    """sin x elementwise, for numbers of the size that occur in a network.

    In float32 and below by one reduction modulo π and a polynomial: the error is below 2e-7 for
    |x| ≤ 100 and below 1e-5 for |x| ≤ 10⁴; beyond, digits are lost, but the values stay within
    [−1.1, 1.1]. ``jnp.sin`` reduces arguments of every size, at more than ten times the cost on
    a processor. In float64 this is ``jnp.sin``. The derivative is cos x by the same means.
    """
    return _shifted(x, 0.0)


@jax.custom_jvp
def _cosine(x: Array) -> Array:
    return _shifted(x, 0.5)


sine.defjvp(lambda p, t: (sine(*p), _cosine(*p) * t[0]))
_cosine.defjvp(lambda p, t: (_cosine(*p), -sine(*p) * t[0]))


def _shifted(x: Array, shift: float) -> Array:
    """sin(x + shift·π), shift 0 or ½."""
    if x.dtype == jnp.float64:
        return jnp.cos(x) if shift else jnp.sin(x)
    y = x.astype(jnp.float32)
    turns = jnp.round(y * 0.31830988618 + shift)
    n = turns - shift
    r = ((y - n * _PI[0]) - n * _PI[1]) - n * _PI[2]
    r = jnp.clip(r, -2.0, 2.0)
    z = r * r
    half = 0.5 * turns
    odd = half != jnp.floor(half)
    value = r + r * z * polynomial(_SINE, z)
    return jnp.where(odd, -value, value).astype(x.dtype)
