"""A drifted Brownian motion around the path of its drift: to first order in the noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.currents.drift import Drift, NoDrift
from scorefold.bridges.reference.linear import einsum
from scorefold.manifolds import Manifold

_FEW = 8
Rate = Callable[[Point, Array, Scalar], tuple[Array, Array | None]]
"""The components of the drift at a point in a frame, and its derivatives there."""


class Stream(NamedTuple):
    """The path of a drift from one point, and how dX = b dt + √r dB spreads about it, at the L
    times of a grid: deviations δ in the frames, which are parallel along the path, are normal,

        δ_l ~ N(J_l δ_0, r Σ_l),   dJ/dt = A J,   dΣ/dt = AΣ + ΣAᵀ + I,   A = ∇b along the path.

    Exact for an affine drift on flat space (the path to fourth order in the steps); elsewhere right
    to first order in √r.
    """

    points: Array
    """``(L, *shape)``."""
    frames: Array
    """``(L, d, *shape)``, orthonormal."""
    moved: Array
    """J, ``(L, d, d)``."""
    spread: Array
    """Σ, ``(L, d, d)``."""
    onward: Array
    """J of each step, ``(L − 1, d, d)``."""
    noise: Array
    """Σ of each step, ``(L − 1, d, d)``."""

    def bent(self, end: Array) -> Array:
        """E(δ_l | δ_0 = 0, δ_L = g) = Σ_l (J_L J_l⁻¹)ᵀ Σ_L⁻¹ g for a deviation g at the end, shape
        ``(L, d)``: from 0 to g. J_L J_l⁻¹ is a product of steps: nothing but Σ_L is inverted."""
        pull = jnp.linalg.solve(self.spread[-1], end)

        def step(pull: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            onward, spread = inputs
            pull = einsum("ij,i->j", onward, pull)
            return pull, einsum("ij,j->i", spread, pull)

        inputs = (self.onward, self.spread[:-1])
        _, found = jax.lax.scan(step, pull, inputs, reverse=True)
        return jnp.concatenate([found, end[None]])

    def free(self, key: Key, rate: Scalar) -> Array:
        """Deviations of one path that starts without one, shape ``(L, d)``."""
        d = self.moved.shape[-1]
        keys = jax.random.split(key, len(self.onward))
        tiny = 1e-30 * jnp.eye(d, dtype=self.points.dtype)

        def step(delta: Array, inputs: tuple) -> tuple[Array, Array]:
            k, onward, noise = inputs
            z = jnp.sqrt(rate) * jax.random.normal(k, (d,), delta.dtype)
            factor = jnp.linalg.cholesky(noise + tiny)
            delta = einsum("ij,j->i", onward, delta) + einsum("ij,j->i", factor, z)
            return delta, delta

        start = jnp.zeros((d,), self.points.dtype)
        _, later = jax.lax.scan(step, start, (keys, self.onward, self.noise))
        return jnp.concatenate([start[None], later])


def stream(drift: Drift, x: Point, grid: Array) -> Stream:
    """The path of ``drift`` from x at the first time of ``grid``, by Runge–Kutta steps of fourth
    order (on curved spaces in parallel frames, second) from each time to the next."""
    m = drift.manifold
    frame = m.frame(x)
    if isinstance(drift, NoDrift):
        return _unmoved(x, frame, grid)
    zero = jnp.zeros((m.dim, m.dim), x.dtype)
    start = (x, frame, jnp.eye(m.dim, dtype=x.dtype), zero)
    # On flat spaces b and ∇b at the end of a step are those at the start of the next.
    slopes = drift.slopes(x, grid[0]) if _by_products(m) else None

    def step(carry: tuple, times: tuple[Scalar, Scalar]) -> tuple[tuple, tuple]:
        (x, frame, moved, spread), slopes = carry
        if slopes is None:
            x, frame, onward, noise = advance(drift, x, frame, *times)
        else:
            x, slopes, onward, noise = _flat_step(drift, x, slopes, *times)
        moved = einsum("ij,jk->ik", onward, moved)
        spread = einsum("ij,jk->ik", onward, einsum("ij,kj->ik", spread, onward)) + noise
        state = (x, frame, moved, spread)
        return (state, slopes), (state, (onward, noise))

    _, (later, steps) = jax.lax.scan(step, (start, slopes), (grid[:-1], jnp.diff(grid)))
    whole = (jnp.concatenate([a[None], b]) for a, b in zip(start, later, strict=True))
    return Stream(*whole, *steps)


def _unmoved(x: Point, frame: Array, grid: Array) -> Stream:
    """The path of no drift: J = 1, Σ = (t − t_0) 1."""
    one = jnp.eye(len(frame), dtype=x.dtype)
    still = lambda a, n: jnp.broadcast_to(a, (n, *a.shape))  # noqa: E731
    count, steps = len(grid), jnp.diff(grid)
    spread, noise = (t[:, None, None] * one[None] for t in (grid - grid[0], steps))
    return Stream(
        still(x, count), still(frame, count), still(one, count), spread, still(one, count - 1),
        noise,
    )  # fmt: skip


def drifted(drift: Drift, x: Point, grid: Array) -> Array:
    """The path alone, without its spread, shape ``(L, *shape)``."""

    def step(x: Point, times: tuple[Scalar, Scalar]) -> tuple[Point, Point]:
        t, h = times
        m, frame = drift.manifold, drift.manifold.frame(x)
        move = _stages(m, _alone(drift), x, frame, t, h)[0]
        x = m.project(m.exp(x, vector(frame, move)))
        return x, x

    _, later = jax.lax.scan(step, x, (grid[:-1], jnp.diff(grid)))
    return jnp.concatenate([x[None], later])


def laid_off(manifold: Manifold, found: Stream, delta: Array) -> Array:
    """The points at deviations ``delta``, shape ``(L, d)``, from the path, ``(L, *shape)``."""

    def one(x: Point, frame: Array, c: Array) -> Point:
        return manifold.exp(x, vector(frame, c))

    return jax.vmap(one)(found.points, found.frames, delta)


def deviation(manifold: Manifold, x: Point, frame: Array, y: Point) -> Array:
    """That of y from the point x of a path, shape ``(d,)``."""
    return components(manifold, x, frame, manifold.log(x, y))


def advance(
    drift: Drift, x: Point, frame: Array, t: Scalar, h: Scalar
) -> tuple[Point, Array, Array, Array]:
    """The point and frame after a step, and J and Σ of the step."""
    m = drift.manifold
    if _by_products(m):
        end, _, onward, noise = _flat_step(drift, x, drift.slopes(x, t), t, h)
        return end, frame, onward, noise

    def rate(y: Point, e: Array, at: Scalar) -> tuple[Array, Array]:
        value, along = jax.linearize(lambda z: drift(z, at), y)
        ahead = jax.vmap(along)(e)
        entry = lambda u, f, dv: m.covariant(y, value, f, dv, u)  # noqa: E731
        table = jax.vmap(lambda u: jax.vmap(lambda f, dv: entry(u, f, dv))(e, ahead))(e)
        return components(m, y, e, value), table

    move, a = _stages(m, rate, x, frame, t, h)
    assert a is not None
    onward, noise = _moments(a, h)
    end = m.project(m.exp(x, vector(frame, move)))
    frame = jax.vmap(lambda e: m.transport(x, end, e))(frame)
    return end, frame, onward, noise


def _stages(
    m: Manifold, rate: Rate, x: Point, frame: Array, t: Scalar, h: Scalar
) -> tuple[Array, Array | None]:
    """The step in components, and what ``rate`` says besides at each of the four stages."""

    def stage(before: Array, part: Scalar) -> tuple[Array, tuple[Array, Array | None]]:
        y = m.project(m.exp(x, vector(frame, part * h * before)))
        e = jax.vmap(lambda e: m.transport(x, y, e))(frame)
        c, more = rate(y, e, t + part * h)
        return c, (c, more)

    # In a loop: one copy of a stage to compile in the place of four.
    parts = jnp.asarray([0.0, 0.5, 0.5, 1.0], x.dtype)
    _, (c, more) = jax.lax.scan(stage, jnp.zeros((m.dim,), x.dtype), parts)
    return h / 6.0 * (c[0] + 2.0 * c[1] + 2.0 * c[2] + c[3]), more


def _moments(a: Array | Sequence[Array], h: Scalar) -> tuple[Array, Array]:
    """J and Σ of a step, by Runge–Kutta on dJ/dt = AJ and dΣ/dt = AΣ + ΣAᵀ + 1 from J = 1 and
    Σ = 0, of A at its four stages. (Products with 1 and 0 are not made.)"""
    one = jnp.eye(len(a[0]), dtype=a[0].dtype)

    def moving(a: Array, k: Array, part: float) -> Array:
        return a + part * h * einsum("ij,jk->ik", a, k)

    def spreading(a: Array, s: Array) -> Array:
        half = einsum("ij,jk->ik", a, s)
        return half + half.T + one

    j2 = moving(a[1], a[0], 0.5)
    j3 = moving(a[2], j2, 0.5)
    j4 = moving(a[3], j3, 1.0)
    s2 = one + 0.5 * h * (a[1] + a[1].T)
    s3 = spreading(a[2], 0.5 * h * s2)
    s4 = spreading(a[3], h * s3)
    onward = one + h / 6.0 * (a[0] + 2.0 * j2 + 2.0 * j3 + j4)
    return onward, h / 6.0 * (one + 2.0 * s2 + 2.0 * s3 + s4)


def _alone(drift: Drift) -> Rate:
    """A drift without its derivatives."""
    return lambda y, e, at: (components(drift.manifold, y, e, drift(y, at)), None)


def _flat_step(
    drift: Drift, x: Point, slopes: tuple[Array, Array], t: Scalar, h: Scalar
) -> tuple[Point, tuple[Array, Array], Array, Array]:
    """``advance`` on a flat space, where frames are those of the coordinates, from b and ∇b at x:
    the point after a step, b and ∇b there, J and Σ. ∇b is asked for at both ends and in the middle
    of the cubic between them; J and Σ are still right to fourth order."""
    m = drift.manifold
    first, before = slopes
    move = _stages(m, _alone(drift), x, m.frame(x), t, h)[0]
    end = m.project(x + move)
    last, after = drift.slopes(end, t + h)
    middle = m.project(x + 0.5 * move + h / 8.0 * (first - last))
    half_way = drift.slopes(middle, t + 0.5 * h)[1]
    moments = _moments((before, half_way, half_way, after), h)
    return end, (last, after), *moments


def size_of(spread: Array, deltas: Array) -> Array:
    """δ·Σ⁻¹δ of deviations, shape ``(m, d)``."""
    if spread.shape[-1] <= _FEW:
        return jnp.sum(deltas * jnp.linalg.solve(spread, deltas.T).T, axis=1)
    # Many deviations by one matrix: the product with an inverse factor costs a fifth of solving.
    factor = jnp.linalg.cholesky(spread)
    one = jnp.eye(len(spread), dtype=spread.dtype)
    inverse = jax.scipy.linalg.solve_triangular(factor, one, lower=True)
    return jnp.sum(einsum("md,ed->me", deltas, inverse) ** 2, axis=1)


def _by_products(m: Manifold) -> bool:
    """Whether steps are products of matrices: a fifth of the time in 50 dimensions. (In few they
    are no faster, and many small ones in a loop can stop XLA.)"""
    return m.periods is not None and m.dim > _FEW


def vector(frame: Array, c: Array) -> Array:
    return jnp.tensordot(c, frame, axes=1)


def components(m: Manifold, x: Point, frame: Array, v: Point) -> Array:
    if _by_products(m):
        return m.components(x, v)
    return jax.vmap(lambda e: m.inner(x, v, e))(frame)
