"""``fit_snapshots``: clouds of points at a few times in, a law of paths through them out."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Key, ReadOnlyDocument, Values
from scorefold._warnings import warn
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.currents.fit_current import CurrentHistory, fit_current
from scorefold.bridges.snapshots.coherence import bend_coherence
from scorefold.bridges.snapshots.fit_intervals import fit_intervals
from scorefold.bridges.snapshots.fit_splines import SplineHistory, fit_splines
from scorefold.bridges.snapshots.inner import (
    Clouds,
    alike,
    around_mean,
    checked_snapshots,
    floor_of,
    nearer,
)
from scorefold.bridges.snapshots.interpolation import interpolate_snapshots
from scorefold.bridges.snapshots.law import SnapshotBridge
from scorefold.fitting import History
from scorefold.manifolds import Manifold

SnapshotMethod = Literal["best", "bridge", "current", "spline", "momentum"]
PAIRS = "optimal pairs"
MOVING = ("current", "momentum", "spline")
"""Methods that are compared by inner snapshots."""
_ROUNDING = 1.0 + 1e-3
"""W₁ of one method over that of another, up to which they are taken for equal."""
_MISSED = 1.2
"""W₁ of lines over that of fresh points, up to which nothing is to be gained by bending them."""
_HALF = 0.5
"""Coherence below which straight paths are nearer than bent ones."""
_MOST = 300
"""Points of a snapshot, as of the fits."""

SnapshotCourse = CurrentHistory | SplineHistory | tuple[History | AlternationHistory, ...]


class SnapshotHistory(NamedTuple):
    """How ``fit_snapshots`` came to its result.

    - ``method``: that was taken.
    - ``inner``: times of the inner snapshots that were left out in turn (four at most).
    - ``compared``: distances W₁ to them, of each method that was tried and of straight lines
      between optimal pairs, from what is left. Empty for ``"bridge"``, and where nothing is inner.
    - ``floor``: W₁ of fresh points to them, as far as halves of the snapshots tell.
    - ``coherence``: of the bends of pairs at inner snapshots (``bend_coherence``), which ``"best"``
      asks for; None where it was not asked or cannot be told.
    - ``course``: the history of the method itself: ``CurrentHistory``, ``SplineHistory``, or one
      ``History`` for each interval.
    - ``seconds``: of wall clock, of all that was tried.
    """

    method: str
    inner: tuple[float, ...]
    compared: dict[str, tuple[float, ...]]
    course: SnapshotCourse
    seconds: float
    floor: tuple[float, ...] = ()
    coherence: float | None = None


class Contest(NamedTuple):
    """Methods fitted to the same snapshots, ``fitted`` by name, and what inner snapshots say of
    them (``SnapshotHistory``): ``compared``, what fresh points would have (``floor``), and how
    coherent bends are."""

    fitted: dict[str, tuple[SnapshotBridge, CurrentHistory | SplineHistory]]
    inner: tuple[float, ...]
    compared: dict[str, tuple[float, ...]]
    floor: tuple[float, ...] = ()
    coherence: float | None = None

    @property
    def bends(self) -> bool:
        """Whether paths bend by more than the noise of the points: lines between pairs miss inner
        snapshots by a fifth more than fresh points, and half of the change of velocity is shared by
        neighbours. True where it cannot be told."""
        missed = not self.floor or self.mean(PAIRS) > _MISSED * float(np.mean(self.floor))
        return missed and (self.coherence is None or self.coherence >= _HALF)

    @property
    def best(self) -> str:
        """Splines where paths bend by more than the noise of points (``bends``), else a current,
        unless another method is nearer to inner snapshots by a sixth and by two standard errors;
        the nearest where straight lines between pairs are nearer than splines; the first that there
        is where nothing is known."""
        known = [name for name in self.compared if name != PAIRS]
        if not known:
            return next(iter(self.fitted))
        first = min(known, key=self.mean)
        usual = "spline" if self.bends or "current" not in known else "current"
        if usual not in known:
            return first
        behind = usual == "spline" and self.mean(usual) > _ROUNDING * self.mean(PAIRS)
        if behind or nearer(self.compared[first], self.compared[usual]):
            return first
        return usual

    def mean(self, name: str) -> float:
        return float(np.mean(self.compared[name]))


def fit_snapshots(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    method: SnapshotMethod = "best",
    **options: Any,
) -> tuple[SnapshotBridge, SnapshotHistory]:
    """A law of paths through all snapshots, and how it was come by.

    - ``"bridge"``: Brownian motion between snapshots; ``options``: those of ``fit_intervals``.
    - ``"current"``: Brownian motion carried by a drift, learned or given; of ``fit_current``.
    - ``"momentum"``: velocities that wander, dx = v dt, dv = √ε dW; of ``fit_splines``.
    - ``"spline"``: the same without noise; of ``fit_splines``.
    - ``"best"``: splines if lines between optimal pairs miss inner snapshots by a fifth more than
      fresh points would, and neighbours have more than half of the change of velocity there in
      common (``bend_coherence``); else a current (which may be none at all: Brownian motion).
      Another method is taken if it is nearer (W₁) to inner snapshots, each left out in turn, by a
      sixth of the mean and by two standard errors, and the nearest if lines are nearer than
      splines; of ``fit_current``.

    **Arguments:** ``times``: t_0 < … < t_K; ``points``: K + 1 arrays, lists or frames, shape
    ``(n_k, *manifold.shape)``.
    **Warns:** where straight lines between optimal pairs of the neighbours are nearer to inner
    snapshots than the method that is returned (by a thousandth or more), and of splines through
    three snapshots, which none of them tests.
    **Raises:** ``ValueError`` naming the argument for an unknown method, two snapshots with
    ``"best"``, ``"momentum"`` or ``"spline"``, and what the functions named above raise.
    """
    started = time.perf_counter()
    if method == "bridge":
        bridge, course = fit_intervals(manifold, times, points, key=key, **options)
        seconds = time.perf_counter() - started
        return bridge, SnapshotHistory(method, (), {}, course, seconds)
    if method not in ("best", *MOVING):
        raise ValueError(f"method: {method!r} is none of best, bridge, {', '.join(MOVING)}.")
    found = contest(
        manifold, times, points, key=key, methods=MOVING if method == "best" else (method,),
        options=options,
    )  # fmt: skip
    taken = found.best
    if len(points) == 3 and taken != "current":
        shared = (
            "Where points are mostly noise they overshoot"
            if found.coherence is None
            else f"Neighbours have {100 * found.coherence:.0f} % of the change of velocity at the "
            "middle one in common; what is not is noise that they follow"
        )
        warn(
            f"{taken}: with one of three snapshots left out paths are straight, so no snapshot has "
            f'tested how they bend between. {shared}: compare method="current" (--method current).'
        )
    if found.compared and found.mean(taken) > _ROUNDING * found.mean(PAIRS):
        warn(
            f"{taken}: straight lines between optimal pairs are nearer to inner snapshots that "
            f"were left out, W₁ {found.mean(PAIRS):.3g} against {found.mean(taken):.3g}."
        )
    law, own = found.fitted[taken]
    seconds = time.perf_counter() - started
    history = SnapshotHistory(
        taken, found.inner, found.compared, own, seconds, found.floor, found.coherence
    )
    return law, history


def contest(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    methods: Sequence[str] = MOVING,
    options: ReadOnlyDocument | None = None,
) -> Contest:
    """The ``methods`` of ``MOVING`` fitted to the same snapshots, each with its distances to inner
    ones. With more than one of them ``options`` are those of the current, but for ``at_most``,
    which is that of all: distances are compared between as many points."""
    options = options or {}
    shared = {name: value for name, value in options.items() if name == "at_most"}
    at, exact = checked_snapshots(manifold, times, points)
    if len(at) < 3 and tuple(methods) != ("current",):
        raise ValueError("times: two snapshots do not tell how paths bend; method needs to be "
                         "bridge or current.")  # fmt: skip
    fitted = {}
    for name in methods:
        own = options if name == "current" or len(methods) == 1 else shared
        fitted[name] = _fit(name, manifold, at, exact, key, own)
    compared = {name: course.chosen.each for name, (_, course) in fitted.items() if course.chosen}
    if not compared:
        return Contest(fitted, (), {})
    inside = around_mean(manifold, exact)[1]
    # Drawn with the same key as in the fits: the same points.
    rows = alike(jax.random.split(key, 3)[0], inside, shared.get("at_most", _MOST))
    some = Clouds(manifold, at, jnp.stack(rows))
    inner = tuple(float(at[k]) for k in some.inner)
    coherence = None
    if len(methods) > 1 or len(at) == 3:
        coherence = bend_coherence(jax.random.fold_in(key, 3), manifold, at, inside)
    floor = tuple(
        floor_of(jax.random.fold_in(key, 4 + k), manifold, inside[k], shared.get("at_most", _MOST))
        for k in some.inner
    )
    return Contest(fitted, inner, compared | {PAIRS: _of_pairs(some, key)}, floor, coherence)


def _fit(
    name: str,
    manifold: Manifold,
    at: Values,
    points: Sequence[Values],
    key: Key,
    options: ReadOnlyDocument,
) -> tuple[SnapshotBridge, CurrentHistory | SplineHistory]:
    known = inspect.signature(fit_current if name == "current" else fit_splines).parameters
    for option in options:
        if option not in known or option in ("key", "noise"):
            raise ValueError(f"{option}: is no option of the method {name!r}.")
    if name == "current":
        return fit_current(manifold, at, points, key=key, **options)
    return fit_splines(manifold, at, points, key=key, noise=name == "momentum", **options)


def _of_pairs(some: Clouds, key: Key) -> tuple[float, ...]:
    """W₁ of straight lines between optimal pairs of the two neighbours."""
    found = []
    for k in some.inner:
        rest = some.without(k)
        pair = slice(k - 1, k + 1)
        lines = interpolate_snapshots(some.manifold, rest.times[pair], list(rest.clouds[pair]),
                                      key=key)  # fmt: skip
        found.append(
            some.missed(k, lines.sample_at(key, float(some.times[k]), len(rest.clouds[0])))
        )
    return tuple(found)
