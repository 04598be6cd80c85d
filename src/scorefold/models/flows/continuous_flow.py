"""Riemannian continuous normalising flows by maximum likelihood."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.fields import Architecture, NetworkSpec, value_and_divergence
from scorefold.fitting import Defaults
from scorefold.models.flows.flow import FlowDescription, FlowTrainer

_OFFSET = 0.2
"""Of the field in t: it is to be smooth over a step of training."""


class ContinuousFlow(FlowDescription):
    """The flow dx/dt = v_θ(x, t) whose likelihood is the largest:

        max Σ_i log p_ref(x_i(1)) + ∫_{t_min}^1 div v_θ(x_i(t), t) dt,   x_i(t_min) = x_i.

    Trained through ``train_steps`` steps of the classical Runge–Kutta method of order 4 with the
    exact divergence (discretise, then differentiate; a step is computed again on the way back, so
    memory does not grow with their number); validated and asked by an ODE solver with error
    control. A step of training costs some 4·train_steps·(d + 1) passes of the network, which is
    what score and flow matching do away with.

    **Arguments:** those of ``FlowDescription``, and ``train_steps``: with too few a flow learns
    to deceive them, and the validation NLL rises while the loss falls.

    Source: Mathieu & Nickel 2020; Lou et al. 2020; Falorsi & Forré 2020; Chen et al. 2018.
    """

    network: Architecture = NetworkSpec(width=128, depth=3, fourier=64)
    train_steps: int = 8

    def __check_init__(self) -> None:
        if self.train_steps < 1:
            raise ValueError(f"train_steps: at least 1, got {self.train_steps}.")

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=2000, batch_size=128, learning_rate=1e-3)

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> ContinuousFlowTrainer:
        return ContinuousFlowTrainer(self, *self.start(key, data, weights, offset=_OFFSET))


class ContinuousFlowTrainer(FlowTrainer):
    description: ContinuousFlow

    def batch_loss(self, x: Array, key: Key) -> Array:
        asked, m, dtype = self.description, self.description.manifold, x.dtype
        grid = jnp.asarray(np.linspace(asked.t_min, 1.0, asked.train_steps + 1), dtype)

        def rate(p: Point, t: Scalar) -> tuple[Point, Scalar]:
            return value_and_divergence(lambda y: self.field(y, t), m, p)

        # A Runge–Kutta method in ambient coordinates: the field is continued off the manifold.
        @jax.checkpoint
        def step(state: tuple[Point, Scalar], ends: tuple[Scalar, Scalar]) -> tuple:
            (p, total), (t, h) = state, ends
            stages = [rate(p, t)]
            for share in (0.5, 0.5, 1.0):
                at = m.project(p + share * h * stages[-1][0])
                stages.append(rate(at, t + share * h))
            (v1, d1), (v2, d2), (v3, d3), (v4, d4) = stages
            p = m.project(p + h / 6.0 * (v1 + 2.0 * v2 + 2.0 * v3 + v4))
            return (p, total + h / 6.0 * (d1 + 2.0 * d2 + 2.0 * d3 + d4)), None

        def one(p: Point) -> Scalar:
            start = (p, jnp.zeros((), dtype))
            (end, total), _ = jax.lax.scan(step, start, (grid[:-1], jnp.diff(grid)))
            return -self.reference.log_prob(end) - total

        volume = jnp.asarray(self.units.log_volume, dtype)
        return jax.vmap(one)(x) + volume
