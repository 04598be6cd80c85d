"""Plans of the intervals between snapshots, from the costs of a drift and from growth."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Values
from scorefold._warnings import ScorefoldWarning, warn
from scorefold.bridges.currents.drift import Drift
from scorefold.bridges.currents.growth import (
    GivenGrowth,
    GrownEnds,
    Growth,
    LearnedGrowth,
    grown_plan,
    noise_rate,
)
from scorefold.bridges.currents.linearised import stream
from scorefold.bridges.currents.simulated import SimulatedCosts, simulated_costs
from scorefold.bridges.currents.snapshot_current import STEPS, Interval, costs, ends, in_blocks
from scorefold.bridges.exact.plan import Transport
from scorefold.bridges.exact.transport import sinkhorn
from scorefold.manifolds import Manifold

_MISSED = 0.1
"""L¹ error of the marginals of a plan that is said."""


def plan_of(
    squares: np.ndarray,
    rate: float,
    grown: GrownEnds | None = None,
    final: bool = False,
    shares: Values | None = None,
) -> Transport:
    """The plan of the bridge from δ·Σ⁻¹δ, (n, m), for equal ``shares`` of the first snapshot or
    those stated; one that is ``final`` says what it misses."""
    # Partners are drawn: an error of a hundredth in the marginals is below that of draws.
    most = 10_000 if final else 1000

    def solve(a: Values | None) -> Transport:
        return sinkhorn(
            squares / 2.0, a, epsilon=max(rate, least_rate(squares)),
            tolerance=2e-2 if final else 1e-2, max_iterations=most, anneal=0.8,
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorefoldWarning)
        plan = solve(shares) if grown is None else grown_plan(solve, grown, squares, rate)
    # As many draws as points miss their own law by more: E Σ|n_i/n − 1/n| = 2(1 − 1/n)ⁿ = 2/e.
    if final and float(plan.error) > _MISSED:
        warn(
            f"snapshots: members leave one and arrive at the next in proportions that are "
            f"{50 * float(plan.error):.2g} % off (in L¹, half of {float(plan.error):.2g}). Take a "
            "larger rate."
        )
    return plan


def grown_ends(
    growth: Growth | None, times: np.ndarray, points: Sequence[Array]
) -> list[GrownEnds | None]:
    """g at both ends of each interval; where it was learned it may be missed."""
    if growth is None:
        return [None] * (len(times) - 1)
    values = [growth(rows, float(t)) for t, rows in zip(times, points, strict=True)]
    found: list[GrownEnds | None] = []
    for (a, b), gap in zip(itertools.pairwise(values), np.diff(times).tolist(), strict=True):
        noise = None
        if isinstance(growth, LearnedGrowth):
            noise = noise_rate(growth.manifold, growth.width, gap)
        found.append(GrownEnds(a, b, gap, noise))
    return found


def moved_growth(growth: GivenGrowth, origin: np.ndarray | None, zero: float) -> GivenGrowth:
    """The same in coordinates around an origin and times since ``zero``."""
    middle = np.zeros(growth.manifold.shape) if origin is None else origin
    return GivenGrowth(
        growth.manifold,
        lambda x, t: growth.function(x + jnp.asarray(middle, x.dtype), t + zero),
    )


def least_rate(squares: np.ndarray) -> float:
    """Below the rounding of costs no plan is told from an assignment."""
    return 8.0 * float(jnp.finfo(jnp.result_type(float)).eps) * float(np.ptp(squares))


def mean_square(plans: Sequence[Transport], squares: np.ndarray) -> float:
    """The mean of δ·Σ⁻¹δ under the plans."""
    shares = [np.exp(np.asarray(plan.log_plan, np.float64)) for plan in plans]
    return float(np.mean([np.sum(p * s) for p, s in zip(shares, squares, strict=True)]))


def bridged(
    drift: Drift,
    growth: Growth | None,
    times: np.ndarray,
    points: Sequence[Array],
    rate: float,
    final: bool,
    simulated: tuple[Key, int] | None = None,
) -> tuple[tuple[Interval, ...], float]:
    """The plans of all intervals, on all points, and the rate that they are told apart at. Where
    transitions are ``simulated``: a key, and the draws of a path."""
    ends_of = list(itertools.pairwise(points))
    squares = []
    for (low, high), (x, y) in zip(itertools.pairwise(times), ends_of, strict=True):
        grid = jnp.asarray(np.linspace(low, high, STEPS + 1), x.dtype)
        squares.append(np.asarray(_squares(drift, x, y, grid), np.float64))
    rate = max(rate, *map(least_rate, squares))
    found = []
    grown_of = grown_ends(growth, times, points)
    for k, (s, (x, y), grown) in enumerate(zip(squares, ends_of, grown_of, strict=True)):
        beyond = None
        if simulated is not None:
            key, draws = simulated
            grid = jnp.asarray(np.linspace(times[k], times[k + 1], STEPS + 1), x.dtype)
            own = jax.random.fold_in(key, k)
            # Noise of single pairs is averaged by the plan: a quarter of the draws is enough.
            few = max(1, draws // 4)
            beyond = simulated_costs(drift, jnp.asarray(rate, x.dtype), x, y, grid, own, few)
            s = s - 2.0 * rate * np.asarray(_beyond(beyond, drift.manifold, x), np.float64)
        plan = plan_of(s, rate, grown, final)
        f, g = (jnp.asarray(p / rate, x.dtype) for p in (plan.f, plan.g))
        if grown is not None:
            f = f + (plan.log_a + math.log(len(x))).astype(x.dtype)
        found.append(
            Interval(x, y, f, g, None if grown is None else (grown.left, grown.right), beyond)
        )
    return tuple(found), rate


@eqx.filter_jit
def _beyond(simulated: SimulatedCosts, manifold: Manifold, x: Array) -> Array:
    return in_blocks(lambda p: simulated.of_start(manifold, p), x)


@eqx.filter_jit
def _squares(drift: Drift, x: Array, y: Array, grid: Array) -> Array:
    m = drift.manifold

    def one(p: Array) -> Array:
        found = stream(drift, p, grid)
        return 2.0 * costs(found, ends(m, found, y), jnp.ones((), p.dtype))

    return in_blocks(one, x)
