"""A geometry that is not in the package: the projective plane RP², whose points are axes."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.heat import HeatKernel, IsotropicHeat, RadialProfile, SphereProfile
from scorefold.manifolds import Chords, Manifold, SineVolume, Sphere, System

__all__ = ["ProjectivePlane"]

SPHERE = Sphere(2)


class ProjectiveProfile(RadialProfile):
    """p_s(r) = q_s(r) + q_s(π − r) for r ≤ π/2, q the heat kernel of S²: Brownian motion on the
    sphere, seen up to sign."""

    sphere: SphereProfile = SphereProfile(2)

    def log_prob(self, r, s):
        return jnp.logaddexp(self.sphere.log_prob(r, s), self.sphere.log_prob(math.pi - r, s))

    def slope(self, r, s):
        near, far = self.sphere.log_prob(r, s), self.sphere.log_prob(math.pi - r, s)
        share = jax.nn.sigmoid(near - far)
        # −(1/r) ∂_r log q(π − r) = ((π − r)/r) ∂ log q: finite, as the share vanishes with r.
        safe = jnp.where(r > 0, r, 1.0)
        back = jnp.where(r > 0, (math.pi - r) / safe, 0.0) * self.sphere.slope(math.pi - r, s)
        return share * self.sphere.slope(r, s) - (1.0 - share) * back

    def sample(self, key, s, dtype):
        r = self.sphere.sample(key, s, dtype)
        return jnp.minimum(r, math.pi - r)


class ProjectivePlane(Manifold):
    """RP² = S²/±1: axes without direction, stored as unit vectors of R³ up to sign; distances in
    radians, at most π/2. At the cut locus (axes at a right angle) ``log`` takes the way to the
    vector that is stored. The tangent vector v at x is −v at −x.
    """

    @property
    def name(self) -> str:
        return "RP^2"

    @property
    def dim(self) -> int:
        return 2

    @property
    def shape(self) -> tuple[int, ...]:
        return (3,)

    @property
    def log_volume(self) -> float:
        return math.log(2.0 * math.pi)

    @property
    def diameter(self) -> float:
        return 0.5 * math.pi

    @property
    def injectivity_radius(self) -> float:
        return 0.5 * math.pi

    @property
    def spectral_gap(self) -> float:
        return 6.0

    @property
    def heat(self) -> HeatKernel:
        return IsotropicHeat(self, ProjectiveProfile())

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...]:
        return (SineVolume(1, 1.0, 0.5 * math.pi),)

    @property
    def tangent_output(self) -> str:
        """The projection of an ambient vector would be the same at x and −x, not opposite."""
        return "killing"

    @property
    def systems(self) -> tuple[System, ...]:
        return (
            System("axis", "axis", ("x", "y", "z"), place=_place, outside=_off, arc=_arc,
                   ambiguous=True),
            System("plunge", "trend and plunge", ("trend", "plunge"), _from_trend, _to_trend,
                   lambda v, degrees: _place(_from_trend(v, degrees), degrees), arc=_arc,
                   angles=(True, True), unit="degrees", ambiguous=True),
        )  # fmt: skip

    def origin(self, dtype=None):
        return SPHERE.origin(dtype)

    def exp(self, x, v):
        return SPHERE.exp(x, v)

    def log(self, x, y):
        return SPHERE.log(x, _towards(x, y))

    def dist(self, x, y):
        return SPHERE.dist(x, _towards(x, y))

    def to_tangent(self, x, u):
        return SPHERE.to_tangent(x, u)

    def project(self, u):
        return SPHERE.project(u)

    def frame(self, x):
        return SPHERE.frame(x)

    def transport(self, x, y, v):
        sign = _sign(x, y)
        return sign * SPHERE.transport(x, sign * y, v)

    def exp_log_det(self, x, v):
        return SPHERE.exp_log_det(x, v)

    def embed(self, x):
        """The entries of xxᵀ, which x and −x share."""
        rows, columns = np.triu_indices(3)
        return x[rows] * x[columns]

    def killing(self, x):
        return SPHERE.killing(x)

    def distances(self, x, y):
        return np.minimum(SPHERE.distances(x, y), SPHERE.distances(x, -y))

    def chords(self, x):
        """xxᵀ/√2, whose entries lie sin r apart."""
        return Chords(np.einsum("ni,nj->nij", x, x).reshape(len(x), 9) / math.sqrt(2.0),
                      np.zeros(9), ordered=True)  # fmt: skip

    def chord(self, distance):
        return np.sin(np.minimum(distance, 0.5 * math.pi))


def _sign(x, y):
    return jax.lax.stop_gradient(jnp.where(jnp.sum(x * y) < 0, -1.0, 1.0).astype(x.dtype))


def _towards(x, y):
    """The one of y and −y that is nearer to x."""
    return _sign(x, y) * y


# -- how tables of it are written ------------------------------------------------------------------
def _place(values, degrees):
    x = np.asarray(values) / np.linalg.norm(values, axis=1, keepdims=True)
    return np.einsum("ni,nj->nij", x, x).reshape(len(x), 9) + 0.0


def _off(values, degrees):
    return np.abs(np.linalg.norm(values, axis=1) - 1) > 1e-4


def _arc(chord):
    return np.arcsin(np.minimum(chord / math.sqrt(2.0), 1))


def _from_trend(values, degrees):
    trend, plunge = (np.radians(values) if degrees else values).T
    across = np.cos(plunge)
    x = np.stack([across * np.cos(trend), across * np.sin(trend), -np.sin(plunge)], -1)
    return jnp.asarray(x, jnp.result_type(float))


def _to_trend(points, degrees):
    """The end of the axis that points down: plunge from 0 to 90°."""
    x = points * np.where(points[:, 2:] > 0, -1.0, 1.0)
    angles = np.stack([np.arctan2(x[:, 1], x[:, 0]), np.arcsin(np.clip(-x[:, 2], -1.0, 1.0))], -1)
    return np.degrees(angles) if degrees else angles
