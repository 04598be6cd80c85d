"""Training: the optimum is reached, the order of the data, averaging, choice, several seeds."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from scorefold._fixed import fixed, trainable
from scorefold.fitting import Trainable, fit, fit_seeds
from scorefold.fitting.batches import batch_rows


class Gaussian(Trainable):
    """N(μ, e^{2ρ}I) with μ and ρ learned by maximum likelihood."""

    d: int = 2
    mean: Array | None = None
    log_scale: Array | None = None
    frequencies: Array | None = fixed(default=None)

    def init(self, key, data):
        mean = jax.random.normal(key, (self.d,), data.dtype)
        return Gaussian(self.d, mean, jnp.zeros((), data.dtype), jnp.ones((3, 3), data.dtype))

    def log_prob(self, x):
        z = (x - self.mean) * jnp.exp(-self.log_scale)
        half = 0.5 * math.log(2 * math.pi)
        return -0.5 * jnp.sum(z * z) - self.d * (self.log_scale + half)

    def batch_loss(self, x, key):
        return -jax.vmap(self.log_prob)(x)

    def validate(self, x, key):
        return jnp.mean(self.batch_loss(x, key))


DATA = np.random.default_rng(0).normal([1.0, -2.0], 0.5, (300, 2)).astype(np.float32)
VAL = np.random.default_rng(1).normal([1.0, -2.0], 0.5, (200, 2)).astype(np.float32)


def test_maximum_likelihood():
    """Oracle: the Gaussian MLE is the sample mean and the root mean squared deviation. Full
    batches make every step exact; cosine to 0 leaves only rounding and Adam's tail."""
    model, history = fit(
        Gaussian(),
        DATA,
        key=jax.random.key(0),
        steps=1500,
        batch_size=300,
        ema=0.9,
        progress=False,
        learning_rate=1e-2,
    )
    np.testing.assert_allclose(model.mean, DATA.mean(0), atol=2e-4)
    scale = np.sqrt(np.mean((DATA - DATA.mean(0)) ** 2))
    np.testing.assert_allclose(jnp.exp(model.log_scale), scale, rtol=5e-4)
