"""How a current is learned: bridge and drift in turn, by settings that inner snapshots choose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key
from scorefold._warnings import warn
from scorefold.bridges.currents.drift import Drift, LearnedDrift, NoDrift, moving_fields
from scorefold.bridges.currents.growth import (
    PRICE,
    Growth,
    noise_rate,
    regressed_growth,
    relaxed_shares,
)
from scorefold.bridges.currents.linearised import Stream, laid_off, stream
from scorefold.bridges.currents.plans import (
    bridged,
    grown_ends,
    least_rate,
    mean_square,
    plan_of,
)
from scorefold.bridges.currents.regression import Velocities, regressed
from scorefold.bridges.currents.snapshot_current import SnapshotCurrent, costs, ends
from scorefold.bridges.snapshots.inner import Clouds, floor_of, nearer
from scorefold.fitting.progress import progress_bar
from scorefold.manifolds import Manifold

LENGTHS = (0.5, 1.0, 2.0)
RIDGES = (1e-4, 1e-2)
SHARES = (1.0, 0.1, 0.01)
"""What is compared: lengths of the features in deviations of the points, ridges, and for the best
of them shares of the mean square that the rate takes."""
_SEGMENTS = 6
"""Of a path while the drift is learned."""
_TRIALS = 5
"""Rounds of each trial."""
_DRAWN = 4
"""Draws of a law that may have growth, by which it is judged."""
_LEAST_RATE = 1e-5
"""Of the rate that was begun with."""


class Trial(NamedTuple):
    """A setting that was tried: ``length`` and ``ridge`` (None: no drift), ``share`` of the rate,
    and ``each``: distances W₁ of its laws to inner snapshots, each left out in turn (inf: it has
    none); ``growth``: whether growth was learned, too."""

    length: float | None
    ridge: float | None
    share: float
    each: tuple[float, ...] = ()
    growth: bool = False

    @property
    def w1(self) -> float:
        """Their mean."""
        return float(np.mean(self.each)) if self.each else math.nan


class CurrentLearner(NamedTuple):
    """How settings are tried: from ``untrained`` (by length), or with a drift that is ``known``."""

    untrained: Callable[[float], LearnedDrift]
    known: Drift | None
    growth: Growth | None
    learns_growth: bool
    rate: float
    fixed_rate: bool
    key: Key
    progress: bool

    def chosen(
        self, some: Clouds, length: float | None, ridge: float | None
    ) -> tuple[tuple[Trial, ...], Trial]:
        """What was tried, and the best of it."""
        drifts: list[tuple[float | None, float | None]] = [(None, None)]
        if self.known is None:
            drifts += list(itertools.product(LENGTHS, RIDGES))
        if length is not None:
            drifts = [(length, ridge)]
        shares = SHARES[:1] if self.fixed_rate else SHARES
        inner = some.inner
        if not inner or len(drifts) * len(shares) * (1 + self.learns_growth) == 1:
            if len(drifts) > 1:
                drifts = [(LENGTHS[1], RIDGES[1])]
                warn(
                    "times: of two snapshots none is between others, so nothing says whether a "
                    f"current is real: one of length {LENGTHS[1]} and ridge {RIDGES[1]} was "
                    "learned. State both, or drift."
                )
            return (), Trial(*drifts[0], 1.0)
        count = len(drifts) + len(shares) - 1 + self.learns_growth
        with progress_bar(count, 0, self.progress) as bar:

            def tried(setting: Trial) -> Trial:
                found = self._tried(some, inner, setting)
                bar.update(1)
                return found

            trials = [tried(Trial(*d, 1.0)) for d in drifts]
            best = min(trials, key=lambda trial: trial.w1)
            if trials[0].ridge is None and not nearer(best.each, trials[0].each):
                best = trials[0]
            narrower = [tried(best._replace(share=s)) for s in shares[1:]]
            trials += narrower
            best = min([best, *narrower], key=lambda trial: trial.w1)
            pulling = [trial for trial in trials if trial.ridge is not None]
            if best.ridge is None and best.share < 1.0 and pulling:
                # What noise hid at the whole rate may be seen at a smaller one.
                bar.total = (count := count + 1)
                again = tried(min(pulling, key=lambda t: t.w1)._replace(share=best.share))
                best = again if nearer(again.each, best.each) else best
                trials.append(again)
            if self.learns_growth:
                # The drift that is best without may be one that carries members in its stead.
                stiff = [Trial(*d, 1.0) for d in drifts if d[1] == RIDGES[-1] and length is None]
                others = [t for t in stiff if t[:3] != best[:3]]
                bar.total = count + len(others)  # one of growth is counted
                grown = [tried(t._replace(growth=True)) for t in (best, *others)]
                trials += grown
                first = min(grown, key=lambda trial: trial.w1)
                best = first if nearer(first.each, best.each) else best
        return tuple(trials), best

    def _tried(self, some: Clouds, left: Sequence[int], setting: Trial) -> Trial:
        missed = []
        for k in left:
            rest = some.without(k)
            drift, growth, rate, rates = self.whole(rest, setting, _TRIALS)
            if len(rates) < _TRIALS:
                missed.append(math.inf)
                continue
            # Who has descendants is drawn, too: growth is judged by the mean of several draws.
            keys = jax.random.split(self.key, _DRAWN if self.learns_growth else 1)
            missed.append(_missed(some, rest, k, drift, growth, rate, keys))
        return setting._replace(each=tuple(missed))

    def whole(
        self, some: Clouds, setting: Trial, rounds: int
    ) -> tuple[Drift, Growth | None, float, tuple[float, ...]]:
        """Drift, growth and rate: with growth to learn, a drift from plans that may take more or
        less from a member, and growth from the last of them. (Of plans that take as much from each
        a drift carries members where others multiply, and hides it.)"""
        if not setting.growth:
            return self.learned(some, setting, rounds, None)
        floors = [floor_of(self.key, some.manifold, rows, len(rows)) for rows in some.clouds]
        width = float(np.mean(floors))
        drift, _, rate, rates = self.learned(some, setting, rounds, width)
        return drift, self._grown_along(drift, some, width), rate, rates

    def _grown_along(self, drift: Drift, some: Clouds, width: float) -> Growth:
        gaps = np.diff(some.times)
        counts = []
        for (x, y), grid, gap in zip(
            itertools.pairwise(some.clouds), _grids(some), gaps, strict=True
        ):
            s = np.asarray(_seen(drift, x, grid, y)[2], np.float64)
            counts.append(_descending(s, noise_rate(some.manifold, width, gap)))
        # At both ends of the paths: what multiplies has moved on until the next snapshot.
        both = np.concatenate([np.stack(side) for side in zip(*counts, strict=True)])
        basis = self.untrained(LENGTHS[1])
        rows, at = [*some.clouds[:-1], *some.clouds[1:]], [*some.times[:-1], *some.times[1:]]
        return regressed_growth(basis, rows, at, np.tile(gaps, 2), both, width)

    def learned(
        self, some: Clouds, setting: Trial, rounds: int, width: float | None
    ) -> tuple[Drift, Growth | None, float, tuple[float, ...]]:
        """Bridge and drift in turn; without a ``ridge`` the drift stays as it is. Where it runs
        away the last that did not is returned, after fewer rounds. Plans take as much from each
        member as the growth that is known says; with a ``width`` (``LearnedGrowth``) more or less
        at a price."""
        drift = self.known or NoDrift(some.manifold)
        if self.known is None and setting.ridge is not None:
            drift = self.untrained(setting.length or 1.0)
        dtype, rate = some.clouds.dtype, self.rate
        rates: list[float] = []
        grids, gaps, before = _grids(some), np.diff(some.times), drift
        grown = grown_ends(self.growth, some.times, list(some.clouds))
        each = []
        for j in range(rounds):
            if setting.ridge is not None or j == 0:  # else the drift is that of the round before
                pairs = zip(itertools.pairwise(some.clouds), grids, strict=True)
                each = [_seen(drift, x, grid, y) for (x, y), grid in pairs]
            known = np.stack([np.asarray(squares, np.float64) for _, _, squares in each])
            if not np.isfinite(known).all():
                if j == 0:
                    raise FloatingPointError(
                        "drift: it runs away: paths along it, or the spread about them, are not "
                        "finite before the next snapshot, or differ by too many powers of ten "
                        "between directions for the floats in use."
                    )
                return before, self.growth, rate, tuple(rates)
            if width is None:
                plans = [plan_of(s, rate, g) for s, g in zip(known, grown, strict=True)]
            else:
                noises = [noise_rate(some.manifold, width, gap) for gap in gaps]
                plans = [plan_of(s, rate, shares=_descending(s, noise)[0] / len(s))
                         for s, noise in zip(known, noises, strict=True)]  # fmt: skip
            if not self.fixed_rate:
                mean = mean_square(plans, known) / some.manifold.dim
                rate = max(setting.share * mean, _LEAST_RATE * self.rate)
            rates.append(rate)
            if setting.ridge is None:
                continue
            keys = jax.random.split(jax.random.fold_in(self.key, j), len(plans))
            rows = jnp.arange(some.clouds.shape[1])
            seen = [
                _motion(
                    some.manifold, *found[:2], p.sample_targets(k, rows), grid, jnp.exp(p.log_a)
                )
                for found, p, grid, k in zip(each, plans, grids, keys, strict=True)
            ]
            assert isinstance(drift, LearnedDrift)
            before = drift
            drift = regressed(drift, seen, jnp.asarray(setting.ridge, dtype))
        return drift, self.growth, rate, tuple(rates)


def _descending(squares: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """How many descendants a plan at a price takes from each member, (n,), 1 in the mean, and from
    the ancestors of each member of the next snapshot, (m,)."""
    nats = jnp.asarray(squares / (2.0 * max(rate, least_rate(squares))))
    first, last = relaxed_shares(nats, PRICE)
    return np.exp(np.asarray(first, np.float64)), np.exp(np.asarray(last, np.float64))


def _grids(some: Clouds) -> Array:
    """Times of the paths of each interval while the drift is learned."""
    spans = [np.linspace(a, b, _SEGMENTS + 1) for a, b in itertools.pairwise(some.times)]
    return jnp.asarray(np.stack(spans), some.clouds.dtype)


@eqx.filter_jit
def _seen(drift: Drift, x: Array, grid: Array, later: Array) -> tuple[Stream, Array, Array]:
    """Streams from all points of a snapshot, deviations of the next snapshot's points from their
    ends, (n, n, d), and δ·Σ⁻¹δ, (n, n)."""
    m = drift.manifold

    def one(p: Array) -> tuple[Stream, Array, Array]:
        found = stream(drift, p, grid)
        deltas = ends(m, found, later)
        return found, deltas, 2.0 * costs(found, deltas, jnp.ones((), p.dtype))

    return jax.vmap(one)(x)


@eqx.filter_jit
def _motion(
    manifold: Manifold,
    streams: Stream,
    deltas: Array,
    partner: Array,
    grid: Array,
    shares: Array,
) -> Velocities:
    """Velocities along the mean path of each pair, at the middle of each step; ``shares`` of the
    first snapshot's points, shape ``(n,)``."""

    def path(found: Stream, delta: Array, j: Array) -> Velocities:
        bent = found.bent(delta[j])
        x = laid_off(manifold, found, bent)
        h = jnp.diff(grid)
        move = jax.vmap(manifold.log)(x[:-1], x[1:])
        middle = jax.vmap(lambda p, v: manifold.exp(p, 0.5 * v))(x[:-1], move)
        # Along a geodesic its direction at the middle is that at its start, carried there.
        ahead = jax.vmap(manifold.transport)(x[:-1], middle, move)
        wide = h.reshape(-1, *(1,) * len(manifold.shape))
        return Velocities(middle, grid[:-1] + 0.5 * h, ahead / wide, h)

    found = jax.vmap(path)(streams, deltas, partner)
    shape = manifold.shape
    weight = found.weight * (len(shares) * shares.astype(found.weight.dtype))[:, None]
    return Velocities(
        found.at.reshape(-1, *shape), found.time.reshape(-1), found.velocity.reshape(-1, *shape),
        weight.reshape(-1),
    )  # fmt: skip


def _missed(
    some: Clouds,
    rest: Clouds,
    k: int,
    drift: Drift,
    growth: Growth | None,
    rate: float,
    keys: Array,
) -> float:
    """W₁ between the points of snapshot k and as many draws of the law at its time: the mean over
    ``keys``; inf where there is no law."""
    pair, times = [rest.clouds[k - 1], rest.clouds[k]], rest.times[k - 1 : k + 1]
    try:
        intervals, rate = bridged(drift, growth, times, pair, rate, False)
        current = SnapshotCurrent(
            drift, jnp.asarray(rate, pair[0].dtype), intervals, tuple(times.tolist()), (0, 0)
        )
        t, n = float(some.times[k]), len(pair[0])
        found = [some.missed(k, np.asarray(current.sample_at(key, t, n))) for key in keys]
    except (ValueError, FloatingPointError):  # the drift runs away
        return math.inf
    return float(np.mean(found))


def solved_together(manifold: Manifold) -> int:
    """Fields whose coefficients are one linear system: those of flat spaces fall apart."""
    if manifold.periods is not None:
        return 1
    return len(moving_fields(manifold, manifold.origin()))
