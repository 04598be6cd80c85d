"""Total variation of the reversed Ornstein–Uhlenbeck process to its data, on R.

The bound (De Bortoli et al. 2021, Diffusion Schrödinger Bridge; dX = −X dt + √2 dB, steps γ of t,
scores wrong by at most M, data with ⟨∇ log p, x⟩ ≤ −m|x|² + c):

    ‖π̂ − π‖_TV ≤ A (e^{−T} + e^T (γ^{1/2} + M)).

Here π is a mixture of two normal laws, its noised score is exact, and the law of the walk is
carried by quadrature, so that no sampling noise hides an order. T and γ are in the time t of the
bound, half the variance-time s of this library.

What is expected instead: the walk that starts from N(0, 1) in the place of p_T errs by

    ½ e^{−2kT} |a_k| E|He_k(X₀)/k! − a_k/k!| + …,   a_k = E He_k(X₀),

k ≥ 1 the first Hermite moment that the data do not share with N(0, 1): the noising forgets like
e^{−kT} and so does its reversal. Weak order one of Euler's scheme (Bally & Talay 1996) gives γ in
the place of γ^{1/2}, and Girsanov's theorem with Pinsker's inequality √(T/2)·M in that of e^T M.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.polynomial import hermite_e

from scorefold.bench.contract import Measurement
from scorefold.bench.theory import normals_on_line as line
from scorefold.bench.theory.ends import last_order, last_rate, numbers
from scorefold.bench.theory.quadrature import in_double
from scorefold.report.panels import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
Sizes = tuple[float, ...]
METHOD = "reversed walk, by quadrature"
_X = np.linspace(-line.REACH, line.REACH, 2001)
"""Where densities are compared."""
_SIZES = {
    "quick": ((0.2, 0.1, 0.05), (1.0, 2.0, 3.0)),
    "default": ((0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625), (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)),
    "full": ((0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125), (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)),
}
"""γ, and T."""
_QUICK = ("two normal laws",)
_M = (0.4, 0.2, 0.1, 0.05, 0.025)
_HORIZONS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
_LONG = 8.0
"""T from which what is left of the start is below e^{−16}."""


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """½ ∫ |p − q| of two densities at the points where they are compared."""
    return float(0.5 * np.sum(np.abs(p - q)) * (_X[1] - _X[0]))


def start_error(data: line.TwoNormals) -> float:
    """Constant of e^{−2kT}: ½ |a_k| E|He_k(X₀) − a_k| / k!, a_k = E He_k(X₀)."""
    p = line.density(data, 0.0, _X) * (_X[1] - _X[0])
    he = hermite_e.hermeval(_X, [0.0] * data.order + [1.0])
    a = float(p @ he)
    return 0.5 * abs(a) * float(p @ np.abs(he - a)) / math.factorial(data.order)


def measure(name: str, steps: Sequence[float], horizons: Sequence[float]) -> Measurement:
    """One sweep for each term of the bound, with the others out of the way.

    T: the walk from N(0, 1) against the walk from p_T. γ: the walk from p_T against the data.
    M: the walk with the error against the one without. Growth in T: the last two at fixed γ, M."""
    data = line.LAWS[name]
    fine, middle = steps[-1], steps[len(steps) // 2]

    @functools.cache
    def law(
        begun: Literal["reference", "exact"], t: float, step: float, sizes: Sizes = line.RIGHT
    ) -> np.ndarray:
        return line.walk_law(data, begun, t, step, _X, sizes)

    start = [total_variation(law("reference", t, fine), law("exact", t, fine)) for t in horizons]
    forward = [total_variation(line.density(data, 2 * t, _X), line.normal(_X)) for t in horizons]
    target = line.density(data, 0.0, _X)
    discrete = [total_variation(law("exact", _LONG, g), target) for g in steps]
    grown = [total_variation(law("exact", t, middle), target) for t in _HORIZONS]

    def effect(horizon: float, m: float, error: str) -> float:
        sizes = tuple(m * (name == error) for name in line.ERRORS)
        return total_variation(
            law("exact", horizon, middle, sizes), law("exact", horizon, middle, line.RIGHT)
        )

    wrong = {error: [effect(4.0, m, error) for m in _M] for error in line.ERRORS}
    worst = max(line.ERRORS, key=lambda error: wrong[error][-1])
    spread = [effect(t, _M[-1], worst) / _M[-1] for t in _HORIZONS]
    values = {
        "rate of T": last_rate(horizons, start),
        "rate of T, expected": 2.0 * data.order,
        "rate of T, bound": 1.0,
        "start constant": start[-1] * math.exp(2 * data.order * horizons[-1]),
        "start constant, expected": start_error(data),
        "rate of the noising": last_rate(horizons, forward),
        "order of γ": last_order(steps, discrete),
        "order of γ, expected": 1.0,
        "order of γ, bound": 0.5,
        "constant of γ": discrete[-1] / steps[-1],
        "order of M": last_order(_M, wrong[worst]),
        "order of M, bound": 1.0,
        "constant of M": wrong[worst][-1] / _M[-1],
        "Pinsker's constant of M": math.sqrt(4.0 / 2.0),
        "γ term, T = 8 over T = 2": grown[5] / grown[1],
        "M term, T = 8 over T = 2": spread[5] / spread[1],
        "growth, bound": math.exp(6.0),
    }
    more = {
        "T": list(horizons), "start": start, "forward": forward, "gamma": list(steps),
        "discrete": discrete, "M": list(_M), "wrong": wrong, "worst": worst,
        "horizons": list(_HORIZONS), "grown": grown, "grown_gamma": middle, "spread": spread,
    }  # fmt: skip
    return Measurement(values, more=more)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(data, method, what measures it)."""
    for name in _QUICK if length == "quick" else line.LAWS:
        found = functools.partial(measure, name, *_SIZES[length])
        yield name, METHOD, functools.partial(in_double, found)


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    laws = {name: numbers(m) for (name, _), m in found.items()}

    def each(key: str, digits: int = 2) -> str:
        return ", ".join(f"{v[key]:.{digits}f}" for v in laws.values())

    return (
        f"Of ‖π̂ − π‖_TV ≤ A(e^(−T) + e^T(γ^(1/2) + M)) only the power of M is tight on "
        f"mixtures ({', '.join(laws)}): starting from N(0, 1) costs e^(−aT) with a = "
        f"{each('rate of T')} (bound: 1), since what the noising forgets at a rate "
        f"{each('rate of the noising')} its reversal forgets again; the step costs γ^a with a = "
        f"{each('order of γ')} (bound: ½); a wrong score costs M^a with a = {each('order of M')}, "
        f"times {each('constant of M')} at T = 4 (at most √(T/2) = 1.41 by Pinsker's inequality); "
        f"and from T = 2 to 8 the last two grow by factors {each('γ term, T = 8 over T = 2')} and "
        f"{each('M term, T = 8 over T = 2')}, not by e⁶ = 403."
    )


