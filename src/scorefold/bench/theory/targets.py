"""The bias of approximate targets of score matching against variance-time.

Relative root mean square error under the exact heat kernel,

    (E |S(X_s | x₀) − ∇ log p_s(X_s | x₀)|² / E |∇ log p_s(X_s | x₀)|²)^{1/2},

by quadrature over the distance, of the library's ``Varadhan`` and ``TruncatedSeries`` (De Bortoli
et al. 2022, Section 3). Expected, from log p_s ≈ −r²/2s + ρr²/12 for Ric = ρg: Varadhan's target is
wrong by ρs/6 as s → 0, on S^1 by less than any power of s.

The series is negative somewhere while s is small, and its score has a pole 1/(r − r₀) at the zero:
the mean square above is then infinite, whatever a quadrature says. So the error is also given with
|S − ∇ log p|² cut at E |∇ log p|², and with it the mass where the sum is not positive.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Scalar
from scorefold.bench.contract import Measurement
from scorefold.bench.theory.ends import last_order, numbers
from scorefold.bench.theory.quadrature import gauss, in_double
from scorefold.heat import HeatKernel, TruncatedSeries, Varadhan
from scorefold.manifolds import SO3, Manifold, Sphere
from scorefold.report.panels import COLOURS, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Found = Mapping[tuple[str, str], Measurement]
SPACES: dict[str, tuple[Manifold, float]] = {
    "S^1": (Sphere(1), 0.0), "S^2": (Sphere(2), 1.0), "S^3": (Sphere(3), 2.0), "SO(3)": (SO3(), 0.5)
}  # fmt: skip
"""With ρ, Ric = ρg."""
VARADHAN, TERMS = "Varadhan", (5, 10, 20)
TIMES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0)
_NODES = {"quick": 200, "default": 600, "full": 2000}
_QUICK = ("S^2",)
_SHOWN = ("S^2", (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0))


def truncated(terms: int) -> str:
    return f"series to degree {terms}"


def kernels(manifold: Manifold) -> dict[str, HeatKernel]:
    """The targets, by name."""
    cut = {truncated(j): TruncatedSeries(manifold, j) for j in TERMS}
    return {VARADHAN: Varadhan(manifold), **cut}


class TargetErrors(NamedTuple):
    """At each s: the ratio above (inf where there is a pole), the same with the cut, and the mass
    where the sum is not positive."""

    rms: np.ndarray
    cut: np.ndarray
    lost: np.ndarray


@functools.cache
def errors(space: str, nodes: int) -> dict[str, TargetErrors]:
    """Of each target; the distance on Gauss's nodes to the cut locus, or to 9√s."""
    manifold, _ = SPACES[space]
    (volume,) = manifold.sine_volumes or ()
    x, w = gauss(nodes)
    reach = np.minimum(volume.cut, 9.0 * np.sqrt(TIMES))[:, None]
    r = 0.5 * reach * (x + 1.0)
    w = w * np.sin(volume.rate * r) ** volume.power
    log_p, exact, others = _along(manifold, tuple(kernels(manifold).values()), np.asarray(TIMES), r)
    w = w * np.exp(np.asarray(log_p) - np.max(log_p, axis=1, keepdims=True))
    w /= w.sum(1, keepdims=True)
    size = np.sum(w * np.asarray(exact) ** 2, axis=1, keepdims=True)
    found = {}
    for name, other in zip(kernels(manifold), others, strict=True):
        square = (np.asarray(other) - np.asarray(exact)) ** 2 / size
        lost = np.sum(w * (np.asarray(other) == 0), axis=1)
        rms = np.where(lost > 0, math.inf, np.sqrt(np.sum(w * square, axis=1)))
        cut = np.sqrt(np.sum(w * np.minimum(square, 1.0), axis=1))
        found[name] = TargetErrors(rms, cut, lost)
    return found


@functools.partial(jax.jit, static_argnums=(0, 1))
def _along(
    manifold: Manifold, others: tuple[HeatKernel, ...], s: Array, r: Array
) -> tuple[Array, Array, list[Array]]:
    """log p_s, its score and those of ``others`` towards larger r, one row an s, one column an r
    (all are radial)."""
    x0 = manifold.origin(s.dtype)
    ray = manifold.frame(x0)[0]

    def one(s: Scalar, r: Scalar) -> tuple[Scalar, Scalar, list[Scalar]]:
        x, out = jax.jvp(lambda r: manifold.exp(x0, r * ray), (r,), (jnp.ones_like(r),))

        def outward(kernel: HeatKernel) -> Scalar:
            return manifold.inner(x, kernel.score(x, x0, s), out)

        exact = manifold.heat
        return exact.log_prob(x, x0, s), outward(exact), [outward(other) for other in others]

    return jax.vmap(jax.vmap(one, (None, 0)))(s, r)


