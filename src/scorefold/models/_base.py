"""What a model is: samples and densities on a manifold, batched once, at this edge."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold

__all__ = ["Model", "TrainableModel"]


class Model(eqx.Module):
    """A probability law on a manifold.

    ``log_prob`` takes one point or any batch of points (NumPy or JAX arrays) and returns nats
    with respect to Riemannian volume; ``sample(key, n)`` returns n points.
    """

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def log_prob(self, x: Any) -> Array:
        """log density in nats, shape = the batch shape of ``x``."""

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> Array:
        """n draws, shape ``(n, *manifold.shape)``."""


class TrainableModel(Model):
    """A model that ``fit`` can train by stochastic gradients.

    Before fitting it is a description (no parameters); ``init`` returns a copy that has them.
    Everything differentiable in the copy that ``trainable`` selects is trained.
    """

    @abc.abstractmethod
    def init(self, key: Key, data: Array) -> TrainableModel:
        """A copy with freshly drawn parameters (and anything read off the training data)."""

    @abc.abstractmethod
    def batch_loss(self, x: Array, key: Key) -> Array:
        """Per-example losses for a batch, shape ``(n,)``; ``fit`` averages them."""

    @abc.abstractmethod
    def validate(self, x: Array, key: Key) -> Scalar:
        """The number that model choice minimises on held-out points: mean NLL in nats."""
