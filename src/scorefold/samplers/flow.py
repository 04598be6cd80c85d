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
from scorefold.noising._base import CarryingNoising
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

    def velocity_and_excess(self, x: Point, s: Scalar) -> tuple[Point, Point]:
        """v(x, s), and the part e of it that makes the density p differ from a law q_s that moves
        by itself: p/q changes by div e + ``pull`` along the flow. Here e = v and q is constant."""
        v = self.velocity(x, s)
        return v, v

    def pull(self, x: Point, v: Point, excess: Point) -> Scalar:
        """⟨e, ∇log q_s⟩ where the velocity is v."""
        return jnp.zeros((), x.dtype)

    def log_base(self, x: Point, s: Scalar) -> Scalar:
        """log q_s(x); 0 where q is constant, whatever its mass."""
        return jnp.zeros((), x.dtype)

    @property
    def plain(self) -> "Flow":
        """The same motion, its density relative to nothing."""
        return self


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


class RelativeFlow(ProbabilityFlow):
    """The probability flow beside that of a law q_s that Brownian motion carries along,
    v_q = −½∇log q_s, so that for the excess e = v − v_q

        log p(x) = log q_{s_min}(x) + (log p_ref − log q_{s_max})(x(s_max))
                   + ∫ (div e + ⟨e, ∇log q_s⟩)(x(s), s) ds.

    Where q is near p the integrand is small, and so are the errors of steps: the further a mixture
    has got by itself, the fewer evaluations. Any q gives the same density; far from q, where
    log q is of the order of −1,000, ``plain`` loses fewer digits.
    """

    noising: CarryingNoising

    @property
    def plain(self) -> ProbabilityFlow:
        return ProbabilityFlow(self.noising, self.score, self.clock)

    def velocity_and_excess(self, x: Point, s: Scalar) -> tuple[Point, Point]:
        v = self.velocity(x, s)
        return v, v + 0.5 * self.noising.carried(s, x.dtype).score(x)

    def pull(self, x: Point, v: Point, excess: Point) -> Scalar:
        # ∇log q = 2(e − v): it is not asked for again.
        return 2.0 * self.manifold.inner(x, excess, excess - v)

    def log_base(self, x: Point, s: Scalar) -> Scalar:
        return self.noising.carried(s, x.dtype).log_prob(x)


def probability_flow(noising: Noising, score: ScoreFunction, clock: Clock) -> ProbabilityFlow:
    """That of a likelihood: relative to the law of the baseline where the noising carries it."""
    if isinstance(noising, CarryingNoising):
        return RelativeFlow(noising, score, clock)
    return ProbabilityFlow(noising, score, clock)


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
