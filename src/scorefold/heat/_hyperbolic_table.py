"""Heat kernels of even dimension on H^d in float32: a table in distance and time, made once."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev

from scorefold._matmul import matmul
from scorefold._types import Scalar, constant
from scorefold.heat._hyperbolic_integral import even_kernel

_REACH, _LONGEST = 60.0, 40.0
"""Distances and variance-times up to which the table goes."""
_BEND, _HALFWAY, _SOON = 3.0, 4.0, 4.0
_NODES = 40
_NEGLIGIBLE = 3e-8


def tabulated(r: Scalar, s: Scalar, d: int) -> tuple[Scalar, Scalar]:
    """log p_s(r) and its slope within rounding of float32, for r ≤ 60 and s ≤ 40. With a = (d−1)/2
    and ρ = √(9 + r²) − 3, which is smooth in r²,

        log p = −r²/2s − (d/2) log 2πs − a²s/2 − aρ + log(1+ρ) + (a−1) log(1+ρ+s) + g(ρ, s),
        slope = 1/s + h(ρ, s) / (1+ρ).

    g and h are bounded; they are polynomials in ρ/(ρ+4) and s/(s+4), through 40 × 40 exact values
    at Chebyshev's nodes, without the terms that add nothing. Beyond the table g and h are held.

    Source of the growth: Davies & Mandouvalos 1988, "Heat kernel bounds on hyperbolic space and
    Kleinian groups", Theorem 3.1.
    """
    g, h = _coefficients(d)
    a = 0.5 * (d - 1)
    rho = _bent(r)
    place = _unit(rho, _HALFWAY, _bent_reach())
    bases = _polynomials(_unit(s, _SOON, _LONGEST), max(g.shape[1], h.shape[1]))
    rest, steeper = (_clenshaw(matmul(constant(c, r), bases[: c.shape[1]]), place) for c in (g, h))
    lead = -0.5 * r * r / s - 0.5 * d * jnp.log(2.0 * math.pi * s) - 0.5 * a * a * s - a * rho
    log_p = lead + jnp.log1p(rho) + (a - 1.0) * jnp.log1p(rho + s) + rest
    return log_p, 1.0 / s + steeper / (1.0 + rho)


def _bent(r: Array) -> Array:
    return r * r / (jnp.sqrt(_BEND**2 + r * r) + _BEND)


def _bent_reach() -> float:
    return math.sqrt(_BEND**2 + _REACH**2) - _BEND


def _unit(x: Array, half: float, top: float) -> Array:
    """x/(x + half), scaled to −1 at 0 and to 1 at the top, and held there."""
    return 2.0 * jnp.minimum(x / (x + half) * ((top + half) / top), 1.0) - 1.0


@functools.lru_cache
def _coefficients(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Of g and h by (degree in ρ, degree in s)."""
    u = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)

    def nodes(half: float, top: float) -> np.ndarray:
        share = 0.5 * (1.0 + u) * top / (top + half)
        return half * share / (1.0 - share)

    rho, s = np.meshgrid(nodes(_HALFWAY, _bent_reach()), nodes(_SOON, _LONGEST), indexing="ij")
    r = np.sqrt(rho * (rho + 2.0 * _BEND))
    log_p, slope = even_kernel(r, s, d, np)
    a = 0.5 * (d - 1)
    g = log_p + 0.5 * r * r / s + 0.5 * d * np.log(2.0 * np.pi * s) + 0.5 * a * a * s + a * rho
    g = g - np.log1p(rho) - (a - 1.0) * np.log1p(rho + s)
    return _fitted(g, u), _fitted((slope - 1.0 / s) * (1.0 + rho), u)


def _fitted(values: np.ndarray, u: np.ndarray) -> np.ndarray:
    basis = np.linalg.inv(chebyshev.chebvander(u, _NODES - 1))
    table = basis @ values @ basis.T
    rows, columns = np.nonzero(np.abs(table) > _NEGLIGIBLE)
    return table[: rows.max() + 1, : columns.max() + 1]


def _polynomials(x: Scalar, count: int) -> Array:
    """T_0(x) … T_{count−1}(x)."""
    values = [jnp.ones_like(x), x]
    while len(values) < count:
        values.append(2.0 * x * values[-1] - values[-2])
    return jnp.stack(values)


def _clenshaw(coefficients: Array, x: Scalar) -> Scalar:
    """Σ_k c_k T_k(x)."""
    after = later = jnp.zeros_like(x)
    for k in range(coefficients.shape[0] - 1, 0, -1):
        after, later = coefficients[k] + 2.0 * x * after - later, after
    return coefficients[0] + x * after - later
