"""Exact draws of the angle that Brownian motion on S^d has moved, without simulation."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import DTypeLike, Key, Scalar, constant
from scorefold.heat import _sphere_small
from scorefold.heat._sphere_large import multiplicity
from scorefold.heat.so3 import PROPOSALS, SO3Profile

_LEVELS = 20


def angle(key: Key, d: int, s: Scalar, dtype: DTypeLike) -> Scalar:
    """One draw of r with density p_s(r) sin^{d−1}r · vol(S^{d−1}), exact for every s.

    S¹ wraps a normal draw, S² goes through the rotations. Other spheres use the beta mixture for
    s above min(0.3, 2.4/d) and rejection from a normal law in the tangent space below, with a
    fixed number of proposals: the chance that all are refused is below 1e−7 for d ≤ 8.
    """
    s = s.astype(dtype)
    if d == 1:
        turn = jnp.sqrt(s) * jax.random.normal(key, (), dtype) / (2 * math.pi)
        return 2 * math.pi * jnp.abs(turn - jnp.round(turn))
    if d == 2:
        return _through_rotations(key, s)
    switch = min(0.3, 2.4 / d)
    small = s < switch
    few, many = jnp.where(small, s, switch), jnp.where(small, switch, s)
    return jnp.where(small, _tangent(key, d, few), _mixture(key, d, many, switch))


def _through_rotations(key: Key, s: Scalar) -> Scalar:
    """The angle by which a Brownian rotation moves a point of S².

    A rotation by ω about a uniform axis: sin²(r/2) = sin²(ω/2)(1 − V²), V uniform on [0, 1].
    """
    # All numbers in one call: each call of the generator is a second of compiling.
    least = float(jnp.finfo(s.dtype).epsneg)
    u = jax.random.uniform(key, (3 * PROPOSALS + 1,), s.dtype, minval=least)
    v, omega = u[0], SO3Profile().angle(u[1:].reshape(3, PROPOSALS), s)
    half = jnp.sin(omega / 2) * jnp.sqrt((1 - v) * (1 + v))
    return 2 * jnp.arcsin(jnp.minimum(half, 1.0))


def _tangent(key: Key, d: int, s: Scalar) -> Scalar:
    """Rejection from |v|, v ~ N(0, τI_d), 1/τ = 1/s + (d−1)/6.

    The ratio of the two densities, p_s(r) (sin r/r)^{d−1} e^{r²/2τ}, is largest at r = 0 (d ≥ 3,
    s ≤ 0.5: checked numerically) and nearly constant: τ follows the curvature of the target.
    The draw is accepted with probability 0.99 (d = 3) to 0.85 (d = 8) at s = 0.3; the first
    accepted of d + 2 proposals is taken, the first if all are refused.
    """
    count = d + 2
    tau = 1 / (1 / s + (d - 1) / 6)
    k_radius, k_accept = jax.random.split(key)
    z = jax.random.normal(k_radius, (count, d), s.dtype)
    r = jnp.sqrt(tau * jnp.sum(z * z, axis=1))
    inside = r < math.pi
    r = jnp.where(inside, r, 0.0)
    log_kernel = jax.vmap(lambda x: _sphere_small.log_reduced(d, x, s))(
        jnp.concatenate([jnp.zeros_like(r[:1]), r])
    )
    log_ratio = (
        log_kernel[1:] - log_kernel[0] + (d - 1) * (jnp.log(jnp.sinc(r / math.pi)) + r * r / 12)
    )
    level = -jax.random.exponential(k_accept, (count,), s.dtype)
    accepted = inside & (level < log_ratio)
    return r[jnp.argmax(accepted)]


def _mixture(key: Key, d: int, s: Scalar, smallest: float) -> Scalar:
    """(1 + cos r)/2 ~ Beta(d/2 + m, d/2) with m the number of lines of descent at time s:

        p_s(r) vol = Σ_m q_m(s) ((d)_m/(d/2)_m) ((1 + cos r)/2)^m,
        q_m(s) = Σ_{l≥m} (−1)^{l−m} e^{−l(l+d−1)s/2} mult(l) binom(l,m) (l+d−1)_m/(d)_m ≥ 0.

    Source: Mijatović, Mramor & Uribe Bravo 2020 (the radial part is a Wright–Fisher diffusion)
    and Jenkins & Spanò 2017 (its exact simulation).
    """
    k_level, k_gauss, k_exp = jax.random.split(key, 3)
    table = _descent_table(d, smallest)
    l = np.arange(table.shape[1])
    decay = jnp.exp(-0.5 * constant(l * (l + d - 1), s) * s)
    q = jnp.maximum(jnp.sum(constant(table, s) * decay[None, :], axis=1), 0.0)
    below = jnp.cumsum(q)
    u = jax.random.uniform(k_level, (), s.dtype) * below[-1]
    m = jnp.sum(u >= below[:-1])
    # A Beta draw from two Gamma draws, of half-integer and of integer size.
    halves = 0.5 * jnp.sum(jax.random.normal(k_gauss, (2, d), s.dtype) ** 2, axis=1)
    steps = jax.random.exponential(k_exp, (_LEVELS,), s.dtype)
    whole = jnp.sum(jnp.where(jnp.arange(_LEVELS) < m, steps, 0.0))
    return 2 * jnp.arctan2(jnp.sqrt(halves[0]), jnp.sqrt(halves[1] + whole))


@functools.lru_cache(maxsize=32)
def _descent_table(d: int, smallest: float) -> np.ndarray:
    """Coefficients of q_m in e^{−l(l+d−1)s/2}, m < 20, with all l that count for s ≥ smallest."""
    columns = []
    l = 0
    while True:
        column = [
            (-1.0) ** (l - m)
            * multiplicity(d, l)
            * math.comb(l, m)
            * math.prod((l + d - 1 + i) / (d + i) for i in range(m))
            for m in range(_LEVELS)
        ]
        columns.append(column)
        if l > 4 and max(map(abs, column)) * math.exp(-0.5 * l * (l + d - 1) * smallest) < 1e-10:
            return np.asarray(columns).T
        l += 1
