"""Moser flow: a density that is a divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, in_blocks
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold._weights import mean
from scorefold.fields import (
    Architecture,
    NetworkSpec,
    TangentField,
    TangentOutput,
    default_output,
    network_for,
    value_and_divergence,
)
from scorefold.fitting import Defaults, Description, RowWeights, Trainer
from scorefold.manifolds import Manifold
from scorefold.models.flows._base import MOST_STEPS, FlowModel
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import UniformReference
from scorefold.samplers import FlowDensity
from scorefold.samplers.clocks import Clock, PowerClock
from scorefold.samplers.flow import Flow
from scorefold.samplers.flow_density import flow_density

_UNIFORM = 4096
"""Uniform points that the mass of the formula is validated with."""
_LEVEL = 1e-3
"""The noise level that the network is asked at: its finest features count in full."""


class MoserFlow(Description["FittedMoserFlow"]):
    """A law of density ν(1 − div u) on a compact manifold, ν = 1/Vol and u a tangent field: the one
    that the flow dx/dt = −u/((1 − t)(1 − div u) + t) makes of the uniform law at t = 1, wherever
    1 − div u > 0. It minimises, with ρ = 1 − div u, ρ₊ = max(ρ, floor) and ρ₋ = ρ₊ − ρ,

        −E log(νρ₊(x)) + penalty · E ρ₋(y),   x from the data, y uniform.

    No ODE is solved in training. Where ρ < floor the formula is no density (∫νρ₊ = 1 + ∫νρ₋), so
    what is fitted has both: ``log_prob`` is the density of the flow, ``proxy_log_prob`` that of
    νρ₊, ``excess`` ∫νρ₋.

    **Arguments:** ``network``, ``output``: of u; ``floor``: ε > 0; ``penalty``: λ, 100 as in the
    paper (with a smaller one the loss falls faster, but ρ comes to its floor in places, where the
    flow is stiff); ``points``: how many uniform points y there are for each x of a batch;
    ``t_min``, ``rtol``: of the flow.
    **Raises:** ``ValueError`` for a manifold that is not compact.

    Source: Rozen et al. 2021, equations 7 to 10 (time from data to noise here; λ and ε as there).
    """

    weighs: ClassVar[bool] = True

    manifold: Manifold
    network: Architecture = NetworkSpec(width=128, depth=3, fourier=64)
    output: TangentOutput | None = None
    floor: float = 1e-5
    penalty: float = 100.0
    points: int = 1
    t_min: float = 1e-3
    rtol: float = 1e-5

    def __check_init__(self) -> None:
        if not self.manifold.compact:
            raise ValueError(
                f"manifold: a Moser flow needs a uniform law, and {self.manifold.name} is not "
                "compact. Use FlowMatching."
            )
        for name in ("floor", "t_min", "rtol"):
            if not 0.0 < (value := getattr(self, name)) < 1.0:
                raise ValueError(f"{name} must lie between 0 and 1; got {value!r}.")
        if not 0.0 <= self.penalty < math.inf:
            raise ValueError(f"penalty must be finite and at least 0; got {self.penalty!r}.")
        if self.points < 1:
            raise ValueError(f"points: at least 1, got {self.points}.")

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=5000, batch_size=256, learning_rate=1e-3)

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> MoserTrainer:
        points = to_inner(self.manifold, Units(), data, "data")
        output = default_output(self.manifold) if self.output is None else self.output
        network = network_for(self.network, self.manifold, output, points[0], key)
        return MoserTrainer(self, Displacement(self.manifold, network, output))


class Displacement(TangentField):
    """u(x), the field whose divergence is the density; the point is projected first."""

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput

    def __call__(self, x: Point, s: Scalar) -> Point:
        x = self.manifold.project(x)
        c = self.network(self.manifold.embed(x), jnp.full((), _LEVEL, x.dtype))
        return self.output(self.manifold, x, c)

    def with_ratio(self, x: Point) -> tuple[Point, Scalar]:
        """u(x), and ρ(x) = 1 − div u(x)."""
        u, div = value_and_divergence(lambda y: self(y, jnp.zeros((), y.dtype)), self.manifold, x)
        return u, 1.0 - div

    def ratio(self, x: Point) -> Scalar:
        """ρ(x)."""
        return self.with_ratio(x)[1]


class MoserVelocity(TangentField):
    """v(x, t) = −u(x)/((1 − t) max(ρ(x), floor) + t)."""

    manifold: Manifold
    displacement: Displacement
    floor: float

    def __call__(self, x: Point, t: Scalar) -> Point:
        u, ratio = self.displacement.with_ratio(self.manifold.project(x))
        return -u / self.pace(ratio, t)

    def pace(self, ratio: Array, t: Scalar | float) -> Array:
        """c = (1 − t) max(ρ, floor) + t: the density at t is νc wherever ρ ≥ floor at t and
        after."""
        return (1.0 - t) * jnp.maximum(ratio, self.floor) + t


class MoserPath(Flow):
    """The Moser flow in the variable s = t² of a ``PathFlow``, with what its density loses in the
    place of a divergence:

        log p_t(x) = log ν + log c(x, t) − ∫_t^1 max(floor − ρ, 0)/c dt′   along the flow.

    For where ρ ≥ floor the continuity equation says div v dt = −d log c, whatever the network; and
    where ρ < floor, c does not depend on x, div v = −(1 − ρ)/c and d log c = (1 − floor)/c dt. So
    no divergence of a velocity that holds a divergence is needed: 1 + d passes, not 2 + 2d + d².
    """

    field: MoserVelocity
    clock: Clock = PowerClock()

    @property
    def manifold(self) -> Manifold:
        return self.field.manifold

    def velocity(self, x: Point, s: Scalar) -> Point:
        return self.velocity_and_divergence(x, s)[0]

    def velocity_and_divergence(self, x: Point, s: Scalar) -> tuple[Point, Scalar]:
        """v, and −max(floor − ρ, 0)/c: less than div v by the derivative of −log c."""
        t, field = jnp.sqrt(s), self.field
        u, ratio = field.displacement.with_ratio(x)
        by_s = 0.5 / (t * field.pace(ratio, t))
        return -u * by_s, -jnp.maximum(field.floor - ratio, 0.0) * by_s


class MoserTrainer(Trainer["FittedMoserFlow"]):
    shared_examples: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    description: MoserFlow
    displacement: Displacement

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Array:
        return to_inner(self.description.manifold, Units(), data, name)

    def batch_loss(self, x: Array, key: Key) -> Array:
        asked, m = self.description, self.description.manifold
        keys = jax.random.split(key, len(x) * asked.points)
        y = jax.vmap(lambda k: m.uniform(k, x.dtype))(keys)
        ratio = jax.vmap(self.displacement.ratio)
        here, there = ratio(x), ratio(y).reshape(len(x), asked.points)
        below = jnp.mean(jnp.maximum(asked.floor - there, 0.0), axis=1)
        nll = jnp.asarray(m.log_volume, x.dtype) - jnp.log(jnp.maximum(here, asked.floor))
        return nll + asked.penalty * below

    def validate(self, x: Array, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL of the formula divided by its mass, −E log νρ₊(x) + log E ρ₊(y) over 4096
        uniform points y: a density, and that of the flow where ρ₋ = 0. The flow itself is stiff
        where ρ is small, and no loose tolerance serves there."""
        asked, m = self.description, self.description.manifold
        y = jax.vmap(lambda k: m.uniform(k, x.dtype))(jax.random.split(key, _UNIFORM))
        positive = lambda rows: jnp.maximum(  # noqa: E731
            in_blocks(self.displacement.ratio, rows, 1024), asked.floor
        )
        nll = jnp.asarray(m.log_volume, x.dtype) - mean(jnp.log(positive(x)), weights)
        return nll + jnp.log(jnp.mean(positive(y)))

    def model(
        self, data: Array, val: Array | None, weights: RowWeights | None = None
    ) -> FittedMoserFlow:
        return FittedMoserFlow(self.description, self.displacement)


