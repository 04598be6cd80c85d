"""Covariances of Gaussian kernels: full, diagonal, and low rank plus diagonal."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from scorefold._matmul import matmul
from scorefold._types import Scalar, ScalarLike


class Covariance(eqx.Module):
    """A positive definite matrix Σ, shape (d, d), known by a factor of it.

    Every final class has an argument ``floor``, a standard deviation: Σ is what the other
    arguments say plus floor²·I, so that no direction is thinner than ``floor``. The floor is
    absorbed when the object is made. Each method is about ONE matrix; use ``jax.vmap`` (or
    ``equinox.filter_vmap``) over objects whose arrays have a leading axis.
    """

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """d."""

    @property
    def noise_dim(self) -> int:
        """Number of standard normals that make one draw of N(0, Σ)."""
        return self.dim

    @abc.abstractmethod
    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        """Σ⁻¹v."""

    @abc.abstractmethod
    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        """vᵀΣ⁻¹v as a sum of squares: never negative, no cancellation."""

    @abc.abstractmethod
    def log_det(self) -> Scalar:
        """log det Σ."""

    @abc.abstractmethod
    def trace_inverse(self) -> Scalar:
        """tr Σ⁻¹."""

    @abc.abstractmethod
    def largest(self) -> Scalar:
        """A bound on the eigenvalues of Σ: the largest one for full and diagonal matrices."""

    @abc.abstractmethod
    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        """Sz with SSᵀ = Σ, z of shape ``(noise_dim,)``: a draw of N(0, Σ) for standard normal z."""

    @abc.abstractmethod
    def add(self, s: ScalarLike) -> Covariance:
        """Σ + sI, s ≥ 0, in the same form: N(0, Σ) after Brownian motion for variance-time s."""

    @abc.abstractmethod
    def scaled(self, scale: Float[Array, " d"]) -> Covariance:
        """diag(scale) Σ diag(scale): the covariance in other units."""

    @abc.abstractmethod
    def dense(self) -> Float[Array, "d d"]:
        """Σ as a matrix."""

    @abc.abstractmethod
    def marginal(self, indices: Sequence[int]) -> Covariance:
        """The block Σ[indices, indices]: the covariance of these coordinates alone."""

    @abc.abstractmethod
    def condition(
        self, free: Sequence[int], given: Sequence[int], gap: Float[Array, " m"]
    ) -> tuple[Float[Array, " k"], Covariance]:
        """(Σ_fg Σ_gg⁻¹ gap, Σ_ff − Σ_fg Σ_gg⁻¹ Σ_gf): mean shift and covariance of the coordinates
        ``free`` when those of ``given`` lie ``gap`` away from their mean."""


class Cholesky(Covariance):
    """Σ = LLᵀ + floor²·I for a lower triangular L, shape (d, d).

    ``factor`` is the Cholesky factor of the whole. A floor above 0, and ``add``, factor the
    matrix again: relative error ε·cond(Σ), against ε·√cond(Σ) for a factor that is given.
    """

    factor: Float[Array, "d d"]

    def __init__(self, factor: Float[Array, "d d"], floor: ScalarLike = 0.0):
        if not (isinstance(floor, float | int) and floor == 0):
            factor = _refactor(factor, jnp.asarray(floor, factor.dtype) ** 2)
        self.factor = factor

    @property
    def dim(self) -> int:
        return self.factor.shape[-1]

    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        return solve_triangular(self.factor, self._whiten(v), lower=True, trans=1)

    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        w = self._whiten(v)
        return jnp.sum(w * w)

    def log_det(self) -> Scalar:
        return 2.0 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.factor))))

    def trace_inverse(self) -> Scalar:
        return jnp.sum(self._whiten(jnp.eye(self.dim, dtype=self.factor.dtype)) ** 2)

    def largest(self) -> Scalar:
        return jnp.linalg.eigvalsh(self.dense())[-1]

    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        return matmul(self.factor, z)

    def add(self, s: ScalarLike) -> Cholesky:
        return Cholesky(_refactor(self.factor, jnp.asarray(s, self.factor.dtype)))

    def scaled(self, scale: Float[Array, " d"]) -> Cholesky:
        return Cholesky(scale[:, None] * self.factor)

    def dense(self) -> Float[Array, "d d"]:
        return matmul(self.factor, self.factor.T)

    def marginal(self, indices: Sequence[int]) -> Cholesky:
        return Cholesky(_triangle(self.factor[np.asarray(indices)]))

    def condition(
        self, free: Sequence[int], given: Sequence[int], gap: Float[Array, " m"]
    ) -> tuple[Float[Array, " k"], Cholesky]:
        # In the order (given, free) the factor is [[G, 0], [C, F]], and F is the answer's factor.
        m = len(given)
        factor = _triangle(self.factor[np.concatenate([given, free])])
        shift = matmul(factor[m:, :m], solve_triangular(factor[:m, :m], gap, lower=True))
        return shift, Cholesky(factor[m:, m:])

    def _whiten(self, v: Array) -> Array:
        return solve_triangular(self.factor, v, lower=True)


def _refactor(factor: Array, s: Scalar) -> Array:
    """The Cholesky factor of LLᵀ + sI."""
    return jnp.linalg.cholesky(
        matmul(factor, factor.T) + s * jnp.eye(len(factor), dtype=factor.dtype)
    )


def _triangle(rows: Array) -> Array:
    """The lower triangular T with a positive diagonal and TTᵀ = RRᵀ, for m ≤ d rows R: a QR
    factorisation, which keeps the digits that RRᵀ would lose."""
    lower = jnp.linalg.qr(rows.T, mode="r").T
    return lower * jnp.where(jnp.diagonal(lower) < 0, -1.0, 1.0)[None, :].astype(rows.dtype)


class Diagonal(Covariance):
    """Σ = diag(variances) + floor²·I, ``variances`` of shape (d,), at least 0."""

    variances: Float[Array, " d"]

    def __init__(self, variances: Float[Array, " d"], floor: ScalarLike = 0.0):
        self.variances = variances + jnp.asarray(floor, variances.dtype) ** 2

    @property
    def dim(self) -> int:
        return self.variances.shape[-1]

    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        return v / self.variances

    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        return jnp.sum(v * v / self.variances)

    def log_det(self) -> Scalar:
        return jnp.sum(jnp.log(self.variances))

    def trace_inverse(self) -> Scalar:
        return jnp.sum(1.0 / self.variances)

    def largest(self) -> Scalar:
        return jnp.max(self.variances)

    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        return jnp.sqrt(self.variances) * z

    def add(self, s: ScalarLike) -> Diagonal:
        return Diagonal(self.variances + jnp.asarray(s, self.variances.dtype))

    def scaled(self, scale: Float[Array, " d"]) -> Diagonal:
        return Diagonal(scale * scale * self.variances)

    def dense(self) -> Float[Array, "d d"]:
        return jnp.diag(self.variances)

    def marginal(self, indices: Sequence[int]) -> Diagonal:
        return Diagonal(self.variances[np.asarray(indices)])

    def condition(
        self, free: Sequence[int], given: Sequence[int], gap: Float[Array, " m"]
    ) -> tuple[Float[Array, " k"], Diagonal]:
        return jnp.zeros(len(free), gap.dtype), self.marginal(free)


class LowRankDiagonal(Covariance):
    """Σ = UUᵀ + diag(variances) + floor²·I, U of shape (d, r), variances of shape (d,).

    No (d, d) matrix is formed except by ``dense``: memory O(dr), work O(dr²), by the identity
    of Woodbury with the r × r matrix C = I + VᵀV, V = diag(variances)^{−1/2} U. The relative
    error is ε·cond(C).
    """

    basis: Float[Array, "d r"]
    variances: Float[Array, " d"]

    def __init__(
        self, basis: Float[Array, "d r"], variances: Float[Array, " d"], floor: ScalarLike = 0.0
    ):
        self.basis = basis
        self.variances = variances + jnp.asarray(floor, variances.dtype) ** 2

    @property
    def dim(self) -> int:
        return self.basis.shape[-2]

    @property
    def noise_dim(self) -> int:
        return self.dim + self.basis.shape[-1]

    def solve(self, v: Float[Array, " d"]) -> Float[Array, " d"]:
        return self._regress(v)[0] / jnp.sqrt(self.variances)

    def quadratic(self, v: Float[Array, " d"]) -> Scalar:
        # min over t of |u − Vt|² + |t|², u = diag(variances)^{−1/2} v.
        rest, t = self._regress(v)
        return jnp.sum(rest * rest) + jnp.sum(t * t)

    def log_det(self) -> Scalar:
        _, small = self._capacity()
        return jnp.sum(jnp.log(self.variances)) + 2.0 * jnp.sum(jnp.log(jnp.diagonal(small)))

    def trace_inverse(self) -> Scalar:
        v, small = self._capacity()
        share = jnp.sum(solve_triangular(small, v.T, lower=True) ** 2, axis=0)
        return jnp.sum((1.0 - share) / self.variances)

    def largest(self) -> Scalar:
        return jnp.max(self.variances) + jnp.linalg.eigvalsh(matmul(self.basis.T, self.basis))[-1]

    def sqrt_apply(self, z: Float[Array, " k"]) -> Float[Array, " d"]:
        r = self.basis.shape[-1]
        return matmul(self.basis, z[:r]) + jnp.sqrt(self.variances) * z[r:]

    def add(self, s: ScalarLike) -> LowRankDiagonal:
        return LowRankDiagonal(self.basis, self.variances + jnp.asarray(s, self.variances.dtype))

    def scaled(self, scale: Float[Array, " d"]) -> LowRankDiagonal:
        return LowRankDiagonal(scale[:, None] * self.basis, scale * scale * self.variances)

    def dense(self) -> Float[Array, "d d"]:
        return matmul(self.basis, self.basis.T) + jnp.diag(self.variances)

    def marginal(self, indices: Sequence[int]) -> LowRankDiagonal:
        at = np.asarray(indices)
        return LowRankDiagonal(self.basis[at], self.variances[at])

    def condition(
        self, free: Sequence[int], given: Sequence[int], gap: Float[Array, " m"]
    ) -> tuple[Float[Array, " k"], LowRankDiagonal]:
        # Given the coordinates of ``given``, the r factors are N(t, C⁻¹) with C of that block.
        block = self.marginal(given)
        _, t = block._regress(gap)
        _, small = block._capacity()
        rows, at = self.basis[np.asarray(free)], np.asarray(free)
        basis = solve_triangular(small, rows.T, lower=True).T
        return matmul(rows, t), LowRankDiagonal(basis, self.variances[at])

    def _capacity(self) -> tuple[Array, Array]:
        """V and the Cholesky factor of C."""
        v = self.basis / jnp.sqrt(self.variances)[:, None]
        eye = jnp.eye(v.shape[1], dtype=v.dtype)
        return v, jnp.linalg.cholesky(eye + matmul(v.T, v))

    def _regress(self, v: Array) -> tuple[Array, Array]:
        """(u − Vt, t) for the ridge regression t = C⁻¹Vᵀu of u on V."""
        basis, small = self._capacity()
        u = v / jnp.sqrt(self.variances)
        t = jax.scipy.linalg.cho_solve((small, True), matmul(basis.T, u))
        return u - matmul(basis, t), t
