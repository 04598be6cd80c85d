"""The bridge through many snapshots relative to Brownian motion with a drift."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._hash import structural_hash
from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold.bridges.currents.drift import Drift
from scorefold.bridges.currents.growth import GrownEnds
from scorefold.bridges.currents.linearised import Stream, deviation, laid_off, size_of, stream
from scorefold.bridges.currents.parts import DriftParts, drift_parts
from scorefold.bridges.currents.simulated import (
    SimulatedCosts,
    beyond_first_order,
    nearest_row,
    weighted,
)
from scorefold.bridges.reference.integrated import snapshot_time
from scorefold.manifolds import Manifold, check_points
from scorefold.samplers._check import fail_at_rows

STEPS = 24
"""Of the path of the drift through an interval."""
_ROWS = 32
"""Paths that are followed at a time."""


class Interval(eqx.Module):
    """Snapshots k and k + 1, shape ``(n, *shape)`` and ``(m, *shape)``, and the potentials of their
    plan, P_ij = e^{f_i + g_j − c_ij}/nm with c_ij = δ_ij·Σ_i⁻¹ δ_ij / 2r (``Stream``). Where
    members multiply, P counts descendants, and ``growth`` is g at the points of both. Where
    transitions are simulated, −c has what ``simulated`` says besides."""

    start: Array = fixed()
    end: Array = fixed()
    f: Array = fixed()
    g: Array = fixed()
    growth: tuple[Array, Array] | None = fixed(default=None)
    simulated: SimulatedCosts | None = fixed(default=None)


class SnapshotCurrent(eqx.Module):
    """The path law nearest to the process

        dX = b(X, t) dt + √r dB

    among those with the law of each snapshot at its time. With ``draws`` = 0 to first order in √r:
    around the path of the drift from a point the process is normal (``linearised.Stream``), which
    is exact on flat space where b is affine, and elsewhere good where √r times the length of an
    interval's noise is small beside the lengths on which b changes. Between two points of
    consecutive snapshots a path is that of the drift, bent onto its end, plus noise that vanishes
    at both. Otherwise by simulation: a path is one of so many ``draws`` of ``pinned_paths``, by
    their weights, and the plan has the transition densities that those say, between 100 points of
    each snapshot (others take what first order lacks of the nearest).

    Paths are of members that move with the ``drift`` b between snapshots; ``rate`` is r, variance
    per unit of time. They arrive at points of the snapshots. ``mass``: members of each. Where
    there is an ``origin``, flat coordinates inside are those of the points less it, and times
    inside are those since t_0: ask ``velocity`` and ``parts``, which know, in the place of
    ``drift``.

    Where members multiply and vanish (``fit_current(growth=)``), ``sample_at`` is the law of those
    that are there at a time and ``mass_at`` how many they are; a path forward is one line of
    descent that reaches the next snapshot, a path backward the ancestors of a member.

    Source: Shen, Berlinghieri & Broderick 2024, "Multi-marginal Schrödinger bridges with iterative
    reference refinement" (the drift learned, by simulation there).
    """

    drift: Drift
    rate: Array = fixed()
    intervals: tuple[Interval, ...] = ()
    times: tuple[float, ...] = eqx.field(static=True, default=())
    mass: tuple[int, ...] = eqx.field(static=True, default=())
    origin: np.ndarray | Array | None = fixed(default=None)
    draws: int = eqx.field(static=True, default=0)

    def __hash__(self) -> int:
        return structural_hash(self)

    @property
    def manifold(self) -> Manifold:
        return self.drift.manifold

    # -- laws ------------------------------------------------------------------------------------
    def velocity(self, t: float, x: Values) -> Array:
        """The drift b(x, t) at points x, tangent vectors of the shape of ``x``."""
        rows = self._inside(x, "x")
        flat = rows.reshape(-1, *self.manifold.shape)
        return _velocities(self.drift, flat, jnp.asarray(t - self.times[0], rows.dtype)).reshape(
            rows.shape
        )

    def parts(self, points: Sequence[Values]) -> DriftParts:
        """``drift_parts`` of the drift at snapshots, ``points`` of each of the times."""
        inside = [self._inside(p, f"points[{k}]") for k, p in enumerate(points)]
        return drift_parts(self.drift, [t - self.times[0] for t in self.times], inside)

    def sample_at(self, key: Key, t: float, n: int) -> NumPyOrJax:
        """n draws of the law at time t, shape ``(n, *shape)``: each point of the snapshot before t
        is used ⌊n/m⌋ or ⌈n/m⌉ times. At t_0 they are its points.

        **Raises:** ``ValueError`` for t outside [t_0, t_K] and n < 1.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}.")
        k = self._interval(t)
        pick, walk = jax.random.split(key)
        interval = self.intervals[k]
        start = interval.start
        if t == self.times[0]:
            order = np.asarray(jax.random.permutation(pick, len(start)))
            return self._outside(start[np.tile(order, -(-n // len(start)))[:n]])
        grid = self._grid(k, [t])
        if interval.growth is None:
            order = np.asarray(jax.random.permutation(pick, len(start)))
            rows, tilt = np.tile(order, -(-n // len(start)))[:n], None
        else:
            weights, tilt = self._there(k, t)
            turn, shuffle = jax.random.split(pick)
            levels = (np.arange(n) + float(jax.random.uniform(turn))) / n
            rows = np.minimum(np.searchsorted(np.cumsum(weights), levels), len(start) - 1)
            rows = rows[np.asarray(jax.random.permutation(shuffle, n))]
        path = self._walked(k, start[rows], grid, np.searchsorted(grid, [t]), walk, True, tilt)
        return self._outside(path[:, 0])

    def first_order_error(
        self, key: Key, *, pairs: int = 64, draws: int = 32
    ) -> tuple[float, float]:
        """By how much first order in √r misses log densities of transitions, nats: the standard
        deviation over so many pairs of the plan, by so many draws of each (what all pairs have in
        common changes no plan); and the mean share of the draws that counts, 1/Σŵ² of all. Both in
        the worst interval."""
        found, counts = [], []
        for k, interval in enumerate(self.intervals):
            arrive, judge = jax.random.split(jax.random.fold_in(key, k))
            x, grid = interval.start[:pairs], self._grid(k, [])
            y = self._walked(k, x, grid, np.asarray([STEPS]), arrive, True)[:, 0]
            inner = jnp.asarray(grid - self.times[0], x.dtype)
            missed, share = beyond_first_order(self.drift, self.rate, x, y, inner, judge, draws)
            found.append(float(jnp.std(missed)))
            counts.append(float(jnp.mean(share)))
        return max(found), min(counts)

    def descendants(self, x: Values, start: float) -> np.ndarray:
        """How many members of the next snapshot come from one that is at a point of ``x`` at the
        snapshot time ``start``, in units of their mean over that snapshot, shape ``(n,)``: those of
        its nearest member; 1 where there is no growth. A path forward is one line of descent:
        draw starts in proportion to this, and paths arrive as the next snapshot lies.

        **Raises:** ``ValueError`` for a time that is no snapshot's, and the last.
        """
        rows, first = self._inside(x, "x"), snapshot_time(self.times, start)
        k = self.times.index(first)
        if k == len(self.intervals):
            raise ValueError(f"start: {start:g} is the last snapshot: nothing comes after.")
        if self.intervals[k].growth is None:
            return np.ones(len(rows))
        shares = self._shares(k, 1.0)[0]
        near = np.asarray(_nearest_rows(self.manifold, self.intervals[k].start, rows))
        return (shares / shares.mean())[near]

    def mass_at(self, t: float) -> float:
        """How many members there are at time t: those of the snapshots at their times, and between
        e^{∫g} times what all have in common, e^{c(t − t_k)}; with no growth the latter alone.

        **Raises:** ``ValueError`` for t outside [t_0, t_K].
        """
        k = self._interval(t)
        low, high = self.times[k], self.times[k + 1]
        part, sizes = (t - low) / (high - low), np.log([self.mass[k], self.mass[k + 1]])
        if self.intervals[k].growth is None:
            return float(np.exp((1.0 - part) * sizes[0] + part * sizes[1]))
        now, then = (math.log(self._alive(k, s)) for s in (part, 0.0))
        # log of Σ π e^{−R}: 0 at the end; what is missing at the start is in common.
        common = sizes[0] - sizes[1] - then
        return float(np.exp(sizes[1] + now + (1.0 - part) * common))

    def _there(self, k: int, t: float) -> tuple[np.ndarray, Array]:
        """Shares of the starts of interval k among the members at time t, and the logarithms of
        what their ends weigh."""
        part = (t - self.times[k]) / (self.times[k + 1] - self.times[k])
        weights, tilt = self._shares(k, part)
        return weights / weights.sum(), tilt

    def _alive(self, k: int, part: float) -> float:
        return float(self._shares(k, part)[0].sum())

    def _shares(self, k: int, part: float) -> tuple[np.ndarray, Array]:
        """Σ_j P_ij e^{−R_ij} of all starts, and −R of the ends."""
        interval = self.intervals[k]
        assert interval.growth is not None
        ends_of = GrownEnds(*interval.growth, self.times[k + 1] - self.times[k])
        first, last = ends_of.rest(part)
        grid = jnp.asarray(self._grid(k, []) - self.times[0], interval.start.dtype)
        logs = _descendants(self.drift, self.rate, interval, grid, -last)
        return np.exp(np.asarray(logs - first, np.float64)), -last

    def sample_paths(
        self, key: Key, x0: Values, at: Values, *, start: float | None = None
    ) -> NumPyOrJax:
        """Paths that are at ``x0`` at the snapshot time ``start`` (default t_0): their states at
        the times ``at``, shape ``(n, len(at), *shape)``; earlier times are walked to backwards.

        **Raises:** ``ValueError`` for times outside [t_0, t_K] and a ``start`` that is none.
        """
        rows = self._inside(x0, "x0").reshape(-1, *self.manifold.shape)
        first = snapshot_time(self.times, start)
        wanted = np.asarray(at, np.float64).tolist()
        for t in wanted:
            self._interval(t)
        found: dict[float, Array] = {first: rows}
        for salt, ahead in enumerate((True, False)):
            times = {t for t in wanted if (t > first if ahead else t < first)}
            found |= self._sweep(jax.random.fold_in(key, salt), rows, first, times, ahead)
        return self._outside(jnp.stack([found[t] for t in wanted], axis=1))

    def _sweep(
        self, key: Key, rows: Array, first: float, times: set[float], ahead: bool
    ) -> dict[float, Array]:
        found: dict[float, Array] = {}
        at = self.times.index(first)
        while times - found.keys():
            k = at if ahead else at - 1
            low, high = self.times[k], self.times[k + 1]
            stops = sorted({t for t in times if low < t < high} | {high if ahead else low})
            grid = self._grid(k, stops)
            places = np.searchsorted(grid, stops)
            path = self._walked(k, rows, grid, places, jax.random.fold_in(key, k), ahead)
            for j, t in enumerate(stops):
                found[t] = path[:, j]
            rows = found[high if ahead else low]
            at += 1 if ahead else -1
        return found

    def _walked(
        self,
        k: int,
        rows: Array,
        grid: np.ndarray,
        places: np.ndarray,
        key: Key,
        ahead: bool,
        tilt: Array | None = None,
    ) -> Array:
        """States at the ``places`` of the grid of paths through an interval, from ``rows`` at its
        first time or at its last."""
        interval = self.intervals[k]
        if tilt is not None:
            interval = dataclasses.replace(interval, g=interval.g + tilt)
        walk = _forward if ahead else _backward
        found = walk(
            self.drift, self.rate, interval, rows, jnp.asarray(grid - self.times[0], rows.dtype),
            jax.random.split(key, len(rows)), jnp.asarray(places), self.draws,
        )  # fmt: skip
        fail_at_rows("samples", ~jnp.isfinite(found), "not finite", "The drift runs away.")
        return found

    # -- inside ----------------------------------------------------------------------------------
    def _interval(self, t: float) -> int:
        low, high = self.times[0], self.times[-1]
        if not (math.isfinite(t) and low <= t <= high):
            raise ValueError(
                f"t: {t:g} is outside the snapshots, {low:g} to {high:g}: they say nothing of what "
                "comes before the first or after the last."
            )
        return min(max(int(np.searchsorted(self.times, t)) - 1, 0), len(self.times) - 2)

    def _grid(self, k: int, stops: Sequence[float]) -> np.ndarray:
        """Times of an interval, with those asked for."""
        low, high = self.times[k], self.times[k + 1]
        nodes = np.linspace(low, high, STEPS + 1)
        between = sorted({t for t in stops if low < t < high})
        inner = 1 + np.array([np.argmin(np.abs(nodes[1:-1] - t)) for t in between], int)
        if len(set(inner.tolist())) == len(between):
            # In the place of the nearest: as many times whatever is asked for, one program.
            nodes[inner] = between
            return nodes
        # No two times are nearer than floats tell apart.
        for t in between:
            nodes = nodes[np.abs(nodes - t) > 1e-5 * (high - low)]
        return np.union1d(nodes, [low, *between, high])

    def _inside(self, x: Values, name: str) -> Array:
        if self.origin is None:
            return check_points(self.manifold, x, name)
        moved = np.asarray(x, np.float64) - np.asarray(self.origin)
        return check_points(self.manifold, moved.astype(self.rate.dtype), name)

    def _outside(self, rows: Array) -> NumPyOrJax:
        if self.origin is None:
            return rows
        return np.asarray(rows, np.float64) + np.asarray(self.origin)


def in_blocks(function: Callable, *arrays: Array) -> Any:
    """``jax.vmap`` over the rows of arrays, some at a time; the last block is filled up, so that
    all are one program."""
    n = len(arrays[0])
    size = min(_ROWS, n)
    filled = [jnp.concatenate([a, a[: -n % size]]) for a in arrays]
    found = jax.lax.map(lambda rows: function(*rows), tuple(filled), batch_size=size)
    return jax.tree.map(lambda a: a[:n], found)


def costs(found: Stream, deltas: Array, rate: Scalar) -> Array:
    """δ·Σ⁻¹ δ / 2r of deviations at the end of a path, shape ``(m, d)``."""
    return size_of(found.spread[-1], deltas) / (2.0 * rate)


def ends(manifold: Manifold, found: Stream, points: Array) -> Array:
    """Deviations of ``points`` from the end of a path, shape ``(m, d)``."""
    return jax.vmap(lambda y: deviation(manifold, found.points[-1], found.frames[-1], y))(points)


def pinned(manifold: Manifold, found: Stream, end: Array, key: Key, rate: Scalar) -> Array:
    """A path of the process that ends at the deviation ``end``, shape ``(L, *shape)``."""
    free = found.free(key, rate)
    delta = free + found.bent(end - free[-1])
    return laid_off(manifold, found, delta)


@eqx.filter_jit
def _nearest_rows(manifold: Manifold, points: Array, rows: Array) -> Array:
    return in_blocks(lambda x: nearest_row(manifold, points, x), rows)


@eqx.filter_jit
def _velocities(drift: Drift, rows: Array, t: Scalar) -> Array:
    return jax.vmap(lambda x: drift(x, t))(rows)


@eqx.filter_jit
def _descendants(drift: Drift, rate: Scalar, interval: Interval, grid: Array, tilt: Array) -> Array:
    """log Σ_j P_ij e^{tilt_j}, shape ``(n,)``."""
    m = drift.manifold

    def one(x: Point) -> Scalar:
        found = stream(drift, x, grid)
        cost = costs(found, ends(m, found, interval.end), rate)
        if interval.simulated is not None:
            cost = cost - interval.simulated.of_start(m, x)
        return jax.nn.logsumexp(interval.g - cost + tilt)

    size = math.log(len(interval.start) * len(interval.end))
    return interval.f + in_blocks(one, interval.start) - size


@eqx.filter_jit
def _forward(
    drift: Drift, rate: Scalar, interval: Interval, rows: Array, grid: Array, keys: Array,
    at: Array, draws: int,
) -> Array:  # fmt: skip
    """From ``rows`` at the first time of the grid: states at the places ``at`` of it."""
    m = drift.manifold

    def one(x: Point, k: Key) -> Array:
        pick, walk = jax.random.split(k)
        found = stream(drift, x, grid)
        deltas = ends(m, found, interval.end)
        scores = interval.g - costs(found, deltas, rate)
        if interval.simulated is not None:
            scores = scores + interval.simulated.of_start(m, x)
        chosen = jax.random.categorical(pick, scores)
        if draws:
            return weighted(drift, x, interval.end[chosen], grid, walk, rate, draws)[0][at]
        return pinned(m, found, deltas[chosen], walk, rate)[at]

    return in_blocks(one, rows, keys)


@eqx.filter_jit
def _backward(
    drift: Drift, rate: Scalar, interval: Interval, rows: Array, grid: Array, keys: Array,
    at: Array, draws: int,
) -> Array:  # fmt: skip
    """From ``rows`` at the last time of the grid."""
    m = drift.manifold

    def last(x: Point) -> Stream:
        found = stream(drift, x, grid)
        cut = lambda a: a[-1:]  # noqa: E731
        return Stream(*map(cut, found))

    streams = in_blocks(last, interval.start)

    def one(y: Point, k: Key) -> Array:
        pick, walk = jax.random.split(k)

        def cost(found: Stream) -> Scalar:
            return costs(found, ends(m, found, y[None]), rate)[0]

        scores = interval.f - jax.vmap(cost)(streams)
        if interval.simulated is not None:
            scores = scores + interval.simulated.of_end(m, interval.start, y)
        chosen = jax.random.categorical(pick, scores)
        if draws:
            return weighted(drift, interval.start[chosen], y, grid, walk, rate, draws)[0][at]
        found = stream(drift, interval.start[chosen], grid)
        return pinned(m, found, ends(m, found, y[None])[0], walk, rate)[at]

    return in_blocks(one, rows, keys)
