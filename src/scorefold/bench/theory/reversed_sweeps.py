"""W₁ of the reversed walk against T, M and γ, one at a time, and what is fitted to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from scorefold.bench.contract import Measurement
from scorefold.bench.theory.orders import order, rate

_LEAST_HORIZON = 0.5
"""The theorem is for longer ones."""
_ABOVE = 3.0
"""Fits leave out what is not so many times above the floor."""


class WalkError(Protocol):
    """W₁ to p₀ of the reversed walk with an error of the score of length ``size`` at most;
    ``uniform``: started from the uniform law, not from p_T."""

    def __call__(
        self, horizon: float, steps: int, *, size: float = 0.0, uniform: bool = False
    ) -> float: ...


class Sweeps(NamedTuple):
    """What is measured on one space.

    - ``walk``; ``limit``: W₁ against T for γ → 0, M = 0, from the uniform law.
    - ``gap``: λ₁. ``floor``: W₁ of as many exact draws, 0 without draws.
    - ``fine``: steps from T with which γ counts little.
    - ``limits``, ``horizons``: T of the limit and of walks; ``sizes``: M; ``steps``: from ``long``.
    - ``growth``: T at which γ, or M, is held: ``held_step``, ``held_size``.
    """

    walk: WalkError
    limit: Callable[[float], float]
    gap: float
    floor: float
    fine: Callable[[float], int]
    limits: Sequence[float]
    horizons: Sequence[float]
    sizes: Sequence[float]
    steps: Sequence[int]
    long: float
    growth: Sequence[float]
    held_step: float
    held_size: float


def sweep_horizon(of: Sweeps) -> Measurement:
    """Against T, from the uniform law: a of e^{−aT}, over the larger half of T."""
    t, walked = np.asarray(of.limits), np.asarray(of.horizons)
    limit = np.array([of.limit(T) for T in t])
    seen = np.array([of.walk(T, of.fine(T), uniform=True) for T in walked])
    late = t >= 0.5 * t[-1]
    values = {
        "order": rate(t[late], limit[late]),
        "order, expected": of.gap,
        "constant": float(limit[-1] * math.exp(of.gap * t[-1])),
    }
    gamma = np.array([T / of.fine(T) for T in walked])
    return _measured(of, values, T=t, limit=limit, walked=walked, seen=seen, gamma=gamma)


def sweep_size(of: Sweeps) -> Measurement:
    """Against M at the horizon ``long``, from p_T: the order; and against T at one M."""
    m, t = np.asarray(of.sizes), np.asarray(of.growth)
    steps, held = of.fine(of.long), of.held_size
    seen = np.array([of.walk(of.long, steps, size=s) for s in m])
    by_time = [of.walk(T, round(T / of.held_step), size=held) / held for T in t]
    holds = t > _LEAST_HORIZON
    kept = np.flatnonzero(seen > _ABOVE * of.floor)[:3]
    values = {
        "order": order(m[kept], seen[kept]),
        "order, bound": 1.0,
        "constant": float(np.mean(seen[kept] / m[kept])),
        "growth": order(t[-2:], np.asarray(by_time[-2:])),
        "growth, bound": 0.5,
        "overshoot": overshoot(np.asarray(by_time)[holds], np.sqrt(t)[holds]),
    }
    return _measured(of, values, M=m, seen=seen, T=t, by_time=np.asarray(by_time))


def sweep_step(of: Sweeps) -> Measurement:
    """Against γ at the horizon ``long``, from p_T: the order; and against T at one γ."""
    gamma, t, held = of.long / np.asarray(of.steps), np.asarray(of.growth), of.held_step
    seen = np.array([of.walk(of.long, n) for n in of.steps])
    by_time = np.array([of.walk(T, round(T / held)) for T in t]) / held
    holds = t > _LEAST_HORIZON
    kept = np.flatnonzero(seen > _ABOVE * of.floor)[-3:]
    values = {
        "order": order(gamma[kept], seen[kept]),
        "order, bound": 0.5,
        "constant": float(seen[kept][-1] / gamma[kept][-1]),
        "growth": -rate(t[-2:], by_time[-2:]),
        "growth, bound": 1.0,
        "overshoot": overshoot(by_time[holds], np.exp(t)[holds]),
    }
    return _measured(of, values, gamma=gamma, seen=seen, T=t, by_time=by_time)


def overshoot(seen: np.ndarray, bound: np.ndarray) -> float:
    """How far C·bound lies above the last of what is seen, C the least that covers all of it."""
    return float(np.max(seen / bound) * bound[-1] / seen[-1])


def _measured(of: Sweeps, values: Mapping[str, float | None], **curves: np.ndarray) -> Measurement:
    more = {name: curve.tolist() for name, curve in curves.items()}
    return Measurement(values=values, floors={"W₁": of.floor}, more={**more, "gap": of.gap})
