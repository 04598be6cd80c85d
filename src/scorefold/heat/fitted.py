"""Heat kernels as polynomials of distance and time: a hundred times cheaper than exact ones."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev

from scorefold._geometry import HeatKernel
from scorefold._types import DTypeLike, Key, Scalar
from scorefold.heat._base import IsotropicHeat, RadialProfile
from scorefold.heat.product import ProductHeat
from scorefold.heat.torus import TorusHeat

_DEGREES = ((6, 3), (9, 4), (13, 5), (18, 6))
_TOLERANCE = 2e-3
_SEEN = 18.0
"""Nats below the peak down to which the tolerance holds."""


class FittedProfile(RadialProfile):
    """log p_s(r) = −r²/2s − (d/2) log 2πs + q(r², s), q a polynomial in Chebyshev form, for
    distances up to ``reach`` and s in [low, high]; outside q is held at its value on the edge.

    Made by ``fitted_kernel`` from an exact profile. It has a density and its slope, and no draws.
    """

    dim: int
    reach: float
    low: float
    high: float
    coefficients: tuple[tuple[float, ...], ...]

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        lead = -0.5 * self.dim * jnp.log(2.0 * math.pi * s)
        square = r * r
        return lead - 0.5 * square / s + _clenshaw(self._in_time(s), self._place(square))

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        square = r * r
        rows = self._in_time(s)
        bend = jax.grad(lambda q: _clenshaw(rows, self._place(q)))(square)
        return 1.0 / s - 2.0 * bend

    def sample(self, key: Key, s: Scalar, dtype: DTypeLike) -> Scalar:
        raise NotImplementedError("A fitted kernel has no draws: use manifold.heat.")

    def _place(self, square: Scalar) -> Scalar:
        return jnp.minimum(square * (2.0 / self.reach**2), 2.0) - 1.0

    def _in_time(self, s: Scalar) -> list[Scalar]:
        """Coefficients in r² at this s."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        u = jnp.clip((s - middle) / half, -1.0, 1.0)
        return [_clenshaw(row, u) for row in self.coefficients]


def fitted_kernel(kernel: HeatKernel, low: float, high: float, reach: float) -> HeatKernel:
    """A kernel within 2e-3 nats of an exact one for low ≤ s ≤ high, down to 18 nats below its
    peak, at a cost of some dozens of multiplications: for sums over millions of pairs whose
    parameters are being learned. Where the density is smaller still the error may grow.

    **Arguments:** ``kernel``: ``manifold.heat``; ``reach``: the largest distance of interest (the
    diameter serves where it is finite).
    **Returns:** the kernel itself where it is cheap (flat space), where no polynomial of moderate
    degree is accurate enough, and for kernels unknown here.
    """
    if not (0 < low < high < math.inf and 0 < reach < math.inf):
        raise ValueError(f"needs 0 < low < high and reach > 0, got {low}, {high} and {reach}.")
    if isinstance(kernel, TorusHeat):
        profile = _fit(kernel.circle, 1, low, high, math.pi)
        return TorusHeat(kernel.manifold, profile)
    if isinstance(kernel, ProductHeat):
        parts = tuple(fitted_kernel(k, low, high, reach) for k in kernel.kernels)
        return ProductHeat(kernel.manifold, parts)
    if isinstance(kernel, IsotropicHeat):
        manifold = kernel.manifold
        far = min(reach, manifold.diameter)
        return IsotropicHeat(manifold, _fit(kernel.profile, manifold.dim, low, high, far))
    return kernel


@functools.lru_cache(maxsize=32)
def _fit(profile: RadialProfile, dim: int, low: float, high: float, reach: float) -> RadialProfile:
    with jax.ensure_compile_time_eval():
        r = 0.5 * reach * (1.0 - np.cos(np.pi * (np.arange(160) + 0.5) / 160))
        u = np.cos(np.pi * (np.arange(24) + 0.5) / 24)
        s = 0.5 * (low + high) + 0.5 * (high - low) * u
        dtype = jnp.result_type(float)
        exact = np.asarray(
            _values(profile, jnp.asarray(r, dtype), jnp.asarray(s, dtype)), np.float64
        )
    square = r[:, None] ** 2
    rest = exact + 0.5 * square / s + 0.5 * dim * np.log(2.0 * np.pi * s)
    depth = exact.max(axis=0) - exact
    weight = np.clip(np.exp(0.5 * (_SEEN - depth)), 1e-2, 1.0)
    place = 2.0 * r**2 / reach**2 - 1.0
    for rows, columns in _DEGREES:
        across, along = chebyshev.chebvander(place, rows), chebyshev.chebvander(u, columns)
        basis = (across[:, None, :, None] * along[None, :, None, :]).reshape(rest.size, -1)
        solved = np.linalg.lstsq(weight.reshape(-1, 1) * basis, (weight * rest).ravel(), rcond=None)
        error = np.abs((basis @ solved[0]).reshape(rest.shape) - rest)
        if (error[depth < _SEEN] < _TOLERANCE).all() and error.max() < 1.0 + 0.05 * depth.max():
            table = solved[0].reshape(rows + 1, columns + 1)
            rows_of = tuple(tuple(map(float, row)) for row in table)
            return FittedProfile(dim, reach, low, high, rows_of)
    return profile


@functools.partial(jax.jit, static_argnums=0)
def _values(profile: RadialProfile, r: jax.Array, s: jax.Array) -> jax.Array:
    return jax.vmap(lambda r: jax.vmap(lambda s: profile.log_prob(r, s))(s))(r)


def _clenshaw(coefficients: Sequence[Array | float], x: Array) -> Array:
    """Σ_k c_k T_k(x)."""
    after = later = jnp.zeros_like(x)
    for c in coefficients[:0:-1]:
        after, later = c + 2.0 * x * after - later, after
    return coefficients[0] + x * after - later
