"""The reference process pinned at both ends: what is known of its paths in between."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.reference.linear import is_linear, linear_transition
from scorefold.manifolds import Manifold
from scorefold.noising import Noising
from scorefold.noising.geodesic import geodesic_step


def pinned_exactly(reference: Noising) -> bool:
    """Whether ``pinned_draw`` knows the reference: linear on flat space, or Brownian motion on
    flat spaces, tori and their products."""
    return is_linear(reference) or (
        reference.kernel is not None and reference.manifold.periods is not None
    )


def most_turns(total: float) -> int:
    """How many turns around a circle a path of variance-time ``total`` is asked about, either way:
    six standard deviations of Brownian motion and one more. The ways beyond have less than 1e-7
    of the weight.

    **Raises:** ``ValueError`` for more than 10⁴ turns, where all laws on a circle were uniform
    long before.
    """
    turns = 1 + math.ceil(6.0 * math.sqrt(total) / (2.0 * math.pi))
    if turns > 10_000:
        raise ValueError(
            f"reference: a variance of {total:.1e} winds around the circle thousands of times; "
            "take one below 1e8 (from 50 on the ends are independent)."
        )
    return turns


def pinned_draw(
    reference: Noising, key: Key, start: Point, end: Point, s: Scalar, total: float
) -> Point:
    """One exact draw of X_s given X_0 = start and X_S = end, 0 < s < S = ``total``.

    Of a linear reference it is normal (``LinearTransition.pinned``). On a circle first the number
    of turns is drawn, n with weights e^{−(gap + 2πn)²/2S}; given it, the path is a Brownian bridge
    on the line. Time runs the same both ways, since every reference is reversible.
    """
    if is_linear(reference):
        mean, variance = linear_transition(reference).pinned(start, s, end, total - s)
        noise = jax.random.normal(key, start.shape, start.dtype)
        return mean + jnp.sqrt(variance) * noise
    whole, turns = jnp.asarray(total, start.dtype), most_turns(total)
    return pinned_brownian(reference.manifold, key, start, end, s, whole, turns)


def pinned_brownian(
    manifold: Manifold, key: Key, start: Point, end: Point, s: Scalar, total: Scalar, turns: int
) -> Point:
    """The same for Brownian motion where ``manifold.periods`` are known, and a ``total`` that may
    vary from draw to draw; ``turns``: ``most_turns`` of the largest."""
    if len(manifold.factors) > 1:
        keys = jax.random.split(key, len(manifold.factors))
        parts = zip(manifold.factors, keys, manifold.split(start), manifold.split(end), strict=True)
        return manifold.join([pinned_brownian(f, k, p, q, s, total, turns) for f, k, p, q in parts])
    turn, noise = jax.random.split(key)
    gap = manifold.log(start, end)
    periods = manifold.periods
    assert periods is not None
    if periods.any():
        turn_counts = jnp.arange(-turns, turns + 1).astype(gap.dtype)
        ways = gap[:, None] + jnp.asarray(periods, gap.dtype)[:, None] * turn_counts[None, :]
        chosen = jax.random.categorical(turn, -0.5 * ways**2 / total, axis=1)
        gap = jnp.take_along_axis(ways, chosen[:, None], axis=1)[:, 0]
    z = jax.random.normal(noise, start.shape, start.dtype)
    return manifold.exp(start, s / total * gap + jnp.sqrt(s * (total - s) / total) * z)


def pinned_walk(reference: Noising, key: Key, start: Point, end: Point, grid: Array) -> Array:
    """States at the levels ``grid`` (from 0 to S) of a geodesic random walk with the drift of the
    pinned reference, which ends exactly at ``end``, shape ``(len(grid), *shape)``:

        x ← exp_x(h(b(x) + ∇_x log p_{S−s}(end | x)) + √(h(1 − h/(S − s))) Z).

    The noise is that of a flat bridge, for which every state has its exact law. Elsewhere weak
    order 1; a grid finer towards S does more for it, as the drift grows like 1/(S − s).
    """
    manifold, total = reference.manifold, grid[-1]

    def step(x: Point, inputs: tuple) -> tuple[Point, Point]:
        k, s, h = inputs
        left = total - s
        # By reversibility ∇_x log p(end | x) = ∇_x log p(x | end) − 2b(x).
        drift = reference.score(x, end, left) - reference.drift(x)
        x = geodesic_step(manifold, jax.random.fold_in(key, k), x, h * drift, h * (1.0 - h / left))
        return x, x

    n = grid.shape[0] - 2
    inputs = (jnp.arange(n), grid[:-2], jnp.diff(grid)[:-1])
    _, path = jax.lax.scan(step, start, inputs)
    return jnp.concatenate([start[None], path, end[None]])
