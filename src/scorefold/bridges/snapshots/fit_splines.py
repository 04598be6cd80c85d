"""``fit_splines``: snapshots in, splines through them with as much noise as they need out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Key, Values
from scorefold.bridges.snapshots.inner import Clouds, alike, around_mean, checked_snapshots
from scorefold.bridges.snapshots.spline_paths import SplinePaths, spline_paths
from scorefold.manifolds import Manifold

NOISE = (1.0, 0.1, 0.01)
"""Shares of the likelihood's ε that inner snapshots choose from."""
NO_NOISE = 1e-6
"""The share of splines without: a thousandth of the deviations."""
_STRAIGHT = 1e-12


class SplineTrial(NamedTuple):
    """``share`` of the likelihood's ε, and ``each``: distances W₁ of its laws to inner snapshots,
    each left out in turn."""

    share: float
    each: tuple[float, ...]

    @property
    def w1(self) -> float:
        """Their mean."""
        return float(np.mean(self.each)) if self.each else math.nan


class SplineHistory(NamedTuple):
    """``trials``: what inner snapshots said of each share of ε; ``chosen``: one of them (None where
    there was no inner snapshot)."""

    trials: tuple[SplineTrial, ...]
    chosen: SplineTrial | None


def fit_splines(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    noise: bool = False,
    epsilon: float | None = None,
    sweeps: int = 0,
    at_most: int = 300,
) -> tuple[SplinePaths, SplineHistory]:
    """``spline_paths`` through snapshots of any sizes: those of a large one are drawn, those of a
    small one repeated.

    **Arguments:**

    - ``times``: t_0 < … < t_K, K ≥ 2; ``points``: K + 1 arrays, shape ``(n_k, *manifold.shape)``.
    - ``noise``: with the share of the likelihood's ε (``spline_paths``) among 1, 1/10 and 1/100
      whose law at inner snapshots, each left out in turn, is nearest to them (W₁): the kinetic
      reference dx = v dt, dv = √ε dW. Without, ε is a millionth of it: its limit.
    - ``epsilon``: ε itself.
    - ``sweeps``: of Metropolis swaps that draw who is who (0: the matching of least bending).
    - ``at_most``: paths.

    **Returns:** the paths, and what was tried.
    **Raises:** ``ValueError`` naming the argument for times that do not increase, fewer than three
    snapshots without ``epsilon``, fewer than 2 points in a snapshot, numbers out of range.
    """
    at, exact = checked_snapshots(manifold, times, points)
    if at_most < 2 or sweeps < 0:
        raise ValueError("at_most, sweeps: too small a number.")
    if len(at) < 3 and epsilon is None:
        raise ValueError("times: two snapshots do not bend and say nothing of ε; state epsilon.")
    pick, _, walk = jax.random.split(key, 3)
    some = Clouds(manifold, at, jnp.stack(alike(pick, around_mean(manifold, exact)[1], at_most)))
    trials: list[SplineTrial] = []
    if epsilon is None:
        shares = NOISE if noise else (NO_NOISE,)
        each: dict[float, list[float]] = {share: [] for share in shares}
        for k in some.inner:
            rest = some.without(k)
            # Through two snapshots paths are geodesics: there is no bending to tell noise from.
            straight = _STRAIGHT if len(rest.times) < 3 else None
            if straight and noise:
                break
            fitted = spline_paths(manifold, rest.times, list(rest.clouds), straight, key=walk)
            for share in shares:
                law = dataclasses.replace(fitted, epsilon=share * fitted.epsilon)
                drawn = law.sample_at(walk, float(at[k]), fitted.used)
                each[share].append(some.missed(k, drawn))
        trials = [SplineTrial(share, tuple(found)) for share, found in each.items()]
    chosen = min(trials, key=lambda trial: trial.w1) if trials and trials[0].each else None
    rows = alike(pick, exact, at_most)
    paths = spline_paths(manifold, at, rows, epsilon, key=walk)
    if epsilon is None:
        share = chosen.share if chosen else NOISE[1] if noise else NO_NOISE
        epsilon = max(share * paths.epsilon, float(jnp.finfo(paths.rest.dtype).tiny))
        paths = dataclasses.replace(paths, epsilon=epsilon)
    if sweeps:
        paths = spline_paths(manifold, at, rows, epsilon, key=walk, sweeps=sweeps)
    mass = tuple(map(len, exact))
    return dataclasses.replace(paths, mass=mass), SplineHistory(tuple(trials), chosen)
