"""What all bridges learned with networks share."""

import abc
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._compile import quick
from scorefold._types import Key, Point, Scalar
from scorefold.bridges._base import Bridge
from scorefold.bridges.ends_clock import ends_share
from scorefold.bridges.networks.affine import AffineScore
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.gaussian_start import gaussian_iterates
from scorefold.bridges.networks.objectives import Objective
from scorefold.bridges.networks.twisted import TwistedStep
from scorefold.bridges.reference.linear import is_linear
from scorefold.bridges.units import Units
from scorefold.fields import (
    Architecture,
    TangentOutput,
    default_output,
    zero_network,
)
from scorefold.noising import Noising
from scorefold.samplers import ReverseStep, Step, walk

__all__ = ["Baseline", "LearnedBridge", "simulate"]

Baseline = Literal["gaussian", "iterates", "none"]


class LearnedBridge(Bridge):
    """A bridge of two networks, F_A and F_B, each a field that steers to one end:

        ∇ log φ_s(x) = F_A(x, s),     ∇ log ψ_s(x) = F_B(x, S − s) − 2b(x).

    Every reference is reversible, so after the change F_B = ∇ log(ψπ), π its stationary density,
    the two directions are the same problem: one program simulates both, another trains both.

    Everything is homogeneous in variance-time s: the diffusion coefficient of the reference is
    1 there, β(t) of time alone in process time.
    """

    network: eqx.AbstractVar[Architecture]
    output: eqx.AbstractVar[TangentOutput | None]
    steps: eqx.AbstractVar[int]
    baseline: eqx.AbstractVar[Baseline | None]
    toward_a: eqx.AbstractVar[BridgeField | None]
    toward_b: eqx.AbstractVar[BridgeField | None]
    units: eqx.AbstractVar[Units | None]

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
    @abc.abstractmethod
    def coupled(self) -> bool:
        """Whether the first half-step has examples of its own kind (``initial``)."""

    @abc.abstractmethod
    def examples(
        self, key: Key, other: BridgeField, start: Array, far: Array, initial: bool
    ) -> PyTree:
        """What the objective takes batches of: from points ``start`` of the end that is steered
        to, the field ``other`` that steers away from it, and as many points ``far`` of the other
        end; ``initial`` in the first half-step."""

    # -- the bridge --------------------------------------------------------------------------------
    @property
    def placed(self) -> "tuple[Units, LearnedBridge] | None":
        return None if self.units is None else (self.units, self.inside(self.units))

    def inside(self, units: Units) -> "LearnedBridge":
        """The bridge, or its description, in coordinates of its own: of Y in ``Units``."""
        return self._over(units.inside(self.reference), None)

    def outside(self, units: Units, reference: Noising) -> "LearnedBridge":
        """The bridge in coordinates of its own as one over ``reference``."""
        return self._over(reference, units)

    def _over(self, reference: Noising, units: Units | None) -> "LearnedBridge":
        return eqx.tree_at(
            lambda m: (m.reference, m.units), self, (reference, units),
            is_leaf=lambda leaf: leaf is None,
        )  # fmt: skip

    def forward(self, x: Point, s: Scalar) -> Point:
        if self.units is not None:
            return self.units.forward(self.reference, self._own, x, s)
        return self._fitted(self.toward_b)(x, self.total - s) - 2.0 * self.reference.drift(x)

    def backward(self, x: Point, s: Scalar) -> Point:
        if self.units is not None:
            return self.units.backward(self.reference, self._own, x, s)
        return self._fitted(self.toward_a)(x, s)

    def grid(self, steps: int, dtype: Any) -> Array:
        """s = S(u − ¾ sin(2πu)/2π) at equal steps of u: a quarter of the mean step at both ends,
        where the drifts are fastest, and the same grid from either end."""
        return jnp.asarray(self._levels(steps), dtype)

    def _levels(self, steps: int) -> np.ndarray:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}.")
        u = np.linspace(0.0, 1.0, steps + 1)
        s = self.total * ends_share(u)
        s[0], s[-1] = 0.0, self.total
        return s

    def init(self, key: Key, a: Array, b: Array) -> "LearnedBridge":
        """A copy with freshly drawn networks that answer 0: the process that it starts from."""
        output = default_output(self.manifold) if self.output is None else self.output
        sizes = int(self.manifold.embed(a[0]).size), output.size(self.manifold)
        toward_b, toward_a = self.affine_parts(a, b, 1)
        shift = width = None
        stds: list[Array | None] = [None, None]
        if is_linear(self.reference):
            both = jnp.concatenate([a, b])
            shift, width = jnp.mean(both, axis=0), _spread(both)
            stds = [_spread(a), _spread(b)]
            if self.network.alike:
                size, middle = both.shape[1:], jnp.mean(both)
                width = jnp.full(size, jnp.sqrt(jnp.mean((both - middle) ** 2)))
                stds = [jnp.full(size, jnp.sqrt(jnp.mean(jnp.var(x, axis=0)))) for x in (a, b)]
                shift = jnp.full(size, middle)
        fields = []
        for k, std, affine in zip(jax.random.split(key), stds, (toward_a, toward_b), strict=True):
            network = quick(zero_network, level=0)(self.network, *sizes, a.dtype, k)
            fields.append(
                BridgeField(
                    self.manifold, network, output, self.reference, self.floor, affine, std,
                    shift, width,
                )
            )  # fmt: skip
        return self.with_fields(*fields)

    def with_fields(
        self, toward_a: BridgeField | None, toward_b: BridgeField | None
    ) -> "LearnedBridge":
        return eqx.tree_at(
            lambda m: (m.toward_a, m.toward_b), self, (toward_a, toward_b),
            is_leaf=lambda leaf: leaf is None,
        )  # fmt: skip

    def affine_parts(self, a: Array, b: Array, half_steps: int) -> list[AffineScore | None]:
        """The affine part of the field towards b at the start, then that of each half-step's."""
        baseline = self.baseline or ("gaussian" if is_linear(self.reference) else "none")
        if baseline == "none":
            return [None] * (half_steps + 1)
        converged = baseline == "gaussian"
        count, x, y = half_steps, np.asarray(a), np.asarray(b)
        return [*gaussian_iterates(self.reference, x, y, count, converged=converged)]

    def steered(self, field: BridgeField) -> Step:
        """The step of the process that ``field`` steers, in the field's own time r, downwards."""
        if is_linear(self.reference):
            return TwistedStep(self.reference, field)
        return ReverseStep(self.reference, field)

    def _step(self, direction: str) -> Step:
        if direction == "backward":
            return self.steered(self._fitted(self.toward_a))
        return _FromTheOtherEnd(self.steered(self._fitted(self.toward_b)), self.total)

    def _fitted(self, field: BridgeField | None) -> BridgeField:
        if field is None:
            raise ValueError(
                f"This {type(self).__name__} has not been fitted: bridge, history = "
                "scorefold.bridges.fit_alternating(bridge, a, b, key=key)."
            )
        return field


class _FromTheOtherEnd(Step):
    """A step in the time that is left."""

    step: Step
    total: float

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return self.step(key, x, self.total - s, -ds)


def simulate(step: Step, key: Key, start: Array, grid: Array, *, keep: bool = True) -> Array:
    """All states of walks from the points ``start`` down the levels of ``grid`` (increasing, from
    0), shape ``(n, len(grid), …)``; without ``keep`` the last ones alone, shape ``(n, …)``."""
    keys = jax.random.split(key, len(start))
    return jax.vmap(lambda k, x: walk(step, k, x, grid[::-1], keep=keep))(keys, start)


def _spread(points: Array) -> Array:
    """Standard deviations of coordinates, 1 where there is none."""
    std = jnp.std(points, axis=0)
    return jnp.where(std > 0, std, jnp.ones_like(std))
