"""What a score-matching loss is, and at which noise levels it is taken."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField
from scorefold.noising import Noising

__all__ = ["Loss", "TimeLaw"]


class Loss(eqx.Module):
    """One example's score-matching loss at one noise level, without its weight in s."""

    @abc.abstractmethod
    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar: ...


class TimeLaw(eqx.Module):
    """Where in s a loss is taken and with which weight."""

    @abc.abstractmethod
    def batch(
        self, noising: Noising, key: Key, n: int, dtype, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        """n noise levels in [s_min, s_max], stratified over the batch, and their weights
        λ(s)/q(s). The range belongs to the model: its data end and the end of its clock."""


class LogUniform(TimeLaw):
    """s log-uniform in [s_min, s_max], weight s (the variance weighting)."""

    def batch(
        self, noising: Noising, key: Key, n: int, dtype, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        a, b = jnp.log(s_min), jnp.log(s_max)
        u = (jnp.arange(n, dtype=dtype) + jax.random.uniform(key, (n,), dtype)) / n
        s = jnp.exp(a.astype(dtype) + (b - a).astype(dtype) * u)
        return s, s
