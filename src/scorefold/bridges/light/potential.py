"""What a light bridge learns: a potential with closed-form conditional expectations."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc

import equinox as eqx
import jax
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.kernels import GaussianMixture
from scorefold.noising import Noising

__all__ = ["LightPotential"]


class LightPotential(eqx.Module):
    """A positive function φ = Σ_k φ_k on the space of a reference process, with

        (P_u φ)(x) = E[φ(X_{s+u}) | X_s = x] = Σ_k (P_u φ_k)(x)   in closed form.

    Before it is fitted it is a description; ``start`` returns a copy with parameters.
    """

    @abc.abstractmethod
    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        """log (P_u φ_k)(x) for each k; u ≥ 0 is the time that is left."""

    @abc.abstractmethod
    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        """∇ log P_u φ(x)."""

    @abc.abstractmethod
    def start(self, reference: Noising, key: Key, a: Array, b: Array) -> "LightPotential":
        """A copy with parameters that suit points ``a`` of the first law and ``b`` of the second.
        The same arguments give the same bits."""

    @abc.abstractmethod
    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        """log P_S φ at the points ``a`` and log φ at the points ``b``, for training: errors of
        10⁻³ nats are allowed if they save time."""

    @abc.abstractmethod
    def finished(self, reference: Noising) -> "LightPotential":
        """The potential alone, exact, without what only training needs."""

    @abc.abstractmethod
    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        """The law of X_S given X₀ = x on flat space. **Raises:** ``ValueError`` elsewhere."""

    @abc.abstractmethod
    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        """One exact draw of it."""

    @abc.abstractmethod
    def shorter(self, factor: float) -> "LightPotential":
        """The description with stated variance-times divided by ``factor``."""

    @abc.abstractmethod
    def scale(self) -> float:
        """Variance-time over which the potential itself varies: its narrowest component."""

    def log_ahead(self, reference: Noising, x: Point, u: Scalar) -> Scalar:
        """log P_u φ(x)."""
        return jax.nn.logsumexp(self.log_terms(reference, x, u))
