"""Heat kernels that are functions of distance."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold._geometry import HeatKernel, Manifold
from scorefold._types import DTypeLike, Key, Point, Scalar, ScalarLike


class RadialProfile(eqx.Module):
    """A heat kernel that depends on the distance r alone, as functions of (r, s)."""

    @abc.abstractmethod
    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        """log p_s at distance r."""

    @abc.abstractmethod
    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        """−(1/r) ∂_r log p_s(r), finite at r = 0 and at the cut locus; 1/s on flat space."""

    @abc.abstractmethod
    def sample(self, key: Key, s: Scalar, dtype: DTypeLike) -> Scalar:
        """One draw of the distance, density p_s(r) times the area of the sphere of radius r."""


class IsotropicHeat(HeatKernel):
    """A heat kernel on a space that looks the same in every direction:

    log p_s(x | x₀) = profile(dist(x, x₀), s),   score = slope(r, s) · log_x(x₀).
    """

    manifold: Manifold
    profile: RadialProfile

    @property
    def radial(self) -> bool:
        return True

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        return self.profile.log_prob(self.manifold.dist(x, x0), jnp.asarray(s, x.dtype))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        slope = self.profile.slope(self.manifold.dist(x, x0), jnp.asarray(s, x.dtype))
        return slope * self.manifold.log(x, x0)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        radial, angular = jax.random.split(key)
        r = self.profile.sample(radial, jnp.asarray(s, x0.dtype), x0.dtype)
        z = self.manifold.normal(angular, x0)
        return self.manifold.exp(x0, r * (z / self.manifold.norm(x0, z)))
