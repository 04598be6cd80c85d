"""Heat kernel of S^d at moderate and large variance-time: the zonal eigenfunction series."""

import functools
import math

import jax.numpy as jnp

from scorefold._types import Scalar


def multiplicity(d: int, l: int) -> int:
    """Dimension of the space of spherical harmonics of degree l on S^d."""
    return math.comb(l + d, d) - (math.comb(l + d - 2, d) if l >= 2 else 0)


@functools.lru_cache(maxsize=128)
def terms_needed(d: int, s: float, resolution: float) -> int:
    """The degree after which the series and its derivative are below ``resolution`` at s."""
    l = 1
    while multiplicity(d, l) * l * (l + d) * math.exp(-0.5 * l * (l + d - 1) * s) > resolution:
        l += 1
    return l


def log_volume(d: int) -> float:
    """log vol(S^d)."""
    return math.log(2.0) + 0.5 * (d + 1) * math.log(math.pi) - math.lgamma(0.5 * (d + 1))


def weights(d: int, s: Scalar, terms: int) -> list[Scalar]:
    """mult(l) e^{−l(l+d−1)s/2} for l = 0, …, ``terms``."""
    return [multiplicity(d, l) * jnp.exp(-0.5 * l * (l + d - 1) * s) for l in range(terms + 1)]


def zonal(d: int, r: Scalar, weights: list[Scalar]) -> tuple[Scalar, Scalar]:
    """Σ_l weights[l] R_l(c) and its derivative in c, at c = cos r.

    R_l is the zonal harmonic of S^d with R_l(1) = 1, and R_l' = (l(l+d−1)/d) R_{l−1} of S^{d+2}.
    """
    c = jnp.cos(r)
    rising = [w * (l * (l + d - 1) / d) for l, w in enumerate(weights)][1:]
    return _sum(d, c, weights), _sum(d + 2, c, rising)


def log_prob(d: int, r: Scalar, s: Scalar, terms: int) -> Scalar:
    """log p_s(r), vol · p = Σ_l mult(l) e^{−l(l+d−1)s/2} R_l(cos r)."""
    value, _ = zonal(d, r, weights(d, s, terms))
    return jnp.log(value) - log_volume(d)


def slope(d: int, r: Scalar, s: Scalar, terms: int) -> Scalar:
    """−(1/r) ∂_r log p_s(r) = (sin r / r) · ∂_c log p_s."""
    value, derivative = zonal(d, r, weights(d, s, terms))
    return jnp.sinc(r / math.pi) * derivative / value


def _sum(d: int, c: Scalar, weights: list[Scalar]) -> Scalar:
    """Σ_l weights[l] R_l(c) by (l+d−1) R_{l+1} = (2l+d−1) c R_l − l R_{l−1}."""
    before, now = jnp.ones_like(c), c
    total = weights[0] * before
    for l in range(1, len(weights)):
        total = total + weights[l] * now
        before, now = now, ((2 * l + d - 1) * c * now - l * before) / (l + d - 1)
    return total
