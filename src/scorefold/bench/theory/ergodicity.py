"""How fast Brownian motion forgets where it began: total variation from exact kernels.

    ‖p₀P_s − p_ref‖_TV = ½ ∫ |p_s − 1/vol|,   generator ½Δ,   s variance-time.

The theorem (Urakawa 2006, Proposition 2.6) is one for the generator Δ, whose time is t = s/2: with
p_t(x|x) ≤ C t^{−α/2} on (0, 1], densities with respect to p_ref, and λ₁ the spectral gap of −Δ,

    TV ≤ C^{1/2} e^{λ₁/2} e^{−λ₁t} = C^{1/2} e^{λ₁/2} e^{−λ₁s/2}   for t ≥ 1/2, that is s ≥ 1.

Where it is printed beside dX = dB, generator ½Δ, e^{−λ₁t} with t = s would be too fast.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Scalar
from scorefold.bench.contract import Measurement
from scorefold.bench.theory.orders import known, rate
from scorefold.heat import TransitionMixture
from scorefold.manifolds import SO3, Manifold, Sphere, Torus
from scorefold.report.panels import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPACES: dict[str, Manifold] = {
    m.name: m for m in (Sphere(1), Sphere(2), Sphere(3), Torus(2), SO3())
}
POINT, BLOB, PAIR = "point mass", "heat kernel, s = 1/2", "two opposite points"
"""Laws at time 0. The pair does not see λ₁: eigenfunctions of the first eigenvalue cancel in it."""
LAWS = {
    POINT: (0.0, np.array([1.0, 0.0])),
    BLOB: (0.5, np.array([1.0, 0.0])),
    PAIR: (0.0, np.array([0.5, 0.5])),
}
"""Variance at time 0, and weights of the origin and of the point opposite."""
_SEEN_BY_PAIR = {"S^1": 4.0, "S^2": 6.0, "S^3": 8.0, "T^2": 2.0}
_SIZES = {"quick": (300, 50), "default": (1000, 100), "full": (10_000, 300)}
"""Nodes of the quadrature, and times."""
_WINDOW = (1e-6, 1e-3)
"""Total variations in which the rate is fitted: one exponential is left, and no rounding yet."""
Found = Mapping[tuple[str, str], Measurement]


class Quadrature(NamedTuple):
    """Points and weights of the uniform law, for functions of the distance from the origin alone
    (on the torus: for even ones); ``pair``: the origin and the point furthest from it."""

    points: Array
    weights: Array
    pair: Array


def quadrature(manifold: Manifold, nodes: int) -> Quadrature:
    """Gauss and Legendre along a geodesic where the volume is a function of the distance (the
    spheres, SO(3)); midpoints of [0, π]^d, 4√nodes a side, on the torus."""
    if manifold.toral:
        side = 4 * math.isqrt(nodes)
        middle = math.pi * (np.arange(side) + 0.5) / side
        mesh = np.stack(np.meshgrid(*[middle] * manifold.dim), -1).reshape(-1, manifold.dim)
        pair = np.stack([np.zeros(manifold.dim), np.full(manifold.dim, math.pi)])
        equal = np.full(len(mesh), 1.0 / len(mesh))
        return Quadrature(jnp.asarray(mesh), jnp.asarray(equal), jnp.asarray(pair))
    (volume,) = manifold.sine_volumes or ()
    z, w = np.polynomial.legendre.leggauss(nodes)
    r = 0.5 * volume.cut * (z + 1.0)
    w = w * np.sin(volume.rate * r) ** volume.power
    points = _along_ray(manifold, jnp.asarray(np.concatenate([[0.0, volume.cut], r])))
    return Quadrature(points[2:], jnp.asarray(w / w.sum()), points[:2])


@eqx.filter_jit
def _along_ray(manifold: Manifold, r: Array) -> Array:
    x0 = manifold.origin(r.dtype)
    ray = manifold.frame(x0)[0]
    return jax.vmap(lambda r: manifold.exp(x0, r * ray))(r)


@eqx.filter_jit
def decay(
    manifold: Manifold, rule: Quadrature, before: Scalar, weights: Array, s: Array
) -> tuple[Array, Array]:
    """½ ∫ |p_s − 1/vol| and vol·p_s at the origin, for each variance-time of ``s``, from the law
    of heat kernels of variance ``before`` around the origin and the opposite point."""
    points = jnp.concatenate([rule.pair[:1], rule.points])

    def one(s: Scalar) -> tuple[Scalar, Scalar]:
        now = TransitionMixture(manifold.heat, rule.pair, before + s, jnp.log(weights))
        density = jnp.exp(jax.vmap(now.log_prob)(points) + manifold.log_volume)
        return 0.5 * jnp.sum(rule.weights * jnp.abs(density[1:] - 1.0)), density[0]

    return jax.lax.map(one, s)


def crossing(s: np.ndarray, tv: np.ndarray, log_constant: float, falls: float) -> float | None:
    """The first s ≥ 1/2 from which e^{log_constant − falls·s} lies below tv; None: on none of s."""
    over = np.log(tv) - log_constant + falls * s
    later = np.flatnonzero((over > 0) & (s >= 0.5))
    if not later.size:
        return None
    k = later[0]
    if k == 0 or over[k - 1] > 0:
        return float(s[k])
    return float(np.interp(0.0, over[k - 1 : k + 1], s[k - 1 : k + 1]))


@functools.cache
def _curves(space: str, start: str, nodes: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Total variation at ``_times``, and vol·p_s at the origin for s = 1 and 2."""
    manifold = SPACES[space]
    with jax.enable_x64(True):
        rule = quadrature(manifold, nodes)
        at = jnp.asarray(np.concatenate([[1.0, 2.0], _times(times)]))
        before, weights = LAWS[start]
        tv, back = decay(manifold, rule, jnp.asarray(before), jnp.asarray(weights), at)
        return np.asarray(tv)[2:], np.asarray(back)[:2]


