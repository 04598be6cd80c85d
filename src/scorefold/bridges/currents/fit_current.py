"""``fit_current``: snapshots in, the current that carries them and the bridge along it out."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Values
from scorefold._warnings import warn
from scorefold.bridges.currents.drift import (
    Drift,
    LearnedDrift,
    MovedDrift,
    moving_fields,
    untrained_drift,
)
from scorefold.bridges.currents.growth import (
    PRICE,
    GivenGrowth,
    Growth,
    regressed_growth,
    relaxed_shares,
)
from scorefold.bridges.currents.intake import check_drift
from scorefold.bridges.currents.linearised import Stream, laid_off, stream
from scorefold.bridges.currents.plans import (
    bridged,
    grown_ends,
    least_rate,
    mean_square,
    moved_growth,
    plan_of,
)
from scorefold.bridges.currents.regression import Velocities, regressed
from scorefold.bridges.currents.simulated import beyond_first_order
from scorefold.bridges.currents.snapshot_current import (
    STEPS,
    SnapshotCurrent,
    costs,
    ends,
)
from scorefold.bridges.snapshots.inner import (
    Clouds,
    alike,
    around_mean,
    checked_snapshots,
    floor_of,
    nearer,
)
from scorefold.bridges.snapshots.rate import snapshot_rate
from scorefold.fitting.progress import progress_bar
from scorefold.manifolds import Manifold

LENGTHS = (0.5, 1.0, 2.0)
RIDGES = (1e-4, 1e-2)
SHARES = (1.0, 0.1, 0.01)
"""What is compared: lengths of the features in deviations of the points, ridges, and for the best
of them shares of the mean square that the rate takes."""
_SEGMENTS = 6
"""Of a path while the drift is learned."""
_DRAWS, _PAIRS, _CURVED = 32, 64, 0.05
"""Draws of a path that is simulated, pairs by which that is decided, and nats."""
_UNKNOWNS = 600
"""Coefficients, at most, that are solved for together."""
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


class CurrentHistory(NamedTuple):
    """``trials``: what inner snapshots said of each setting; ``chosen``: one of them (None where
    there was no inner snapshot, or nothing to choose). ``rates``: r after each round. ``curved``:
    by how much first order in √r misses log densities of transitions, nats, the largest standard
    deviation in an interval (None: not measured)."""

    trials: tuple[Trial, ...]
    chosen: Trial | None
    rates: tuple[float, ...]
    curved: float | None = None


def fit_current(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    drift: Drift | None = None,
    growth: Growth | Literal["learn"] | None = None,
    rate: float | None = None,
    period: float | None = None,
    length: float | None = None,
    ridge: float | None = None,
    features: int = 200,
    rounds: int = 10,
    at_most: int = 300,
    draws: int | None = None,
    progress: bool = False,
) -> tuple[SnapshotCurrent, CurrentHistory]:
    """The bridge through snapshots relative to dX = b(X, t) dt + √r dB, b given or learned.

    Learning goes to and fro: a bridge says how points moved, and the drift is the ridge regression
    of the velocities along its paths; it starts from no drift. One drift serves all intervals, with
    ``period`` T also its first harmonic in time. Its length and ridge are those whose law at the
    inner snapshots, each left out in turn, is nearest to them (W₁). Unless it is nearer than no
    drift at all by a sixth and by two standard errors (at the whole rate, or the best of them at
    the share that no drift takes), there is none: Brownian motion is the
    reference, as of ``fit_intervals``.

    **Arguments:**

    - ``times``: t_0 < … < t_K; ``points``: K + 1 arrays, shape ``(n_k, *manifold.shape)``.
    - ``drift``: a ``Drift`` that is known, in place of one that is learned.
    - ``growth``: births less deaths (``GivenGrowth``), where members multiply or vanish more in one
      place than in another. Every member of a snapshot still counts once; how many there are in
      all is said by their numbers (``SnapshotCurrent.mass_at``). ``"learn"``: a regression on
      what plans want that may take more or less from a member, at a price of 30 nats a nat, while
      the drift is learned; it is kept where inner snapshots are nearer with it, by a sixth and by
      two standard errors.
    - ``rate``: r > 0, variance per unit of time (default: a share of the mean of δ·Σ⁻¹δ/d over the
      pairs of the bridge, round by round from ``snapshot_rate``. The whole mean is the likelihood's
      choice, in which other members in every snapshot look like noise; inner snapshots choose
      between it, a tenth and a hundredth).
    - ``length``, ``ridge``: state both, and only shares of the rate are compared.
    - ``features``: random cosines, at most; ``rounds``: of bridge and drift; ``at_most``: points of
      a snapshot that the drift is learned from.
    - ``draws``: of each path (``SnapshotCurrent``); 0: to first order in √r. Default: 0 with a
      drift that is learned, and with one that is given if first order is right: log densities of
      transitions, 64 pairs of the plan in each interval, differ from simulated ones by numbers
      whose standard deviation is .05 nats at most; else 32.
    - ``progress``: a bar on stderr.

    **Returns:** the bridge through all points, and what was tried.
    **Raises:** ``ValueError`` naming the argument for times that do not increase, fewer than 2
    points in a snapshot, a drift that is not finite or not tangent at the points, and numbers out
    of range; ``FloatingPointError`` for a drift that is given and runs away.

    Source: Shen, Berlinghieri & Broderick 2024 (to and fro, with simulated bridges).
    """
    at, exact = checked_snapshots(manifold, times, points)
    if (length is None) != (ridge is None):
        raise ValueError("length, ridge: state both of them or none.")
    for name, value in (("rate", rate), ("period", period), ("length", length), ("ridge", ridge)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive finite number, got {value!r}.")
    for name, count in (("features", features), ("rounds", rounds), ("at_most", at_most - 1)):
        if count < 1:
            raise ValueError(f"{name}: too small a number.")
    if draws is not None and draws < 0:
        raise ValueError(f"draws must be 0 or more, got {draws}.")
    if drift is not None:
        check_drift(drift, manifold, at, exact)
    # Times are counted from t_0, and flat coordinates from their mean: they keep their digits.
    origin, inside = around_mean(manifold, exact)
    clock = at - at[0]
    if drift is not None:
        moved = np.zeros(manifold.shape) if origin is None else origin
        drift = MovedDrift(manifold, drift, moved, float(at[0]))
    if isinstance(growth, str) and growth != "learn":
        raise ValueError(f'growth: must be a Growth or "learn", got {growth!r}.')
    learn, given = isinstance(growth, str), None if isinstance(growth, str) else growth
    if given is not None:
        for t, rows in zip(at, exact, strict=True):
            given(rows, float(t))
        if isinstance(given, GivenGrowth):
            given = moved_growth(given, origin, float(at[0]))
    mass = tuple(map(len, inside))
    start = snapshot_rate(manifold, at, inside) if rate is None else rate
    pick, features_key, walk = jax.random.split(key, 3)
    some = Clouds(manifold, clock, jnp.stack(alike(pick, inside, at_most)))
    size = max(1, min(features, _UNKNOWNS // _solved_together(manifold) - 1))
    if period is not None:
        size = max(1, size // 3)
    every = some.clouds.reshape(-1, *manifold.shape)

    def untrained(scale: float) -> LearnedDrift:
        return untrained_drift(manifold, every, size, scale, period, features_key)

    learner = _Learner(untrained, drift, given, learn, start, rate is not None, walk, progress)
    trials, chosen = learner.chosen(some, length, ridge)
    found, grows, final, rates = learner.whole(some, chosen, rounds)
    if len(rates) < rounds:
        warn(
            f"drift: it ran away in round {len(rates)} of {rounds}; that of the round before is "
            "kept. Take a larger length or ridge."
        )
    simulate = jax.random.fold_in(walk, rounds)
    noises = learner.noises(some) if chosen.growth else [None] * (len(at) - 1)

    def current(draws: int) -> SnapshotCurrent:
        intervals, rate = bridged(found, grows, clock, inside, final, True, simulate, draws, noises)
        return SnapshotCurrent(
            found, jnp.asarray(rate, some.clouds.dtype), intervals, tuple(at.tolist()), mass,
            origin, draws,
        )  # fmt: skip

    curved = None
    if draws is not None or drift is None:
        law = current(draws or 0)
    else:
        law = current(0)
        curved = _curved(law, simulate)
        if not curved <= _CURVED:
            law = current(_DRAWS)
    return law, CurrentHistory(trials, chosen if trials else None, rates, curved)


def _curved(law: SnapshotCurrent, key: Key) -> float:
    """The standard deviation of what first order misses, nats, in the worst interval."""
    found = []
    for k, interval in enumerate(law.intervals):
        x = interval.start[:_PAIRS]
        first, second = jax.random.split(jax.random.fold_in(key, k))
        y = law.partners(first, k, x)
        grid = jnp.asarray(np.linspace(*law.clock(k), STEPS + 1), x.dtype)
        missed = beyond_first_order(law.drift, law.rate, x, y, grid, second, _DRAWS)
        found.append(float(jnp.std(missed)))
    return max(found)


# -- learning --------------------------------------------------------------------------------------
class _Learner(NamedTuple):
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
                bar.total = count + 1
                again = tried(min(pulling, key=lambda t: t.w1)._replace(share=best.share))
                best = again if nearer(again.each, best.each) else best
                trials.append(again)
            if self.learns_growth:
                # The drift that is best without may be one that carries members in its stead.
                stiff = [Trial(*d, 1.0) for d in drifts if d[1] == RIDGES[-1] and length is None]
                others = [t for t in stiff if t[:3] != best[:3]]
                bar.total = count + len(others)
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
            noise = self.noises(rest)[k - 1 : k] if setting.growth else [None]
            miss = functools.partial(_missed, some, rest, k, drift, growth, rate, noise)
            # Who has descendants is drawn, too: growth is judged by the mean of several draws.
            keys = jax.random.split(self.key, _DRAWN if self.learns_growth else 1)
            each = [miss(key) for key in keys] if len(rates) == _TRIALS else [math.inf]
            missed.append(float(np.mean(each)))
        return setting._replace(each=tuple(missed))

    def whole(
        self, some: Clouds, setting: Trial, rounds: int
    ) -> tuple[Drift, Growth | None, float, tuple[float, ...]]:
        """Drift, growth and rate: with growth to learn, a drift from plans that may take more or
        less from a member, and growth from the last of them. (Of plans that take as much from each
        a drift carries members where others multiply, and hides it.)"""
        drift, rate, rates = self.learned(some, setting, rounds)
        growth = self._grown_along(drift, some) if setting.growth else self.growth
        return drift, growth, rate, rates

    def noises(self, some: Clouds) -> list[float]:
        """The rate in each interval at which noise is as wide as fresh members are from those of a
        snapshot: at a smaller one noise of the pairs would be growth, at a larger one a drift that
        carries members where others multiply would hide it."""
        wide = np.mean([floor_of(self.key, some.manifold, rows, len(rows)) for rows in some.clouds])
        return [float(wide**2 / some.manifold.dim / gap) for gap in np.diff(some.times)]

    def _grown_along(self, drift: Drift, some: Clouds) -> Growth:
        gaps = np.diff(some.times)
        counts = []
        of_each = zip(itertools.pairwise(some.clouds), _grids(some), self.noises(some), strict=True)
        for (x, y), grid, noise in of_each:
            s = np.asarray(_seen(drift, x, grid, y)[2], np.float64)
            counts.append(_descending(s, noise))
        # At both ends of the paths: what multiplies has moved on until the next snapshot.
        both = np.concatenate([np.stack(side) for side in zip(*counts, strict=True)])
        basis = self.untrained(LENGTHS[1])
        rows, at = [*some.clouds[:-1], *some.clouds[1:]], [*some.times[:-1], *some.times[1:]]
        return regressed_growth(basis, rows, at, np.tile(gaps, 2), both)

    def learned(
        self, some: Clouds, setting: Trial, rounds: int
    ) -> tuple[Drift, float, tuple[float, ...]]:
        """Bridge and drift in turn; without a ``ridge`` the drift stays as it is. Where it runs
        away the last that did not is returned, after fewer rounds."""
        drift = self.known or self.untrained(setting.length or 1.0)
        dtype, rate = some.clouds.dtype, self.rate
        rates: list[float] = []
        grids, noises = _grids(some), self.noises(some) if setting.growth else []
        before, grown = (
            drift,
            grown_ends(self.growth, some.times, list(some.clouds), [None] * len(grids)),
        )
        for j in range(rounds):
            pairs = zip(itertools.pairwise(some.clouds), grids, strict=True)
            each = [_seen(drift, x, grid, y) for (x, y), grid in pairs]
            known = np.stack([np.asarray(squares, np.float64) for _, _, squares in each])
            if not np.isfinite(known).all():
                if j == 0:
                    raise FloatingPointError(
                        "drift: it runs away: paths along it, or the spread about them, are not "
                        "finite before the next snapshot."
                    )
                return before, rate, tuple(rates)
            if setting.growth:
                shares = [_descending(s, noise)[0] / len(s)
                          for s, noise in zip(known, noises, strict=True)]  # fmt: skip
                plans = [plan_of(s, rate, shares=a) for s, a in zip(known, shares, strict=True)]
            else:
                plans = [plan_of(s, rate, g) for s, g in zip(known, grown, strict=True)]
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
        return drift, rate, tuple(rates)


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
    noises: Sequence[float | None],
    key: Key,
) -> float:
    """W₁ between the law at the time of the snapshot k and its points; inf where it has none."""
    pair, times = [rest.clouds[k - 1], rest.clouds[k]], rest.times[k - 1 : k + 1]
    try:
        intervals, rate = bridged(drift, growth, times, pair, rate, False, key, 0, noises)
        current = SnapshotCurrent(
            drift, jnp.asarray(rate, pair[0].dtype), intervals, tuple(times.tolist()), (0, 0)
        )
        drawn = np.asarray(current.sample_at(key, float(some.times[k]), len(pair[0])))
    except (ValueError, FloatingPointError):  # the drift runs away
        return math.inf
    return some.missed(k, drawn)


def _solved_together(manifold: Manifold) -> int:
    """Fields whose coefficients are one linear system: those of flat spaces fall apart."""
    if manifold.periods is not None:
        return 1
    return len(moving_fields(manifold, manifold.origin()))
