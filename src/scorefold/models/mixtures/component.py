"""One law of a mixture: a place, axes and variances; and what a family makes of these."""

import abc
from typing import ClassVar, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from scorefold._matmul import matmul
from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold


class Component(eqx.Module):
    """The parameters of a law around a point z: its covariance is close to Σ_k λ_k E_kE_kᵀ in the
    tangent space there where it is narrow.

    ``centre``: z; ``axes``: row k the components of E_k in the frame at z, shape ``(d, d)``;
    ``variances``: λ, shape ``(d,)``. K laws side by side have a leading axis.
    """

    centre: Array
    axes: Array
    variances: Array


class WeightedMoments(NamedTuple):
    """Weighted means of ``ComponentFamily.local`` over the data: of v, shape ``(d,)``, of its
    centred square (v − v̄)(v − v̄)ᵀ, shape ``(d, d)``, and of 1 − cos or ½|v|²."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    distance: Scalar


class MomentEstimate(NamedTuple):
    """What moments say of a law: where it stands, as components of a tangent vector at its centre
    until now, and its covariance in the frame there, shape ``(d, d)``."""

    step: Float[Array, " d"]
    covariance: Float[Array, "d d"]


class ComponentFamily(eqx.Module):
    """A kind of law with a place and a covariance. ``round``: whether all λ_k are equal.

    Methods take one point and one ``Component``.
    """

    round: ClassVar[bool] = False

    @property
    def fitting(self) -> "ComponentFamily":
        """The same family as it is used while fitting, where many points meet few laws."""
        return self

    @abc.abstractmethod
    def check(self, m: Manifold) -> None:
        """Raise ``ValueError`` where the family does not exist."""

    @abc.abstractmethod
    def widest(self, m: Manifold) -> float:
        """The largest variance that ``log_prob`` is meant for."""

    @abc.abstractmethod
    def log_density(self, m: Manifold, v: Array, distance: Scalar, law: Component) -> Scalar:
        """log density in nats at the point that is seen as ``local`` says from the centre."""

    @abc.abstractmethod
    def sample(self, key: Key, m: Manifold, law: Component) -> Point:
        """One exact draw."""

    @abc.abstractmethod
    def named(self, m: Manifold, laws: Component) -> dict[str, Array]:
        """The parameters of K laws by the names of the literature, each with a leading axis."""

    def local(self, m: Manifold, x: Point, z: Point) -> tuple[Array, Scalar]:
        """x as seen from z: the components v of log_z(x) in the frame at z, and ½|v|²."""
        v = m.components(z, m.log(z, x))
        return v, 0.5 * matmul(v, v)

    def log_prob(self, m: Manifold, x: Point, law: Component) -> Scalar:
        """log density at x in nats."""
        return self.log_density(m, *self.local(m, x, law.centre), law)

    def estimate(self, moments: WeightedMoments) -> MomentEstimate:
        """MomentEstimate and covariance from weighted moments."""
        return MomentEstimate(moments.mean, moments.covariance)

    def lost(self, m: Manifold, laws: Component) -> Float[Array, " K"] | float:
        """What the mass of each law may lack of 1."""
        return 0.0

    def size(self, d: int) -> int:
        """Free parameters of a law in d dimensions."""
        return d + (1 if self.round else d * (d + 1) // 2)
