"""Checks at the public edge of the proximal operators."""

import math
from numbers import Real

import numpy as np

from scorefold._types import Values


def check_finite_positive(**values: float) -> None:
    """Raise ``ValueError`` naming the first argument that is not a positive finite number."""
    for name, value in values.items():
        if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive finite number, got {value!r}.")


def check_matrix(name: str, values: Values) -> np.ndarray:
    """A symmetric positive definite matrix in float64; else ``ValueError``."""
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"{name} must be a square matrix (d, d), got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        rows = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        raise ValueError(f"{name}: rows {rows.tolist()} are not finite.")
    size = np.abs(matrix).max()
    uneven = np.abs(matrix - matrix.T) > 1e-6 * size
    if uneven.any():
        rows = np.flatnonzero(uneven.any(axis=1))
        raise ValueError(
            f"{name} is not symmetric (rows {rows.tolist()}): pass ½(A + Aᵀ), which has the same "
            "quadratic form."
        )
    matrix = 0.5 * (matrix + matrix.T)
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if not lowest > 0:
        raise ValueError(
            f"{name} is not positive definite (smallest eigenvalue {lowest:.3g}): add a multiple "
            "of the identity."
        )
    return matrix
