"""Heat kernel of S^d at moderate and large variance-time: the zonal eigenfunction series."""

from __future__ import annotations

import math

import jax.numpy as jnp

from scorefold._types import Scalar

__all__ = ["log_prob", "multiplicity", "slope", "sphere_volume", "zonal"]


def sphere_volume(d: int) -> float:
    """Volume of the unit S^d."""
    return 2.0 * math.pi ** ((d + 1) / 2) / math.gamma((d + 1) / 2)


def multiplicity(d: int, l: int) -> int:
    """Dimension of the space of spherical harmonics of degree l on S^d."""
    return math.comb(l + d, d) - (math.comb(l + d - 2, d) if l >= 2 else 0)


def zonal(d: int, c: Scalar, weights: list[Scalar]) -> Scalar:
    """Σ_l weights[l] R_l(c), R_l the zonal harmonic of degree l on S^d with R_l(1) = 1:

    (l + d − 1) R_{l+1} = (2l + d − 1) c R_l − l R_{l−1},  R_0 = 1,  R_1 = c.
    """
    before, now = jnp.ones_like(c), c
    total = weights[0] * before
    for l in range(1, len(weights)):
        total = total + weights[l] * now
        before, now = now, ((2 * l + d - 1) * c * now - l * before) / (l + d - 1)
    return total


def _decay(d: int, s: Scalar, terms: int) -> list[Scalar]:
    return [multiplicity(d, l) * jnp.exp(-0.5 * l * (l + d - 1) * s) for l in range(terms + 1)]


def log_prob(d: int, r: Scalar, s: Scalar, terms: int) -> Scalar:
    """log of Σ_{l≤terms} mult(l) e^{−l(l+d−1)s/2} R_l(cos r) / vol."""
    return jnp.log(zonal(d, jnp.cos(r), _decay(d, s, terms))) - math.log(sphere_volume(d))


def slope(d: int, r: Scalar, s: Scalar, terms: int) -> Scalar:
    """−(1/r)∂_r of ``log_prob``, with R_l' = l(l+d−1)/d · R_{l−1} of S^{d+2}: no 0/0 anywhere."""
    c = jnp.cos(r)
    w = _decay(d, s, terms)
    rising = [w[l] * (l * (l + d - 1) / d) for l in range(1, terms + 1)]
    return jnp.sinc(r / math.pi) * zonal(d + 2, c, rising) / zonal(d, c, w)
