"""Bias and variance of targets of denoising score matching as the noise goes to 0.

For data of density f on a manifold, noise of variance s = σ² and a target t(x, x₀), a network
learns E[t | x], q_s the law of x. To the next order

    E[t | x] − ∇ log q_s(x) = a s ∇ log f(x) + O(s²),
    E |t − E[t | x]|² = d/s + b − J + O(s),   J = E_f |∇ log f|².

With t = g(θ) towards x₀ at distance θ and g − ∇ log p ≈ (A θ²/s + B)θ, a = (d + 2)A + B, for the
posterior of x₀ is f(x₀) p(x | x₀) and E θ_i θ_j |θ|² = (d + 2)s²δ_ij. On S^d:

| noise | target | a | b |
|---|---|---|---|
| normal in R^{d+1}, projected | tangent part of (x₀ − y)/σ² | (d+2)/2 − d = 1 − d/2 | −d(d−1) |
| heat kernel | ∇ log p_s(x \\| x₀) | 0 | −d(d−1)/2 |
| heat kernel | log_x(x₀)/s (Varadhan) | (d−1)/6 | −d(d−1)/6 |
| heat kernel | tangent part of (x₀ − x)/s | −½ | −d(d−1)/6 − d(d+2)/3 |

The first is the target of Rawal 2026 (Rao–Blackwellized score matching on manifolds), whose
1 − d/2 this is: y/|y| is the nearest point, and the tangent part of x₀ − y there depends on y
through it alone. The second has no bias by definition. The tori of that paper are products of
circles in the plane: a = ½ for every d.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from scorefold.bench.contract import Measurement
from scorefold.bench.theory.ends import limit, numbers
from scorefold.bench.theory.quadrature import gauss_on, in_double
from scorefold.heat import SphereProfile
from scorefold.report.panels import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
AMBIENT, EXACT = "ambient noise, tangent target", "heat kernel, its score"
VARADHAN, CHORD = "heat kernel, Varadhan's target", "heat kernel, tangent target"
METHODS = (AMBIENT, EXACT, VARADHAN, CHORD)
KAPPA = 2.0
"""Data: f ∝ e^{2⟨x, e₀⟩} on S^d; on T² f ∝ e^{2 cos a + cos(a − b)}, no product."""
_DIMENSIONS = {"quick": (1, 2), "default": (1, 2, 3, 4), "full": (1, 2, 3, 4)}
_VARIANCES = (0.16, 0.08, 0.04, 0.02, 0.01, 0.005)


class Coefficients(NamedTuple):
    """a and b above."""

    bias: float
    variance: float


def expected(method: str, d: int) -> Coefficients:
    curved = d * (d - 1)
    return {
        AMBIENT: Coefficients(1.0 - d / 2, -curved),
        EXACT: Coefficients(0.0, -curved / 2),
        VARADHAN: Coefficients((d - 1) / 6, -curved / 6),
        CHORD: Coefficients(-0.5, -curved / 6 - d * (d + 2) / 3),
    }[method]


def projected_normal(d: int, theta: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """log density (up to a constant) of y/|y|, y ~ N(x₀, sI) in R^{d+1}, at the angle θ, and its
    slope towards x₀: with c = cos θ/√s and G_d(c) = ∫₀^∞ ρ^d e^{−(ρ−c)²/2} dρ,

        log p = −sin²θ/2s + log G_d(c),   sin θ (cos θ/s + d G_{d−1}/(√s G_d)).
    """
    from scipy.special import ndtr

    c = np.cos(theta) / math.sqrt(s)
    g = [math.sqrt(2 * math.pi) * ndtr(c)]
    g.append(c * g[0] + np.exp(-0.5 * c * c))
    for k in range(2, d + 1):
        g.append(c * g[k - 1] + (k - 1) * g[k - 2])
    slope = np.sin(theta) * (np.cos(theta) / s + d * g[d - 1] / (math.sqrt(s) * g[d]))
    return -0.5 * np.sin(theta) ** 2 / s + np.log(g[d]), slope


def heat(d: int, theta: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of the library's heat kernel."""
    log_p, slope = _heat(d, theta, np.asarray(s))
    return np.asarray(log_p), theta * np.asarray(slope)


@functools.partial(jax.jit, static_argnums=0)
def _heat(d: int, theta: Array, s: Array) -> tuple[Array, Array]:
    profile = SphereProfile(d)
    return jax.vmap(lambda r: (profile.log_prob(r, s), profile.slope(r, s)))(theta)


