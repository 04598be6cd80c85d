"""Drifts: fields of velocity that carry everything with them."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.manifolds import Manifold


class Drift(eqx.Module):
    """b(x, t): a tangent vector at the point x, length per unit of the times of the snapshots."""

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def __call__(self, x: Point, t: ScalarLike) -> Point:
        """b at one point and time."""

    def slopes(self, x: Point, t: ScalarLike) -> tuple[Point, Array]:
        """b and ∂b_i/∂x_j at one point of a flat space, shapes ``(d,)`` and ``(d, d)``."""
        value, along = jax.linearize(lambda z: self(z, t), x)
        return value, jax.vmap(along)(jnp.eye(len(x), dtype=x.dtype)).T


class NoDrift(Drift):
    """b = 0: what is left is Brownian motion."""

    manifold: Manifold

    def __call__(self, x: Point, t: ScalarLike) -> Point:
        return jnp.zeros_like(x)


class GivenDrift(Drift):
    """A drift that is known. ``function``: (x, t) ↦ b(x, t) for one point, in JAX. A fitted bridge
    with such a drift cannot be saved: a function is no data."""

    manifold: Manifold
    function: Callable[[Point, Scalar], Point] = eqx.field(static=True)

    def __call__(self, x: Point, t: ScalarLike) -> Point:
        return jnp.asarray(self.function(x, jnp.asarray(t, x.dtype)), x.dtype)


class MovedDrift(Drift):
    """b(x + origin, t + zero): a drift in coordinates around an origin and times since another."""

    manifold: Manifold
    drift: Drift
    origin: np.ndarray | Array = fixed()
    zero: float = eqx.field(static=True, default=0.0)

    def __call__(self, x: Point, t: ScalarLike) -> Point:
        there = x + jnp.asarray(self.origin, x.dtype)
        return self.drift(there, jnp.asarray(t, x.dtype) + jnp.asarray(self.zero, x.dtype))


def no_drift(manifold: Manifold) -> Drift:
    """b = 0: what is left is Brownian motion."""
    return NoDrift(manifold)


def potential_drift(manifold: Manifold, potential: Callable[[Point, Scalar], Scalar]) -> Drift:
    """b = −∇U for a potential (x, t) ↦ U(x, t)."""
    return GivenDrift(
        manifold, lambda x, t: -manifold.gradient(x, jax.grad(potential)(x, t).astype(x.dtype))
    )


class LearnedDrift(Drift):
    """b(x, t) = Σ_k {Σ_p C_pk φ_p(x, t)} K_k(x), K the fields of ``moving_fields``, φ random
    cosines of the embedding h and a constant, where there is a ``period`` T each of them times 1,
    cos 2πt/T and sin 2πt/T:

        φ = (√(2/M) cos(ω_1·u + θ_1), …, √(2/M) cos(ω_M·u + θ_M), 1),   u = (h(x) − c)/ℓ.

    ω ~ N(0, I), so that φ·φ' tends to the normal kernel of length ℓ (``length``).

    Source: Rahimi & Recht 2007 (random features).
    """

    manifold: Manifold
    coefficients: Array
    waves: Array = fixed()
    phases: Array = fixed()
    centre: Array = fixed()
    length: Array = fixed()
    period: float | None = eqx.field(static=True, default=None)

    def __call__(self, x: Point, t: ScalarLike) -> Point:
        c = jnp.matmul(self.features(x, t), self.coefficients, precision="highest")
        return jnp.tensordot(c, moving_fields(self.manifold, x), axes=1)

    def slopes(self, x: Point, t: ScalarLike) -> tuple[Point, Array]:
        """∂b_i/∂u_k = −√(2/M) Σ_m sin(ω_m·u + θ_m) C_mi ω_mk: for many points one product with a
        table of C_mi ω_mk, by far the dearest part of paths in many dimensions."""
        c = self._coefficients_at(t)
        h, back = jax.vjp(self._embedded, x)
        angles, size = self._angles(h), math.sqrt(2.0 / len(self.phases))
        value = jnp.matmul(size * jnp.cos(angles), c[:-1], precision="highest") + c[-1]
        table = (c[:-1, :, None] * self.waves[:, None, :]).reshape(len(self.waves), -1)
        by_u = jnp.matmul(-size / self.length * jnp.sin(angles), table, precision="highest")
        return value, jax.vmap(lambda row: back(row)[0])(by_u.reshape(len(value), -1))

    def _coefficients_at(self, t: ScalarLike) -> Array:
        """Of the features of place, shape ``(M + 1, k)``."""
        if self.period is None:
            return self.coefficients
        still, even, odd = jnp.split(self.coefficients, 3)
        angle = 2.0 * math.pi * (jnp.asarray(t, still.dtype) / self.period)
        return still + jnp.cos(angle) * even + jnp.sin(angle) * odd

    def features(self, x: Point, t: ScalarLike) -> Array:
        """φ(x, t), shape ``(P,)``."""
        place = jnp.append(self.cosines(x), jnp.ones((), x.dtype))
        if self.period is None:
            return place
        angle = 2.0 * math.pi * (jnp.asarray(t, x.dtype) / self.period)
        return jnp.concatenate([place, jnp.cos(angle) * place, jnp.sin(angle) * place])

    def cosines(self, x: Point) -> Array:
        """Those of place alone, without the constant, shape ``(M,)``."""
        angles = self._angles(self._embedded(x))
        return math.sqrt(2.0 / len(self.phases)) * jnp.cos(angles)

    def _embedded(self, x: Point) -> Array:
        return jnp.ravel(self.manifold.embed(x))

    def _angles(self, h: Array) -> Array:
        u = (h - self.centre) / self.length
        return jnp.matmul(self.waves, u, precision="highest") + self.phases


def untrained_drift(
    manifold: Manifold, points: Array, count: int, length: float, period: float | None, key: Key
) -> LearnedDrift:
    """A drift of coefficients 0 around ``points``, shape ``(n, *shape)``; ``length`` is in their
    standard deviation, over all coordinates of the embedding."""
    h = np.asarray(jax.vmap(lambda x: jnp.ravel(manifold.embed(x)))(points), np.float64)
    spread = math.sqrt(float(h.var(axis=0).sum()) / manifold.dim)
    first, second = jax.random.split(key)
    dtype = points.dtype
    fields = moving_fields(manifold, points[0]).shape[0]
    return LearnedDrift(
        manifold,
        jnp.zeros(((count + 1) * (1 if period is None else 3), fields), dtype),
        jax.random.normal(first, (count, h.shape[1]), dtype),
        2.0 * math.pi * jax.random.uniform(second, (count,), dtype),
        jnp.asarray(h.mean(axis=0), dtype),
        jnp.asarray(length * (spread or 1.0), dtype),
        period,
    )


def moving_fields(manifold: Manifold, x: Point) -> Array:
    """Smooth fields that span the tangent space at every x, shape ``(k, *shape)``: the coordinate
    fields where the manifold is flat, generators of isometries elsewhere."""
    return manifold.frame(x) if manifold.periods is not None else manifold.killing(x)
