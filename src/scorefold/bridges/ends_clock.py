"""A time that is slow at both ends of a bridge."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Scalar
from scorefold.samplers.clocks import Clock

_REFINED = 0.75
U = TypeVar("U", float, np.ndarray, Array)


def ends_share(u: U, sin: Callable = np.sin) -> U:
    """u − ¾ sin(2πu)/2π, u in [0, 1]: its slope is a quarter at both ends."""
    return u - _REFINED * sin(2.0 * math.pi * u) / (2.0 * math.pi)


class EndsClock(Clock):
    """u with s = S·(u − ¾ sin(2πu)/2π): slower at both ends, where the drifts of bridges are
    fast."""

    total: float

    def tau(self, s: float | Scalar, dtype: DTypeLike) -> Scalar:
        share, low, high = s / self.total, 0.0, 1.0
        if isinstance(share, jax.core.Tracer):
            return _bisected(share).astype(dtype)
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if ends_share(middle) < share else (low, middle)
        return jnp.asarray(share if share in (0.0, 1.0) else low, dtype)

    def s(self, tau: Scalar) -> tuple[Scalar, Scalar]:
        slope = 1.0 - _REFINED * jnp.cos(2.0 * math.pi * tau)
        return self.total * ends_share(tau, jnp.sin), self.total * slope


def _bisected(share: Scalar) -> Scalar:
    def half(_: Array, ends: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = ends
        middle = 0.5 * (low + high)
        below = ends_share(middle, jnp.sin) < share
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    start = (jnp.zeros_like(share), jnp.ones_like(share))
    low, _ = jax.lax.fori_loop(0, 60, half, start)
    return jnp.where((share == 0.0) | (share == 1.0), share, low)
