"""Geodesic random walks: one Euler step on a manifold, and a process simulated by equal ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, ScalarLike
from scorefold.manifolds import Manifold


def geodesic_step(
    manifold: Manifold, key: Key, x: Point, shift: Point | float, variance: ScalarLike
) -> Point:
    """exp_x(shift + √variance z), z standard normal: a step of Euler–Maruyama (Jørgensen 1975)."""
    return manifold.exp(x, shift + jnp.sqrt(variance) * manifold.normal(key, x))


def geodesic_walk(
    manifold: Manifold,
    drift: Callable[[Point], Point],
    key: Key,
    x0: Point,
    s: ScalarLike,
    steps: int,
) -> Point:
    """One draw of X_s, dX = b(X) ds + dB, in ``steps`` equal steps

        x ← exp_x(b(x) ds + √ds z).

    Weak order one in ds; at fixed ``steps`` the bias grows with s.

    Source: De Bortoli et al. 2022, Algorithm 1 (Jørgensen 1975).
    """
    ds = jnp.asarray(s, x0.dtype) / steps

    def step(x: Point, k: Key) -> tuple[Point, None]:
        return geodesic_step(manifold, k, x, ds * drift(x), ds), None

    return jax.lax.scan(step, x0, jax.random.split(key, steps))[0]


def check_steps(steps: int) -> None:
    if not (isinstance(steps, int) and steps >= 1):
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}.")
