"""What all descriptions of bridges of networks share."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._compile import quick_jit
from scorefold._types import Key
from scorefold.bridges.description import BridgeDescription
from scorefold.bridges.networks.affine import AffineScore
from scorefold.bridges.networks.field import (
    BridgeField,
    CurvedFrame,
    FlatFrame,
    Frame,
    ReferenceScore,
)
from scorefold.bridges.networks.gaussian_start import gaussian_iterates
from scorefold.bridges.networks.objectives import Objective
from scorefold.bridges.networks.process import NetworkBridge
from scorefold.bridges.reference.linear import is_linear
from scorefold.bridges.units import BridgeUnits
from scorefold.fields import Architecture, TangentOutput, default_output, zero_network

Baseline = Literal["gaussian", "iterates", "none"]
Start = AffineScore | ReferenceScore


class Alternating(BridgeDescription[NetworkBridge]):
    """What alternating half-steps ask of a description (``LearnedBridge``)."""

    network: eqx.AbstractVar[Architecture]
    output: eqx.AbstractVar[TangentOutput | None]
    steps: eqx.AbstractVar[int]
    baseline: eqx.AbstractVar[Baseline | None]

    def __check_init__(self) -> None:
        if not (isinstance(self.steps, int) and self.steps >= 2):
            raise ValueError(f"steps must be a whole number, 2 or more; got {self.steps!r}.")
        if self.baseline not in (None, "gaussian", "iterates", "none"):
            raise ValueError(
                'baseline must be "gaussian", "iterates", "none" or None (the default of the '
                f"reference); got {self.baseline!r}."
            )
        if self.baseline in ("gaussian", "iterates") and not is_linear(self.reference):
            raise ValueError(
                f"baseline={self.baseline!r} needs Brownian motion or an Ornstein-Uhlenbeck "
                f"process on flat space; this is {type(self.reference).__name__} on "
                f'{self.manifold.name}. Use baseline="none".'
            )

    # -- what a half-step is -----------------------------------------------------------------------
    @property
    @abc.abstractmethod
    def objective(self) -> Objective:
        """What is minimised."""

    @property
    @abc.abstractmethod
    def floor(self) -> float:
        """The least r at which the networks are trained."""

    @property
    def coupled(self) -> bool:
        """Whether the first half-step has examples of another kind (``initial``)."""
        return False

    @abc.abstractmethod
    def examples(
        self, key: Key, other: BridgeField, start: Array, far: Array, initial: bool
    ) -> PyTree:
        """What the objective takes batches of: from points ``start`` of the end that is steered
        to, the field ``other`` that steers away from it, and as many points ``far`` of the other
        end; ``initial`` in the first half-step."""

    def fields(self, key: Key, a: Array, b: Array) -> tuple[BridgeField, BridgeField]:
        """(towards A, towards B) with freshly drawn networks that answer 0: the process that it
        starts from."""
        output = default_output(self.manifold) if self.output is None else self.output
        sizes = int(self.manifold.embed(a[0]).size), output.size(self.manifold)
        starts = self.starts(a, b, 1)
        fields = []
        keys, frames = jax.random.split(key), self._frames(a, b)
        for k, frame, start in zip(keys, frames, (starts[1], starts[0]), strict=True):
            network = quick_jit(zero_network, level=0)(self.network, *sizes, a.dtype, k)
            fields.append(BridgeField(self.manifold, network, output, self.floor, start, frame))
        return fields[0], fields[1]

    def _frames(self, a: Array, b: Array) -> tuple[Frame, Frame]:
        if not is_linear(self.reference):
            frame = CurvedFrame(self.reference)
            return frame, frame
        both = jnp.concatenate([a, b])
        shift, width = jnp.mean(both, axis=0), _spread(both)
        stds = [_spread(a), _spread(b)]
        if self.network.alike:
            size, middle = both.shape[1:], jnp.mean(both)
            width = jnp.full(size, jnp.sqrt(jnp.mean((both - middle) ** 2)))
            stds = [jnp.full(size, jnp.sqrt(jnp.mean(jnp.var(x, axis=0)))) for x in (a, b)]
            shift = jnp.full(size, middle)
        first, second = (FlatFrame(self.reference, std, shift, width) for std in stds)
        return first, second

    def starts(self, a: Array, b: Array, half_steps: int) -> list[Start]:
        """What the field towards b is at the start, then where that of each half-step starts."""
        baseline = self.baseline or ("gaussian" if is_linear(self.reference) else "none")
        if baseline == "none":
            return [ReferenceScore(self.reference)] * (half_steps + 1)
        converged = baseline == "gaussian"
        count, x, y = half_steps, np.asarray(a), np.asarray(b)
        return [*gaussian_iterates(self.reference, x, y, count, converged=converged)]

    # -- training ----------------------------------------------------------------------------------
    @property
    def least(self) -> int:
        return 4

    def inside(self, units: BridgeUnits) -> "Alternating":
        return eqx.tree_at(lambda m: m.reference, self, units.inside(self.reference))


def _spread(points: Array) -> Array:
    """Standard deviations of coordinates, 1 where there is none."""
    std = jnp.std(points, axis=0)
    return jnp.where(std > 0, std, jnp.ones_like(std))
