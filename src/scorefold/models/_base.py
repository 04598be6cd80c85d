"""What a model is: samples and densities on a manifold."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
from typing import TYPE_CHECKING, Any

import equinox as eqx
from jaxtyping import Array

from scorefold._types import Key
from scorefold.manifolds import Manifold

__all__ = ["Model"]


class Model(eqx.Module):
    """A probability law on a manifold.

    ``log_prob`` takes one point or any batch of points (NumPy arrays, data frames or JAX arrays)
    and returns nats with respect to Riemannian volume; ``sample(key, n)`` returns n points.
    Batching happens here, once: everything below takes one point.
    """

    if TYPE_CHECKING:

        @property
        def manifold(self) -> Manifold:
            """Where the points live: a field or a property."""

    else:
        manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def log_prob(self, x: Any) -> Array:
        """log density in nats, shape = the batch shape of ``x``."""

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> Array:
        """n draws, shape ``(n, *manifold.shape)``."""
