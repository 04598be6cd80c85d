"""Covariances of Gaussian kernels by their eigenvectors: noise is added without a factorisation."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._types import Scalar, ScalarLike
from scorefold.kernels.gaussian.covariance import Cholesky, Covariance, Diagonal


class Eigen(Covariance):
    """Σ = V diag(variances) Vᵀ, the columns of V, shape (d, d), orthonormal.

    For heat flows of one covariance: Σ + sI has the same V. Blocks of coordinates and conditional
    laws are factored anew.
    """

    axes: Float[Array, "d d"]
    spread: Diagonal

    def __init__(self, axes: Float[Array, "d d"], variances: Float[Array, " d"]):
        self.axes = axes
        self.spread = Diagonal(variances)

    @property
    def dim(self) -> int:
        return self.axes.shape[-1]

    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        return self._back(self.spread.solve(self._along(v)))

    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        return self.spread.quadratic(self._along(v))

    def log_det(self) -> Scalar:
        return self.spread.log_det()

    def trace_inverse(self) -> Scalar:
        return self.spread.trace_inverse()

    def largest(self) -> Scalar:
        return self.spread.largest()

    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        return self._back(self.spread.sqrt_apply(z))

    def add(self, s: ScalarLike) -> Eigen:
        return Eigen(self.axes, self.spread.add(s).variances)

    def scaled(self, scale: Float[Array, " d"]) -> Cholesky:
        return self._cholesky().scaled(scale)

    def dense(self) -> Float[Array, "d d"]:
        scaled = self.axes * self.spread.variances[None, :]
        return jnp.matmul(scaled, self.axes.T, precision="highest")

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
