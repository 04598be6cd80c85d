"""Flow matching on geodesics."""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges import brownian_reference
from scorefold.bridges.networks.coupling import transport_coupling
from scorefold.fitting import Defaults
from scorefold.models.flows.flow import FlowDescription, FlowTrainer


class FlowMatching(FlowDescription):
    """The velocity of geodesics from data points x_0 to draws x_1 of the reference, averaged over
    those that pass through a point: v_θ minimises

        E ‖v_θ(x_t, t) − ẋ_t‖²/d,   x_t = exp_{x_0}(t log_{x_0} x_1),

    and its flow carries the law of x_0 to that of x_1. Half of the times are uniform in t, half in
    log t, between t_min and 1: near the data the field changes over times of the order of t.

    **Arguments:** those of ``FlowDescription``, and

    - ``coupling``: None draws x_0 and x_1 apart; a variance-time s > 0 draws the pairs of each
      batch from the entropic transport plan of Brownian motion of that duration (s = ε: the static
      Schrödinger bridge of the batch), so that geodesics cross less and few steps suffice.

    Source: Chen & Lipman 2024, Section 3.1 (geodesics, on a premetric d(x, y)²); Lipman et al. 2023
    and Liu et al. 2023 on flat space; Pooladian et al. 2023 and Tong et al. 2024 for couplings.
    Time runs from data to noise here.
    """

    follows_data: ClassVar[bool] = True

    coupling: float | None = None

    def __check_init__(self) -> None:
        if self.coupling is not None and not 0.0 < self.coupling < math.inf:
            raise ValueError(f"coupling: a positive variance-time or None, got {self.coupling!r}.")

    @property
    def defaults(self) -> Defaults:
        return Defaults(learning_rate=self.network.learning_rate)

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> FlowMatchingTrainer:
        return FlowMatchingTrainer(self, *self.start(key, data, weights))


class FlowMatchingTrainer(FlowTrainer):
    description: FlowMatching

    def batch_loss(self, x: Array, key: Key) -> Array:
        asked, m, n = self.description, self.description.manifold, len(x)
        draws, pairs, times = jax.random.split(key, 3)
        far = jax.vmap(lambda k: self.reference.sample(k, x.dtype))(jax.random.split(draws, n))
        if asked.coupling is not None:
            far = transport_coupling(brownian_reference(m, asked.coupling), pairs, x, far)

        def one(x0: Point, x1: Point, t: Scalar) -> Scalar:
            v = m.log(x0, x1)
            at = m.exp(x0, t * v)
            error = self.field(at, t) - m.transport(x0, at, v)
            return m.inner(at, error, error) / m.dim

        return jax.vmap(one)(x, far, _times(times, n, asked.t_min, x.dtype))


def _times(key: Key, n: int, low: float, dtype: np.dtype) -> Array:
    """Stratified times, half of them uniform and half log-uniform on [low, 1]."""
    u = (jnp.arange(n, dtype=dtype) + jax.random.uniform(key, (n,), dtype)) / n
    even = low + (1.0 - low) * 2.0 * u
    octaves = low ** (2.0 - 2.0 * u)
    return jnp.where(u < 0.5, even, octaves)
