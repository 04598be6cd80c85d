"""A potential learned from independent points of both ends."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Scalar
from scorefold.bridges.light.potential import (
    LearningPotential,
    LightPotential,
    PotentialDescription,
)
from scorefold.fitting import Defaults, Description, Trainer, batch_rows
from scorefold.noising import Noising


class Pairs(Description[LightPotential]):
    """A potential to be learned from the points of both ends in one array, those of A first;
    ``sizes`` says how many there are of each, ``held_sizes`` how many held-out ones."""

    potential: PotentialDescription
    reference: Noising
    sizes: tuple[int, int]
    held_sizes: tuple[int, int] | None

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=800, batch_size=128, learning_rate=5e-2)

    def trainer(self, key: Key, data: np.ndarray) -> _PairTrainer:
        n = self.sizes[0]
        a, b = jnp.asarray(data[:n]), jnp.asarray(data[n:])
        return _PairTrainer(self, self.potential.begin(self.reference, key, a, b))


class _PairTrainer(Trainer[LightPotential]):
    """The loss E_A log P_S φ − E_B log φ. Each batch takes rows of A and of B in epochs of their
    own, so that every point counts alike whatever the two sizes are."""

    description: Pairs
    learning: LearningPotential

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Rows of pairs, shape ``(size, 2)``: one of A, one of B."""
        first, second = self.description.sizes
        of_a, of_b = jax.random.split(key)
        rows_a = batch_rows(of_a, step, first, size)
        rows_b = batch_rows(of_b, step, second, size)
        return jnp.stack([rows_a, first + rows_b], axis=1)

    def batch_loss(self, x: Array, key: Key) -> Array:
        first, last = self.learning.ends(self.description.reference, x[:, 0], x[:, 1])
        return first - last

    def validate(self, x: Array, key: Key) -> Scalar:
        sizes = self.description.held_sizes
        n = len(x) // 2 if sizes is None else sizes[0]
        first, last = self.learning.ends(self.description.reference, x[:n], x[n:])
        return jnp.mean(first) - jnp.mean(last)

    def model(self, data: Array, val: Array | None) -> LightPotential:
        return self.learning.potential(self.description.reference)
