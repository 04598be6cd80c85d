"""Clocks: variance-time s as a function of process time t ∈ [0, 1]."""

import abc
import math
from numbers import Real

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold._types import Scalar


class Schedule(eqx.Module):
    """s(t) = ∫₀ᵗ β(u) du, increasing from s(0) ≥ 0 (data) to s(1) (noise)."""

    @abc.abstractmethod
    def s(self, t: Scalar) -> Scalar:
        """Variance-time at process time t."""

    @abc.abstractmethod
    def beta(self, t: Scalar) -> Scalar:
        """Speed β(t) = ds/dt."""

    @abc.abstractmethod
    def t(self, s: Scalar) -> Scalar:
        """Process time at variance-time s, the inverse of ``s``."""

    @property
    def total(self) -> float:
        """s(1), where the noising ends, as a Python number (inside ``jit`` too)."""
        with jax.ensure_compile_time_eval():
            return float(self.s(jnp.ones(())))


class Constant(Schedule):
    """β(t) = value, s(t) = value·t."""

    value: float = 1.0

    def __check_init__(self) -> None:
        check_positive("value", self.value)

    def s(self, t: Scalar) -> Scalar:
        return self.value * t

    def beta(self, t: Scalar) -> Scalar:
        return jnp.full_like(t, self.value)

    def t(self, s: Scalar) -> Scalar:
        return s / self.value


class Linear(Schedule):
    """β(t) = β₀ + (β₁ − β₀)t, s(t) = β₀t + ½(β₁ − β₀)t² (Song et al. 2021, VP)."""

    beta_0: float = 0.001
    beta_1: float = 10.0

    def __check_init__(self) -> None:
        check_positive("beta_0", self.beta_0)
        check_positive("beta_1", self.beta_1)

    def s(self, t: Scalar) -> Scalar:
        return self.beta_0 * t + 0.5 * (self.beta_1 - self.beta_0) * t * t

    def beta(self, t: Scalar) -> Scalar:
        return self.beta_0 + (self.beta_1 - self.beta_0) * t

    def t(self, s: Scalar) -> Scalar:
        # 2s / (β₀ + √(β₀² + 2(β₁−β₀)s)): no cancellation, and right for β₁ = β₀.
        square = self.beta_0**2 + 2.0 * (self.beta_1 - self.beta_0) * s
        return 2.0 * s / (self.beta_0 + jnp.sqrt(jnp.maximum(square, 0.0)))


class LogLinear(Schedule):
    """s(t) = s_min^{1−t} s_max^t: equal steps of t are equal ratios of noise. s(0) = s_min > 0.

    Source: the variance-exploding schedule of Song et al. 2021, Appendix C.
    """

    s_min: float = 1e-4
    s_max: float = 10.0

    def __check_init__(self) -> None:
        check_positive("s_min", self.s_min)
        check_positive("s_max", self.s_max)
        if self.s_min >= self.s_max:
            raise ValueError(f"s_min={self.s_min} must be below s_max={self.s_max}.")

    def s(self, t: Scalar) -> Scalar:
        return self.s_min * jnp.exp(t * math.log(self.s_max / self.s_min))

    def beta(self, t: Scalar) -> Scalar:
        return math.log(self.s_max / self.s_min) * self.s(t)

    def t(self, s: Scalar) -> Scalar:
        return jnp.log(s / self.s_min) / math.log(self.s_max / self.s_min)


class Cosine(Schedule):
    """e^{−s(t)} = cos²(αt) with α chosen so that s(1) = s_max (Nichol & Dhariwal 2021, eq. 17).

    **Raises:** ``ValueError`` for s_max > 20: α is then π/2 to float32 rounding.
    """

    s_max: float = 10.0

    def __check_init__(self) -> None:
        check_positive("s_max", self.s_max)
        if self.s_max > 20:
            raise ValueError(f"s_max must be at most 20 for the cosine clock, got {self.s_max}.")

    @property
    def _angle(self) -> float:
        return math.acos(math.exp(-0.5 * self.s_max))

    def s(self, t: Scalar) -> Scalar:
        # −log cos² = log(1 + tan²): accurate at both ends.
        return jnp.log1p(jnp.tan(self._angle * t) ** 2)

    def beta(self, t: Scalar) -> Scalar:
        return 2.0 * self._angle * jnp.tan(self._angle * t)

    def t(self, s: Scalar) -> Scalar:
        return jnp.arctan(jnp.sqrt(jnp.expm1(s))) / self._angle


def check_positive(name: str, value: float) -> None:
    """Raise ``ValueError`` naming the argument unless it is a positive finite number."""
    if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value!r}.")
