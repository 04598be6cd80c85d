"""What ``fit`` can train."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array

from scorefold._types import Key, Scalar

__all__ = ["Trainable"]


class Trainable(eqx.Module):
    """Anything with a per-example loss.

    Before fitting it is a description (no parameters); ``init`` returns a copy that has them.
    ``fit`` trains every floating-point array of that copy, except those in fields declared with
    ``scorefold.fitting.fixed()`` at any depth: frequencies, training data, constants.

    The three methods are traced by JAX: they depend on their arguments and on fields alone.
    """

    @abc.abstractmethod
    def init(self, key: Key, data: Array) -> Trainable:
        """A copy with freshly drawn parameters (and anything read off the training data).
        The same key and data give the same bits: a resumed run calls it again."""

    @abc.abstractmethod
    def batch_loss(self, x: Array, key: Key) -> Array:
        """Per-example losses for a batch, shape ``(n,)``; ``fit`` averages them."""

    @abc.abstractmethod
    def validate(self, x: Array, key: Key) -> Scalar:
        """The number that model choice minimises on held-out points: mean NLL in nats.
        ``fit`` passes the same key at every validation, so that values are comparable."""
