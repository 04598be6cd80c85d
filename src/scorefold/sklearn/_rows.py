"""Rows of numbers as points of a manifold, and random states as seeds."""

import math

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from scorefold._types import Values
from scorefold.manifolds import Euclidean, Manifold, manifold_from_name

RandomState = int | np.random.RandomState | None
FLOATS = [np.float64, np.float32]


def seed_of(random_state: RandomState) -> int:
    """A seed that follows from scikit-learn's ``random_state``: a number, a generator, or None for
    another one at every call."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def space_of(manifold: str | Manifold | None, columns: int) -> Manifold:
    """The manifold of rows of so many numbers: R^d unless one is stated."""
    if manifold is None:
        return Euclidean(columns)
    found = manifold_from_name(manifold) if isinstance(manifold, str) else manifold
    if not isinstance(found, Manifold):
        raise TypeError(
            f"manifold: a name such as 'S^2', or a Manifold, got {type(found).__name__}."
        )
    size = math.prod(found.shape)
    if columns != size:
        raise ValueError(
            f"X: has {columns} columns, and a point of {found.name} is {size} numbers (shape "
            f"{found.shape}, in the order of its axes)."
        )
    return found


def read_rows(estimator: BaseEstimator, X: Values, *, reset: bool, least: int = 1) -> np.ndarray:
    """X as an array of floats of two axes, checked by scikit-learn; with ``reset`` its columns are
    those that are expected from now on. Points that are arrays are flattened before."""
    if not hasattr(X, "columns") and np.ndim(X) > 2:
        X = np.asarray(X)
        X = X.reshape(len(X), -1)
    return validate_data(estimator, X, dtype=FLOATS, reset=reset, ensure_min_samples=least)


def points_of_rows(manifold: Manifold, rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), *manifold.shape)


def rows_of_points(points: Values) -> np.ndarray:
    found = np.asarray(points)
    return found.reshape(len(found), -1)
