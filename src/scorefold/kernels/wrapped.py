"""Mixtures of wrapped normal kernels, each with a covariance of its own, and their heat flow."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.manifolds import Euclidean, Manifold
from scorefold.noising import Reference

__all__ = ["WrappedMixture", "wrapped_normal"]

_SMALLEST = 1e-6
"""Variance-time below which a heat kernel and a wrapped normal law agree to rounding."""


class WrappedMixture(eqx.Module):
    """The mixture of laws of exp_{z_i}(Σ_k √λ_ik ξ_k E_ik), ξ standard normal, and a background:

        p(x) = ε u(x) + (1 − ε) Σ_i w_i N(v_i; 0, Σ_i) e^{−log |det d(exp_{z_i})_{v_i}|},
        v_i = log_{z_i}(x),  Σ_i = Σ_k λ_ik E_ik E_ikᵀ.

    Closed in density and draws on every manifold. On compact ones the kernels must be narrow
    against the distance π of the cut locus (see ``cap_precision``), beyond which they are cut off.

    **At noise level s** (Brownian motion for a variance-time s after a draw): exact on R^d, and
    wherever λ_i1 = … = λ_id = τ ≪ 1. Elsewhere kernel i is the heat kernel at τ_i + s, τ_i the
    mean of λ_i, times the ratio of the normal laws of covariance Σ_i + s and (τ_i + s)·1 in the
    tangent space, where the exponential map's volume counts in full at s = 0 (the density above)
    and as the heat kernel has it as s grows: the error of log p is of the order of curvature ·
    τ_i, and vanishes for s → 0 and s → ∞.

    **Arguments:** ``centres``: z, shape ``(n, *manifold.shape)``; ``axes``: orthonormal in the
    frame at z_i, row k the components of E_ik, shape ``(n, d, d)``; ``variances``: λ, shape
    ``(n, d)``; ``log_weights``: log w, normalised, shape ``(n,)``; ``background``: the law u;
    ``log_share``: log ε.

    Source: Zhang et al. 2024 (R^d, with the normalisation put right); Pelletier 2005 and Chevallier
    et al. 2022 (kernels and wrapped laws on manifolds).
    """

    manifold: Manifold
    background: Reference = fixed()
    centres: Array = fixed()
    axes: Array = fixed()
    variances: Array = fixed()
    log_weights: Array = fixed()
    log_share: Array = fixed()

    @classmethod
    def from_covariances(
        cls,
        manifold: Manifold,
        centres: Array,
        covariances: Array,
        log_weights: Array,
        background: Reference,
        log_share: Array,
    ) -> WrappedMixture:
        """The mixture whose Σ_i are ``covariances``, shape ``(n, d, d)``, in the frames."""
        variances, columns = jnp.linalg.eigh(covariances)
        least = float(jnp.finfo(variances.dtype).tiny) ** 0.5
        axes = jnp.swapaxes(columns, -1, -2)
        variances = jnp.maximum(variances, least)
        return cls(manifold, background, centres, axes, variances, log_weights, log_share)

    # -- density -----------------------------------------------------------------------------------
    def log_prob(self, x: Point, s: ScalarLike | None = None) -> Scalar:
        """log p(x) in nats at the data (s = None), or at noise level s ≥ 0."""
        kernels = jax.nn.logsumexp(self.log_kernels(x, s))
        return self.with_background(kernels, self.background.log_prob(x))

    def with_background(self, kernels: Array, background: Array) -> Array:
        """log (ε u + (1 − ε) e^{kernels}) for log u = ``background``."""
        share = self.log_share.astype(kernels.dtype)
        return jnp.logaddexp(share + background, jnp.log1p(-jnp.exp(share)) + kernels)

    def log_kernels(self, x: Point, s: ScalarLike | None = None) -> Array:
        """log (w_i · kernel i at x), shape ``(n,)``."""
        level = None if s is None else jnp.asarray(s, x.dtype)

        def one(z: Point, axes: Array, variances: Array, log_w: Scalar) -> Scalar:
            if level is None:
                return log_w + self._at_data(x, z, axes, variances)
            return log_w + self._at_level(x, z, axes, variances, level)

        parts = (self.centres, self.axes, self.variances, self.log_weights)
        return jax.vmap(one)(*(a.astype(x.dtype) for a in parts))

    def score(self, x: Point, s: ScalarLike) -> Point:
        """∇ log p at noise level s, tangent at x."""
        return self.manifold.gradient(x, jax.grad(lambda y: self.log_prob(y, s))(x))

    # -- draws -------------------------------------------------------------------------------------
    def sample(self, key: Key) -> Point:
        """One draw."""
        which, pick, ahead, far = jax.random.split(key, 4)
        i = jax.random.categorical(pick, self.log_weights)
        z, dtype = self.centres[i], self.centres.dtype
        normal = jax.random.normal(ahead, (self.manifold.dim,), dtype)
        v = (jnp.sqrt(self.variances[i]) * normal) @ self.axes[i]
        near = self.manifold.exp(z, self.manifold.from_components(z, v))
        lost = jnp.log(jax.random.uniform(which, (), dtype)) < self.log_share
        return jnp.where(lost, self.background.sample(far, dtype), near)

    # -- inside ------------------------------------------------------------------------------------
    def _at_data(self, x: Point, z: Point, axes: Array, variances: Array) -> Scalar:
        return wrapped_normal(self.manifold, x, z, axes, variances)

    def _at_level(self, x: Point, z: Point, axes: Array, variances: Array, s: Scalar) -> Scalar:
        m = self.manifold
        v = m.log(z, x)
        along, spread = axes @ m.components(z, v), variances + s
        normal = _normal(along, spread)
        if isinstance(m, Euclidean):
            return normal
        tau = jnp.mean(variances)
        even = jnp.broadcast_to(tau + s, spread.shape)
        small = tau + s < _SMALLEST
        heat = m.heat.log_prob(x, z, jnp.maximum(tau + s, _SMALLEST)) - _normal(along, even)
        flowed = jnp.where(small, 0.0, s / (tau + s))
        return normal + flowed * heat - (1.0 - flowed) * m.exp_log_det(z, v)


def wrapped_normal(manifold: Manifold, x: Point, z: Point, axes: Array, variances: Array) -> Scalar:
    """log density at x of exp_z(Σ_k √λ_k ξ_k E_k), rows of ``axes`` the components of E_k."""
    v = manifold.log(z, x)
    along = axes @ manifold.components(z, v)
    return _normal(along, variances) - manifold.exp_log_det(z, v)


def _normal(v: Array, variances: Array) -> Scalar:
    """log N(v; 0, diag(variances))."""
    return -0.5 * jnp.sum(v * v / variances + jnp.log(2.0 * math.pi * variances))