class TargetMoments(NamedTuple):
    """Of a target under the law of data and noise."""

    bias: float
    """a: of E[t | x] − ∇ log q_s on s∇ log f, by least squares under q_s."""
    variance: float
    """E |t − E[t | x]|²."""


def on_sphere(method: str, d: int, s: float) -> TargetMoments:
    """By quadrature: x at an angle α from the mode, x₀ at θ from x in a direction φ."""
    noise = projected_normal if method == AMBIENT else heat
    theta, weight = gauss_on(0.0, min(math.pi, 10.0 * math.sqrt(s)), 120)
    log_p, score = noise(d, theta, s)
    target = {EXACT: score, VARADHAN: theta / s}.get(method, np.sin(theta) / s)
    weight = weight * np.sin(theta) ** (d - 1) * np.exp(log_p - log_p.max())
    weight /= weight.sum()
    turn, turn_weight = (
        (np.array([0.0, math.pi]), np.ones(2)) if d == 1 else gauss_on(0.0, math.pi, 40)
    )
    if d > 1:
        turn_weight = turn_weight * np.sin(turn) ** (d - 2)
    turn_weight = turn_weight / turn_weight.sum()
    alpha, outer = gauss_on(0.0, math.pi, 60)
    outer = outer * np.sin(alpha) ** (d - 1)
    height = np.cos(alpha)[:, None, None] * np.cos(theta)[:, None] + (
        np.sin(alpha)[:, None, None] * np.sin(theta)[:, None] * np.cos(turn)
    )
    joint = np.exp(KAPPA * (height - 1)) * weight[:, None] * turn_weight
    q = joint.sum((1, 2))

    def given(along: np.ndarray) -> np.ndarray:
        """E of a vector of that length towards x₀, given x: its component towards the mode."""
        return np.einsum("atp,t,p->a", joint, along, np.cos(turn)) / q

    square = np.einsum("atp,t->a", joint, target**2) / q
    slope = KAPPA * np.sin(alpha)
    p = outer * q / (outer @ q)
    mean = given(target)
    bias = float(p @ ((mean - given(score)) * slope) / (s * (p @ slope**2)))
    return TargetMoments(bias, float(p @ (square - mean**2)))


