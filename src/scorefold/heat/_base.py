"""What a heat kernel is: the transition density of Brownian motion, one point at a time."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, ScalarLike

if TYPE_CHECKING:
    from scorefold.manifolds import Manifold

__all__ = ["HeatKernel", "IsotropicHeat", "RadialProfile"]


class HeatKernel(eqx.Module):
    """p_s(x | x₀), the fundamental solution of ∂_s p = ½Δp, with respect to Riemannian volume.

    ``s`` is variance-time: Brownian motion with unit speed has moved for time s. Each method
    takes one point, one centre and one scalar ``s > 0``.
    """

    @abc.abstractmethod
    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        """log p_s(x | x₀) in nats."""

    @abc.abstractmethod
    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        """∇_x log p_s(x | x₀), a tangent vector at x."""

    @abc.abstractmethod
    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        """One exact draw from p_s(· | x₀)."""


class RadialProfile(eqx.Module):
    """A heat kernel that depends on the distance r alone, as functions of (r, s)."""

    @abc.abstractmethod
    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        """log p_s at distance r."""

    @abc.abstractmethod
    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        """−(1/r) ∂_r log p_s(r), finite at r = 0 and at the cut locus; 1/s on flat space."""

    @abc.abstractmethod
    def sample(self, key: Key, s: Scalar, dtype) -> Scalar:
        """One draw of the distance law, whose density is p_s(r) times the area of the sphere of
        radius r."""


class IsotropicHeat(HeatKernel):
    """A heat kernel on a space that looks the same in every direction:

    log p_s(x | x₀) = profile(dist(x, x₀), s),   score = slope(r, s) · log_x(x₀).
    """

    manifold: Manifold
    profile: RadialProfile

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        return self.profile.log_prob(self.manifold.dist(x, x0), jnp.asarray(s, x.dtype))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        slope = self.profile.slope(self.manifold.dist(x, x0), jnp.asarray(s, x.dtype))
        return slope * self.manifold.log(x, x0)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        radial, angular = jax.random.split(key)
        r = self.profile.sample(radial, jnp.asarray(s, x0.dtype), x0.dtype)
        return self.manifold.exp(x0, r * self._direction(angular, x0))

    def _direction(self, key: Key, x0: Point) -> Array:
        z = self.manifold.normal(key, x0)
        return z / self.manifold.norm(x0, z)
