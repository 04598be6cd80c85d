"""Flows: deterministic motions that carry a law to a reference law, and back."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp

from scorefold._types import Point, Scalar
from scorefold.fields import TangentField, value_and_divergence
from scorefold.manifolds import Manifold
from scorefold.noising import Noising
from scorefold.samplers._base import ScoreFunction
from scorefold.samplers.clocks import Clock, PowerClock


class Flow(eqx.Module):
    """dx/ds = v(x, s) on a manifold, from data at small s to a reference law, to be solved in the
    variable of ``clock``. Takes one point."""

    if TYPE_CHECKING:

        @property
        def clock(self) -> Clock:
            """The variable to solve it in: a field."""

    else:
        clock: eqx.AbstractVar[Clock]

    @property
    @abc.abstractmethod
    def manifold(self) -> Manifold:
        """Where it moves."""

    @abc.abstractmethod
    def velocity(self, x: Point, s: Scalar) -> Point:
        """v(x, s), tangent at x."""

    def velocity_and_divergence(self, x: Point, s: Scalar) -> tuple[Point, Scalar]:
        """v(x, s), and what the adaptive solver integrates for a density: div v(x, s), exact."""
        return value_and_divergence(lambda y: self.velocity(y, s), self.manifold, x)


class ProbabilityFlow(Flow):
    """v(x, s) = b(x) − ½∇ log p_s(x): the deterministic motion with the laws of a noising process.

    Source: Song et al. 2021, Equation 13; De Bortoli et al. 2022, Section 3.4 (in s-time).
    """

    noising: Noising
    score: ScoreFunction
    clock: Clock = PowerClock()

    @property
    def manifold(self) -> Manifold:
        return self.noising.manifold

    def velocity(self, x: Point, s: Scalar) -> Point:
        return self.noising.drift(x) - 0.5 * self.score(x, s)


class PathFlow(Flow):
    """dx/dt = field(x, t) for t ∈ (0, 1], in the variable s = t² > 0:
    v(x, s) = field(x, √s)/(2√s).

    Where t is the distance gone on a path from a data point, s is what it is for a diffusion: the
    variance around the point, and the velocity is of the order 1/√s.
    """

    field: TangentField
    clock: Clock = PowerClock()

    @property
    def manifold(self) -> Manifold:
        return self.field.manifold

    def velocity(self, x: Point, s: Scalar) -> Point:
        t = jnp.sqrt(s)
        return self.field(x, t) * (0.5 / t)
