"""What a noising process is, and the law it ends in."""

import abc
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp

from scorefold._types import DTypeLike, Key, Point, Scalar, ScalarLike
from scorefold.heat import HeatKernel
from scorefold.manifolds import Manifold
from scorefold.noising.schedules import Schedule


class Reference(eqx.Module):
    """The law p_ref that a noising process ends in: known density, exact draws."""

    @abc.abstractmethod
    def log_prob(self, x: Point) -> Scalar:
        """log density with respect to Riemannian volume."""

    @abc.abstractmethod
    def score(self, x: Point) -> Point:
        """∇ log p_ref(x)."""

    @abc.abstractmethod
    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        """One draw."""


class Noising(eqx.Module):
    """dX_t = β(t) b(X_t) dt + √β(t) dB_t on a manifold, from data (t = 0) to ``reference`` (t = 1).

    b = −½∇U is the drift at unit speed (zero for Brownian motion), U the potential of the
    reference. Everything depends on t through the variance-time s(t) = ∫₀ᵗβ only.
    """

    manifold: eqx.AbstractVar[Manifold]
    schedule: eqx.AbstractVar[Schedule]

    @property
    @abc.abstractmethod
    def reference(self) -> Reference:
        """The law at t = 1."""

    @property
    def exact(self) -> bool:
        """Whether ``log_prob`` and ``score`` of the transition are closed form; if not they raise
        ``NotImplementedError`` and ``sample`` is a geodesic random walk."""
        return True

    @property
    def kernel(self) -> HeatKernel | None:
        """The heat kernel where this is Brownian motion run by the clock; None with a drift."""
        return None

    @property
    def starts_at_data(self) -> bool:
        """Whether ``baseline`` was measured on the data: a network on it starts at 0."""
        return False

    @abc.abstractmethod
    def drift(self, x: Point) -> Point:
        """b(x) at unit speed, a tangent vector; the SDE's drift is β(t)·b(x)."""

    @abc.abstractmethod
    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        """One draw of X at variance-time s given X₀ = x₀."""

    @abc.abstractmethod
    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        """log p_s(x | x₀)."""

    @abc.abstractmethod
    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        """∇_x log p_s(x | x₀)."""

    @abc.abstractmethod
    def scale(self, s: Scalar) -> Scalar:
        """Typical size per dimension of ∇ log p_s minus the baseline: what a network of output
        O(1) must be multiplied by at noise level s."""

    @abc.abstractmethod
    def baseline(self, x: Point, s: Scalar) -> Point:
        """The score that the model starts from before anything is learned (zero network output):
        0 on compact spaces; on others the score of the noised law of one blob of data where that
        is closed form, and of the reference, faded in with s, where it is not."""


class BrownianNoising(Noising):
    """Brownian motion run by the clock, without a drift: the transition is the heat kernel."""

    @property
    def kernel(self) -> HeatKernel:
        return self.manifold.heat

    def drift(self, x: Point) -> Point:
        return jnp.zeros_like(x)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        return self.kernel.sample(key, x0, s)

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        return self.kernel.log_prob(x, x0, s)

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        return self.kernel.score(x, x0, s)


@runtime_checkable
class CarriedLaw(Protocol):
    """A law of known density."""

    def log_prob(self, x: Point) -> Scalar: ...

    def score(self, x: Point) -> Point: ...


class CarryingNoising(BrownianNoising):
    """Brownian motion whose baseline is the score of a law q_s that it carries along,
    ∂_s q = ½Δq: likelihoods are computed relative to it (``RelativeFlow``)."""

    @abc.abstractmethod
    def carried(self, s: Scalar, dtype: DTypeLike) -> CarriedLaw:
        """q_s."""

    def baseline(self, x: Point, s: Scalar) -> Point:
        return self.carried(s, x.dtype).score(x)
