"""The bridge of two networks, and how its process is walked."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Key, Point, Scalar
from scorefold.bridges.description import FittedBridge
from scorefold.bridges.ends_clock import ends_share
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.twisted import TwistedStep
from scorefold.bridges.reference.linear import is_linear
from scorefold.bridges.units import BridgeUnits
from scorefold.noising import Noising
from scorefold.samplers import ReverseStep, Step, walk


class NetworkBridge(FittedBridge):
    """A bridge of two networks, F_A and F_B, each a field that steers to one end:

        ∇ log φ_s(x) = F_A(x, s),     ∇ log ψ_s(x) = F_B(x, S − s) − 2b(x).

    Every reference is reversible, so after the change F_B = ∇ log(ψπ), π its stationary density,
    the two directions are the same problem: one program simulates both, another trains both.

    Everything is homogeneous in variance-time s: the diffusion coefficient of the reference is
    1 there, β(t) of time alone in process time.
    """

    reference: Noising
    toward_a: BridgeField
    toward_b: BridgeField
    units: BridgeUnits | None = None

    def inner_forward(self, x: Point, s: Scalar) -> Point:
        return self.toward_b(x, self.total - s) - 2.0 * self.reference.drift(x)

    def inner_backward(self, x: Point, s: Scalar) -> Point:
        return self.toward_a(x, s)

    def grid(self, steps: int, dtype: DTypeLike) -> Array:
        """s = S(u − ¾ sin(2πu)/2π) at equal steps of u: a quarter of the mean step at both ends,
        where the drifts are fastest, and the same grid from either end."""
        return jnp.asarray(levels(self.total, steps), dtype)

    def step(self, direction: str) -> Step:
        if direction == "backward":
            return steered(self.reference, self.toward_a)
        return _FromTheOtherEnd(steered(self.reference, self.toward_b), self.total)


class _FromTheOtherEnd(Step):
    """A step in the time that is left."""

    step: Step
    total: float

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return self.step(key, x, self.total - s, -ds)


def levels(total: float, steps: int) -> np.ndarray:
    """The grid of ``NetworkBridge``: ``steps + 1`` levels from 0 to ``total``."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    s = total * ends_share(np.linspace(0.0, 1.0, steps + 1))
    s[0], s[-1] = 0.0, total
    return s


def steered(reference: Noising, field: BridgeField) -> Step:
    """The step of the process that ``field`` steers, in the field's own time r, downwards."""
    if is_linear(reference):
        return TwistedStep(reference, field)
    return ReverseStep(reference, field)


def simulate(step: Step, key: Key, start: Array, grid: Array, *, keep: bool = True) -> Array:
    """All states of walks from the points ``start`` down the levels of ``grid`` (increasing, from
    0), shape ``(n, len(grid), …)``; without ``keep`` the last ones alone, shape ``(n, …)``."""
    keys = jax.random.split(key, len(start))
    return jax.vmap(lambda k, x: walk(step, k, x, grid[::-1], keep=keep))(keys, start)
