"""Drifted Brownian motion pinned at both ends, by simulation: exact but for steps and draws."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.bridges.currents.drift import Drift
from scorefold.bridges.currents.linearised import (
    Stream,
    advance,
    components,
    drifted,
    stream,
    vector,
)
from scorefold.bridges.reference.linear import einsum
from scorefold.manifolds import Manifold

LANDMARKS = 100
"""Points of a snapshot, at most, between which transitions are simulated for its plan."""
_LEAST = -1e4
"""Nats of what no draw reached."""
_LENGTHS = (1.0, 0.5, 0.2, 0.05, 0.0)
"""Shares of a Gauss–Newton step that are tried."""


class AboutPath(NamedTuple):
    """The process about a path z_0, …, z_L that need not be its own: deviations in the frames,
    parallel along the path, are normal to first order,

        δ_{l+1} ~ N(c_l + J_l δ_l, r Σ_l),   J and Σ of a step of the drift from z_l,

    and what becomes of them at the end, δ_L ~ N(B_l δ_l + q_l, r R_l): B_L = 1, q_L = R_L = 0,

        q_l = q_{l+1} + B_{l+1} c_l,  R_l = R_{l+1} + B_{l+1} Σ_l B_{l+1}ᵀ,  B_l = B_{l+1} J_l.
    """

    points: Array
    """z, ``(L + 1, *shape)``."""
    frames: Array
    """``(L + 1, d, *shape)``, orthonormal."""
    off: Array
    """c, ``(L, d)``."""
    noise: Array
    """Σ, ``(L, d, d)``."""
    onward: Array
    """J, ``(L, d, d)``."""
    ahead: Array
    """B, ``(L + 1, d, d)``."""
    missed: Array
    """q, ``(L + 1, d)``."""
    rest: Array
    """R, ``(L + 1, d, d)``."""

    def log_density(self, rate: Scalar) -> Scalar:
        """log p(z_0, z_L) of the normal process, nats."""
        q, spread = self.missed[0], self.rest[0]
        size = jnp.sum(q * jnp.linalg.solve(spread, q)) / rate
        whole = size + jnp.linalg.slogdet(spread)[1] + len(q) * jnp.log(2.0 * math.pi * rate)
        return -0.5 * whole

    def mean(self) -> Array:
        """E(δ_l | δ_0 = δ_L = 0), shape ``(L + 1, d)``."""
        pull = -jnp.linalg.solve(self.rest[0], self.missed[0])

        def step(delta: Array, inputs: tuple) -> tuple[Array, Array]:
            off, onward, noise, ahead = inputs
            bent = einsum("ij,j->i", noise, einsum("ji,j->i", ahead, pull))
            delta = off + einsum("ij,j->i", onward, delta) + bent
            return delta, delta

        start = jnp.zeros_like(self.off[0])
        inputs = (self.off, self.onward, self.noise, self.ahead[1:])
        _, later = jax.lax.scan(step, start, inputs)
        return jnp.concatenate([start[None], later])


def line(drift: Drift, x: Point, y: Point, grid: Array) -> AboutPath:
    """The process about a likely path from x to y: the least Σ_l |c_l|²/h_l found in two
    Gauss–Newton steps from the geodesic, of a length that makes it less, or from the path of the
    drift with what it misses laid on evenly, where that is less."""
    m = drift.manifold
    part = (grid - grid[0]) / (grid[-1] - grid[0])
    straight = jax.vmap(lambda s: m.exp(x, s * m.log(x, y)))(part)
    carried = drifted(drift, x, grid)
    end = carried[-1]
    # What is missing at the end, transported back to each point of the path.
    miss = m.log(end, y)
    bent = jax.vmap(lambda z, s: m.exp(z, s * m.transport(end, z, miss)))(carried, part)
    bent = bent.at[-1].set(y)

    def better(path: Array, _: None) -> tuple[Array, AboutPath]:
        about = _about(drift, path, grid)
        delta = about.mean()

        def moved(share: Scalar) -> Array:
            move = lambda z, e, c: m.project(m.exp(z, vector(e, share * c)))  # noqa: E731
            return jax.vmap(move)(about.points, about.frames, delta).at[-1].set(y)

        tried = jax.vmap(moved)(jnp.asarray(_LENGTHS, x.dtype))
        return _least(drift, jnp.concatenate([tried, bent[None]]), grid), about

    # In a loop, whose last round only says what is about its path: one copy to compile.
    _, found = jax.lax.scan(better, straight.at[-1].set(y), None, length=3)
    return jax.tree.map(lambda a: a[-1], found)


def guided(
    drift: Drift, about: AboutPath, grid: Array, key: Key, rate: Scalar
) -> tuple[Array, Scalar]:
    """A path between the ends x, y of ``about`` at the times of ``grid``, ``(L + 1, *shape)``, and
    log w: E w = p(x, y), the density of y at the end (nats, by volume).

    What is meant is the chain that goes along the drift for a step and then by N(0, r Σ) in the
    tangent space there. What is walked is that chain bent onto y as if it were normal about the
    path of ``about``; w is the ratio of the two, which does not vary where the drift is affine on
    flat space.

    Source: Schauer et al. 2017 (guided proposals).
    """
    m = drift.manifold
    steps, start, y = jnp.diff(grid), about.points[0], about.points[-1]
    frames, ahead = about.frames, about.ahead[1:-1]
    # R⁻¹ B and Bᵀ R⁻¹ B at the end of each step, but the last: the same for every draw.
    pulls = jnp.linalg.solve(about.rest[1:-1], ahead)
    stiff = einsum("lji,ljk->lik", ahead, pulls)

    def step(state: tuple[Point, Scalar], inputs: tuple) -> tuple[tuple, Point]:
        x, log_w = state
        t, h, k, here, frame, later, later_frame, ahead, missed, pull, stiff = inputs
        frame = jax.vmap(lambda e: m.transport(here, x, e))(frame)
        end, frame, _, noise = advance(drift, x, frame, t, h)
        # By how much ``frame`` is turned against that of the path here is left to the weights.
        delta = components(m, later, later_frame, m.log(later, end))
        lack = -missed - einsum("ij,j->i", ahead, delta)
        spread = jnp.linalg.cholesky(noise)
        own = jax.scipy.linalg.cho_solve((spread, True), jnp.eye(m.dim, dtype=x.dtype))
        factor = jnp.linalg.cholesky(own + stiff)
        z = jax.random.normal(k, (m.dim,), x.dtype)
        mean = jax.scipy.linalg.cho_solve((factor, True), einsum("ji,j->i", pull, lack))
        turned = jax.scipy.linalg.solve_triangular(factor.T, z, lower=False)
        u = mean + jnp.sqrt(rate) * turned
        # log N(u; 0, rΣ) − log N(u; mean, r/precision)
        sizes = jnp.sum(z * z) - jnp.sum(u * einsum("ij,j->i", own, u)) / rate
        log_w = log_w + 0.5 * sizes - jnp.sum(jnp.log(jnp.diag(factor) * jnp.diag(spread)))
        x = m.project(m.exp(end, vector(frame, u)))
        return (x, log_w), x

    inputs = (
        grid[:-2], steps[:-1], jax.random.split(key, len(steps) - 1), about.points[:-2],
        frames[:-2], about.points[1:-1], frames[1:-1], ahead, about.missed[1:-1], pulls, stiff,
    )  # fmt: skip
    (x, log_w), inner = jax.lax.scan(step, (start, jnp.zeros((), start.dtype)), inputs)
    end, frame, _, noise = advance(drift, x, m.frame(x), grid[-2], steps[-1])
    last = m.log(end, y)
    u = components(m, end, frame, last)
    size = jnp.sum(u * jnp.linalg.solve(noise, u)) / rate + jnp.linalg.slogdet(noise)[1]
    size = size + m.dim * jnp.log(2.0 * math.pi * rate)
    log_w = log_w - 0.5 * size - m.exp_log_det(end, last)
    return jnp.concatenate([start[None], inner, y[None]]), log_w


def log_transition(
    drift: Drift, x: Point, y: Point, grid: Array, key: Key, rate: Scalar, draws: int
) -> Scalar:
    """log p(x, y), nats: that of the mean of w over so many draws."""
    return weighted(drift, x, y, grid, key, rate, draws)[2]


def weighted(
    drift: Drift, x: Point, y: Point, grid: Array, key: Key, rate: Scalar, draws: int
) -> tuple[Array, Scalar, Scalar]:
    """A path from x to y, one of so many that ``guided`` draws, by their weights; the share of
    them that counts, 1/Σŵ² of all; and log p(x, y), nats."""
    walk, pick = jax.random.split(key)
    about = line(drift, x, y, grid)
    paths, log_w = jax.vmap(lambda k: guided(drift, about, grid, k, rate))(
        jax.random.split(walk, draws)
    )
    log_w = jnp.where(jnp.isfinite(log_w), log_w, -jnp.inf)
    share = 1.0 / (draws * jnp.sum(jax.nn.softmax(log_w) ** 2))
    whole = jax.nn.logsumexp(log_w) - math.log(draws)
    return paths[jax.random.categorical(pick, log_w)], share, whole


def _about(drift: Drift, path: Array, grid: Array) -> AboutPath:
    """The process about a path that ends where it shall."""
    m = drift.manifold

    def along(frame: Array, ends: tuple[Point, Point]) -> tuple[Array, Array]:
        frame = jax.vmap(lambda e: m.transport(*ends, e))(frame)
        return frame, frame

    first = m.frame(path[0])
    _, later = jax.lax.scan(along, first, (path[:-1], path[1:]))
    frames = jnp.concatenate([first[None], later])

    def of_step(
        z: Point, e: Array, after: Point, e_after: Array, t: Scalar, h: Scalar
    ) -> tuple[Array, Array, Array]:
        end, _, onward, noise = advance(drift, z, e, t, h)
        return components(m, after, e_after, m.log(after, end)), onward, noise

    off, onward, noise = jax.vmap(of_step)(
        path[:-1], frames[:-1], path[1:], frames[1:], grid[:-1], jnp.diff(grid)
    )

    def back(state: tuple, inputs: tuple) -> tuple[tuple, tuple]:
        (ahead, missed, rest), (off, onward, noise) = state, inputs
        missed = missed + einsum("ij,j->i", ahead, off)
        rest = rest + einsum("ij,jk->ik", ahead, einsum("ij,kj->ik", noise, ahead))
        state = einsum("ij,jk->ik", ahead, onward), missed, rest
        return state, state

    one = jnp.eye(m.dim, dtype=path.dtype)
    end = one, jnp.zeros_like(off[0]), jnp.zeros_like(one)
    _, earlier = jax.lax.scan(back, end, (off, onward, noise), reverse=True)
    whole = (jnp.concatenate([a, b[None]]) for a, b in zip(earlier, end, strict=True))
    return AboutPath(path, frames, off, noise, onward, *whole)


def _least(drift: Drift, paths: Array, grid: Array) -> Array:
    """That of the least Σ_l |c_l|²/h_l."""
    m = drift.manifold

    def miss(z: Point, after: Point, t: Scalar, h: Scalar) -> Scalar:
        return m.dist(drifted(drift, z, jnp.stack([t, t + h]))[-1], after) ** 2 / h

    def action(path: Array) -> Scalar:
        return jnp.sum(jax.vmap(miss)(path[:-1], path[1:], grid[:-1], jnp.diff(grid)))

    sums = jax.vmap(action)(paths)
    return paths[jnp.argmin(jnp.where(jnp.isfinite(sums), sums, jnp.inf))]


# -- of an interval between snapshots --------------------------------------------------------------
class SimulatedCosts(eqx.Module):
    """log p(x, y) − (−δ·Σ⁻¹δ/2r), what first order lacks, of some starts and ends of an interval,
    shape ``(a, b)``; any other has that of the nearest. ``near``: which of the ``ends`` is nearest
    to each point of the next snapshot."""

    starts: Array = fixed()
    ends: Array = fixed()
    near: Array = fixed()
    table: Array = fixed()

    def of_start(self, manifold: Manifold, x: Point) -> Array:
        """That of x and each point of the next snapshot, shape ``(m,)``."""
        return self.table[nearest_row(manifold, self.starts, x), self.near]

    def of_end(self, manifold: Manifold, points: Array, y: Point) -> Array:
        """That of ``points`` and y, shape ``(n,)``."""
        index = jax.vmap(lambda x: nearest_row(manifold, self.starts, x))(points)
        return self.table[index, nearest_row(manifold, self.ends, y)]


def nearest_row(manifold: Manifold, points: Array, x: Point) -> Array:
    return jnp.argmin(jax.vmap(lambda p: manifold.dist(p, x))(points))


def some_rows(points: Array) -> Array:
    """At most ``LANDMARKS`` of them, evenly spaced."""
    n = len(points)
    return points[np.unique(np.linspace(0, n - 1, min(n, LANDMARKS)).astype(int))]


@eqx.filter_jit
def simulated_costs(
    drift: Drift, rate: Scalar, x: Array, y: Array, grid: Array, key: Key, draws: int
) -> SimulatedCosts:
    """What first order lacks between snapshots x and y, by so many draws for each pair."""
    m = drift.manifold
    starts, ends = some_rows(x), some_rows(y)

    def of_start(inputs: tuple[Point, Key]) -> Array:
        p, k = inputs
        found = stream(drift, p, grid)
        keys = jax.random.split(k, len(ends))
        exact = jax.vmap(lambda q, k: log_transition(drift, p, q, grid, k, rate, draws))(ends, keys)
        size = jax.vmap(lambda q: _size(m, found, q))(ends)
        return jnp.maximum(exact + size / (2.0 * rate), _LEAST)

    table = jax.lax.map(of_start, (starts, jax.random.split(key, len(starts))))
    near = jax.lax.map(lambda q: nearest_row(m, ends, q), y, batch_size=256)
    return SimulatedCosts(starts, ends, near, table)


@eqx.filter_jit
def beyond_first_order(
    drift: Drift, rate: Scalar, x: Array, y: Array, grid: Array, key: Key, draws: int
) -> tuple[Array, Array]:
    """log p(x_i, y_i) less what it is to first order, nats, and the share of the draws that counts,
    shapes ``(n,)``."""
    m = drift.manifold

    def one(inputs: tuple[Point, Point, Key]) -> tuple[Scalar, Scalar]:
        p, q, k = inputs
        found = stream(drift, p, grid)
        first = _size(m, found, q) / rate + jnp.linalg.slogdet(found.spread[-1])[1]
        first = -0.5 * (first + m.dim * jnp.log(2.0 * math.pi * rate))
        _, share, whole = weighted(drift, p, q, grid, k, rate, draws)
        return whole - first, share

    return jax.lax.map(one, (x, y, jax.random.split(key, len(x))), batch_size=16)


def _size(m: Manifold, found: Stream, y: Point) -> Scalar:
    """δ·Σ⁻¹δ at the end of a path."""
    delta = components(m, found.points[-1], found.frames[-1], m.log(found.points[-1], y))
    return jnp.sum(delta * jnp.linalg.solve(found.spread[-1], delta))
