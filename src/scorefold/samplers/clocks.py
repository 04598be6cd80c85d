"""Variables that the probability flow is solved in."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from scorefold._geometry import AnyArray
from scorefold._types import Scalar
from scorefold.manifolds import Manifold

_ORDER = 8
_LONGEST = 6.0
"""c·s_max at the most: 1 − cu stays above e^{−6}, far from the rounding of float32."""
_MOST_DECAY = 5.0
"""Decay of the velocity over the whole interval, in logarithms, that is counted on at the most."""


class Clock(eqx.Module):
    """A variable τ to solve the flow in, increasing in the variance-time s."""

    @abc.abstractmethod
    def tau(self, s: float | Scalar, dtype: DTypeLike) -> Scalar:
        """τ at s."""

    @abc.abstractmethod
    def s(self, tau: Scalar) -> tuple[Scalar, Scalar]:
        """(s, ds/dτ)."""


class PowerClock(Clock):
    """τ = u^{1/8}, u = (1 − e^{−cs})/c (u = s for c = 0).

    Near data the flow moves by O(√s) and changes its character with every factor of s: τ lies
    between √s and log s (of s, √s, s^{1/4}, s^{1/8} and log s it took the fewest evaluations on
    trained networks). On compact spaces the velocity dies out like e^{−λ₁s/2}; c stretches the
    end of the interval accordingly.
    """

    c: float = 0.0

    def tau(self, s: float | Scalar, dtype: DTypeLike) -> Scalar:
        return jnp.asarray(self.on_host(float(s)), dtype)

    def on_host(self, s: float) -> float:
        """τ at s, in float64."""
        u: float = s if self.c == 0 else -math.expm1(-self.c * s) / self.c
        return u ** (1 / _ORDER)

    def s(self, tau: AnyArray) -> tuple[AnyArray, AnyArray]:
        """(s, ds/dτ), of NumPy arrays by NumPy."""
        u, du = tau**_ORDER, _ORDER * tau ** (_ORDER - 1)
        if self.c == 0:
            return u, du
        xp = jnp if isinstance(tau, jax.Array) else np
        return -xp.log1p(-self.c * u) / self.c, du / (1.0 - self.c * u)


def near_data_clock(manifold: Manifold, s_max: float) -> PowerClock:
    """The clock of the flow from data to s_max."""
    if not manifold.compact:
        return PowerClock()
    return PowerClock(min(0.25 * manifold.spectral_gap, _LONGEST / s_max))


def velocity_decay(manifold: Manifold, s_max: float) -> float:
    """The rate λ₁/2 at which the velocity decays (at most e^{−5} in all); 0 if not compact."""
    return min(0.5 * manifold.spectral_gap, _MOST_DECAY / s_max) if manifold.compact else 0.0
