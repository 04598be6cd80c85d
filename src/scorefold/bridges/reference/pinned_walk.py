"""Paths of the reference process that are pinned at a point."""

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.reference.linear import LinearTransition, linear_transition
from scorefold.bridges.reference.pinned import pinned_brownian
from scorefold.manifolds import Manifold
from scorefold.noising import Noising
from scorefold.samplers import GeodesicStep, Step


class _PinnedFlat(Step):
    """An exact step of the process pinned to ``target`` at the time ``end``, either side."""

    transition: LinearTransition
    target: Point
    end: Scalar

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        r = s + ds
        z = jax.random.normal(key, x.shape, x.dtype)
        ahead = ds > 0
        # Backwards it comes from the target, which lies before, and goes to x.
        first, last = jnp.where(ahead, x, self.target), jnp.where(ahead, self.target, x)
        since = jnp.maximum(jnp.where(ahead, ds, r - self.end), 0.0)
        left = jnp.maximum(jnp.where(ahead, self.end - r, -ds), 0.0)
        mean, variance = self.transition.pinned(first, since, last, left)
        return mean + jnp.sqrt(variance) * z


class _PinnedBrownian(Step):
    """The same for Brownian motion on a flat manifold. Given the state, the turns that are left
    are drawn anew: their law does not depend on those already made."""

    manifold: Manifold
    target: Point
    end: Scalar
    turns: int

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        left = jnp.abs(self.end - s)
        return pinned_brownian(self.manifold, key, x, self.target, jnp.abs(ds), left, self.turns)


class _PinnedFactors(Step):
    """One step for each factor of a product: pinned Brownian motions there are independent."""

    manifold: Manifold
    steps: tuple[Step, ...]

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        keys = jax.random.split(key, len(self.steps))
        parts = zip(self.steps, keys, self.manifold.split(x), strict=True)
        return self.manifold.join([step(k, p, s, ds) for step, k, p in parts])


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


def pinned_step(reference: Noising, target: Point, end: Scalar, turns: int) -> Step:
    """The step of walks that are at ``target`` at the time ``end``, before or after: exact on flat
    space, and of Brownian motion on T^d and in such factors of a product; elsewhere of weak order 1
    in the steps of the grid. ``turns``: ``most_turns`` of the longest path."""
    if reference.manifold.euclidean:
        return _PinnedFlat(linear_transition(reference), target, end)
    return _pinned(reference.manifold, target, end, turns)


def _pinned(manifold: Manifold, target: Point, end: Scalar, turns: int) -> Step:
    if manifold.periods is not None:
        return _PinnedBrownian(manifold, target, end, turns)
    if len(manifold.factors) > 1:
        parts = zip(manifold.factors, manifold.split(target), strict=True)
        return _PinnedFactors(manifold, tuple(_pinned(f, q, end, turns) for f, q in parts))
    return _Towards(manifold, target, end)
