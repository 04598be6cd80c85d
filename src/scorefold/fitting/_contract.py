"""What ``fit`` can train."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._types import Key, Scalar
from scorefold.fitting.batches import batch_rows

__all__ = ["Trainable"]


class Trainable(eqx.Module):
    """Anything with a per-example loss.

    Before fitting it is a description (no parameters); ``init`` returns a copy that has them.
    ``fit`` trains every floating-point array of that copy, except those in fields declared with
    ``scorefold.fitting.fixed()`` at any depth: frequencies, training data, constants.

    Before ``init``, ``fit`` shows the training data once to ``with_units``, as NumPy arrays with
    all their digits, and hands on what ``to_inner`` makes of them: a model can centre and scale
    them before anything is cast.

    ``batch_loss``, ``validate`` and ``batch_rows`` are traced by JAX: they depend on their
    arguments and on fields alone. ``steps``, ``batch_size`` and ``learning_rate`` are what ``fit``
    uses when it is not told. When it is told neither steps nor budget and has held-out points, it
    also stops after ``patience`` validations without improvement (None: never), and doubles the
    number of steps, up to ``longest``, while validation still falls.
    """

    steps: ClassVar[int] = 10_000
    batch_size: ClassVar[int] = 512
    learning_rate: ClassVar[float] = 2e-3
    patience: ClassVar[int | None] = None
    longest: ClassVar[int] = 0

    def with_units(self, data: np.ndarray) -> Trainable:
        """A copy that knows the units of the training data: by default, the model itself."""
        return self

    def to_inner(self, name: str, data: np.ndarray) -> Array:
        """Training or held-out points as ``init`` and ``examples`` take them: by default as they
        are. ``name``: what errors call them."""
        return jnp.asarray(data)

    @abc.abstractmethod
    def init(self, key: Key, data: Array) -> Trainable:
        """A copy with freshly drawn parameters (and anything read off the training data, which
        ``to_inner`` has brought to inner coordinates).
        The same key and data give the same bits: a resumed run calls it again."""

    @abc.abstractmethod
    def batch_loss(self, x: Any, key: Key) -> Array:
        """Per-example losses for a batch of ``examples``, shape ``(n,)``; ``fit`` averages them."""

    @abc.abstractmethod
    def validate(self, x: Any, key: Key) -> Scalar:
        """The number that model choice minimises on held-out examples: mean NLL in nats.
        ``fit`` passes the same key at every validation, so that values are comparable."""

    def examples(self, data: Array, *, held_out: bool = False) -> PyTree:
        """What ``fit`` takes batches of: arrays with one row for each row of ``data``. By default
        the data. Called once, after ``init``, with the training and with the held-out points."""
        return data

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Rows of the batch at ``step``, shape ``(size,)``: by default every epoch is a new
        permutation of the n rows."""
        return batch_rows(key, step, n, size)

    def completed(self, data: Any, val: Any) -> Trainable:
        """The trained model with what is not learned by gradients but set at the end, from the
        training ``examples`` and the held-out ones (None without): by default nothing."""
        return self

    def finished(self) -> Trainable:
        """What ``fit`` returns: by default the trained model as it is."""
        return self
