"""Small models for tests of training."""

import jax.numpy as jnp

from scorefold.fitting import Description, Trainer

__all__ = ["Toy"]


class Toy(Description, Trainer):
    """A description, its trainer and the model in one: ``init(key, data)`` returns a copy with
    parameters."""

    def trainer(self, key, data):
        return self.init(key, jnp.asarray(data))

    def model(self, data, val):
        return self
