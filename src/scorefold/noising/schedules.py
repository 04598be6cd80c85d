"""Clocks: variance-time s as a function of process time t ∈ [0, 1]."""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax.numpy as jnp

from scorefold._types import Scalar

__all__ = ["Constant", "Cosine", "Linear", "LogLinear", "Schedule"]


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


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value}.")


class Constant(Schedule):
    """β(t) = beta, s(t) = beta·t."""

    value: float = 1.0

    def __check_init__(self) -> None:
        _positive("value", self.value)

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
        _positive("beta_0", self.beta_0)
        _positive("beta_1", self.beta_1)

    def s(self, t: Scalar) -> Scalar:
        return self.beta_0 * t + 0.5 * (self.beta_1 - self.beta_0) * t * t

    def beta(self, t: Scalar) -> Scalar:
        return self.beta_0 + (self.beta_1 - self.beta_0) * t

    def t(self, s: Scalar) -> Scalar:
        # 2s / (β₀ + √(β₀² + 2(β₁−β₀)s)): no cancellation, and right for β₁ = β₀.
        root = jnp.sqrt(self.beta_0**2 + 2.0 * (self.beta_1 - self.beta_0) * s)
        return 2.0 * s / (self.beta_0 + root)


class LogLinear(Schedule):
    """s(t) = s_min^{1−t} s_max^t: equal steps of t are equal ratios of noise. s(0) = s_min > 0."""

    s_min: float = 1e-4
    s_max: float = 10.0

    def __check_init__(self) -> None:
        _positive("s_min", self.s_min)
        _positive("s_max", self.s_max)
        if self.s_min >= self.s_max:
            raise ValueError(f"s_min={self.s_min} must be below s_max={self.s_max}.")

    def s(self, t: Scalar) -> Scalar:
        return self.s_min * jnp.exp(t * math.log(self.s_max / self.s_min))

    def beta(self, t: Scalar) -> Scalar:
        return math.log(self.s_max / self.s_min) * self.s(t)

    def t(self, s: Scalar) -> Scalar:
        return jnp.log(s / self.s_min) / math.log(self.s_max / self.s_min)


class Cosine(Schedule):
    """e^{−s(t)} = cos²(½πt·c) with c chosen so that s(1) = s_max (Nichol & Dhariwal 2021)."""

    s_max: float = 10.0

    def __check_init__(self) -> None:
        _positive("s_max", self.s_max)

    @property
    def _angle(self) -> float:
        return math.acos(math.exp(-0.5 * self.s_max))

    def s(self, t: Scalar) -> Scalar:
        return -2.0 * jnp.log(jnp.cos(self._angle * t))

    def beta(self, t: Scalar) -> Scalar:
        return 2.0 * self._angle * jnp.tan(self._angle * t)

    def t(self, s: Scalar) -> Scalar:
        # cos a = e^{−s/2}, through tan a = √(e^s − 1): accurate at small s.
        return jnp.arctan(jnp.sqrt(jnp.expm1(s))) / self._angle
