"""The law of the reversed geodesic random walk on S², by draws of the library's sampler.

All laws here are symmetric about one axis and stay so on the way back, hence

    W₁ on S² = W₁ on [0, π] of the angles θ from the axis = ∫ |F − G| dθ:

moving along meridians attains it, and a function of θ with slope at most 1 has it on S² too. So
the draws are compared with the exact law of θ, and the floor falls like n^{−1/2}.
"""

from __future__ import annotations

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.data import HeatMixture
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Sphere
from scorefold.noising import Brownian
from scorefold.samplers import ReverseStep, uniform_grid, walk

SPHERE = Sphere(2)
_FORGOTTEN = 40.0
"""After so long p_s is uniform: e^{−λ₁s/2} is below 1e-17."""
PROGRAMS = (32, 128)
"""Numbers of steps that the walk is compiled for, up to the last of them."""


def data_law(later: float = 0.0) -> HeatMixture:
    """Two heat kernels around the ends of the axis, after Brownian motion for ``later``."""
    axis = np.array([1.0, 0.0, 0.0])
    s = np.array([0.15, 0.3]) + later
    return HeatMixture(SPHERE, np.stack([axis, -axis]), s, np.array([0.6, 0.4]))


class WrongScore(eqx.Module):
    """∇ log p_s + M·e, e(x) the tangent part of the axis: the gradient of the first eigenfunction,
    of length sin θ ≤ 1."""

    law: HeatMixture
    size: Array

    def __call__(self, x: Point, s: Scalar) -> Point:
        pull = SPHERE.to_tangent(x, SPHERE.origin(x.dtype))
        law = self.law
        now = TransitionMixture(SPHERE.heat, law.centres, law.s + s, jnp.log(law.weights))
        return now.score(x) + self.size * pull


@jax.jit
def angles(points: Array) -> Array:
    """From the axis, in radians."""
    return jax.vmap(lambda x: SPHERE.dist(SPHERE.origin(x.dtype), x))(points)


@eqx.filter_jit
def _walk_back(score: WrongScore, key: Key, starts: Array, grid: Array) -> Array:
    step = ReverseStep(Brownian(SPHERE), score)
    keys = jax.random.split(key, len(starts))
    return angles(jax.vmap(lambda k, x: walk(step, k, x, grid))(keys, starts))


def walk_error(
    key: Key, n: int, horizon: float, steps: int, *, size: float = 0.0, uniform: bool = False
) -> float:
    """W₁ to p₀ of n draws of the reversed walk of equal steps from ``horizon`` to 0, started from
    the exact law there, or from the uniform law.

    Few programs serve all numbers of steps: the grid ends in steps of length 0.
    """
    first, second = jax.random.split(key)
    x = data_law(_FORGOTTEN if uniform else horizon).sample(first, n)
    filled = next((most - steps for most in PROGRAMS if most >= steps), 0)
    grid = jnp.pad(uniform_grid(horizon, 0.0, steps, x.dtype), (0, filled))
    score = WrongScore(data_law(), jnp.asarray(size, x.dtype))
    return distance(np.asarray(_walk_back(score, second, x, grid), np.float64))


_THETA = np.linspace(0.0, math.pi, 4097)


def _density(s: float) -> np.ndarray:
    """p_s at the angles ``_THETA``."""
    points = np.stack([np.cos(_THETA), np.sin(_THETA), np.zeros_like(_THETA)], axis=-1)
    with jax.enable_x64(True):
        return np.exp(np.asarray(data_law().log_prob(points, s)))


def _below(p: np.ndarray) -> np.ndarray:
    """The distribution function of the angle at ``_THETA`` for values p there."""
    line = p * np.sin(_THETA)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (line[1:] + line[:-1]))])
    return total / total[-1]


def reversal_error(horizon: float, degree: int = 40) -> float:
    """W₁ to p₀ of the reversed diffusion, γ → 0, from the uniform law at s = ``horizon``:

        q(x) = p₀(x) ∫ p_s(y | x) / (4π p_s(y)) dy,

    the integral by Legendre coefficients, each of which Brownian motion multiplies by
    e^{−l(l+1)s/2}.
    """
    now, first = _density(horizon), _density(0.0)
    z, w = np.polynomial.legendre.leggauss(2 * degree)
    ratio = np.interp(np.arccos(z), _THETA, 1.0 / (4.0 * math.pi * now))
    l = np.arange(degree + 1)
    c = (l + 0.5) * (np.polynomial.legendre.legvander(z, degree).T @ (w * ratio))
    smoothed = np.polynomial.legendre.legval(
        np.cos(_THETA), c * np.exp(-0.5 * l * (l + 1) * horizon)
    )
    gap = np.abs(_below(first * smoothed) - _below(first))
    return float(np.trapezoid(gap, _THETA))


@functools.cache
def quantiles(n: int) -> np.ndarray:
    """θ at which the exact law of the angle reaches (i − ½)/n, i = 1, …, n."""
    return np.interp((np.arange(n) + 0.5) / n, _below(_density(0.0)), _THETA)


def distance(theta: np.ndarray) -> float:
    """W₁ to p₀ of the law of draws with these angles."""
    return float(np.abs(np.sort(theta) - quantiles(len(theta))).mean())


def floor(key: Key, n: int, repeats: int = 8) -> float:
    """The mean of ``distance`` for n exact draws of p₀."""
    found = [data_law().sample(k, n) for k in jax.random.split(key, repeats)]
    return float(np.mean([distance(np.asarray(angles(x), np.float64)) for x in found]))
