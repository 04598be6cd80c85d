"""Isotropic heat kernels at one variance-time as tables of the distance."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._geometry import HeatKernel
from scorefold._types import DTypeLike, Key, Scalar
from scorefold.heat._base import IsotropicHeat, RadialProfile

_SIZES = (256, 1024, 4096, 16384)
"""Intervals that are tried, the fewest first."""


class TabulatedProfile(RadialProfile):
    """log p_s(r) for one s and 0 ≤ r ≤ ``reach``: the cubic spline on N equal intervals through the
    values of ``exact`` at their ends, flat at both ends; NaN for any other s.

    ``cubics``: coefficients of 1, u, u², u³ with u = rN/reach − k on the interval k, shape (4, N).
    Slope and draws are those of ``exact``. Made by ``tabulated_kernel``.
    """

    exact: RadialProfile
    s: float
    reach: float
    cubics: Array = fixed()

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        count = self.cubics.shape[1]
        place = r * (count / self.reach)
        k = jnp.clip(place.astype(jnp.int32), 0, count - 1)
        u = place - k.astype(r.dtype)
        rows = self.cubics.astype(r.dtype)
        a, b, c, d = (row.at[k].get(mode="promise_in_bounds") for row in rows)
        known = jnp.asarray(s, r.dtype) == jnp.asarray(self.s, r.dtype)
        return jnp.where(known, a + u * (b + u * (c + u * d)), jnp.nan)

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        return self.exact.slope(r, s)

    def sample(self, key: Key, s: Scalar, dtype: DTypeLike) -> Scalar:
        return self.exact.sample(key, s, dtype)


def tabulated_kernel(kernel: HeatKernel, s: float, dtype: DTypeLike) -> HeatKernel:
    """The kernel at the one variance-time s for sums over very many pairs: a pair costs some
    nanoseconds where the exact kernel of S² costs hundreds.

    log p_s differs from the exact one by at most tol·max(1, |log p_s|) in the middle of every
    interval, tol 5e-6 for float32 (the rounding of the exact kernel) and 1e-9 for float64.

    **Arguments:** ``kernel``: ``manifold.heat``; ``dtype``: of the points.
    **Returns:** the kernel itself where it is no function of distance alone (flat space, tori,
    products), on spaces without a diameter, where log p_s is not finite, and where 16,384
    intervals are too few: in float64 for s below about 0.03.
    """
    if not isinstance(kernel, IsotropicHeat) or not math.isfinite(kernel.manifold.diameter):
        return kernel
    if isinstance(kernel.profile, TabulatedProfile):
        return kernel
    narrow = np.dtype(dtype) == np.float32
    profile = _table(kernel.profile, s, kernel.manifold.diameter, bool(narrow))
    return kernel if profile is None else IsotropicHeat(kernel.manifold, profile)


@functools.lru_cache(maxsize=32)
def _table(profile: RadialProfile, s: float, reach: float, narrow: bool) -> TabulatedProfile | None:
    from scipy.interpolate import CubicSpline

    dtype, tolerance = (jnp.float32, 5e-6) if narrow else (jnp.float64, 1e-9)
    with jax.ensure_compile_time_eval():
        r = np.linspace(0.0, reach, 2 * _SIZES[-1] + 1)
        at, now = jnp.asarray(r, dtype), jnp.asarray(s, dtype)
        value = np.asarray(_exact(profile, at, now), np.float64)
    if not np.isfinite(value).all():
        return None
    for count in _SIZES:
        step = (len(r) - 1) // count
        ends, middle = slice(None, None, step), slice(step // 2, None, step)
        # A smooth function of a point is even in r at 0 and across the cut locus.
        spline = CubicSpline(np.arange(count + 1.0), value[ends], bc_type="clamped")
        cubics = spline.c[::-1]
        found = 0.5 ** np.arange(4) @ cubics
        error = np.abs(found - value[middle]) / np.maximum(1.0, np.abs(value[middle]))
        if error.max() <= tolerance:
            with jax.ensure_compile_time_eval():
                return TabulatedProfile(profile, s, reach, jnp.asarray(cubics, dtype))
    return None


@functools.partial(jax.jit, static_argnums=0)
def _exact(profile: RadialProfile, r: Array, s: Array) -> Array:
    return jax.vmap(lambda r: profile.log_prob(r, s))(r)
