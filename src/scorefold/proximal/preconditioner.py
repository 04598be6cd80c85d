"""The metric in which distances of a proximal operator are measured."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Scalar, Values
from scorefold.proximal._check import check_matrix


class Preconditioner(eqx.Module):
    """A symmetric positive definite matrix M: lengths are |v|²_{M⁻¹} = vᵀM⁻¹v, gradients become
    M∇V, and Brownian motion moves with covariance M per unit of variance-time.

    ``Preconditioner()`` is M = I; M near the covariance of the target makes it look round.

    **Arguments:** ``matrix``: M, shape (d, d).
    **Raises:** ``ValueError`` if M is not finite, symmetric and positive definite.

    Source: Tan, Osher & Li 2025 (arXiv 2509.01685), where the preconditioner of the anisotropic
    heat equations is M too.
    """

    factor: Array | None
    inverse_factor: Array | None
    is_diagonal: bool

    def __init__(self, matrix: Values | None = None):
        if matrix is None:
            self.factor = self.inverse_factor = None
            self.is_diagonal = True
            return
        root = np.linalg.cholesky(check_matrix("preconditioner", matrix))
        self.is_diagonal = bool(np.all(root == np.diag(np.diagonal(root))))
        dtype = jnp.result_type(float)
        self.factor = jnp.asarray(root, dtype)
        self.inverse_factor = jnp.asarray(np.linalg.inv(root), dtype)

    def check(self, d: int) -> None:
        """Raise ``ValueError`` unless M acts on R^d."""
        if self.factor is not None and self.factor.shape[0] != d:
            raise ValueError(
                f"preconditioner is for dimension {self.factor.shape[0]}, the points have {d}."
            )

    def matrix(self, like: Point) -> Array:
        """M, in the dimension and dtype of the point ``like``."""
        if self.factor is None:
            return jnp.eye(like.shape[-1], dtype=like.dtype)
        root = self.factor.astype(like.dtype)
        return root @ root.T

    def inverse(self, like: Point) -> Array:
        """M⁻¹."""
        if self.inverse_factor is None:
            return jnp.eye(like.shape[-1], dtype=like.dtype)
        root = self.inverse_factor.astype(like.dtype)
        return root.T @ root

    def log_det(self, like: Point) -> Scalar:
        """log det M."""
        if self.factor is None:
            return jnp.zeros((), like.dtype)
        return 2.0 * jnp.sum(jnp.log(jnp.diagonal(self.factor))).astype(like.dtype)

    def apply(self, v: Array) -> Array:
        """M v, over leading axes."""
        return v if self.factor is None else v @ self.matrix(v)

    def colour(self, z: Array) -> Array:
        """L z with M = L Lᵀ, over leading axes: standard normal draws get covariance M."""
        return z if self.factor is None else z @ self.factor.astype(z.dtype).T

    def whiten(self, x: Array) -> Array:
        """L⁻¹ x, over leading axes: coordinates in which M = I."""
        return x if self.inverse_factor is None else x @ self.inverse_factor.astype(x.dtype).T

    def squared(self, v: Point) -> Scalar:
        """|v|²_{M⁻¹}."""
        w = self.whiten(v)
        return jnp.sum(w * w)
