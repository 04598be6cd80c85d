"""``fit_current``: snapshots in, the current that carries them and the bridge along it out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Key, Values
from scorefold._warnings import warn
from scorefold.bridges.currents.drift import (
    Drift,
    LearnedDrift,
    MovedDrift,
    NoDrift,
    untrained_drift,
)
from scorefold.bridges.currents.growth import GivenGrowth, Growth
from scorefold.bridges.currents.intake import check_drift, counted_draws
from scorefold.bridges.currents.learning import CurrentLearner, Trial, solved_together
from scorefold.bridges.currents.plans import bridged, moved_growth
from scorefold.bridges.currents.snapshot_current import SnapshotCurrent
from scorefold.bridges.snapshots.inner import Clouds, alike, around_mean, checked_snapshots
from scorefold.bridges.snapshots.rate import snapshot_rate
from scorefold.manifolds import Manifold

_DRAWS, _CURVED, _FEW = 32, 0.05, 0.7
"""Draws of a path that is simulated, nats that first order may miss, and the share of draws that
count below which laws are said to be rough."""
_UNKNOWNS = 600
"""Coefficients, at most, that are solved for together."""


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
    if draws is not None:
        draws = counted_draws("draws", draws, 0)
    if drift is not None:
        check_drift(drift, manifold, at, exact)
    # Times are counted from t_0, and flat coordinates from their mean: they keep their digits.
    origin, inside = around_mean(manifold, exact)
    clock = at - at[0]
    if drift is not None and not isinstance(drift, NoDrift):
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
    size = max(1, min(features, _UNKNOWNS // solved_together(manifold) - 1))
    if period is not None:
        size = max(1, size // 3)
    every = some.clouds.reshape(-1, *manifold.shape)

    def untrained(scale: float) -> LearnedDrift:
        return untrained_drift(manifold, every, size, scale, period, features_key)

    learner = CurrentLearner(
        untrained, drift, given, learn, start, rate is not None, walk, progress
    )
    trials, chosen = learner.chosen(some, length, ridge)
    found, grows, final, rates = learner.whole(some, chosen, rounds)
    if learn and not chosen.growth:
        why = "" if trials else "of two snapshots none lies between, so nothing says it is real: "
        grown = [trial.w1 for trial in trials if trial.growth]
        if grown:
            why = (f"with it inner snapshots are missed by W₁ {min(grown):.3g}, without by "
                   f"{chosen.w1:.3g}: ")  # fmt: skip
        warn(f"growth: {why}none was learned. Give it (GivenGrowth) where it is known.")
    if len(rates) < rounds:
        warn(
            f"drift: it ran away in round {len(rates)} of {rounds}; that of the round before is "
            "kept. Take a larger length or ridge."
        )
    simulate = jax.random.fold_in(walk, rounds)

    def current(draws: int) -> SnapshotCurrent:
        simulated = (simulate, draws) if draws else None
        intervals, rate = bridged(found, grows, clock, inside, final, True, simulated)
        return SnapshotCurrent(
            found, jnp.asarray(rate, some.clouds.dtype), intervals, tuple(at.tolist()), mass,
            origin, draws,
        )  # fmt: skip

    curved = None
    if draws is not None or drift is None:
        law = current(draws or 0)
    else:
        law = current(0)
        curved, counts = law.first_order_error(simulate)
        if not curved <= _CURVED:
            law = current(_DRAWS)
            if counts < _FEW:
                warn(
                    f"drift: of the draws of a path between snapshots {100 * counts:.2g} % count: "
                    "members take several routes, or cross at any time, of which draws about one "
                    "likely path find but some. Laws between are rough; more snapshots mend it."
                )
    return law, CurrentHistory(trials, chosen if trials else None, rates, curved)
