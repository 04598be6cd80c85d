"""At which noise levels a loss is taken, and with which weight."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import DTypeLike, Key
from scorefold.losses.weighting import Likelihood, Weighting
from scorefold.noising import Noising


class TimeLaw(eqx.Module):
    """Where in s a loss ℓ(s) is taken, so that the mean of weight · ℓ over a batch estimates

        (1/L) ∫ λ(s) ℓ(s) ds  over [s_min, s_max],   L = log(s_max / s_min),

    the average of s·λ·ℓ over octaves of noise, whichever law draws s. Laws with one weighting λ
    differ in variance alone.
    """

    @abc.abstractmethod
    def batch(
        self, noising: Noising, key: Key, n: int, dtype: DTypeLike, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        """n noise levels, stratified over the batch (level i in the i-th n-quantile of the law),
        and their weights λ(s)/(L q(s)), q the density of s. Two arrays of shape ``(n,)``.

        The range 0 < s_min < s_max belongs to the model: its data end and the end of its clock.
        """


class LogUniform(TimeLaw):
    """log s uniform: q(s) = 1/(L s), weight s·λ(s).

    With the likelihood weighting this is the variance weighting of uniform steps in log s: s‖·‖²
    has the same size at every level.
    """

    weighting: Weighting = Likelihood()

    def batch(
        self, noising: Noising, key: Key, n: int, dtype: DTypeLike, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        s = s_min * jnp.exp(math.log(s_max / s_min) * _stratified(key, n, dtype))
        return s, s * self.weighting(noising, s)


class Uniform(TimeLaw):
    """t uniform between t(s_min) and t(s_max), s = s(t): q(s) = 1/(β(t) Δt), weight λβ Δt/L.

    This is how the first score models draw times (Song et al. 2021; De Bortoli et al. 2022).
    """

    weighting: Weighting = Likelihood()

    def batch(
        self, noising: Noising, key: Key, n: int, dtype: DTypeLike, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        clock = noising.schedule
        first, last = (clock.t(jnp.asarray(end, dtype)) for end in (s_min, s_max))
        t = first + (last - first) * _stratified(key, n, dtype)
        s = jax.vmap(clock.s)(t)
        per_time = self.weighting(noising, s) * jax.vmap(clock.beta)(t)
        return s, per_time * (last - first) / math.log(s_max / s_min)


class Importance(TimeLaw):
    """q(s) ∝ λ(s) scale(s)², the size of the terms of the weighted denoising loss, mixed with a
    share ``floor`` of the log-uniform law, which bounds the weight by s·λ(s)/floor.

    Sampled by the inverse of a piecewise linear distribution function on 1024 cells of log s;
    the weight is that of this law exactly, so the estimate is unbiased.

    **Raises:** ``ValueError`` unless 0 < floor ≤ 1.

    Source: Song, Durkan, Murray & Ermon 2021, Section 5.1 (importance sampling of t).
    """

    weighting: Weighting = Likelihood()
    floor: float = 0.1

    def __check_init__(self) -> None:
        if not 0 < self.floor <= 1:
            raise ValueError(f"floor must be in (0, 1], got {self.floor!r}.")

    def batch(
        self, noising: Noising, key: Key, n: int, dtype: DTypeLike, *, s_min: float, s_max: float
    ) -> tuple[Array, Array]:
        cells = 1024
        cell_length = math.log(s_max / s_min) / cells
        middle = s_min * jnp.exp(cell_length * (jnp.arange(cells, dtype=dtype) + 0.5))
        size = middle * self.weighting(noising, middle) * jax.vmap(noising.scale)(middle) ** 2
        share = (1.0 - self.floor) * size / jnp.sum(size) + self.floor / cells
        upper = jnp.cumsum(share)
        u = _stratified(key, n, dtype) * upper[-1]
        cell = jnp.minimum(jnp.searchsorted(upper, u, side="right"), cells - 1)
        within = jnp.clip(1.0 - (upper[cell] - u) / share[cell], 0.0, 1.0)
        s = s_min * jnp.exp(cell_length * (cell.astype(dtype) + within))
        return s, s * self.weighting(noising, s) / (cells * share[cell])


def _stratified(key: Key, n: int, dtype: DTypeLike) -> Array:
    """One uniform draw in each of n equal parts of [0, 1)."""
    return (jnp.arange(n, dtype=dtype) + jax.random.uniform(key, (n,), dtype)) / n
