"""Paths of the reference process that are pinned at a point."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges._linear import LinearTransition, linear_transition
from scorefold.manifolds import Manifold
from scorefold.noising import Noising
from scorefold.samplers import GeodesicStep, Step, walk

__all__ = ["flat_path", "manifold_path"]


class _PinnedFlat(Step):
    """An exact step of the process pinned to ``target`` at the time ``end``, either side."""

    transition: LinearTransition
    target: Point
    end: Scalar

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        r = s + ds
        z = jax.random.normal(key, x.shape, x.dtype)
        if_forward = self._between(x, r - s, self.target, self.end - r)
        if_backward = self._between(self.target, r - self.end, x, s - r)
        mean, variance = jax.tree.map(lambda f, b: jnp.where(ds > 0, f, b), if_forward, if_backward)
        return mean + jnp.sqrt(variance) * z

    def _between(self, x: Point, since: Scalar, y: Point, left: Scalar) -> tuple[Point, Scalar]:
        """Mean and variance of the process that was at x ``since`` ago and is at y in ``left``."""
        a, b, v = self.transition.moments(jnp.maximum(since, 0.0))
        a2, b2, v2 = self.transition.moments(jnp.maximum(left, 0.0))
        prior = a * x + b
        whole = v2 + a2 * a2 * v
        whole = jnp.where(whole > 0, whole, 1.0)
        return prior + (v * a2 / whole) * (y - a2 * prior - b2), v * v2 / whole


class _Towards(Step):
    """A geodesic random walk of Brownian motion that is at ``target`` at the time ``end``."""

    manifold: Manifold
    target: Point
    end: Scalar

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        sign = jnp.sign(ds)

        def drift(y: Point, at: Scalar) -> Point:
            return sign * self.manifold.heat.score(y, self.target, jnp.abs(self.end - at))

        return GeodesicStep(self.manifold, drift)(key, x, s, ds)


def flat_path(
    reference: Noising, key: Key, x: Point, target: Point, grid: Array, end: Any, keep: bool
) -> Array:
    """The path from x at ``grid[0]`` to ``target`` at the time ``end``, at the levels of ``grid``,
    exact at every one; the last state, or all of them with ``keep``."""
    step = _PinnedFlat(linear_transition(reference), target, jnp.asarray(end, x.dtype))
    return walk(step, key, x, grid, keep=keep)


def manifold_path(
    manifold: Manifold, key: Key, x: Point, target: Point, grid: Array, end: Any, keep: bool
) -> Array:
    """The same for Brownian motion on a manifold, weak order 1 in the steps of ``grid``."""
    step = _Towards(manifold, target, jnp.asarray(end, x.dtype))
    return walk(step, key, x, grid, keep=keep)
