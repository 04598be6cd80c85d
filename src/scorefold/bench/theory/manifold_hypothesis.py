"""W₁ of the reversed process to data on a circle in the plane: the manifold hypothesis.

The bound (De Bortoli 2022, Convergence of denoising diffusion models under the manifold
hypothesis; dX = −X dt + √2 dB, stopped ε before the data, steps γ relative to σ², a score wrong by
at most M(1 + |x|)/σ_t²):

    W₁(π̂, π) ≤ D (e^{κ/ε}(M + γ^{1/2})/ε² + e^{κ/ε} e^{−T} + ε^{1/2}).

For the uniform law on the unit circle all laws on the way are invariant under rotations, W₁
between two of them is W₁ of their radii, and W₁ to π is E| |Y| − 1 |: exact, by quadrature of the
library's own steps. An error of the score along the circle moves no such law, so that one is
measured on a law of von Mises, by draws. T and γ are in the time t of the bound, ε in
variance-time s = 2t, which is the variance of the noise at the end; κ = 4 (diameter 2, β = 1), so
that e^{κ/t} is e^{8/ε}.

What is expected instead, with δ the distance to the circle and ε small: the score is −δ/s, so that

- the exact law is at √(2ε/π), after ``denoise`` at ε/2 (its curvature);
- the walk has variance s(1 + 2γ + …) across the circle: W₁ = √(2ε/π)·γ;
- an error 2M/s across the circle moves its equilibrium to δ = 2M whatever ε is;
- one along the circle meets no restoring force and turns the law by 2M log(1/ε);
- the start is forgotten like e^{−4T}: second moments are the first not to be those of N(0, I).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.bench.contract import Measurement
from scorefold.bench.theory import circle_in_plane as circle
from scorefold.bench.theory.ends import last_order, last_rate, numbers
from scorefold.bench.theory.orders import slope
from scorefold.bench.theory.quadrature import gauss_on, in_double, trapezoid_cdf
from scorefold.report.panels import COLOURS, new_figure
from scorefold.samplers import sample_reverse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
UNIFORM = ("uniform on a circle in R^2", "reversed walk, by quadrature")
MISES = ("von Mises on a circle in R^2", "reversed walk, by draws")
_EARLY = {
    "quick": (1e-2, 1e-3),
    "default": (1e-1, 1e-2, 1e-3, 1e-4),
    "full": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
}
_STEPS = {
    "quick": (0.2, 0.1),
    "default": (0.2, 0.1, 0.05, 0.025, 0.0125),
    "full": (0.1, 0.05, 0.025, 0.0125, 0.00625),
}
_DRAWS = {"quick": (4_000, 0.05), "default": (20_000, 0.02), "full": (200_000, 0.01)}
"""And the γ of their walks."""
_HORIZON = 4.0
_HORIZONS = (1.0, 1.5, 2.0, 2.5)
_M = (0.04, 0.02, 0.01)
_CONCENTRATION, _AROUND = 2.0, 0.02


def radii_of(early: float, further: float = 0.0) -> np.ndarray:
    """Radii at which laws at ε are compared."""
    low, high = circle.interval(early, further)
    return np.linspace(low, high, 4001)


def distance(r: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """W₁ of two densities of radii: ∫ |F − G|."""
    return float(np.abs(trapezoid_cdf(r, p - q)).sum() * (r[1] - r[0]))


def to_circle(r: np.ndarray, p: np.ndarray) -> float:
    """W₁ to the circle: E |r − 1|."""
    return float(np.sum(np.abs(r - 1.0) * p) * (r[1] - r[0]))


def stopping(early: float) -> dict[str, float]:
    """Of the exact law at ε: W₁ to the data, the same after ``denoise``, and the score: its root
    mean square, and its size 0.1 outside the circle."""
    r, w = gauss_on(*circle.interval(early), 600)
    p = w * circle.radial_density(r, early)
    sizes = circle.score_sizes(early, r)
    return {
        "stopped": float(p @ np.abs(r - 1.0)),
        "denoised": float(p @ np.abs(circle.denoised_radii(early, r) - 1.0)),
        "rms score": math.sqrt(float(p @ sizes**2)),
        "score at 0.1": float(circle.score_sizes(early, np.asarray([1.1]))[0]),
    }


def uniform(earlies: Sequence[float], steps: Sequence[float]) -> Measurement:
    """One sweep for each term, with the others out of the way; each for every ε."""
    stopped = [stopping(early) for early in earlies]
    curve = {key: [found[key] for found in stopped] for key in stopped[0]}
    gamma: list[float] = []
    discrete, total, wrong, forgotten = [], [], [], []
    for early in earlies:
        r, wide = radii_of(early), radii_of(early, 3.0 * _M[0])
        target = circle.radial_density(r, early)
        grids = [circle.levels_of(_HORIZON, early, step) for step in steps]
        gamma = [g for _, g in grids]
        laws = [circle.walk_radii("exact", levels, r) for levels, _ in grids]
        discrete.append([distance(r, law, target) for law in laws])
        total.append([to_circle(r, law) for law in laws])
        levels = grids[min(2, len(steps) - 1)][0]
        right = circle.walk_radii("exact", levels, wide)
        moved = [circle.walk_radii("exact", levels, wide, m) for m in _M]
        wrong.append([distance(wide, law, right) for law in moved])
        forgotten.append([_start(t, early, steps[-2], r) for t in _HORIZONS])
    pull = [w[-1] / _M[-1] for w in wrong]
    c = [d[-1] / gamma[-1] for d in discrete]
    values = {
        "order of ε": last_order(earlies, curve["stopped"]),
        "order of ε, bound": 0.5,
        "constant of ε^(1/2)": curve["stopped"][-1] / math.sqrt(earlies[-1]),
        "constant of ε^(1/2), expected": math.sqrt(2.0 / math.pi),
        "order of ε, denoised": last_order(earlies, curve["denoised"]),
        "constant of ε, denoised": curve["denoised"][-1] / earlies[-1],
        "constant of ε, denoised, expected": 0.5,
        "order of the mean score": last_order(earlies, curve["rms score"]),
        "order of the score at 0.1": last_order(earlies, curve["score at 0.1"]),
        "order of γ": last_order(gamma, discrete[-1]),
        "order of γ, bound": 0.5,
        "γ constant over ε^(1/2)": c[-1] / math.sqrt(earlies[-1]),
        "γ constant over ε^(1/2), expected": math.sqrt(2.0 / math.pi),
        "order in ε of the γ constant": last_order(earlies, c),
        "order of M": last_order(_M, wrong[-1]),
        "constant of M": pull[-1],
        "constant of M, expected": 2.0,
        "order in ε of the M constant": last_order(earlies, pull),
        "rate of T": last_rate(_HORIZONS, forgotten[-1]),
        "rate of T, expected": 4.0,
        "rate of T, bound": 1.0,
        "order in ε of the start": last_order(earlies, [f[-1] for f in forgotten]),
        "log of e^(κ/ε) at the smallest ε": 8.0 / earlies[-1],
    }
    more = {
        "epsilon": list(earlies), **curve, "gamma": gamma, "discrete": discrete, "total": total,
        "M": list(_M), "wrong": wrong, "T": list(_HORIZONS), "start": forgotten,
    }  # fmt: skip
    return Measurement(values, more=more)


def _start(horizon: float, early: float, step: float, r: np.ndarray) -> float:
    levels, _ = circle.levels_of(horizon, early, step)
    return distance(r, *(circle.walk_radii(b, levels, r) for b in ("reference", "exact")))


def mises(earlies: Sequence[float], draws: int, step: float) -> Measurement:
    """The angle by which an error of the score along the circle turns the law of the walk, and W₁
    of angles to the data beside that of the walk without the error, against ε."""
    turned, off, floor = [], [], []
    levels, _ = circle.levels_of(_HORIZON, earlies[-1], step)
    for early in earlies:
        angles = []
        for around in (_AROUND, 0.0):
            score = circle.NoisedCircle(*map(jnp.asarray, (_CONCENTRATION, 0.0, around)))
            x = sample_reverse(
                circle.PROCESS, score, jax.random.key(0), draws, s_min=early,
                s_max=float(levels[0]), steps=len(levels) - 1,
            )  # fmt: skip
            angles.append(np.arctan2(np.asarray(x)[:, 1], np.asarray(x)[:, 0]))
        means = [np.angle(np.mean(np.exp(1j * a))) for a in angles]
        turned.append(float(means[0] - means[1]))
        off.append(_angle_distance(angles[0]))
        floor.append(_angle_distance(angles[1]))
    per_log = slope(-np.log(np.asarray(earlies[-2:])), np.asarray(turned[-2:]))
    values = {
        "turn per log(1/ε) over M": per_log / _AROUND,
        "turn per log(1/ε) over M, expected": 2.0,
        "turn at the smallest ε": turned[-1],
        "W₁ of angles at the smallest ε": off[-1],
        "W₁ of angles at the largest ε": off[0],
    }
    floors = {
        "W₁ of angles at the smallest ε": floor[-1], "W₁ of angles at the largest ε": floor[0]
    }  # fmt: skip
    more = {"epsilon": list(earlies), "turned": turned, "w1": off, "floor": floor, "M": _AROUND}
    return Measurement(values, floors, more=more)


def _angle_distance(angles: np.ndarray) -> float:
    """W₁ on the circle of draws to the law of von Mises: min over c of ∫ |F − G − c|."""
    from scipy.special import i0

    grid = np.linspace(-math.pi, math.pi, 4001)
    density = np.exp(_CONCENTRATION * np.cos(grid)) / (2 * math.pi * i0(_CONCENTRATION))
    seen = np.searchsorted(np.sort(angles), grid, side="right") / len(angles)
    gap = seen - trapezoid_cdf(grid, density)
    return float(np.abs(gap - np.median(gap)).mean() * 2 * math.pi)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(data, method, what measures it)."""
    earlies = _EARLY[length]
    yield (
        *UNIFORM,
        functools.partial(in_double, functools.partial(uniform, earlies, _STEPS[length])),
    )
    yield *MISES, functools.partial(in_double, functools.partial(mises, earlies, *_DRAWS[length]))


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    v, w = numbers(found[UNIFORM]), numbers(found[MISES])
    return (
        f"On a circle in the plane stopping at ε costs {v['constant of ε^(1/2)']:.3f} "
        f"ε^{v['order of ε']:.2f}, as bound and tight (√(2/π) = 0.798), and "
        f"{v['constant of ε, denoised']:.2f} ε^{v['order of ε, denoised']:.2f} once the noise is "
        f"taken off; the score explodes like ε^{v['order of the score at 0.1']:.2f} off the circle "
        f"and ε^{v['order of the mean score']:.2f} on the mean; but nothing of e^(κ/ε)/ε² is seen: "
        f"the step costs γ^{v['order of γ']:.2f} with a constant that falls like "
        f"ε^{v['order in ε of the γ constant']:.2f}, the start e^(−{v['rate of T']:.2f}T) (bound: "
        f"e^(−T)), a score wrong by M(1 + |x|)/σ² across the circle {v['constant of M']:.2f} M at "
        f"every ε, and one along it turns the law by {w['turn per log(1/ε) over M']:.2f} M "
        f"log(1/ε)."
    )