def _times(times: int) -> np.ndarray:
    # The theorem holds from s = 1 on: the constant is often attained there.
    return np.union1d(np.geomspace(0.02, 40.0, times), 1.0)


def measure(space: str, start: str, nodes: int, times: int) -> Measurement:
    """The curve, the rate fitted to its end and the constants beside those of the theorem."""
    began = time.perf_counter()
    manifold = SPACES[space]
    s = _times(times)
    tv = _curves(space, start, nodes, times)[0]
    returns = _curves(space, POINT, nodes, times)[1]
    # t^{d/2} p_t(x|x) does not decrease in t where the Ricci curvature is not negative (Li & Yau
    # 1986): the least C, for α ≥ d, is p_1(x|x), in the clock of either generator.
    c_printed, c = float(returns[0]), float(returns[1])
    kept = tv > 1e-9
    s, tv, gap = s[kept], tv[kept], manifold.spectral_gap
    predicted = _SEEN_BY_PAIR[space] if start == PAIR else gap
    window = (tv > _WINDOW[0]) & (tv < _WINDOW[1])
    values = {
        "λ": 2.0 * rate(s[window], tv[window]),
        "λ, expected": predicted,
        "constant": float((tv * np.exp(0.5 * gap * s))[(s >= 1) & (tv > _WINDOW[0])].max()),
        "constant, bound": math.sqrt(c) * math.exp(0.5 * gap),
        "limit": float((tv * np.exp(0.5 * predicted * s))[window].mean()),
        "fails from": crossing(s, tv, 0.5 * math.log(c_printed) + 0.5 * gap, gap),
    }
    silent = {
        k: "nowhere: the law decays as fast as the printed bound"
        for k in values
        if values[k] is None
    }
    return Measurement(
        values=values, missing=silent, more={"s": s.tolist(), "tv": tv.tolist(), "gap": gap},
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(space, law at time 0, what measures it)."""
    for space in SPACES:
        for start in (POINT, BLOB, PAIR):
            if start != PAIR or space in _SEEN_BY_PAIR:
                yield space, start, functools.partial(measure, space, start, *_SIZES[length])


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it."""
    points = {space: m.values for (space, start), m in found.items() if start == POINT}
    if not points:
        return "Nothing was started from a point mass."
    rates = ", ".join(f"{v['λ']:.4f} on {space}" for space, v in points.items())
    slack = [known(v, "constant, bound") / known(v, "constant") for v in points.values()]
    fails = [f for v in points.values() if (f := v["fails from"]) is not None]
    return (
        f"From a point mass the total variation falls like e^(−λs/2), s the variance-time of "
        f"Brownian motion (generator ½Δ), with λ = {rates}, the spectral gaps; the constant of "
        f"the theorem, in its own time t = s/2, is {min(slack):.1f} to {max(slack):.1f} times the "
        f"one seen; with t read as s the printed e^(−λ₁t) falls twice too fast, and its bound is "
        f"wrong from s = {min(fails):.1f} to {max(fails):.1f} on, by space."
    )


def figure(found: Found) -> Figure:
    """Left: TV against s with the fitted end; right: the constant, and the theorem's."""
    drawn = new_figure(11.0, 4.2)
    left, right = drawn.subplots(1, 2)
    colours = dict(zip(SPACES, (*COLOURS, "#CC79A7"), strict=True))
    for (space, start), m in found.items():
        s, tv = np.asarray(m.more["s"]), np.asarray(m.more["tv"])
        colour, v = colours[space], m.values
        if start == POINT:
            left.semilogy(s, tv, color=colour, lw=1.6, label=f"{space}, λ = {v['λ']:.4f}")
            right.plot(s, tv * np.exp(0.5 * m.more["gap"] * s), color=colour, lw=1.6, label=space)
            right.axhline(v["constant, bound"], color=colour, lw=0.9, ls=":")
        elif start == PAIR:
            left.semilogy(s, tv, color=colour, lw=1.2, ls="--")
    left.plot([], [], color="0.3", ls="--", label="from two opposite points")
    left.set(
        xlabel="variance-time s",
        ylabel="‖p₀P_s − p_ref‖ (total variation)",
        xlim=(0, 20),
        ylim=(1e-8, 2),
    )
    right.plot([], [], color="0.3", ls=":", label="constant of the theorem")
    right.set(xlabel="variance-time s", ylabel="TV · e^(λ₁s/2), from a point mass", xlim=(0, 12))
    right.axvline(1.0, color="0.7", lw=0.8)
    right.annotate("the theorem holds from s = 1 on", (1.1, 0.1), fontsize=8, color="0.4")
    right.set_ylim(bottom=0.0)
    for axes in (left, right):
        axes.grid(color="0.92")
        axes.legend(fontsize=8)
    return drawn
