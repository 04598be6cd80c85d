"""Distributions of other packages as laws, and which laws are handed to them."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced
from scorefold._types import Key, Point, Scalar, Values
from scorefold.data import Law
from scorefold.manifolds import Manifold
from scorefold.manifolds.points import exact_points
from scorefold.models import Model


@runtime_checkable
class Distribution(Protocol):
    """What NumPyro and flowjax agree upon."""

    def log_prob(self, x: Array, /) -> Array: ...

    def sample(self, key: Array, shape: tuple[int, ...], /) -> Array: ...


class DistributionLaw(Law):
    """A distribution of another package as a ``Law``: its ``log_prob``, taken to be with respect to
    the Riemannian volume of ``manifold``, and its draws."""

    manifold: Manifold
    distribution: Distribution

    def sample(self, key: Key, n: int) -> Array:
        return self.distribution.sample(key, (n,))

    def _log_prob(self, x: Point) -> Scalar:
        return self.distribution.log_prob(x)


def require_law(model: object) -> None:
    """**Raises:** ``TypeError`` unless it has draws and densities on a manifold."""
    if not isinstance(model, Model | Law):
        raise TypeError(f"model: a fitted Model or a Law, got {type(model).__name__}.")


def require_shape(manifold: Manifold, shape: tuple[int, ...], of: str) -> None:
    """**Raises:** ``ValueError`` unless it is the shape of a point."""
    if shape != manifold.shape:
        raise ValueError(
            f"distribution: {of} is {shape}, and a point of {manifold.name} has shape "
            f"{manifold.shape}."
        )


def log_prob_of(model: Model | Law, x: Values) -> Array:
    """log p of points with any leading axes, which a model checks by itself and a law does not."""
    if isinstance(model, Law) and not is_traced(x) and np.size(x):
        exact_points(model.manifold, np.reshape(x, (-1, *model.manifold.shape)), "x")
    return model.log_prob(x)
