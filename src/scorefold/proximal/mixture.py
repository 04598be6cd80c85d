"""Gaussian mixtures with full covariances: closed under the heat flow, so exact at every time."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.proximal._check import check_matrix

__all__ = ["GaussianMixture"]


class GaussianMixture(eqx.Module):
    """π = Σ_k w_k N(μ_k, Σ_k) on R^d, and its heat flow G_s * π = Σ_k w_k N(μ_k, Σ_k + sI).

    A potential for everything in this room: V = −2γ log π makes π a Wasserstein proximal point,
    U(x, t) = −2γ log(G_{2γ(τ−t)} * π)(x) solves the Hamilton–Jacobi equation exactly, and
    V = −β log π makes it a Gibbs law.

    **Arguments:** ``means``: (K, d); ``covariances``: (K, d, d); ``weights``: K positive numbers,
    normalised here (default equal).
    **Raises:** ``ValueError`` naming the component that is not a Gaussian.
    """

    means: Array
    axes: Array
    variances: Array
    weights: Array

    def __init__(self, means: Any, covariances: Any, weights: Any = None):
        means = np.asarray(means, np.float64)
        if means.ndim != 2 or not np.isfinite(means).all():
            raise ValueError(f"means must be finite, shape (K, d); got shape {means.shape}.")
        k, d = means.shape
        covariances = np.asarray(covariances, np.float64)
        if covariances.shape != (k, d, d):
            raise ValueError(f"covariances must have shape {(k, d, d)}, got {covariances.shape}.")
        weights = np.ones(k) if weights is None else np.asarray(weights, np.float64)
        if weights.shape != (k,) or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError(f"weights must be {k} positive numbers, got {weights}.")
        checked = [
            check_matrix(f"covariances[{i}]", c, positive=True) for i, c in enumerate(covariances)
        ]
        variances, axes = np.linalg.eigh(np.stack(checked))
        dtype = jnp.result_type(float)
        self.means = jnp.asarray(means, dtype)
        self.axes = jnp.asarray(axes, dtype)
        self.variances = jnp.asarray(variances, dtype)
        self.weights = jnp.asarray(weights / weights.sum(), dtype)

    def log_prob(self, x: Point, s: ScalarLike = 0.0) -> Scalar:
        """log (G_s * π)(x) in nats at one point; differentiable in x and s."""
        gap = x[None, :] - self.means.astype(x.dtype)
        along = jnp.einsum("kd,kdi->ki", gap, self.axes.astype(x.dtype))
        spread = self.variances.astype(x.dtype) + jnp.asarray(s, x.dtype)
        terms = -0.5 * jnp.sum(along * along / spread + jnp.log(2.0 * math.pi * spread), axis=1)
        return jax.nn.logsumexp(terms + jnp.log(self.weights.astype(x.dtype)))

    def score(self, x: Point, s: ScalarLike = 0.0) -> Point:
        """∇ log (G_s * π)(x)."""
        return jax.grad(self.log_prob)(x, s)

    def sample(self, key: Key, s: ScalarLike = 0.0, dtype=None) -> Point:
        """One draw of G_s * π."""
        dtype = dtype or jnp.result_type(float)
        pick, noise = jax.random.split(key)
        k = jax.random.categorical(pick, jnp.log(self.weights.astype(dtype)))
        spread = jnp.sqrt(self.variances[k].astype(dtype) + jnp.asarray(s, dtype))
        z = jax.random.normal(noise, spread.shape, dtype)
        return self.means[k].astype(dtype) + self.axes[k].astype(dtype) @ (spread * z)
