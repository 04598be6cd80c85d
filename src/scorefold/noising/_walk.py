"""The forward process by geodesic random walk, where it has no closed form."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, ScalarLike
from scorefold.manifolds import Manifold

__all__ = ["check_steps", "geodesic_walk"]


def geodesic_walk(
    manifold: Manifold,
    drift: Callable[[Point], Point],
    key: Key,
    x0: Point,
    s: ScalarLike,
    steps: int,
) -> Point:
    """One draw of X_s, dX = b(X) ds + dB, in ``steps`` equal steps

        x ← exp_x(b(x) ds + √ds z),  z standard normal in the tangent space at x.

    Weak order one in ds; at fixed ``steps`` the bias grows with s.

    Source: De Bortoli et al. 2022, Algorithm 1 (Jørgensen 1975).
    """
    ds = jnp.asarray(s, x0.dtype) / steps

    def step(x: Point, k: Key) -> tuple[Point, None]:
        return manifold.exp(x, ds * drift(x) + jnp.sqrt(ds) * manifold.normal(k, x)), None

    return jax.lax.scan(step, x0, jax.random.split(key, steps))[0]


def check_steps(steps: int) -> None:
    if not (isinstance(steps, int) and steps >= 1):
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}.")
