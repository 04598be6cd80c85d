"""Models whose density and draws come from a flow."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc
from typing import TYPE_CHECKING, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_keys, device, is_traced
from scorefold._types import Key, NumPyOrJax, Point, Values
from scorefold.fields import TangentField
from scorefold.models._base import Model, count
from scorefold.models.standardise import Units
from scorefold.noising import Reference
from scorefold.samplers import EulerStep, FlowDensity, PathFlow, walk
from scorefold.samplers.flow_density import flow_density, flow_draws

MOST_STEPS = 4096
"""Of the adaptive solver. A stiff flow is slow; it is not to fail."""


class OdeModel(Model):
    """A model whose density is found by an ODE, at a cost that is counted."""

    @abc.abstractmethod
    def density(self, x: Values) -> FlowDensity:
        """Log densities in nats, with the exact divergence, and what they cost."""

    def log_prob(self, x: Values) -> Array:
        """log p(x) in nats, with the exact divergence."""
        return self.density(x).log_prob

    def log_prob_and_nfe(self, x: Values) -> tuple[Array, float]:
        density = self.density(x)
        return density.log_prob, float(np.mean(density.nfe))


class FlowModel(OdeModel):
    """The law that the flow dx/dt = v(x, t) makes of the reference law at t = 1:

        log p(x) = log p_ref(x(1)) + ∫_{t_min}^1 div v(x(t), t) dt,   x(t_min) = x.

    ``field`` is v in inner coordinates, from data (t = 0) to the reference (t = 1).
    """

    if TYPE_CHECKING:

        @property
        def reference(self) -> Reference:
            """The law at t = 1: a field or a property."""

    else:
        reference: eqx.AbstractVar[Reference]

    @property
    @abc.abstractmethod
    def field(self) -> TangentField:
        """v(x, t)."""

    @property
    @abc.abstractmethod
    def t_min(self) -> float:
        """Where the flow stops before the data."""

    @property
    @abc.abstractmethod
    def rtol(self) -> float:
        """Tolerance of the ODE, absolute and relative."""

    def density(
        self,
        x: Values,
        *,
        divergence: Literal["exact", "hutchinson"] = "exact",
        key: Key | None = None,
        rtol: float | None = None,
        chunk: int = 1024,
    ) -> FlowDensity:
        """(log_prob, nfe, error): log densities, the evaluations of v that each took, and the
        estimated RMS error of its chunk. Arguments and errors as in ``solve_log_prob``."""
        rows, batch = self._rows(x)
        tolerance = self.rtol if rtol is None else rtol
        found = self._solved(rows, divergence, key, tolerance, chunk)
        return in_units(found, self.units, batch)

    def _solved(
        self,
        rows: NumPyOrJax,
        divergence: Literal["exact", "hutchinson"],
        key: Key | None,
        tolerance: float,
        chunk: int,
    ) -> FlowDensity:
        """``density`` of inner coordinates."""
        return flow_density(
            PathFlow(self.field), self.reference, rows, self.t_min**2, 1.0, rtol=tolerance,
            atol=tolerance, divergence=divergence, key=key, chunk=chunk, max_steps=MOST_STEPS,
        )  # fmt: skip

    def sample(self, key: Key, n: int, *, steps: int | None = None) -> NumPyOrJax:
        """n draws of the reference, carried to the data: by the adaptive solver, or in ``steps``
        equal steps along geodesics, an evaluation of v each."""
        n, dtype = count(n), self.units.dtype
        if steps is None:
            ends = 1.0, self.t_min**2
            flow = PathFlow(self.field)
            return self._outer(flow_draws(flow, self.reference, key, n, *ends, dtype=dtype))
        if steps < 1:
            raise ValueError(f"steps: at least 1, got {steps}.")
        # The velocity is not asked at t = 0, where the last step ends.
        grid = jnp.asarray(np.linspace(1.0, 0.0, steps + 1), dtype)
        return self._outer(by_keys(lambda keys: _euler(self, keys, grid), key, n))


def in_units(found: FlowDensity, units: Units, batch: tuple[int, ...]) -> FlowDensity:
    """Densities of inner coordinates as densities in the user's units, in the shape of a batch."""
    volume, dtype = units.log_volume, found.log_prob.dtype
    if is_traced((found, volume)):
        value = found.log_prob - jnp.asarray(volume, dtype)
        return FlowDensity(*(a.reshape(batch) for a in found._replace(log_prob=value)))
    known = np.asarray(found.log_prob) - np.asarray(volume, dtype)
    parts = (known, *map(np.asarray, found[1:]))
    return FlowDensity(*(device(a.reshape(batch)) for a in parts))


@eqx.filter_jit
def _euler(model: FlowModel, keys: Array, grid: Array) -> Array:
    step = EulerStep(model.field)

    def one(key: Key) -> Point:
        return walk(step, key, model.reference.sample(key, grid.dtype), grid)

    return jax.vmap(one)(keys)
