"""Schrödinger bridges against exact ones, published numbers' tasks and held-out snapshots."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array

from scorefold import data
from scorefold._types import Key
from scorefold.bench.contract import Cell, Measurement, Table, TableMeasure, TableRequest
from scorefold.bridges import (
    Bridge,
    BridgeMatching,
    GaussianBridge,
    GaussianPotential,
    LightBridge,
    MultiMarginalBridge,
    Normal,
    SnapshotInterpolation,
    SplinePaths,
    brownian_reference,
    fit_bridge,
    fit_intervals,
    interpolate_snapshots,
    mixture_pair,
    spline_paths,
)
from scorefold.data import Dataset, Snapshots
from scorefold.manifolds import Euclidean
from scorefold.metrics import bures_wasserstein, end_distance, leave_one_out
from scorefold.samplers import uniform_grid

_POINTS, _STEPS = 10_000, 20
_PLANS, _SAMPLES, _HELD_OUT = (2, 16), 500_000, 20_000
_LONG: dict[float, tuple[int, int]] = {0.1: (5000, 1024), 1.0: (3000, 512), 10.0: (3000, 512)}
"""Steps and points of each end in a batch: a plan with little noise needs more."""
_KERNELS = 50
"""Components for a plan: ten or twenty can miss a mode of the target for good (held-out loss tells
between fits)."""
_EPSILONS = (0.1, 1.0, 10.0)
_DAYS = ((1, "day 3"), (2, "day 4"))
_TASKS = ("petal", "curving-storms", "hurricanes")
_CAPTION = (
    "Normal laws: N(−0.1·1, I) to N(0.1·1, I) in R^d by Brownian motion of variance 1, from 10,000 "
    "points: mean over 21 times of the divergence, coordinate by coordinate, of the moments of "
    "carried points from those of the exact bridge (Shi et al. 2023, Section 6.1); floor: exact "
    "draws. Plans: pairs with known plans (Korotin et al. 2024, Table 2). Earth: grouped split; "
    "floor: as many other points of that end. Cells: CITE-seq, 50 components, one day left out; "
    "floor: the training cells of that day. Snapshots: hurricanes and synthetic evolutions, one "
    "snapshot left out."
)

T = TypeVar("T")
Name = tuple[str, str, str, int]
"""(data, protocol, method, seed)."""


def _timed(make: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    made = make()
    jax.block_until_ready([a for a in jax.tree.leaves(made) if isinstance(a, jax.Array)])
    return made, time.perf_counter() - started


# -- normal laws -----------------------------------------------------------------------------------
def _gaussian(seeds: int, data_dir: str | None) -> Iterator[Cell]:
    for d in (5, 20, 50):
        for method in ("moments", "light", "matching"):
            for seed in range(seeds):
                name = f"normal laws, d = {d}", "normal laws", method, seed
                yield Cell(*name, functools.partial(_normal_row, name, d))


def _normal_row(name: Name, d: int) -> Measurement:
    method, seed = name[2], name[3]
    keys = jax.random.split(jax.random.key(seed), 6)
    reference = brownian_reference(Euclidean(d), 1.0)
    ends = [
        m + jax.random.normal(k, (_POINTS, d)) for m, k in zip((-0.1, 0.1), keys[:2], strict=True)
    ]
    exact = GaussianBridge(reference, -0.1 * np.ones(d), np.eye(d), 0.1 * np.ones(d), np.eye(d))

    def fitted() -> Bridge:
        if method == "light":
            learner = LightBridge(reference, blur=1e-3)
            return fit_bridge(learner, *ends, key=keys[2], progress=False)[0]
        if method == "moments":
            a, b = (np.asarray(x, np.float64) for x in ends)
            return GaussianBridge(reference, a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
        return fit_bridge(
            BridgeMatching(reference), *ends, key=keys[2], half_steps=4, steps=1000, progress=False
        )[0]

    found, seconds = _timed(fitted)
    fresh = -0.1 + jax.random.normal(keys[3], (_POINTS, d))
    grid = uniform_grid(0.0, 1.0, _STEPS, fresh.dtype)
    value = _mean_divergence(found, keys[4], fresh, grid, exact)
    floor = _mean_divergence(exact, keys[5], fresh, grid, exact)
    return Measurement({"kl": 1e3 * value}, {"kl": 1e3 * floor}, seconds=seconds)


def _mean_divergence(
    bridge: Bridge, key: Key, start: Array, grid: Array, exact: GaussianBridge
) -> float:
    """Mean over the times of ``grid`` of the KL of ``_divergence``; s = t, as the variance is 1."""
    # States at equal times, whatever levels the bridge itself would take.
    states = np.asarray(bridge.sample_forward(key, start, paths=True, grid=grid))
    times = np.asarray(grid, np.float64)
    return float(np.mean([_divergence(states[:, k], exact.law(t)) for k, t in enumerate(times)]))


def _divergence(x: np.ndarray, law: Normal) -> float:
    """Σ_i KL of normal laws with the moments of each coordinate of x from those of ``law``."""
    v = np.diag(law.cov)
    ratio, gap = x.var(axis=0, ddof=1, dtype=np.float64) / v, x.mean(0) - law.mean
    return float(0.5 * np.sum(ratio - 1.0 - np.log(ratio) + gap**2 / v))


# -- known plans -----------------------------------------------------------------------------------
def _plans(seeds: int, data_dir: str | None) -> Iterator[Cell]:
    for dim in _PLANS:
        for epsilon in _EPSILONS:
            for seed in range(seeds):
                name = f"plan, D = {dim}, ε = {epsilon:g}", "plans", "light", seed
                yield Cell(*name, functools.partial(_plan_row, name, dim, epsilon))


def _plan_row(name: Name, dim: int, epsilon: float) -> Measurement:
    key = jax.random.key(name[3])
    pair = mixture_pair(dim, epsilon, key=key)
    keys = jax.random.split(jax.random.fold_in(key, 1), 5)
    a, va = (
        jax.random.normal(k, (n, dim)) for k, n in zip(keys[:2], (_SAMPLES, _HELD_OUT), strict=True)
    )
    b, vb = (pair.sample(k, n)[1] for k, n in zip(keys[2:4], (_SAMPLES, _HELD_OUT), strict=True))
    x0 = np.asarray(jax.random.normal(keys[4], (500, dim)))
    light = LightBridge(
        pair.bridge.reference, potential=GaussianPotential(_KERNELS, "full"), blur=0.01
    )
    steps, size = _LONG[epsilon]
    fit = functools.partial(fit_bridge, light, a, b, val=(va, vb), key=key, progress=False)
    (found, _), seconds = _timed(lambda: fit(steps=steps, batch_size=size, learning_rate=5e-3))
    ours, known = found.conditional_moments(x0), pair.bridge.conditional_moments(x0)
    gap = bures_wasserstein(ours[0], ours[1], known[0], known[1])
    spread = float(np.asarray(b).var(axis=0).sum())
    found_uvp = float(200.0 * gap.mean() / spread)
    return Measurement({"uvp": found_uvp}, {"uvp": 0.0}, seconds=seconds)


# -- data ------------------------------------------------------------------------------------------
def _earth(seeds: int, data_dir: str | None) -> Iterator[Cell]:
    for seed in range(seeds):
        fitted = functools.cache(functools.partial(_earth_bridge, seed, data_dir))
        for task in ("earthquakes to fires", "fires to earthquakes"):
            name = task, "earth", "light", seed
            yield Cell(*name, functools.partial(_earth_row, name, fitted))


def _earth_bridge(seed: int, data_dir: str | None) -> tuple[Dataset, Dataset, Bridge, float]:
    a, b = (data.load(d, protocol="grouped", seed=seed, data_dir=data_dir)
            for d in ("earthquake", "fire"))  # fmt: skip
    light, key = LightBridge(brownian_reference(a.manifold, 0.1)), jax.random.key(seed)
    fit = functools.partial(fit_bridge, light, a.train, b.train, val=(a.val, b.val), key=key)
    (found, _), seconds = _timed(lambda: fit(progress=False))
    return a, b, found, seconds


def _earth_row(
    name: Name, fitted: Callable[[], tuple[Dataset, Dataset, Bridge, float]]
) -> Measurement:
    a, b, bridge, seconds = fitted()
    keys = jax.random.split(jax.random.key(name[3]), 4)
    if name[0] == "earthquakes to fires":
        end, carried = b, bridge.sample_forward(keys[0], a.test)
    else:
        end, carried = a, bridge.sample_backward(keys[0], b.test)
    apart = end_distance(end.manifold, np.asarray(carried), end.test, end.train, key=keys[1])
    more = {"ratio": apart.ratio}
    return Measurement({"w1": apart.value}, {"w1": apart.floor}, seconds=seconds, more=more)


def _cells(seeds: int, data_dir: str | None) -> Iterator[Cell]:
    for k, day in _DAYS:
        for seed in range(seeds):
            name = f"cells, {day} left out", "cells", "light", seed
            yield Cell(*name, functools.partial(_cells_row, name, k, data_dir))


def _cells_row(name: Name, k: int, data_dir: str | None) -> Measurement:
    seed = name[3]
    cells = data.load_snapshots("cite", data_dir=data_dir)
    train, val, test = cells.split(seed)
    first, last = train.points[k - 1], train.points[k + 1]
    scale = float(np.concatenate([first, last]).std(axis=0).mean())

    def fit(rest: Snapshots) -> _Scaled:
        light = functools.partial(
            LightBridge, potential=GaussianPotential(10, "diagonal"), blur=0.05
        )
        span = rest.times[k] - rest.times[k - 1]
        held = val.without(k)
        ours = slice(k - 1, k + 1)
        shrunk = lambda rows: [(p / scale).astype(np.float32) for p in rows[ours]]  # noqa: E731
        chain, _ = fit_intervals(
            rest.manifold, rest.times[ours], shrunk(rest.points), val=shrunk(held.points),
            rate=0.1 / span, key=jax.random.key(seed), bridge=light, steps=1500, progress=False,
        )  # fmt: skip
        return _Scaled(chain, scale)

    (row,), seconds = _timed(
        lambda: leave_one_out(train, test, fit, key=jax.random.key(seed), which=[k], repeats=2)
    )
    assert row.energy is not None and row.floor_energy is not None  # as on all flat space
    value, floor = 0.5 * row.energy, 0.5 * row.floor_energy
    more = {"w2": row.w2}
    return Measurement({"energy": value}, {"energy": floor}, seconds=seconds, more=more)


class _Scaled:
    """Draws in the unit of the data."""

    def __init__(self, chain: MultiMarginalBridge, scale: float) -> None:
        self.chain, self.scale = chain, scale

    def sample_at(self, key: Key, t: float, n: int) -> np.ndarray:
        return np.asarray(self.chain.sample_at(key, t, n), np.float64) * self.scale


def _snapshots(seeds: int, data_dir: str | None) -> Iterator[Cell]:
    for task in _TASKS:
        for method in ("geodesics", "light chain", "kinetic splines"):
            for seed in range(seeds):
                name = f"{task}, one left out", "snapshots", method, seed
                yield Cell(*name, functools.partial(_snapshots_row, name, task, data_dir))


def _snapshots_row(name: Name, task: str, data_dir: str | None) -> Measurement:
    method, seed = name[2], name[3]
    n = None if task == "hurricanes" else 500
    train, val, test = data.load_snapshots(task, seed=seed, n=n, data_dir=data_dir).split(seed)
    single = lambda points: [np.asarray(p, np.float32) for p in points]  # noqa: E731
    key = jax.random.key(seed)

    def fit(rest: Snapshots) -> SnapshotInterpolation | SplinePaths | MultiMarginalBridge:
        if method == "geodesics":
            return interpolate_snapshots(rest.manifold, rest.times, single(rest.points), key=key)
        if method == "kinetic splines":
            return spline_paths(
                rest.manifold, rest.times, single(rest.points), key=key, n=min(rest.mass)
            )
        held = val.without(next(k for k, t in enumerate(val.times) if t not in rest.times))
        return fit_intervals(
            rest.manifold, rest.times, single(rest.points), val=single(held.points), key=key,
            steps=300, progress=False,
        )[0]  # fmt: skip

    found, seconds = _timed(lambda: leave_one_out(train, test, fit, key=key))
    value, floor = (float(np.mean([getattr(r, f) for r in found])) for f in ("w2", "floor_w2"))
    more = {f"{r.time:g}": r.w2 for r in found}
    return Measurement({"w2": value}, {"w2": floor}, seconds=seconds, more=more)


def _cells_of(request: TableRequest) -> Iterator[Cell]:
    quick = request.length == "quick"
    parts = ("normal laws", "snapshots") if quick else tuple(_PARTS)
    for part in request.protocols or parts:
        for cell in _PARTS[part](request.seeds or (1 if quick else 3), request.data_dir):
            if quick and request.data is None and cell.data not in _QUICK:
                continue
            yield cell


_PARTS: dict[str, Callable[[int, str | None], Iterator[Cell]]] = {
    "normal laws": _gaussian,
    "plans": _plans,
    "earth": _earth,
    "cells": _cells,
    "snapshots": _snapshots,
}
_DATA = (
    *(f"normal laws, d = {d}" for d in (5, 20, 50)),
    *(f"plan, D = {dim}, ε = {epsilon:g}" for dim in _PLANS for epsilon in _EPSILONS),
    "earthquakes to fires",
    "fires to earthquakes",
    *(f"cells, {day} left out" for _, day in _DAYS),
    *(f"{task}, one left out" for task in _TASKS),
)
_QUICK = ("normal laws, d = 5", "petal, one left out")
_USUAL = ("moments", "light", "geodesics", "light chain", "kinetic splines")


TABLE = Table(
    name="bridge",
    title="Schrödinger bridges",
    measures={
        "kl": TableMeasure("KL × 1000 of the moments at 21 times"),
        "uvp": TableMeasure("cBW₂²-UVP (%)"),
        "w1": TableMeasure("W₁ of carried held-out points (radians)"),
        "energy": TableMeasure("half of the energy distance to the day left out"),
        "w2": TableMeasure("W₂ to the snapshot left out"),
    },
    data=_DATA,
    protocols=tuple(_PARTS),
    methods=("moments", "light", "matching", "geodesics", "light chain", "kinetic splines"),
    cells=_cells_of,
    usual={"quick": _USUAL, "default": _USUAL},
    caption=lambda runs: [_CAPTION],
)
"""What bridges are measured by."""