def figure(found: Found) -> Figure:
    """The terms of the bound, one a panel, each with the slope of the bound."""
    drawn = new_figure(14.0, 3.8)
    start, step, wrong, grown = drawn.subplots(1, 4)
    for ((name, _), m), colour in zip(found.items(), COLOURS, strict=False):
        c = {key: np.asarray(m.more[key]) for key in ("T", "gamma", "M", "horizons")}
        start.semilogy(c["T"], m.more["start"], "o-", color=colour, label=f"{name}, end")
        start.semilogy(c["T"], m.more["forward"], "x:", color=colour, label=f"{name}, p_T")
        step.loglog(c["gamma"], m.more["discrete"], "o-", color=colour, label=name)
        worst = m.more["worst"]
        wrong.loglog(c["M"], m.more["wrong"][worst], "o-", color=colour, label=f"{name}: {worst}")
        tv = np.asarray(m.more["grown"]) / m.more["grown_gamma"]
        grown.semilogy(c["horizons"], tv, "o-", color=colour, label=f"{name}: TV/γ")
        grown.semilogy(c["horizons"], m.more["spread"], "x:", color=colour, label="TV/M")
    first = next(iter(found.values())).more
    for axes, x, shape, label in (
        (start, first["T"], lambda t: 0.4 * np.exp(-t), "bound: e^(−T)"),
        (step, first["gamma"], lambda g: 0.5 * np.sqrt(g), "bound: γ^(1/2)"),
        (wrong, first["M"], lambda m: math.sqrt(2.0) * m, "Pinsker: √(T/2) M"),
        (grown, first["horizons"], lambda t: 0.1 * np.exp(t), "bound: e^T"),
    ):
        axes.plot(x, shape(np.asarray(x)), color="0.5", ls="--", lw=1.0, label=label)
        axes.grid(color="0.92")
    start.set(xlabel="T", ylabel="TV of starting from N(0, 1)", ylim=(1e-19, 1.0))
    step.set(xlabel="γ", ylabel="TV of finite steps, T = 8")
    wrong.set(xlabel="M", ylabel="TV of a wrong score, T = 4")
    wrong.set_xticks(first["M"], [f"{m:g}" for m in first["M"]])
    wrong.set_xticks([], minor=True)
    grown.set(xlabel="T", ylabel="TV over its size", ylim=(1e-2, 1e2))
    for axes in (start, step, wrong, grown):
        axes.legend(fontsize=7)
    return drawn
