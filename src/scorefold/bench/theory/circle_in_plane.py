"""A law on a circle in the plane, its noised score in closed form, and walks back to it.

X₀ = (cos φ, sin φ), φ of von Mises with concentration κ (0: uniform), under the Ornstein–Uhlenbeck
process with m = e^{−s/2}, v = 1 − e^{−s}:

    p_s(y) = e^{−(|y|² + m²)/2v} I₀(|w|) / (2πv I₀(κ)),   w = κe₁ + my/v,
    ∇ log p_s(y) = −y/v + (m/v) (I₁/I₀)(|w|) w/|w|.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Scalar, ScalarLike, constant, safe_norm
from scorefold.bench.theory.quadrature import Means, gauss_on, means_of
from scorefold.noising import OrnsteinUhlenbeck
from scorefold.samplers import ReverseStep, Step, denoise, refined_grid

PROCESS = OrnsteinUhlenbeck(2)
_REACH = 9.0
"""Standard deviations of noise that are integrated over: what lies further is below 1e-17."""


class NoisedCircle(eqx.Module):
    """(y, s) ↦ ∇ log p_s(y) + M (1 + |y|)/v · (``outward`` e_r + ``around`` e_φ): the score, wrong
    by as much as the theorem allows (De Bortoli 2022) for ``outward``² + ``around``² = M²."""

    concentration: ScalarLike = 0.0
    outward: ScalarLike = 0.0
    around: ScalarLike = 0.0

    def __call__(self, y: Point, s: Scalar) -> Point:
        m, v = jnp.exp(-0.5 * s), -jnp.expm1(-s)
        w = m / v * y + self.concentration * constant([1.0, 0.0], y)
        size = safe_norm(w)
        ratio = jax.scipy.special.i1e(size) / jax.scipy.special.i0e(size)
        pull = jnp.where(size > 1e-6, ratio / jnp.where(size > 1e-6, size, 1.0), 0.5)
        radius = safe_norm(y)
        ray = y / jnp.where(radius > 0, radius, 1.0)
        turned = jnp.stack([-ray[1], ray[0]])
        wrong = (1.0 + radius) / v * (self.outward * ray + self.around * turned)
        return m / v * pull * w - y / v + wrong


def moments(s: float) -> tuple[float, float]:
    """(m, v)."""
    return math.exp(-0.5 * s), -math.expm1(-s)


def radial_density(r: np.ndarray, s: float) -> np.ndarray:
    """Of |y| under p_s for κ = 0: the law of Rice."""
    m, v = moments(s)
    return _rice(r, np.asarray([m]), v)[:, 0]


def _rice(r: np.ndarray, means: np.ndarray, variance: float) -> np.ndarray:
    """Density of |mean + √variance z| at r, one column a mean."""
    from scipy.special import i0e

    r, m = (a / math.sqrt(variance) for a in (r[:, None], np.abs(means)[None, :]))
    return r * np.exp(-0.5 * (r - m) ** 2) * i0e(r * m) / math.sqrt(variance)


def interval(s: float, further: float = 0.0) -> tuple[float, float]:
    """The radii that have mass under p_s, and ``further`` ones."""
    m, v = moments(s)
    reach = _REACH * math.sqrt(v)
    return max(0.0, m - reach), m + reach + further


def levels_of(horizon: float, early: float, step: float) -> tuple[np.ndarray, float]:
    """The library's levels from variance-time 2T down to ε, and the γ of the theorem,

        γ = max_k γ_k sup β/σ² = max_k ½(s_k − s_{k+1}) / v(s_{k+1}),

    at most ``step``."""
    start = 2.0 * horizon
    du = step
    for _ in range(50):  # ½ du e^{du} = step
        du = 2.0 * step * math.exp(-du)
    count = math.ceil((math.log(start / early) + start - early) / du)
    levels = np.asarray(refined_grid(start, early, count, np.float64))
    return levels, float(np.max(-0.5 * np.diff(levels) / -np.expm1(-levels[1:])))


@functools.cache
def _means() -> Means:
    def step(outward: Scalar) -> Step:
        return ReverseStep(PROCESS, NoisedCircle(0.0, outward))

    return means_of(PROCESS.manifold, step)


def _on_axis(r: np.ndarray) -> np.ndarray:
    return np.stack([r, np.zeros_like(r)], -1)


def walk_radii(
    start: Literal["reference", "exact"], levels: np.ndarray, r: np.ndarray, outward: float = 0.0
) -> np.ndarray:
    """Density at radii ``r`` of |Y| after the library's reversed walk along ``levels`` from N(0, I)
    or from p_T of the uniform circle (κ = 0). All laws on the way are rotations of themselves, and
    a step from radius ρ ends in the law of Rice about the radius of its mean."""
    # The error moves the law by M(1 + |y|), at most 2M near data.
    widths = [interval(s, 3.0 * outward) for s in levels[:-1]]
    widths[0] = (0.0, _REACH)
    spread = np.sqrt(-np.diff(levels))
    # Gauss's nodes are at most π/2 times as far apart as on average.
    pieces = max((b - a) / h for (a, b), h in zip(widths, spread, strict=True))
    n = 64 * math.ceil(2.0 * pieces / 64)
    rules = [gauss_on(a, b, n) for a, b in widths]
    nodes = np.stack([x for x, _ in rules])
    means = _means()(_on_axis(nodes), levels, np.asarray(outward))[..., 0]
    density = radial_density(nodes[0], levels[0])
    if start == "reference":
        density = nodes[0] * np.exp(-0.5 * nodes[0] ** 2)
    for k, (_, weights) in enumerate(rules):
        ends = r if k == len(rules) - 1 else nodes[k + 1]
        density = _rice(ends, means[k], spread[k] ** 2) @ (weights * density)
    return density


def denoised_radii(s: float, r: np.ndarray) -> np.ndarray:
    """Where ``denoise`` sends points at radii ``r`` (κ = 0)."""
    return np.abs(np.asarray(_denoise(_on_axis(r), np.asarray(s)))[:, 0])


@jax.jit
def _denoise(y: Array, s: Scalar) -> Array:
    return jax.vmap(lambda y: denoise(PROCESS, NoisedCircle(), y, s))(y)


def score_sizes(s: float, r: np.ndarray) -> np.ndarray:
    """|∇ log p_s| at radii ``r`` (κ = 0)."""
    return np.linalg.norm(_score(_on_axis(r), np.asarray(s)), axis=1)


@jax.jit
def _score(y: Array, s: Scalar) -> Array:
    return jax.vmap(lambda y: NoisedCircle()(y, s))(y)
