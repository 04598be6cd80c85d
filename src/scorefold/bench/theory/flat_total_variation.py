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
from typing import TYPE_CHECKING, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import hermite_e

from scorefold._types import Point, Scalar
from scorefold.bench.theory.ends import last_order, last_rate, numbers
from scorefold.bench.theory.measurement import Measurement
from scorefold.bench.theory.quadrature import Means, in_double, means_of
from scorefold.heat import TransitionMixture
from scorefold.noising import OrnsteinUhlenbeck
from scorefold.report.panels import COLOURS, new_figure
from scorefold.samplers import ReverseStep, Step, uniform_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
METHOD = "reversed walk, by quadrature"
_REACH, _FINE = 8.0, 2001
_WIDTH = 0.2
"""Variance-time of the components: their variance is 1 − e^{−0.2}."""


class Data(NamedTuple):
    """Two normal laws: what Ornstein–Uhlenbeck makes of points ``centres`` in time 0.2."""

    centres: tuple[float, float]
    weights: tuple[float, float]
    order: int
    """k: the first moment that is not that of N(0, 1)."""


LAWS = {
    "two normal laws": Data((-0.5, 2.0), (0.6, 0.4), 1),
    "centred": Data((-1.4, 1.4), (0.5, 0.5), 2),
    "standardised": Data((-math.sqrt(3 / 7), math.sqrt(7 / 3)), (0.7, 0.3), 3),
}
ERRORS: dict[str, Callable[[Point], Point]] = {
    "constant": jnp.ones_like,
    "outward": lambda x: jnp.tanh(4.0 * x),
    "inward": lambda x: -jnp.tanh(4.0 * x),
    "waves": lambda x: jnp.cos(4.0 * x),
}
"""Fields of size at most one; M times one of them is added to the score."""
_EXACT = (0.0, 0.0, 0.0, 0.0)
_SIZES = {
    "quick": ((0.2, 0.1, 0.05), (1.0, 2.0, 3.0)),
    "default": ((0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625), (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)),
    "full": ((0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125), (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)),
}
"""γ, and T."""
_M = (0.4, 0.2, 0.1, 0.05, 0.025)
_HORIZONS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
_LONG = 8.0
"""T from which what is left of the start is below e^{−16}."""


def noised(centres: Array, weights: Array, s: Scalar) -> TransitionMixture:
    """The law of the data after variance-time s."""
    process = OrnsteinUhlenbeck(1)
    return TransitionMixture(process, centres[:, None], _WIDTH + s, jnp.log(weights))


def density(data: Data, s: float, x: np.ndarray) -> np.ndarray:
    """p_s at each x."""
    centres, weights, s = (np.asarray(a) for a in (data.centres, data.weights, s))
    return np.exp(np.asarray(_log_density(centres, weights, s, x[:, None])))


@jax.jit
def _log_density(centres: Array, weights: Array, s: Scalar, x: Array) -> Array:
    return jax.vmap(noised(centres, weights, s).log_prob)(x)


@functools.cache
def _means() -> Means:
    """Of the library's reversed walk; parameters: centres, weights, a multiple of each error."""
    process = OrnsteinUhlenbeck(1)

    def step(centres: Array, weights: Array, sizes: Array) -> Step:
        def score(x: Point, s: Scalar) -> Point:
            errors = jnp.stack([error(x) for error in ERRORS.values()])
            return noised(centres, weights, s).score(x) + sizes @ errors

        return ReverseStep(process, score)

    return means_of(process.manifold, step)


def walk_law(
    data: Data,
    start: Literal["reference", "exact"],
    horizon: float,
    step: float,
    x: np.ndarray,
    sizes: Sequence[float] = _EXACT,
) -> np.ndarray:
    """Density at ``x`` of the reversed walk after round(T/γ) equal steps from t = T to 0, begun at
    N(0, 1) or at p_T, with a score wrong by ``sizes`` of each error."""
    steps = round(horizon / step)
    levels = np.asarray(uniform_grid(2.0 * horizon, 0.0, steps, np.float64))
    spread = math.sqrt(levels[0] - levels[1])
    # Sums over steps of that spread are integrals to 1e-12 at nodes this far apart.
    pieces = 2 * _REACH / min(0.8 * spread, 0.1)
    nodes = np.linspace(-_REACH, _REACH, 1 + 2 ** math.ceil(math.log2(pieces)))
    weight = (nodes[1] - nodes[0]) / (spread * math.sqrt(2 * math.pi))
    mass = density(data, levels[0], nodes) if start == "exact" else _normal(nodes)
    parameters = (np.asarray(a) for a in (data.centres, data.weights, sizes))
    for k, means in enumerate(_means()(nodes[:, None], levels, *parameters)):
        ends = x if k == steps - 1 else nodes
        gap = (ends[:, None] - means[:, 0]) / spread
        mass = np.exp(-0.5 * gap * gap) @ mass * weight
    return mass


