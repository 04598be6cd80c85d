"""Covariances of Gaussian kernels by their eigenvectors: noise is added without a factorisation."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._types import Scalar, ScalarLike
from scorefold.kernels.gaussian.covariance import Cholesky, Covariance

__all__ = ["Eigen"]


class Eigen(Covariance):
    """Σ = V diag(variances) Vᵀ, the columns of V, shape (d, d), orthonormal.

    For heat flows of one covariance: Σ + sI has the same V. Blocks of coordinates and conditional
    laws are factored anew.
    """

    axes: Float[Array, "d d"]
    variances: Float[Array, " d"]

    @property
    def dim(self) -> int:
        return self.axes.shape[-1]

    @property
    def noise_dim(self) -> int:
        return self.dim

    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        return self._back(self._along(v) / self.variances)

    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        along = self._along(v)
        return jnp.sum(along * along / self.variances)

    def log_det(self) -> Scalar:
        return jnp.sum(jnp.log(self.variances))

    def trace_inverse(self) -> Scalar:
        return jnp.sum(1.0 / self.variances)

    def largest(self) -> Scalar:
        return jnp.max(self.variances)

    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        return self._back(jnp.sqrt(self.variances) * z)

    def add(self, s: ScalarLike) -> Eigen:
        return Eigen(self.axes, self.variances + jnp.asarray(s, self.variances.dtype))

    def scaled(self, scale: Float[Array, " d"]) -> Cholesky:
        return self._cholesky().scaled(scale)

    def dense(self) -> Float[Array, "d d"]:
        return jnp.matmul(self.axes * self.variances[None, :], self.axes.T, precision="highest")

    def marginal(self, indices: Sequence[int]) -> Cholesky:
        return self._cholesky().marginal(indices)

    def condition(
        self, free: Sequence[int], given: Sequence[int], gap: Float[Array, " m"]
    ) -> tuple[Float[Array, " k"], Cholesky]:
        return self._cholesky().condition(free, given, gap)

    def _cholesky(self) -> Cholesky:
        return Cholesky(jnp.linalg.cholesky(self.dense()))

    def _along(self, v: Array) -> Array:
        return jnp.matmul(v, self.axes, precision="highest")

    def _back(self, along: Array) -> Array:
        return jnp.matmul(self.axes, along, precision="highest")
