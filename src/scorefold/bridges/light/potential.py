"""Potentials with closed-form conditional expectations: what a light bridge learns."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc

import equinox as eqx
import jax
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.fitting import Config
from scorefold.kernels import GaussianMixture
from scorefold.noising import Noising


class LightPotential(eqx.Module):
    """A positive function φ = Σ_k φ_k on the space of a reference process, with

    (P_u φ)(x) = E[φ(X_{s+u}) | X_s = x] = Σ_k (P_u φ_k)(x)   in closed form.
    """

    @abc.abstractmethod
    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        """log (P_u φ_k)(x) for each k; u ≥ 0 is the time that is left."""

    @abc.abstractmethod
    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        """∇ log P_u φ(x)."""

    @abc.abstractmethod
    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        """The law of X_S given X₀ = x on flat space. **Raises:** ``ValueError`` elsewhere."""

    @abc.abstractmethod
    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        """One exact draw of it."""

    @abc.abstractmethod
    def target(self, reference: Noising, key: Key, x: Point) -> tuple[Point, Scalar]:
        """The centre of a random component of φ given X₀ = x, and the variance-time after S at
        which motion pinned to it arrives. **Raises:** ``ValueError`` where components are no heat
        kernels."""

    @property
    @abc.abstractmethod
    def scale(self) -> float:
        """Variance-time over which the potential itself varies: its narrowest component."""

    @property
    @abc.abstractmethod
    def widest(self) -> float:
        """The largest variance-time after S at which ``target`` arrives."""

    def log_ahead(self, reference: Noising, x: Point, u: Scalar) -> Scalar:
        """log P_u φ(x)."""
        return jax.nn.logsumexp(self.log_terms(reference, x, u))


class LearningPotential(eqx.Module):
    """A potential on its way, in the parameters in which it is trained."""

    @abc.abstractmethod
    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        """log P_S φ at the points ``a`` and log φ at the points ``b``: errors of 10⁻³ nats are
        allowed if they save time."""

    @abc.abstractmethod
    def potential(self, reference: Noising) -> LightPotential:
        """The potential itself, exact."""


class PotentialDescription(Config):
    """Which family of potentials, and of what size."""

    @abc.abstractmethod
    def check(self, reference: Noising) -> None:
        """**Raises:** ``ValueError`` for a reference that the potential cannot follow."""

    @abc.abstractmethod
    def begin(self, reference: Noising, key: Key, a: Array, b: Array) -> LearningPotential:
        """Parameters that suit points ``a`` of the first law and ``b`` of the second. The same
        arguments give the same bits."""

    @abc.abstractmethod
    def shorter(self, factor: float) -> "PotentialDescription":
        """With stated variance-times divided by ``factor``."""
