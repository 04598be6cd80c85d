"""Normal laws and the closed forms between two of them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Values
from scorefold.bridges.reference.linear import matmul


class Normal(eqx.Module):
    """N(mean, cov) on R^d; numbers are kept in float64 on the host.

    **Arguments:** ``mean``: shape (d,); ``cov``: symmetric, positive definite, shape (d, d).
    **Raises:** ``ValueError`` for other shapes, and for a matrix that is not symmetric or not
    positive definite, with its smallest eigenvalue.
    """

    mean: np.ndarray = fixed()
    cov: np.ndarray = fixed()

    def __init__(self, mean: Values, cov: Values, name: str = "cov") -> None:
        self.mean = np.atleast_1d(np.asarray(mean, np.float64))
        cov = np.asarray(cov, np.float64)
        d = len(self.mean)
        if self.mean.shape != (d,) or cov.shape != (d, d):
            raise ValueError(f"{name}: shape must be ({d}, {d}) for a mean of {d} numbers.")
        if not (np.isfinite(cov).all() and np.isfinite(self.mean).all()):
            raise ValueError(f"{name}: mean and covariance must be finite.")
        if np.abs(cov - cov.T).max() > 1e-6 * np.abs(cov).max():
            raise ValueError(f"{name}: is not symmetric. Use ½(S + Sᵀ) if that is meant.")
        self.cov = 0.5 * (cov + cov.T)
        least = float(np.linalg.eigvalsh(self.cov)[0])
        if not least > 0:
            raise ValueError(
                f"{name}: is not positive definite (smallest eigenvalue {least:.3g}). Add a small "
                "multiple of the identity."
            )

    def log_prob(self, x: Values) -> Array:
        """log density in nats of points of shape (…, d). Their distance from the mean is taken in
        float64 unless they are traced."""
        factor = np.linalg.cholesky(self.cov)
        constant = 0.5 * len(self.mean) * np.log(2.0 * np.pi) + np.log(np.diag(factor)).sum()
        # In units of the largest deviation, so that nothing overflows in float32.
        unit = float(np.sqrt(self.cov.diagonal().max()))
        gap = apart(x, self.mean, unit)
        whiten = jnp.asarray(np.linalg.inv(factor / unit), gap.dtype)
        z = matmul(gap, whiten.T)
        return -0.5 * jnp.sum(z * z, axis=-1) - float(constant)

    def sample(self, key: Key, n: int, dtype: DTypeLike | None = None) -> Array:
        """n draws, shape (n, d)."""
        dtype = dtype or jnp.result_type(float)
        z = jax.random.normal(key, (n, len(self.mean)), dtype)
        factor = jnp.asarray(np.linalg.cholesky(self.cov), dtype)
        return jnp.asarray(self.mean, dtype)[None, :] + matmul(z, factor.T)

    def kl(self, other: Normal) -> float:
        """KL(self ‖ other) = ½{tr(S₂⁻¹S₁) + |m₁ − m₂|²_{S₂⁻¹} − d + log det S₂ − log det S₁}."""
        gap = self.mean - other.mean
        inverse = np.linalg.inv(other.cov)
        mine, theirs = np.linalg.slogdet(self.cov)[1], np.linalg.slogdet(other.cov)[1]
        quadratic = np.sum(inverse * self.cov) + gap @ inverse @ gap
        return float(0.5 * (quadratic - len(gap) + theirs - mine))

    def wasserstein(self, other: Normal) -> float:
        """W₂, W₂² = |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁^{½} S₂ S₁^{½})^{½}) (Gelbrich 1990)."""
        half = square_root(self.cov)
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ other.cov @ half), 0.0)).sum()
        gap = self.mean - other.mean
        square = gap @ gap + np.trace(self.cov) + np.trace(other.cov) - 2.0 * cross
        return float(np.sqrt(max(square, 0.0)))


def apart(x: Values, middle: np.ndarray, unit: float = 1.0) -> Array:
    """(x − middle)/unit for points of shape (…, d): the difference in float64 unless they are
    traced, the result in the dtype of ``jnp.asarray(x)``."""
    points = jnp.asarray(x)
    if not jnp.issubdtype(points.dtype, jnp.floating):
        points = points.astype(jnp.result_type(float))
    if isinstance(points, jax.core.Tracer) or isinstance(middle, jax.core.Tracer):
        centre = jnp.asarray(middle, points.dtype).reshape((1,) * (points.ndim - 1) + (-1,))
        return (points - centre) / unit
    return jnp.asarray((np.asarray(x, np.float64) - middle) / unit, points.dtype)


def square_root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root of positive semidefinite matrices, shape (…, d, d)."""
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return np.asarray((vectors * roots) @ np.swapaxes(vectors, -1, -2))
