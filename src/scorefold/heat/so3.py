"""Heat kernel of the rotation group SO(3) as a function of the rotation angle."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Key, Scalar, constant, safe_where
from scorefold.heat._base import HeatKernel, IsotropicHeat, RadialProfile
from scorefold.heat._polynomial import derivative, polynomial

_SWITCH = 1.5  # below: sum over images; above: cosine series
PROPOSALS = 16
_UNIFORM_ABOVE = 3.0  # where folded Gaussian and uniform proposals are accepted equally often
_LOG_VOLUME = math.log(8.0 * math.pi**2)
# sin x / x, sinh x / x and (cosh x − sinh x / x)/x² as power series in x², 16 digits where used.
_SINC = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(16)]
_SINHC = [1.0 / math.factorial(2 * k + 1) for k in range(12)]
_SINHC_SLOPE = [(2.0 * k + 2.0) / math.factorial(2 * k + 3) for k in range(12)]


class SO3Profile(RadialProfile):
    """Brownian motion on SO(3) in the metric ½tr(UᵀV): distance = rotation angle ω ∈ [0, π],
    volume 8π². With respect to that volume

        8π² p_s(ω) = Σ_l (2l+1) e^{−l(l+1)s/2} sin((l+½)ω) / sin(ω/2)                  (characters)
                   = e^{s/8} √(2π) s^{−3/2} Σ_n (−1)ⁿ ω_n e^{−ω_n²/2s} / sin(ω/2),  ω_n = ω + 2πn.

    The sum over images is used for s < 1.5, the characters, resummed to a cosine series, above.
    Both are free of 0/0 and of cancellation: the error of log p is below 2e-6·max(1, |log p|) in
    float32 and 1e-10 in float64 for every s ≥ 1e-4.

    Source: Nikolayev & Savyolova 1997, "Normal distribution on the rotation group SO(3)"; the
    dual form is Poisson summation of the first.
    """

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        near = s < _SWITCH
        short, long = safe_where(near, s, _SWITCH), safe_where(~near, s, _SWITCH)
        images, _ = _images(r, short)
        dual = (
            short / 8.0
            + 0.5 * math.log(8.0 * math.pi)
            - 1.5 * jnp.log(short)
            - r * r / (2.0 * short)
            - jnp.log(polynomial(_SINC, r * r / 4.0))
            + jnp.log(images)
        )
        series, _ = _characters(jnp.cos(r), long)
        return jnp.where(near, dual, jnp.log(series)) - _LOG_VOLUME

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        near = s < _SWITCH
        short, long = safe_where(near, s, _SWITCH), safe_where(~near, s, _SWITCH)
        images, images_slope = _images(r, short)
        q = r * r / 4.0
        dual = (
            1.0 / short + 0.5 * derivative(_SINC, q) / polynomial(_SINC, q) - images_slope / images
        )
        series, series_slope = _characters(jnp.cos(r), long)
        return jnp.where(near, dual, polynomial(_SINC, r * r) * series_slope / series)

    def sample(self, key: Key, s: Scalar, dtype: DTypeLike) -> Scalar:
        """One draw of the angle, density (1 − cos ω)/π · 8π² p_s(ω).

        Rejection, 16 proposals at once: |v|, v ~ N(0, sI₃), folded to [0, π] and accepted with
        probability e^{−s/8} on average for s < 3, uniform rotations above. The first accepted is
        taken; all are refused with probability below 1e-8.
        """
        least = float(jnp.finfo(dtype).epsneg)  # no logarithm of 0, no freak tail
        uniforms = jax.random.uniform(key, (3, PROPOSALS), dtype, minval=least)
        return self.angle(uniforms, jnp.asarray(s, dtype))

    def angle(self, uniforms: Array, s: Scalar) -> Scalar:
        """The draw of ``sample`` made from (3, PROPOSALS) uniform numbers in (0, 1)."""
        first, second, u = uniforms
        z = jax.scipy.special.ndtri(second)
        length = jnp.sqrt(z * z - 2.0 * jnp.log(first))

        near = s < _UNIFORM_ABOVE
        short, long = safe_where(near, s, _UNIFORM_ABOVE), safe_where(~near, s, _UNIFORM_ABOVE)
        wound = jnp.sqrt(short) * length
        folded = jnp.abs(wound - 2.0 * math.pi * jnp.round(wound / (2.0 * math.pi)))
        shift = constant(2.0 * math.pi * np.arange(-2, 2), u)[:, None]
        sign = constant((-1.0) ** np.arange(-2, 2), u)[:, None]
        image = folded[None, :] + shift
        gauss = jnp.exp(-shift * (2.0 * folded[None, :] + shift) / (2.0 * short))
        target = jnp.sin(folded / 2.0) * jnp.sum(sign * image * gauss, axis=0)
        envelope = 0.5 * jnp.sum(image * image * gauss, axis=0)

        # A uniform rotation is a uniform unit quaternion, two of whose coordinates are uniform in
        # the unit disc: the first is cos(ω/2).
        real = jnp.sqrt(first) * jnp.abs(jnp.cos(2.0 * math.pi * second))
        density, _ = jax.vmap(_characters, (0, None))(2.0 * real * real - 1.0, long)
        top, _ = _characters(jnp.ones_like(s), long)

        i = jnp.argmax(jnp.where(near, u * envelope < target, u * top < density))
        uniform = 2.0 * jnp.arctan2(jnp.sqrt((1.0 - real[i]) * (1.0 + real[i])), real[i])
        return jnp.where(near, folded[i], uniform)


def _images(r: Scalar, s: Scalar) -> tuple[Scalar, Scalar]:
    """S = Σ_n (−1)ⁿ (ω_n/ω) e^{−(ω_n² − ω²)/2s} and (1/ω) ∂S/∂ω.

    The images ±n are paired: with c = 2πn/s, y = cω, κ = 4π²n²/s,
    S = 1 + 2 Σ_n (−1)ⁿ e^{−κ/2} (cosh y − κ sinh y / y). Exact to rounding for s ≤ 2.
    """
    total, slope = jnp.ones_like(r), jnp.zeros_like(r)
    for n in (1, 2):
        c, kappa = 2.0 * math.pi * n / s, 4.0 * math.pi**2 * n**2 / s
        y = c * r
        small = y < 2.0
        q = jnp.where(small, y, 0.0) ** 2
        gap = _supplement(r) + (n - 1) * math.pi
        plus, minus = jnp.exp(-c * gap), jnp.exp(-c * (math.pi * n + r))
        decay = jnp.exp(-0.5 * kappa)
        cosh = 0.5 * (plus + minus)
        far_r, far_y = safe_where(~small, r, 1.0), safe_where(~small, y, 1.0)
        sinhc = jnp.where(small, decay * polynomial(_SINHC, q), 0.5 * (plus - minus) / far_y)
        curve = jnp.where(
            small, c * c * decay * polynomial(_SINHC_SLOPE, q), (cosh - sinhc) / far_r**2
        )
        sign = 2.0 * (-1.0) ** n
        total = total + sign * (cosh - kappa * sinhc)
        slope = slope + sign * (c * c * sinhc - kappa * curve)
    return total, slope


def _supplement(r: Scalar) -> Scalar:
    """π − r with the rounding error of π put back, sin(fl(π)) = π − fl(π): 2π/s multiplies it."""
    return (math.pi - r) + math.sin(float(np.asarray(math.pi, r.dtype)))


def _characters(x: Scalar, s: Scalar) -> tuple[Scalar, Scalar]:
    """f = Σ_l (2l+1) e^{−l(l+1)s/2} χ_l(ω) and −∂f/∂ω / sin ω = ∂f/∂x, x = cos ω.

    χ_l = 1 + 2 Σ_{k≤l} cos kω, so f = A₀ + 2 Σ_k A_k cos kω with A_k = Σ_{l≥k} (2l+1) e^{…}: no
    0/0 at ω = 0. Degree 8 is exact to rounding for s ≥ 1.5.
    """
    l = constant(np.arange(9), x)
    tail = jnp.cumsum(((2.0 * l + 1.0) * jnp.exp(-0.5 * l * (l + 1.0) * s))[::-1])[::-1]
    cosine, cosine_before = x, jnp.ones_like(x)  # cos kω
    sine, sine_before = jnp.ones_like(x), jnp.zeros_like(x)  # sin kω / sin ω
    value, slope = tail[0], jnp.zeros_like(x)
    for k in range(1, 9):
        value = value + 2.0 * tail[k] * cosine
        slope = slope + 2.0 * k * tail[k] * sine
        cosine, cosine_before = 2.0 * x * cosine - cosine_before, cosine
        sine, sine_before = 2.0 * x * sine - sine_before, sine
    return value, slope


def is_of_rotations(kernel: HeatKernel) -> bool:
    """Whether the kernel is that of SO(3), whose class functions are sums of characters."""
    return isinstance(kernel, IsotropicHeat) and isinstance(kernel.profile, SO3Profile)
