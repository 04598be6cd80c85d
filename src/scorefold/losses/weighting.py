"""How much each noise level counts in the objective."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold.noising import Noising


class Weighting(eqx.Module):
    """λ(s): the objective is ∫ λ(s) E ℓ(s) ds."""

    @abc.abstractmethod
    def __call__(self, noising: Noising, s: Array) -> Array:
        """λ at the levels s, shape ``(n,)``."""


class Likelihood(Weighting):
    """λ(s) = 1, that is β(t) per unit of process time: ∫ E ½‖s_θ − ∇ log p_s‖² ds bounds the
    Kullback–Leibler divergence from data to model, in nats, up to that of the reference.

    Source: Song, Durkan, Murray & Ermon 2021, Theorem 1; De Bortoli et al. 2022, Section 3.3.
    """

    def __call__(self, noising: Noising, s: Array) -> Array:
        return jnp.ones_like(s)


class Variance(Weighting):
    """(1 − e^{−s}) per unit of process time, so λ(s) = (1 − e^{−s}) / β(t(s)).

    1 − e^{−s} is s, the inverse size of the score per dimension, at small s and stops at 1.

    Source: Song et al. 2021, eq. (7); De Bortoli et al. 2022 use it on every manifold.
    """

    def __call__(self, noising: Noising, s: Array) -> Array:
        schedule = noising.schedule
        return -jnp.expm1(-s) / jax.vmap(lambda u: schedule.beta(schedule.t(u)))(s)
