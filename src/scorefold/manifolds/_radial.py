"""Even functions of a length r, smooth through r = 0: what exponential maps are made of.

Below ``_NEAR`` each is its Taylor series in r², so values and derivatives keep full accuracy; above
it the closed form is used. Arguments are r ≥ 0.
"""

import functools
import math

import jax.numpy as jnp

from scorefold._types import Scalar
from scorefold.heat._polynomial import polynomial

_NEAR = 0.3
_TERMS = 7  # 0.3^16 / 17! is far below float64 rounding


def _near(r: Scalar, coefficients: list[float]) -> Scalar:
    """Σ c_k r^{2k} at min(r, _NEAR)."""
    return polynomial(coefficients, jnp.minimum(r, _NEAR) ** 2)


def _far(r: Scalar) -> Scalar:
    return jnp.maximum(r, _NEAR)


def sinc(r: Scalar) -> Scalar:
    """sin(r)/r."""
    series = [(-1) ** k / math.factorial(2 * k + 1) for k in range(_TERMS)]
    far = _far(r)
    return jnp.where(r < _NEAR, _near(r, series), jnp.sin(far) / far)


def sinhc(r: Scalar) -> Scalar:
    """sinh(r)/r."""
    series = [1 / math.factorial(2 * k + 1) for k in range(_TERMS)]
    far = _far(r)
    return jnp.where(r < _NEAR, _near(r, series), jnp.sinh(far) / far)


# log(sin r / r) = −Σ ζ(2k) r^{2k} / (k π^{2k}); the coefficients are these rational numbers.
_LOG_SINC = [0.0, -1 / 6, -1 / 180, -1 / 2835, -1 / 37800, -1 / 467775, -691 / 3831077250]
_LOG_SINC += [-2 / 127702575, -3617 / 2605132530000, -43867 / 350813659321125]


def log_sinc(r: Scalar) -> Scalar:
    """log |sin(r)/r|; at the zeros of the sine the logarithm of the smallest normal number."""
    far = _far(r)
    ratio = jnp.abs(jnp.sin(far)) / far
    floor = float(jnp.finfo(r.dtype).tiny)
    return jnp.where(r < _NEAR, _near(r, _LOG_SINC), jnp.log(jnp.maximum(ratio, floor)))


def log_sinhc(r: Scalar) -> Scalar:
    """log(sinh(r)/r), without overflow: r + log(1 − e^{−2r}) − log 2r."""
    series = [(-1) ** k * c for k, c in enumerate(_LOG_SINC)]
    far = _far(r)
    closed = far + jnp.log1p(-jnp.exp(-2.0 * far)) - jnp.log(2.0 * far)
    return jnp.where(r < _NEAR, _near(r, series), closed)


def angle_over_sine(angle: Scalar, sine: Scalar) -> Scalar:
    """angle/sine for angle = arcsin(sine) near 0 (by its series there); ``sine`` > 0 elsewhere."""
    series = [math.comb(2 * k, k) / (4**k * (2 * k + 1)) for k in range(16)]
    near = angle < _NEAR
    quotient = angle / jnp.where(near, jnp.ones_like(sine), sine)
    return jnp.where(near, _near(sine, series), quotient)


@functools.cache
def _arcsine_series(single: bool) -> list[float]:
    """Coefficients of arcsin(√t)/√t = Σ_n c_n tⁿ, c_n = C(2n, n)/4ⁿ(2n + 1), in u = 4t − 1:
    sums of positive numbers. They fall like 3^{−k}."""
    c = [math.comb(2 * n, n) / 16**n / (2 * n + 1) for n in range(120)]
    degree = 13 if single else 30
    return [sum(math.comb(n, k) * c[n] for n in range(k, 120)) for k in range(degree + 1)]


def arcsine_ratio(square: Scalar) -> Scalar:
    """arcsin(√t)/√t for 0 ≤ t ≤ ½, a polynomial in t: a loop over many numbers has no call."""
    return polynomial(_arcsine_series(square.dtype == jnp.float32), 4.0 * square - 1.0)


def twice_arctangent(a: Scalar, b: Scalar) -> Scalar:
    """2 arctan(a/b) for a, b ≥ 0, not both 0: by ``arcsine_ratio`` of the smaller one, since
    ``arctan2`` is a call for every number."""
    t = jnp.minimum(a, b) / jnp.sqrt(a * a + b * b)
    angle = 2.0 * t * arcsine_ratio(t * t)
    return jnp.where(a <= b, angle, math.pi - angle)


def length(numbers: list[Scalar]) -> Scalar:
    """√Σ a², with derivative 0 at 0."""
    square = sum_of_squares(numbers)
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def sum_of_squares(numbers: list[Scalar]) -> Scalar:
    return functools.reduce(jnp.add, [a * a for a in numbers])
