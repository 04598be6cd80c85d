"""Maps of R^d onto a manifold: laws of R^d that are carried along become laws of the manifold."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
import itertools
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._fixed import fixed
from scorefold._geometry import Manifold
from scorefold._types import Point, Scalar, safe_norm

_FLIPPED = 4
"""Angles that are also taken a turn further, at most: 2⁴ preimages of a point of T^d."""


class CoordinateChart(eqx.Module):
    """A smooth map φ of R^d onto a manifold (but for a set of no volume), at one point.

    The law of φ(U) has, for a density q of U on R^d,

        log p(x) = log Σ_{u: φ(u) = x} q(u) e^{−log_volume(u)}.
    """

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def point(self, u: Float[Array, " d"]) -> Point:
        """φ(u)."""

    @abc.abstractmethod
    def preimages(self, x: Point) -> Float[Array, "k d"]:
        """Those u with φ(u) = x that are to count, the first one the principal one."""

    @abc.abstractmethod
    def log_volume(self, u: Float[Array, " d"]) -> Scalar:
        """log |det dφ_u|, from Lebesgue measure to Riemannian volume."""


class Stereographic(CoordinateChart):
    """x = ((1 − |u|²) c + 2 Σ u_i E_i(c))/(1 + |u|²) on S^d: one to one onto the sphere without −c,
    log_volume = d log(2/(1 + |u|²)). ``centre``: c."""

    manifold: Manifold
    centre: Array = fixed()

    def point(self, u: Float[Array, " d"]) -> Point:
        m, c = self.manifold, self.centre.astype(u.dtype)
        square = jnp.sum(u * u)
        return m.project(((1.0 - square) * c + 2.0 * m.from_components(c, u)) / (1.0 + square))

    def preimages(self, x: Point) -> Float[Array, "k d"]:
        m, c = self.manifold, self.centre.astype(x.dtype)
        # 1 + ⟨x, c⟩ = |x + c|²/2, which loses no digits beside −c.
        above = 0.5 * jnp.sum((x + c) ** 2)
        away = jnp.maximum(above, jnp.finfo(x.dtype).tiny)
        return (m.components(c, x) / away)[None]

    def log_volume(self, u: Float[Array, " d"]) -> Scalar:
        return self.manifold.dim * (math.log(2.0) - jnp.log1p(jnp.sum(u * u)))


class Exponential(CoordinateChart):
    """x = exp_c(Σ u_i E_i(c)), log_volume = exp_log_det(c, u). ``centre``: c.

    One to one on R^d and H^d. On T^d a coordinate and the same a turn further are preimages (of the
    four angles nearest to the cut where there are more): |u_i| < 2π is counted in full. On other
    compact spaces whose geodesics close after 2·``diameter`` (S^d, SO(3)) the vectors along the
    same geodesic: |u| < 2·diameter is counted in full. On S^1 the first serves too.
    """

    manifold: Manifold
    centre: Array = fixed()

    def point(self, u: Float[Array, " d"]) -> Point:
        m, c = self.manifold, self.centre.astype(u.dtype)
        return m.exp(c, m.from_components(c, u))

    def preimages(self, x: Point) -> Float[Array, "k d"]:
        m, c = self.manifold, self.centre.astype(x.dtype)
        u = m.components(c, m.log(c, x))
        if m.toral:
            turn = jnp.where(u > 0, -2.0 * math.pi, 2.0 * math.pi)
            k = min(m.dim, _FLIPPED)
            # The angles nearest to the cut, by their order.
            rank = jnp.argsort(jnp.argsort(-jnp.abs(u)))
            flips = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=k)), u.dtype)
            chosen = jnp.where(rank[None] < k, flips[:, jnp.minimum(rank, k - 1)], 0.0)
            return u[None] + chosen * turn[None]
        if not m.compact:
            return u[None]
        length = safe_norm(u)
        safe = jnp.where(length > 0, length, 1.0)
        back = jnp.where(length > 0, 1.0 - 2.0 * m.diameter / safe, 0.0)
        return jnp.stack([u, back * u])

    def log_volume(self, u: Float[Array, " d"]) -> Scalar:
        m, c = self.manifold, self.centre.astype(u.dtype)
        return m.exp_log_det(c, m.from_components(c, u))