def measure(space: str, method: str, nodes: int) -> Measurement:
    """The curve, and of Varadhan's target order and constant beside those expected."""
    ricci, found = SPACES[space][1], errors(space, nodes)[method]
    values: dict[str, float | None] = {}
    missing = {}
    for s, rms, cut, lost in zip(TIMES, *found, strict=True):
        values[f"relative error at s = {s:g}"] = float(rms) if math.isfinite(rms) else None
        if not math.isfinite(rms):
            missing[f"relative error at s = {s:g}"] = "the series has a zero, its score a pole"
        if method != VARADHAN:
            values[f"relative error, cut, at s = {s:g}"] = float(cut)
            values[f"mass without a score at s = {s:g}"] = float(lost)
    if method == VARADHAN:
        values["constant, expected"] = ricci / 6.0
        values["constant"] = float(found.rms[0]) / TIMES[0]
        if ricci:
            values["order of s"] = last_order(TIMES[2::-1], found.rms[2::-1].tolist())
        else:
            values["order of s"] = None
            missing["order of s"] = "the error falls faster than any power"
    shown = found.rms if method == VARADHAN else found.cut
    more = {"s": list(TIMES), "error": shown.tolist(), "lost": found.lost.tolist()}
    return Measurement(values, missing=missing, more=more)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(space, target, what measures it)."""
    for space in _QUICK if length == "quick" else SPACES:
        for method in kernels(SPACES[space][0]):
            found = functools.partial(measure, space, method, _NODES[length])
            yield space, method, functools.partial(in_double, found)


def _spaces(found: Found) -> list[str]:
    return list(dict.fromkeys(space for space, _ in found))


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    constants = ", ".join(
        f"{v['constant']:.4f} on {space} ({v['constant, expected']:.4f})"
        for space in _spaces(found)
        for v in [numbers(found[space, VARADHAN])]
        if v["constant, expected"]
    )
    shown, times = _SHOWN
    here = numbers(found[shown, VARADHAN])
    percent = ", ".join(f"{100 * here[f'relative error at s = {s:g}']:.3g} %" for s in times)
    cut, lost = (found[shown, truncated(10)].more[key] for key in ("error", "lost"))
    series = ", ".join(
        f"{100 * cut[k]:.2g} % at {TIMES[k]:g}" for k in map(TIMES.index, (0.05, 0.1, 0.2, 0.3))
    )
    return (
        f"Varadhan's target is wrong by cs with c = {constants}, a sixth of the Ricci curvature, "
        f"the same number by which the random walk's clock is off: on S^2 {percent} at s = "
        f"{', '.join(f'{s:g}' for s in times)}; a series to degree 10 is negative on "
        f"{100 * lost[TIMES.index(0.05)]:.2g} % of the mass at s = 0.05, where its score has poles "
        f"and no finite mean square; cut at the size of the score its error is {series}."
    )


def figure(found: Found) -> Figure:
    """One panel a space: the error of each target against s."""
    drawn, spaces = new_figure(13.0, 3.6), _spaces(found)
    panels = drawn.subplots(1, len(spaces), sharey=True, squeeze=False)[0]
    for axes, space in zip(panels, spaces, strict=True):
        ricci = SPACES[space][1]
        for method, colour in zip((VARADHAN, *map(truncated, TERMS)), COLOURS, strict=True):
            m = found[space, method].more
            axes.loglog(
                m["s"], np.maximum(m["error"], 1e-16), "o-", ms=3, color=colour, label=method
            )
        if ricci:
            s = np.asarray(TIMES)
            axes.loglog(s, ricci * s / 6, "--", color="0.5", lw=1, label="Ric·s/6")
        axes.set(xlabel="variance-time s", title=space, ylim=(1e-7, 30))
        axes.grid(color="0.92")
    legend_below(drawn, panels[-1])
    panels[0].set_ylabel("relative error of the score (series: cut)")
    return drawn
