"""Heat kernel of S² at small variance-time: the dual (method of images) form."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Scalar, constant

__all__ = ["log_reduced", "slope"]


def _nodes(r: Scalar, s: Scalar):
    """Midpoint nodes b of the fibre integral, where φ(b)² − r² is below what the dtype can see.

    sin²(φ/2) = sin²(r/2) + cos²(r/2) sin²b. The integrand is even and π-periodic in b, so that
    the midpoint rule converges faster than any power of the number of nodes.
    """
    single = r.dtype == jnp.float32
    count, cut = (8, 44.0) if single else (14, 64.0)
    half_sin, half_cos = jnp.sin(r / 2), jnp.cos(r / 2)
    top = jax.lax.stop_gradient(jnp.sqrt(r * r + cut * s))
    whole = top >= math.pi
    top = jnp.where(whole, math.pi, top)
    rs = jax.lax.stop_gradient(r)
    rise = jnp.sin((top - rs) / 2) * jnp.sin((top + rs) / 2)
    end = jnp.arctan2(jnp.sqrt(jnp.maximum(rise, 0.0)), jnp.cos(top / 2))
    end = jnp.where(whole, math.pi / 2, end)
    b = constant((np.arange(count) + 0.5) / count, r) * end
    sb, cb = jnp.sin(b), jnp.cos(b)
    sp = jnp.sqrt(half_sin**2 + half_cos**2 * sb**2)
    # φ − r without cancellation.
    gap = 2 * jnp.arctan2(half_cos * sb**2 / (sp + cb * half_sin), half_cos**2 * cb + half_sin * sp)
    return end, cb, sp, r + gap, gap * (gap + 2 * r)


def _images(phi, s):
    """(−1)ⁿ e^{−(φ_n² − φ²)/2s} and φ_n = φ + 2πn for n = ±1."""
    for n in (-1, 1):
        shift = 2 * math.pi * n
        yield phi + shift, -jnp.exp(-shift * (2 * phi + shift) / (2 * s))


def log_reduced(r: Scalar, s: Scalar) -> Scalar:
    end, _, sp, phi, y = _nodes(r, s)
    f = phi
    for p, w in _images(phi, s):
        f = f + w * p
    integral = end * jnp.mean(jnp.exp(-y / (2 * s)) * f / sp)
    return math.log(2.0) + s / 8 - 1.5 * jnp.log(2 * math.pi * s) + jnp.log(integral)


def slope(r: Scalar, s: Scalar) -> Scalar:
    _, cb, sp, phi, y = _nodes(r, s)
    half_cot = 0.5 * jnp.cos(phi / 2) / sp
    small = phi < 0.5
    safe = jnp.where(small, 1.0, phi)
    k = jnp.where(small, _k_series(phi), 1 / safe - half_cot)
    f = phi
    g = phi * (phi / s - k)
    for p, w in _images(phi, s):
        f = f + w * p
        g = g + w * (p * p / s - 1 + p * half_cot)
    weight = jnp.exp(-y / (2 * s)) / sp
    ratio = jnp.sum(weight * g * cb / sp) / jnp.sum(weight * f)
    return 0.5 * jnp.sinc(r / (2 * math.pi)) * ratio


def _k_series(phi):
    """1/φ − ½cot(φ/2)."""
    y = phi * phi
    return phi / 12 * (1 + y / 60 * (1 + y / 42 * (1 + y / 40 * (1 + y * 5 / 198))))
