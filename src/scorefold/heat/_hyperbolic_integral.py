"""The integral over odd-dimensional kernels that a heat kernel of even dimension on H^d is, and the
derivatives of both, for NumPy and JAX."""

import functools
import math
from types import ModuleType
from typing import Any

import jax
import numpy as np

ArrayOf = Any
"""An array of ``xp``, which is NumPy or ``jax.numpy``."""


def even_kernel(r: ArrayOf, s: ArrayOf, d: int, xp: ModuleType) -> tuple[ArrayOf, ArrayOf]:
    """log p_s and its slope for even d, elementwise in float64; the formulas of
    ``HyperbolicProfile``."""
    half, m = 0.5 * (d - 1), (d - 1) // 2
    value, steeper = _integrals(r, s, d // 2, xp)
    scale = (m + 1.5) * math.log(2.0 * math.pi) - 1.5 * math.log(2.0)
    common = -0.5 * half * half * s - r * r / (2.0 * s) - 2.0 * m * log_cosh_half(r, xp)
    log_p = common + xp.log(value) - scale - (m + 1.0) * xp.log(s)
    return log_p, steeper / (s * derivatives(r, 1, xp)[0] * value)


def _integrals(r: ArrayOf, s: ArrayOf, k: int, xp: ModuleType) -> tuple[ArrayOf, ArrayOf]:
    """∫ e^{−v²} R^{k−1} B̃_k (w̃₀ √(shc₊ shc₋))⁻¹ dv and the same with k+1, over v > 0.

    R = cosh²(r/2)/cosh²(σ/2), shc± = sinh(a)/a at a = (σ ± r)/2, so y = s v² shc₊ shc₋.

    The integrand falls like e^{−v²} and like e^{−(σ−r)/2}, whichever is faster, and is analytic in
    a strip about the real axis, so that the midpoint rule converges geometrically: 64 nodes.
    """
    count, tail, fall = 64, 6.2, 84.0
    step = xp.minimum(tail, xp.sqrt(fall * (fall + 2.0 * r) / (2.0 * s))) / count
    if xp is not np:
        step = jax.lax.stop_gradient(step)
    r, s, step = r[..., None], s[..., None], step[..., None]
    v = step * (np.arange(count) + 0.5)
    sigma = xp.sqrt(r * r + 2.0 * s * v * v)
    log_shc = log_sinhc(0.5 * (sigma + r), xp) + log_sinhc(s * v * v / (sigma + r), xp)
    log_y = xp.log(s * v * v) + log_shc
    ratio = 1.0 / (1.0 + 0.5 * xp.exp(log_y - 2.0 * log_cosh_half(r, xp)))
    w = derivatives(sigma, k + 1, xp)
    b = bell(w, s)
    weight = step * xp.exp(-v * v - 0.5 * log_shc) * ratio ** (k - 1) / w[0]
    return xp.sum(weight * b[k], axis=-1), xp.sum(weight * ratio * b[k + 1], axis=-1)


def bell(w: list[ArrayOf], s: ArrayOf) -> list[ArrayOf]:
    """B̃_0 … B̃_n for n = len(w): e^{r²/2s} (−s d/du)^n e^{−r²/2s} · cosh^{2n}(r/2)
    = Σ_i C(n−1, i) B̃_{n−1−i} sⁱ w̃_i: complete Bell polynomials with positive terms."""
    b = [w[0] * 0.0 + 1.0]
    for n in range(len(w)):
        terms = [math.comb(n, i) * b[n - i] * s**i * w[i] for i in range(n + 1)]
        b.append(functools.reduce(lambda a, c: a + c, terms))
    return b


def derivatives(r: ArrayOf, count: int, xp: ModuleType) -> list[ArrayOf]:
    """w̃_k = cosh^{2k+2}(r/2) (−d/du)^k (r / sinh r), u = cosh r, for k < count; all positive.

    With τ = tanh²(r/2), w̃_k = (k!)²/(2^k (3/2)_k) ₂F₁(k+1, ½; k+3/2; τ), whose series has
    positive terms. Above τ = ½: w̃₀ = (r/2) coth(r/2), 4τw̃₁ = (1+τ)w̃₀ − 1 and
    4τw̃_{k+1} = (2k+1)(1+τ)w̃_k − k²w̃_{k−1}, from sinh²r w' + cosh r w = 1, w = r/sinh r.
    """
    tau = xp.tanh(0.5 * r) ** 2
    near = tau < 0.5
    small, large = xp.where(near, tau, 0.0), xp.where(near, 0.5, tau)
    upward = [xp.where(near, 1.0, 0.5 * r) / xp.sqrt(large)]
    for k in range(count - 1):
        before = k * k * upward[k - 1] if k else 1.0
        upward.append(((2 * k + 1) * (1.0 + large) * upward[k] - before) / (4.0 * large))
    series = _series(count, small, xp)
    return [xp.where(near, series[k], upward[k]) for k in range(count)]


def _series(count: int, tau: ArrayOf, xp: ModuleType) -> ArrayOf:
    """w̃_0 … for 0 ≤ τ ≤ ½ by Horner's rule, shape ``(count, …)``."""
    terms = 48 if tau.dtype == np.float64 else 24
    table = np.array([_hypergeometric(k, terms) for k in range(count)], tau.dtype).T[::-1]
    rows = table.reshape(terms, count, *(1,) * tau.ndim)
    total = xp.zeros((count, *tau.shape), tau.dtype)
    if xp is np:
        for row in rows:
            total = total * tau + row
        return total
    # All at once in a loop: it compiles quickly.
    return jax.lax.scan(lambda total, row: (total * tau[None] + row, None), total, rows)[0]


def _hypergeometric(k: int, terms: int) -> list[float]:
    """Power series of w̃_k in τ."""
    c = math.factorial(k) ** 2 / 2.0**k / math.prod(1.5 + i for i in range(k))
    series = []
    for n in range(terms):
        series.append(c)
        c *= (k + 1 + n) * (0.5 + n) / ((k + 1.5 + n) * (n + 1))
    return series


def log_cosh_half(r: ArrayOf, xp: ModuleType) -> ArrayOf:
    """log cosh(r/2) for r ≥ 0, without overflow."""
    return 0.5 * r + xp.log1p(xp.exp(-r)) - math.log(2.0)


def log_sinhc(a: ArrayOf, xp: ModuleType) -> ArrayOf:
    """log(sinh a / a) for a ≥ 0, without overflow, smooth and accurate at 0."""
    near = a < 1.0
    small, large = xp.where(near, a, 0.0), xp.where(near, 1.0, a)
    q = small * small
    power = 0.0
    for k in range(8, -1, -1):
        power = power * q + 1.0 / math.factorial(2 * k + 3)
    return xp.where(
        near, xp.log1p(q * power), large + xp.log(-xp.expm1(-2.0 * large) / (2.0 * large))
    )
