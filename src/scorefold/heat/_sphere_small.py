"""Heat kernel of S^d at small variance-time: images and their derivatives in c = cos r.

Two kernels are known in closed form, the circle's and (up to a quadrature) that of S²:

    p₁ = (2πs)^{−½} W,                         W(c) = Σ_n e^{−φ_n²/2s},
    p₂ = 2e^{s/8}(2πs)^{−3/2} ∫₀^{π/2} G db,    G(c) = Σ_n (−1)ⁿ φ_n e^{−φ_n²/2s} / sin(φ/2),

with φ_n = φ + 2πn, cos φ = c for W, and cos φ(b) = c·cos²b − sin²b for G. All others follow by

    p_{d+2} = (e^{ds/2}/2π) dp_d/dc,

and since cos φ(b) is linear in c, derivatives of the integral are integrals of derivatives. W and
G are entire functions of c. Their Taylor coefficients are computed without dividing by sin φ,
from the power series of φ/sin φ and the like in sin²(φ/2), and with the images paired around the
pole (φ small) or around the antipode (δ = π − φ small), where everything is even in φ or δ.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Scalar, constant
from scorefold.heat import _taylor
from scorefold.heat._taylor import Series

_SWITCH = 0.8
"""Pairing around the antipode takes over where sin²(φ/2) exceeds this."""


def log_reduced(d: int, r: Scalar, s: Scalar) -> Scalar:
    """log p_s(r) + r²/2s on S^d."""
    k = (d - 1) // 2
    value, scale = _derivatives(d, r, s, k)
    growth = k * k / 2 if d % 2 else k * (k + 1) / 2 + 1 / 8
    lead = -0.5 * jnp.log(2 * math.pi * s)
    if d % 2 == 0:
        lead = math.log(2.0) + 3 * lead
    return lead + growth * s + jnp.log(value[k]) - k * jnp.log(2 * math.pi * scale)


def slope(d: int, r: Scalar, s: Scalar) -> Scalar:
    """−(1/r) ∂_r log p_s(r) = (sin r / r) · ∂_c log p_s."""
    k = (d - 1) // 2
    value, scale = _derivatives(d, r, s, k + 1)
    return _sinc(r) * value[k + 1] / (value[k] * scale)


def _sinc(r: Scalar) -> Scalar:
    """sin r / r, with the digits of sin r also near π, where sin(π·(r/π)) loses them."""
    far = r > 1
    near = jnp.sinc(jnp.where(far, jnp.zeros_like(r), r) / math.pi)
    return jnp.where(far, jnp.sin(r) / jnp.where(far, r, jnp.ones_like(r)), near)


def _derivatives(d: int, r: Scalar, s: Scalar, order: int) -> tuple[list[Scalar], Scalar]:
    """e^{r²/2s} σ^k d^k/dc^k of W (d odd) or of ∫G db (d even), for k ≤ ``order``, and σ.

    σ is about p/(dp/dc), so that nothing overflows; its value does not matter otherwise.
    """
    half_sin, half_cos = jnp.sin(r / 2), jnp.cos(r / 2)
    scale = jax.lax.stop_gradient(s * jnp.minimum(1.0, (jnp.abs(math.pi - r) + s) / math.pi))
    factorial = [math.factorial(k) for k in range(order + 1)]
    if d % 2:
        series = _series(half_sin, half_cos, r, s, scale, order, even=False)
        return [f * a for f, a in zip(factorial, series, strict=True)], scale
    end, b = _nodes(r, s)
    sb, cb = jnp.sin(b), jnp.cos(b)
    sin_phi = jnp.sqrt(half_sin**2 + half_cos**2 * sb**2)
    # φ − r without cancellation.
    gap = 2 * jnp.arctan2(
        half_cos * sb**2 / (sin_phi + cb * half_sin), half_cos**2 * cb + half_sin * sin_phi
    )
    series = _series(sin_phi, half_cos * cb, r + gap, s, scale, order, even=True)
    weight = end * jnp.exp(-gap * (gap + 2 * r) / (2 * s))
    return [
        f * jnp.mean(weight * cb ** (2 * k) * a)
        for k, (f, a) in enumerate(zip(factorial, series, strict=True))
    ], scale


def _nodes(r: Scalar, s: Scalar) -> tuple[Scalar, Array]:
    """Midpoint nodes b in [0, end], where the rest of [0, π/2] is below what the dtype can see.

    sin²(φ/2) = sin²(r/2) + cos²(r/2) sin²b. The integrand is even and π-periodic in b, so that
    the midpoint rule converges faster than any power of the number of nodes.
    """
    count, cut = (8, 44.0) if r.dtype == jnp.float32 else (14, 64.0)
    r, s = jax.lax.stop_gradient((r, s))
    top = jnp.sqrt(r * r + cut * s)
    whole = top >= math.pi
    top = jnp.where(whole, math.pi, top)
    rise = jnp.sin((top - r) / 2) * jnp.sin((top + r) / 2)
    end = jnp.arctan2(jnp.sqrt(jnp.maximum(rise, 0.0)), jnp.cos(top / 2))
    end = jnp.where(whole, math.pi / 2, end)
    return end, end * constant((np.arange(count) + 0.5) / count, r)


def _series(
    half_sin: Array,
    half_cos: Array,
    phi: Array,
    s: Scalar,
    scale: Scalar,
    order: int,
    *,
    even: bool,
) -> Series:
    """Taylor coefficients of e^{φ²/2s} G (``even``) or e^{φ²/2s} W at cos φ, in units of ``scale``.

    Near the pole:      W = e^{−φ²/2s} [1 + 2e^{−2π²/s} cosh κφ],  κ = 2π/s,
                        G = e^{−φ²/2s} (φ/sin(φ/2)) [1 − 2e^{−2π²/s} (cosh κφ − κ²s·sinh(κφ)/κφ)],
    near the antipode:  W = 2e^{−(π²+δ²)/2s} cosh κδ,  κ = π/s,
                        G = 2e^{−(π²+δ²)/2s} (π cosh κδ − κδ²·sinh(κδ)/κδ) / sin(φ/2);
    the images left out are below 1e−12 for s ≤ 1.
    """
    far = half_sin**2 > _SWITCH
    sign = jnp.where(far, 1.0, -1.0).astype(phi.dtype)
    z = jnp.where(far, half_cos**2, half_sin**2)
    angle = jnp.where(far, 2 * jnp.arctan2(half_cos, half_sin), phi)
    zero = jnp.zeros_like(z)

    # v = (angle² − its value here)/2s; d(angle²)/dc = ±2·angle/sin(angle).
    unit = 0.5 * sign * scale
    table = _taylor.hypergeometric_table(1.0, 1.5, _SWITCH, order, phi.dtype.name)
    a = _taylor.tabulated(table, z, unit)
    v = [zero] + [sign * (scale / s) * a[i - 1] / i for i in range(1, order + 1)]
    gauss = _taylor.compose([(-1.0) ** j for j in range(order + 1)], v)

    # From the near side the images are invisible below s = 0.05; there κ may be anything.
    s_near = jnp.maximum(s, 0.05)
    kappa = jnp.where(far, math.pi / s, 2 * math.pi / s_near)
    w = kappa * angle
    x = [2 * s * kappa**2 * q for q in v]
    weight = 2 * jnp.where(far, 1.0, jnp.exp(jnp.minimum(w - 2 * math.pi**2 / s_near, 0.0)))
    bessel = _taylor.bessel(w, order + 1 if even else order)
    pair = _taylor.compose(_bessel_derivatives(bessel, 0, order), x)
    if even:
        odd = _taylor.compose(_bessel_derivatives(bessel, 1, order), x)
        near = [kappa**2 * s_near] + [zero] * order
        beta = [kappa * angle**2] + [2 * s * kappa * q for q in v[1:]]
        beta = [jnp.where(far, p, q) for p, q in zip(beta, near, strict=True)]
        alpha = jnp.where(far, math.pi, 1.0)
        product = _taylor.multiply(beta, odd)
        pair = [sign * (alpha * p - q) for p, q in zip(pair, product, strict=True)]
    body = [weight * p for p in pair]
    body[0] = body[0] + jnp.where(far, 0.0, 1.0)
    series = _taylor.multiply(gauss, body)
    if not even:
        return series
    table = _taylor.hypergeometric_table(0.5, 1.5, _SWITCH, order, phi.dtype.name)
    arc = [2 * q for q in _taylor.tabulated(table, z, unit)]
    front = [
        jnp.where(far, p, q) for p, q in zip(_secant(half_sin, far, unit, order), arc, strict=True)
    ]
    return _taylor.multiply(front, series)


def _bessel_derivatives(bessel: list[Array], n: int, order: int) -> list[Array]:
    """The first ``order`` derivatives of C_n: C_{n+j}/2^j."""
    return [bessel[n + j] * 0.5**j for j in range(order + 1)]


def _secant(half_sin: Array, far: Array, unit: Array, order: int) -> Series:
    """(1 − z)^{−1/2} with 1 − z = sin²(φ/2)."""
    safe = jnp.where(far, half_sin, 1.0)
    series, lead = [], 1.0
    for j in range(order + 1):
        series.append(lead * unit**j / safe ** (2 * j + 1))
        lead *= (0.5 + j) / (j + 1)
    return series
