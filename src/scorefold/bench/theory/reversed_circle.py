"""The law of the reversed geodesic random walk on the circle, by quadrature: no draws.

On S¹ = R/2πZ one step y ↦ y + γv(y) + √γZ of the walk takes the Fourier coefficients
c_k = E e^{−ikY} of a law q to

    c_k' = e^{−k²γ/2} ∫ q(y) e^{−ik(y + γv(y))} dy,

exactly, and the integral is a sum over equally spaced nodes, exact to rounding for smooth q and v.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from scorefold._types import Scalar
from scorefold.data import HeatMixture
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Torus

NODES, MODES = 256, 64
CIRCLE = Torus(1)
_SIGNS = (-1.0 + 0.0j) ** np.arange(MODES + 1)
"""The nodes begin at −π."""


def data_law() -> HeatMixture:
    """Two wrapped normal laws on the circle, smooth and positive."""
    centres, s = np.array([[-1.0], [1.2]]), np.array([0.15, 0.3])
    return HeatMixture(CIRCLE, centres, s, np.array([0.6, 0.4]))


def nodes() -> Array:
    """Equally spaced angles."""
    return jnp.asarray(2.0 * math.pi * np.arange(NODES) / NODES - math.pi)


@eqx.filter_jit
def coefficients(law: HeatMixture, s: Scalar) -> Array:
    """E e^{−ikX_s}, k = 0, …, MODES: Σ_j w_j e^{−ikc_j − k²(s_j + s)/2}."""
    k = jnp.arange(MODES + 1.0)

    def one(c: Array, before: Scalar, weight: Scalar) -> Array:
        return weight.astype(complex) * damping(before + s) * _turns(k * c[0])

    return jnp.sum(jax.vmap(one)(law.centres, law.s, law.weights), axis=0)


def density(c: Array) -> Array:
    """(1/2π) Σ_k c_k e^{iky} over k = −MODES, …, MODES at the nodes, with c_{−k} = c̄_k."""
    return jnp.fft.irfft(_SIGNS * c, NODES) * (NODES / (2.0 * math.pi))


def distance(c: Array, other: Array, cells: int = 4096) -> float:
    """W₁ of two laws on the circle: min over a of ∫ |F − G − a|, a the median of F − G."""
    gap, k = np.asarray(c) - np.asarray(other), np.arange(len(c))
    x = 2.0 * math.pi * (np.arange(cells) + 0.5) / cells
    terms = gap[1:, None] / (1j * k[1:, None]) * np.exp(1j * k[1:, None] * x)
    difference = np.real(terms).sum(axis=0) / math.pi
    return float(2.0 * math.pi * np.abs(difference - np.median(difference)).mean())


@eqx.filter_jit
def reversal(law: HeatMixture, s: Scalar) -> Array:
    """The coefficients of the reversed diffusion's law, step → 0, from the uniform law at s:

    q(x) = p₀(x) ∫ p_s(y | x) / (2π p_s(y)) dy.
    """
    ratio = 1.0 / (2.0 * math.pi * density(coefficients(law, s)))
    smoothed = density(transform(ratio) * damping(s))
    return transform(smoothed * density(coefficients(law, jnp.zeros_like(s))))


@eqx.filter_jit
def adverse_field(law: HeatMixture, s: Scalar) -> Array:
    """A field of length at most 1 at the nodes: tanh(4∂g/max|∂g|), g(y) = E[sin X₀ | X_s = y].
    It pushes the mean of sin X₀ to first order almost as far as any field of that length can."""
    started = density(coefficients(law, jnp.zeros_like(s)))
    joint = transform(jnp.sin(nodes()) * started) * damping(s)
    p, k = coefficients(law, s), jnp.asarray(1j * np.arange(MODES + 1))
    top, dtop, low, dlow = (density(c) for c in (joint, k * joint, p, k * p))
    slope = (dtop * low - top * dlow) / low**2
    return jnp.tanh(4.0 * slope / jnp.max(jnp.abs(slope)))


@eqx.filter_jit
def _walk(
    law: HeatMixture, start: Array, horizon: Scalar, steps: Int[Array, ""], size: Scalar,
    adverse: Bool[Array, ""],
) -> Array:  # fmt: skip
    """Coefficients after equal steps of ``ReverseStep`` from ``horizon`` to 0, with the exact
    score and an error of length at most ``size``: the adverse field, or a rotation."""
    y, ds = nodes(), horizon / steps

    def step(i: Int[Array, ""], c: Array) -> Array:
        s = horizon - i * ds
        now = TransitionMixture(CIRCLE.heat, law.centres, law.s + s, jnp.log(law.weights))
        score = jax.vmap(now.score)(y[:, None])
        error = jnp.where(adverse, adverse_field(law, s), 1.0)
        moved = jax.vmap(CIRCLE.exp)(y[:, None], (score + size * error[:, None]) * ds)[:, 0]
        return carried(density(c), moved) * damping(ds)

    return jax.lax.fori_loop(0, steps, step, start)


def walk_error(
    law: HeatMixture, horizon: float, steps: int, *, size: float = 0.0, adverse: bool = True,
    uniform: bool = False,
) -> float:  # fmt: skip
    """W₁ to p₀ of the reversed walk of equal steps from ``horizon`` to 0, started from the exact
    law there, or from the uniform law."""
    at, zero = jnp.asarray(horizon), jnp.asarray(0.0)
    start = coefficients(law, at)
    if uniform:
        start = jnp.zeros_like(start).at[0].set(1.0)
    end = _walk(law, start, at, jnp.asarray(steps), jnp.asarray(size), jnp.asarray(adverse))
    return distance(end, coefficients(law, zero))


def reversal_error(law: HeatMixture, horizon: float) -> float:
    """W₁ to p₀ of the reversed diffusion from the uniform law at ``horizon``."""
    at, zero = jnp.asarray(horizon), jnp.asarray(0.0)
    return distance(reversal(law, at), coefficients(law, zero))


def transform(values: Array) -> Array:
    """∫ q(y) e^{−iky} dy, k = 0, …, MODES, from the values of q at the nodes."""
    return jnp.fft.rfft(values)[: MODES + 1] * (_SIGNS * (2.0 * math.pi / NODES))


def carried(values: Array, moved: Array) -> Array:
    """∫ q(y) e^{−ik·moved(y)} dy, k = 0, …, MODES, from values at the nodes."""
    turns = jax.vmap(lambda k: _turns(k * moved))(jnp.arange(MODES + 1.0))
    return turns @ jax.lax.complex(values * (2.0 * math.pi / NODES), jnp.zeros_like(values))


def damping(s: Scalar) -> Array:
    """e^{−λ_k s/2}, λ_k = k²: what Brownian motion does to the coefficients."""
    factor = jnp.exp(-0.5 * jnp.arange(MODES + 1.0) ** 2 * s)
    return jax.lax.complex(factor, jnp.zeros_like(factor))


def _turns(angle: Array) -> Array:
    """e^{−i·angle}."""
    return jax.lax.complex(jnp.cos(angle), -jnp.sin(angle))