def _normal(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """½ ∫ |p − q|, both at the points of ``measure``."""
    return float(0.5 * np.sum(np.abs(p - q)) * (2 * _REACH / (_FINE - 1)))


def start_error(data: Data) -> float:
    """Constant of e^{−2kT}: ½ |a_k| E|He_k(X₀) − a_k| / k!, a_k = E He_k(X₀)."""
    x = np.linspace(-_REACH, _REACH, _FINE)
    p = density(data, 0.0, x) * (x[1] - x[0])
    he = hermite_e.hermeval(x, [0.0] * data.order + [1.0])
    a = float(p @ he)
    return 0.5 * abs(a) * float(p @ np.abs(he - a)) / math.factorial(data.order)


def measure(name: str, steps: Sequence[float], horizons: Sequence[float]) -> Measurement:
    """One sweep for each term of the bound, with the others out of the way.

    T: the walk from N(0, 1) against the walk from p_T. γ: the walk from p_T against the data.
    M: the walk with the error against the one without. Growth in T: the last two at fixed γ, M."""
    data, x = LAWS[name], np.linspace(-_REACH, _REACH, _FINE)
    fine, middle = steps[-1], steps[len(steps) // 2]
    law = functools.cache(functools.partial(_law, data))
    start = [total_variation(law("reference", t, fine), law("exact", t, fine)) for t in horizons]
    forward = [total_variation(density(data, 2 * t, x), _normal(x)) for t in horizons]
    target = density(data, 0.0, x)
    discrete = [total_variation(law("exact", _LONG, g), target) for g in steps]
    grown = [total_variation(law("exact", t, middle), target) for t in _HORIZONS]

    def effect(horizon: float, m: float, error: str) -> float:
        sizes = tuple(m * (name == error) for name in ERRORS)
        moved = law("exact", horizon, middle, sizes)
        return total_variation(moved, law("exact", horizon, middle))

    wrong = {error: [effect(4.0, m, error) for m in _M] for error in ERRORS}
    worst = max(ERRORS, key=lambda error: wrong[error][-1])
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
    return Measurement(values, {"order of γ": 1.0}, more)


def _law(
    data: Data,
    start: Literal["reference", "exact"],
    horizon: float,
    step: float,
    sizes: tuple[float, ...] = _EXACT,
) -> np.ndarray:
    return walk_law(data, start, horizon, step, np.linspace(-_REACH, _REACH, _FINE), sizes)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(data, method, what measures it)."""
    for name in LAWS:
        yield (
            name,
            METHOD,
            functools.partial(in_double, functools.partial(measure, name, *_SIZES[length])),
        )


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    laws = {name: numbers(m) for (name, _), m in found.items()}

    def each(key: str, digits: int = 2) -> str:
        return ", ".join(f"{v[key]:.{digits}f}" for v in laws.values())

    return (
        f"Of ‖π̂ − π‖_TV ≤ A(e^(−T) + e^T(γ^(1/2) + M)) only the power of M is tight on three "
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
    start.set(xlabel="T", ylabel="TV of starting from N(0, 1)")
    step.set(xlabel="γ", ylabel="TV of finite steps, T = 8")
    wrong.set(xlabel="M", ylabel="TV of a wrong score, T = 4")
    wrong.set_xticks(first["M"], [f"{m:g}" for m in first["M"]])
    wrong.set_xticks([], minor=True)
    grown.set(xlabel="T", ylabel="TV over its size", ylim=(1e-2, 1e2))
    for axes in (start, step, wrong, grown):
        axes.legend(fontsize=7)
    return drawn
