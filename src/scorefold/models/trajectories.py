"""Draws of a reference law on their way to the data, by a flow that is known."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, by_keys
from scorefold._compile import quick_jit
from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold
from scorefold.models.flows._base import FlowModel
from scorefold.models.score import FittedScoreModel
from scorefold.noising import Reference
from scorefold.samplers import Flow, PathFlow, ProbabilityFlow
from scorefold.samplers.adaptive_flow import solve_adaptively
from scorefold.samplers.chunks import Limits
from scorefold.samplers.clocks import near_data_clock

STEPS = 24
"""Of a trajectory: the nodes hold those of equal steps, 1, 2, 3, 4, 6, 8, 12 or 24."""
_BLOCK = 1024
_EXACT = Limits(1e-5, 1e-5, 4096)


class Motion(eqx.Module):
    """The flow of a fitted model from its reference (u = 1) to the data (u = 0), in equal shares of
    the variable τ of the clock that its density is solved in:

        dx/du = (τ(end) − τ(start)) · ds/dτ · v(x, s(τ)),

    of order 1 from end to end, though v grows like 1/√s near the data.
    """

    flow: Flow
    reference: Reference
    start: float
    end: float

    @classmethod
    def of(cls, model: FlowModel | FittedScoreModel) -> Motion:
        if isinstance(model, FlowModel):
            return cls(PathFlow(model.field), model.reference, model.t_min**2, 1.0)
        noising, top = model.noising, model.s_max
        flow = ProbabilityFlow(noising, model.field, near_data_clock(noising.manifold, top))
        return cls(flow, noising.reference, model.s_min, top)

    @property
    def manifold(self) -> Manifold:
        return self.flow.manifold

    def velocity(self, x: Point, u: Scalar) -> Point:
        """dx/du, tangent at x."""
        clock = self.flow.clock
        low, high = clock.tau(self.start, x.dtype), clock.tau(self.end, x.dtype)
        s, ds = clock.s(low + u * (high - low))
        return (high - low) * ds * self.flow.velocity(x, s)

    def starts(self, key: Key, n: int, dtype: np.dtype) -> Array:
        """n draws of the reference, shape ``(n, *shape)``."""
        return by_keys(lambda keys: _starts(self.reference, keys, dtype), key, n)

    def ends(self, x: Array) -> Array:
        """Where the starts x, shape ``(n, *shape)``, arrive by the adaptive solver at a tolerance
        of 1e-5."""
        return by_blocks(
            lambda rows: (
                solve_adaptively(
                    self.flow, rows, self.end, self.start, _EXACT, divergence=False
                ).end
            ),
            x,
            most=_BLOCK,
        )

    def trajectories(self, x: Array) -> Trajectories:
        """The ways of the starts x, shape ``(n, *shape)``, by ``STEPS`` steps along geodesics with
        an evaluation each: Adams–Bashforth to predict, the trapezoidal rule to correct, order 2."""
        carry = quick_jit(_carried)
        return by_blocks(lambda rows: carry(self, rows), x, most=_BLOCK)


class Trajectories(NamedTuple):
    """n ways from the reference (first) to the data (last), at u = 1, 1 − 1/STEPS, …, 0."""

    x: Array
    """Points, shape ``(n, STEPS + 1, *shape)``."""
    v: Array
    """dx/du there (but for the difference of predicted and corrected points), the same shape."""


def _carried(motion: Motion, x: Array) -> Trajectories:
    """x′ = exp_x(−h(v + w)/2), w the velocity at exp_x(−h(3v − v_before)/2), brought to x by
    parallel transport; brought to x′ it is v of the next step."""
    m, h = motion.manifold, 1.0 / STEPS

    def one(start: Point) -> Trajectories:
        def step(state: tuple[Point, Point, Point], u: Scalar) -> tuple:
            x, v, before = state
            guess = m.exp(x, -h * (1.5 * v - 0.5 * before))
            there = motion.velocity(guess, u)
            end = m.exp(x, -0.5 * h * (v + m.transport(guess, x, there)))
            new = m.transport(guess, end, there)
            return (end, new, m.transport(x, end, v)), Trajectories(end, new)

        u = jnp.asarray(1.0 - np.arange(STEPS + 1) / STEPS, start.dtype)
        v = motion.velocity(start, u[0])
        later: Trajectories = jax.lax.scan(step, (start, v, v), u[1:])[1]
        return jax.tree.map(
            lambda a, b: jnp.concatenate([a[None], b]), Trajectories(start, v), later
        )

    return jax.vmap(one)(x)


@eqx.filter_jit
def _starts(reference: Reference, keys: Array, dtype: np.dtype) -> Array:
    return jax.vmap(lambda k: reference.sample(k, dtype))(keys)
