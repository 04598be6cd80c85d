"""Learned flows from data to a reference law, whatever they are learned by."""

from __future__ import annotations

import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._choice import Choice
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, Scalar
from scorefold._weights import mean, on_device
from scorefold.fields import (
    Architecture,
    NetworkSpec,
    TangentOutput,
    VelocityField,
    default_output,
    network_for,
)
from scorefold.fitting import Description, RowWeights, Trainer
from scorefold.manifolds import Manifold
from scorefold.models.defaults import default_noising
from scorefold.models.flows._base import FlowModel
from scorefold.models.resolution import inner_resolution
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import Reference
from scorefold.samplers import PathFlow
from scorefold.samplers.flow_density import affordable, flow_density

_PAIRS = 2048
"""Pairs of a data point and a draw of the reference that distances are measured on."""


class FlowDescription(Description["FittedFlow"]):
    """A flow dx/dt = v_θ(x, t) on any manifold, from data (t = 0) to a reference law (t = 1).

    **Arguments:**

    - ``reference``: the law at t = 1 in inner coordinates (default: that of
      ``default_noising``: uniform on compact manifolds, standard normal on flat space, elsewhere
      around training points), or any other, such as ``noising.HeatReference`` around some points.
    - ``network``: sizes of the network; ``output``: how its output becomes tangent
      (default: ``default_output(manifold)``).
    - ``t_min``: where the flow stops, > 0: a path of length ℓ is then t_min·ℓ from its data point,
      which bounds the density where points are repeated.
    - ``rtol``: tolerance of the likelihood's ODE, absolute and relative.
    """

    weighs: ClassVar[bool] = True

    follows_data: ClassVar[bool] = False
    """Whether a network whose frequencies are not stated has those that the data show."""

    manifold: Manifold
    reference: Reference | None = fixed(default=None)
    network: Architecture = NetworkSpec(depth=3)
    output: TangentOutput | None = None
    t_min: float = 1e-3
    rtol: float = 1e-5

    def __check_init__(self) -> None:
        for name, value in (("t_min", self.t_min), ("rtol", self.rtol)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} must lie between 0 and 1; got {value!r}.")

    def start(
        self,
        key: Key,
        data: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        offset: float = 0.0,
    ) -> tuple[VelocityField, Reference, Units]:
        """A field with freshly drawn parameters, the reference, and the units of the data."""
        units = Units.measure(self.manifold, data, alike=self.network.alike, weights=weights)
        points = to_inner(self.manifold, units, data, "data")
        reference = self.reference
        if reference is None:
            reference = default_noising(self.manifold, data, weights=weights).reference
        start, pairs = jax.random.split(key)
        output = default_output(self.manifold) if self.output is None else self.output
        spec = self.network
        if self.follows_data:
            finest = functools.partial(inner_resolution, self.manifold, points)
            spec = spec.at_resolution(finest, self.manifold.dim)
        network = network_for(spec, self.manifold, output, points[0], start)
        w = on_device(weights, points.dtype)
        reach = quick_jit(_reach, level=0)(self.manifold, reference, pairs, points, w)
        field = VelocityField(self.manifold, network, output, reach, offset)
        return field, reference, units


class FlowTrainer(Trainer["FittedFlow"]):
    """A velocity on its way; what it minimises is that of the description."""

    shared_examples: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    description: FlowDescription
    field: VelocityField
    reference: Reference = fixed()
    units: Units = fixed()

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Array:
        return to_inner(self.description.manifold, self.units, data, name)

    def validate(self, x: Array, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL at a loose tolerance: enough to compare checkpoints. Hutchinson's
        estimate with the directions of ``key`` in high dimensions, where the exact divergence has
        a pass for each."""
        divergence, loose = affordable(self.description.manifold)
        found = flow_density(
            PathFlow(self.field), self.reference, x, self.description.t_min**2, 1.0,
            rtol=loose, atol=loose, chunk=4096, divergence=divergence, key=key,
        )  # fmt: skip
        return jnp.asarray(self.units.log_volume, x.dtype) - mean(found.log_prob, weights)

    def model(
        self, data: Array, val: Array | None, weights: RowWeights | None = None
    ) -> FittedFlow:
        return FittedFlow(self.description, self.field, self.reference, self.units)


class FittedFlow(FlowModel):
    """A fitted ``FlowMatching`` or ``ContinuousFlow``."""

    description: FlowDescription
    velocity: VelocityField
    reference: Reference = fixed()
    units: Units = fixed()

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    @property
    def field(self) -> VelocityField:
        return self.velocity

    @property
    def t_min(self) -> float:
        return self.description.t_min

    @property
    def rtol(self) -> float:
        return self.description.rtol


def _reach(
    manifold: Manifold, reference: Reference, key: Key, points: Array, weights: Array | None
) -> Scalar:
    """√(E dist(x_0, x_1)²/d) over data points x_0 and draws x_1 of the reference."""
    pick, draw = jax.random.split(key)
    if weights is None:
        rows = points[jax.random.randint(pick, (_PAIRS,), 0, len(points))]
    else:
        rows = points[Choice.of(jnp.log(weights)).draws(pick, _PAIRS)]
    keys = jax.random.split(draw, _PAIRS)
    far = jax.vmap(lambda k: reference.sample(k, points.dtype))(keys)
    square = jnp.mean(jax.vmap(manifold.dist)(rows, far) ** 2)
    return jnp.sqrt(square / manifold.dim)