def on_torus(s: float, side: int = 256) -> TargetMoments:
    """Ambient noise on T², a product of circles in R⁴, by Fourier sums."""
    grid = 2 * math.pi * np.arange(side) / side
    apart = (grid + math.pi) % (2 * math.pi) - math.pi
    log_p, slope = projected_normal(1, np.abs(apart), s)
    kernel = np.exp(log_p - log_p.max())
    kernel /= kernel.sum()
    a, b = grid[:, None], grid[None, :]
    f = np.exp(2.0 * np.cos(a) + np.cos(a - b))
    gradient = (-2.0 * np.sin(a) - np.sin(a - b), np.sin(a - b) * np.ones_like(a))

    def smooth(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        one = np.fft.fft(first)[:, None] * np.fft.fft(second)[None, :]
        return np.fft.ifft2(np.fft.fft2(f) * one).real

    q = smooth(kernel, kernel)
    target, score = -np.sin(apart) / s, -np.sign(apart) * slope
    bias = size = variance = 0.0
    for axis, ahead in enumerate(gradient):
        mean, right, square = (
            smooth(*((kernel * k, kernel) if axis == 0 else (kernel, kernel * k))) / q
            for k in (target, score, target**2)
        )
        bias += float(np.sum(q * (mean - right) * ahead))
        size += float(np.sum(q * ahead**2)) * s
        variance += float(np.sum(q * (square - mean**2)) / q.sum())
    return TargetMoments(bias / size, variance)


def fisher(d: int) -> float:
    """J of e^{κ cos α} on S^d."""
    alpha, w = gauss_on(0.0, math.pi, 100)
    p = w * np.sin(alpha) ** (d - 1) * np.exp(KAPPA * np.cos(alpha))
    return float(p @ (KAPPA * np.sin(alpha)) ** 2 / p.sum())


def _fisher_torus(side: int = 256) -> float:
    grid = 2 * math.pi * np.arange(side) / side
    a, b = grid[:, None], grid[None, :]
    f = np.exp(2.0 * np.cos(a) + np.cos(a - b))
    square = (2.0 * np.sin(a) + np.sin(a - b)) ** 2 + np.sin(a - b) ** 2
    return float((f * square).sum() / f.sum())


def measure(method: str, d: int, torus: bool, variances: Sequence[float]) -> Measurement:
    """The coefficients at each s and their limits, beside those expected."""
    found = [on_torus(s) if torus else on_sphere(method, d, s) for s in variances]
    bias, variance = ([m[k] for m in found] for k in (0, 1))
    a, b = Coefficients(0.5, 0.0) if torus else expected(method, d)
    below = [v - d / s for v, s in zip(variance, variances, strict=True)]
    scaled = [v * s for v, s in zip(variance, variances, strict=True)]
    values = {
        "bias": limit(variances, bias),
        "bias, expected": a,
        "variance times s": limit(variances, scaled),
        "variance times s, expected": float(d),
        "variance less d/s": limit(variances, below),
        "variance less d/s, expected": b - (_fisher_torus() if torus else fisher(d)),
    }
    more = {"s": list(variances), "bias": bias, "scaled": scaled, "below": below}
    return Measurement(values, more=more)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(space, noise and target, what measures it)."""
    for d in _DIMENSIONS[length]:
        for method in METHODS:
            found = functools.partial(measure, method, d, False, _VARIANCES)
            yield f"S^{d}", method, functools.partial(in_double, found)
    found = functools.partial(measure, AMBIENT, 2, True, _VARIANCES)
    yield "T^2", AMBIENT, functools.partial(in_double, found)


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    ambient = ", ".join(
        f"{m.values['bias']:+.3f} on {space}" for (space, k), m in found.items() if k == AMBIENT
    )

    def biases(method: str) -> str:
        return ", ".join(f"{m.values['bias']:+.3f}" for (_, k), m in found.items() if k == method)

    others = "; ".join(f"{method} {biases(method)}" for method in METHODS[1:])
    two = numbers(found["S^2", AMBIENT])
    exact = numbers(found["S^2", EXACT])
    return (
        f"The published coefficients are those of the bias, as multiples of σ²∇ log f, of the "
        f"tangent target when noise is added in the surrounding space and points are projected "
        f"back: {ambient} (1 − d/2 on S^d, ½ on tori). With noise of the heat kernel on the same "
        f"spheres they are, {others} (0 by definition for its score). The variance of all targets "
        f"is d/σ² to leading order ({two['variance times s']:.3f}/σ² on S^2), less "
        f"{-two['variance less d/s']:.2f} for that target and {-exact['variance less d/s']:.2f} "
        f"for the kernel's score."
    )


def figure(found: Found) -> Figure:
    """Left: the bias against s with its limits; right: the variance without its leading term."""
    drawn = new_figure(13.0, 4.0)
    panels = drawn.subplots(1, 3, width_ratios=(1, 1, 1))
    spaces = list(dict.fromkeys(space for space, _ in found))
    palette = dict(zip(spaces, (*COLOURS, "#CC79A7"), strict=False))
    styles = dict(zip(METHODS, ("-", "--", "-.", ":"), strict=True))
    for (space, method), m in found.items():
        s, colour, style = np.asarray(m.more["s"]), palette[space], styles[method]
        if method == AMBIENT:
            panels[0].plot(s, m.more["bias"], "o" + style, ms=3, color=colour, label=space)
            panels[0].plot(0.0, m.values["bias, expected"], "*", ms=10, color=colour)
        else:
            panels[1].plot(s, m.more["bias"], style, color=colour)
            panels[1].plot(0.0, m.values["bias, expected"], "*", ms=10, color=colour)
        if space == "S^2":
            line = panels[2].plot(s, m.more["below"], style, color=colour, label=method)
            panels[2].plot(0.0, m.values["variance less d/s, expected"], "*", ms=10, color=colour)
            line[0].set_marker("o")
            line[0].set_markersize(3)
    for method in METHODS[1:]:
        panels[1].plot([], [], styles[method], color="0.3", label=method)
    panels[0].set(xlabel="σ²", ylabel="bias over σ²∇ log f", title=AMBIENT)
    panels[1].set(xlabel="s", ylabel="bias over s∇ log f", title="heat kernel, S^1 … S^4")
    panels[2].set(
        xlabel="s", ylabel="variance of the target − 2/s", title="S^2, von Mises–Fisher, κ = 2"
    )
    for axes in panels:
        axes.grid(color="0.92")
        axes.plot([], [], "*", ms=8, color="0.4", label="expected at 0")
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.55 * (high - low))
        axes.legend(fontsize=7, loc="upper center", ncols=2 if axes is panels[0] else 1)
    return drawn