class FittedMoserFlow(FlowModel):
    """A fitted ``MoserFlow``: the flow, and the formula it is trained by."""

    description: MoserFlow
    displacement: Displacement
    units: Units = fixed(default=Units())

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    @property
    def reference(self) -> UniformReference:
        return UniformReference(self.manifold)

    @property
    def field(self) -> MoserVelocity:
        return MoserVelocity(self.manifold, self.displacement, self.description.floor)

    @property
    def t_min(self) -> float:
        return self.description.t_min

    @property
    def rtol(self) -> float:
        return self.description.rtol

    def _solved(
        self,
        rows: NumPyOrJax,
        divergence: Literal["exact", "hutchinson"],
        key: Key | None,
        tolerance: float,
        chunk: int,
    ) -> FlowDensity:
        """Of the formula νc, less what it is too large by along the flow: exact where the flow
        never meets ρ < floor. With probes it is the general integral of a divergence, which costs
        more."""
        if divergence != "exact":
            return super()._solved(rows, divergence, key, tolerance, chunk)
        # The multistep solver finds divergences by itself: only the adaptive one asks the path.
        found = flow_density(
            MoserPath(self.field), self.reference, rows, self.t_min**2, 1.0, rtol=tolerance,
            atol=tolerance, chunk=chunk, max_steps=MOST_STEPS, solver="adaptive",
        )  # fmt: skip
        ratio = by_blocks(lambda part: quick_jit(_ratios)(self.displacement, part), rows)
        return found._replace(log_prob=found.log_prob + jnp.log(self.field.pace(ratio, self.t_min)))

    def proxy_log_prob(self, x: Values) -> Array:
        """log(νρ₊(x)) in nats: what training sees. Its mass is 1 + ``excess``, so it is optimistic
        by log(1 + excess) on average, and by more where ρ < 0 beside the data."""
        floor, volume = self.description.floor, self.manifold.log_volume

        def of_rows(rows: Array) -> Array:
            ratio = quick_jit(_ratios)(self.displacement, rows)
            return jnp.log(jnp.maximum(ratio, floor)) - volume

        return self._density(of_rows, x)

    def excess(self, key: Key, n: int = 20_000) -> tuple[float, float]:
        """∫νρ₋ = E (ρ₊ − ρ)(y) over n uniform points y, and its standard error."""
        keys = jax.random.split(key, n)
        y = jax.vmap(lambda k: self.manifold.uniform(k, self.units.dtype))(keys)
        ratio = np.asarray(quick_jit(_ratios)(self.displacement, y), np.float64)
        below = np.maximum(self.description.floor - ratio, 0.0)
        return float(below.mean()), float(below.std(ddof=1) / math.sqrt(n))


def _ratios(displacement: Displacement, rows: Array) -> Array:
    return jax.vmap(displacement.ratio)(rows)