def figure(found: Found) -> Figure:
    """Stopping, the explosion of the score, and each of the other terms at several ε."""
    drawn = new_figure(14.0, 7.0)
    (stop, score, step), (wrong, start, turn) = drawn.subplots(2, 3)
    m, w = found[UNIFORM].more, found[MISES].more
    e = np.asarray(m["epsilon"])
    stop.loglog(e, m["stopped"], "o-", color=COLOURS[0], label="stopped at ε")
    stop.loglog(e, m["denoised"], "s-", color=COLOURS[1], label="then denoised")
    stop.loglog(e, np.sqrt(2 * e / math.pi), "--", color="0.5", lw=1, label="√(2ε/π)")
    stop.loglog(e, 0.5 * e, ":", color="0.5", lw=1, label="ε/2")
    stop.set(xlabel="ε", ylabel="W₁ of the exact law to the data")
    score.loglog(e, m["score at 0.1"], "o-", color=COLOURS[0], label="0.1 off the circle")
    score.loglog(e, m["rms score"], "s-", color=COLOURS[1], label="root mean square")
    score.loglog(e, 0.1 / e, "--", color="0.5", lw=1, label="distance/ε")
    score.loglog(e, e**-0.5, ":", color="0.5", lw=1, label="ε^(−1/2)")
    score.set(xlabel="ε", ylabel="|∇ log p|")
    for k, early in enumerate(m["epsilon"]):
        colour, label = (*COLOURS, "#CC79A7")[k], f"ε = {early:g}"
        step.loglog(m["gamma"], m["discrete"][k], "o-", color=colour, label=label)
        wrong.loglog(m["M"], m["wrong"][k], "o-", color=colour, label=label)
        start.semilogy(m["T"], m["start"][k], "o-", color=colour, label=label)
    g, t = np.asarray(m["gamma"]), np.asarray(m["T"])
    step.loglog(g, 0.1 * np.sqrt(g), "--", color="0.5", lw=1, label="bound: γ^(1/2)")
    step.set(xlabel="γ", ylabel="W₁ of finite steps to the law at ε")
    wrong.loglog(m["M"], 2.0 * np.asarray(m["M"]), "--", color="0.5", lw=1, label="2 M")
    wrong.set(xlabel="M", ylabel="W₁ of a score wrong across the circle")
    for axes, ticks in ((step, m["gamma"]), (wrong, m["M"])):
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    start.semilogy(t, 0.1 * np.exp(-t), "--", color="0.5", lw=1, label="bound: e^(−T)")
    start.set(xlabel="T", ylabel="W₁ of starting from N(0, I)")
    e, along = np.asarray(w["epsilon"]), 2.0 * w["M"]
    turn.semilogx(e, w["turned"], "o-", color=COLOURS[0], label="turn of the law (rad)")
    turn.semilogx(e, w["w1"], "s-", color=COLOURS[1], label="W₁ of angles")
    turn.semilogx(e, w["floor"], "x:", color="0.5", label="W₁, right score")
    line = w["turned"][-1] + along * np.log(e[-1] / e)
    turn.semilogx(e, line, "--", color="0.5", lw=1, label="slope 2M log(1/ε)")
    turn.set(xlabel="ε", ylabel=f"score wrong along the circle, M = {w['M']:g}")
    for axes in (stop, score, step, wrong, start, turn):
        axes.grid(color="0.92")
        axes.legend(fontsize=7)
    return drawn
