"""What ``fit`` can train: a description makes a trainer, a trainer makes a model."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._geometry import require_manifold
from scorefold._hash import structural_hash
from scorefold._types import Key, Scalar
from scorefold.fitting.batches import batch_rows

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Defaults(NamedTuple):
    """What ``fit`` does when it is not told otherwise.

    Told neither steps nor budget, and given held-out points, it also stops after ``patience``
    validations without improvement (None: never), and doubles the number of steps, up to
    ``longest``, while validation still falls.
    """

    steps: int = 10_000
    batch_size: int = 512
    learning_rate: float = 2e-3
    patience: int | None = None
    longest: int = 0


class Config(eqx.Module):
    """Settings that can be compared, hashed and printed in a line."""

    def __check_init__(self) -> None:
        if hasattr(self, "manifold"):
            require_manifold(self.manifold)

    def __hash__(self) -> int:
        return structural_hash(self)

    def __repr__(self) -> str:
        """One line: the first setting, and those that differ from their defaults."""
        first, *rest = dataclasses.fields(self)
        said = [repr(getattr(self, first.name))]
        for field in rest:
            value = getattr(self, field.name)
            if not eqx.tree_equal(value, field.default):
                said.append(f"{field.name}={value!r}")
        return " ".join(f"{type(self).__name__}({', '.join(said)})".split())


class Description(Config, Generic[M_co]):
    """What is to be fitted: settings, and no parameters. ``fit(description, data, key=key)``
    returns an ``M``.

    Adding a model means a ``Description`` that is passed to ``fit``, a ``Trainer`` that it makes,
    and the model that the trainer makes in the end.
    """

    weighs: ClassVar[bool] = False
    """Whether rows may carry weights: ``trainer`` then takes ``weights``, shape ``(n,)``, float64,
    of mean 1 and all positive, and so do ``validate`` and ``model`` of the trainer. Where all are
    alike, and of models that do not weigh, nothing is handed on."""

    @property
    def defaults(self) -> Defaults:
        return Defaults()

    @abc.abstractmethod
    def trainer(self, key: Key, data: np.ndarray) -> Trainer[M_co]:
        """A trainer with freshly drawn parameters, and with anything that is read off the training
        data, shape ``(n, …)``: NumPy, with all their digits. The same key and data give the same
        bits: a resumed run calls it again. One that ``weighs`` has one argument more,
        ``weights: np.ndarray | None = None``.

        **Raises:** ``ValueError`` for data that cannot be learned from."""


class Trainer(eqx.Module, Generic[M_co]):
    """Parameters on their way to a model, with a loss for each example.

    ``fit`` trains every floating-point array, except those in fields declared with
    ``scorefold.fitting.fixed()`` at any depth: frequencies, training data, constants.

    ``batch_rows``, ``batch_loss`` and ``validate`` are traced by JAX: they depend on their
    arguments and on fields alone.
    """

    shared_examples: ClassVar[bool] = False
    """Whether ``examples`` of its own depend on the data alone, not on what was drawn: seeds that
    are trained side by side then share one copy."""

    streams: ClassVar[bool] = False
    """Whether examples are made row by row and ``model`` needs none of them: data may then stay on
    disk."""

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> PyTree:
        """What batches are taken of: arrays with one row for each row of ``data``, by default the
        data. Asked once for the training points and once for the held-out ones; errors call them
        ``name``."""
        return jnp.asarray(data)

    def example_weights(self, weights: np.ndarray, *, held_out: bool = False) -> np.ndarray:
        """Weights of the ``examples`` from those of the rows of data: the same, unless examples are
        of a part of the rows."""
        return weights

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Rows of the batch at ``step``, shape ``(size,)``: by default every epoch is a new
        permutation of the n rows. Rows with weights are drawn in proportion to them
        (``Strata``); with an order of a trainer's own their losses are weighted instead."""
        return batch_rows(key, step, n, size)

    @abc.abstractmethod
    def batch_loss(self, x: PyTree, key: Key) -> Array:
        """Losses of a batch of ``examples``, shape ``(n,)``; ``fit`` averages them."""

    @abc.abstractmethod
    def validate(self, x: PyTree, key: Key) -> Scalar:
        """The number that model choice minimises on held-out examples: mean NLL in nats.
        ``fit`` passes the same key at every validation, so that values are comparable. One whose
        description ``weighs`` has ``weights: Array | None = None``, of the examples, more."""

    @abc.abstractmethod
    def model(self, data: PyTree, val: PyTree | None) -> M_co:
        """What ``fit`` returns, from trained parameters: with what is not learned by gradients but
        set at the end, from the training ``examples`` and the held-out ones (None without). One
        whose description ``weighs`` has ``weights: RowWeights | None = None`` more."""
