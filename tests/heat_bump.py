"""A model that is not in the package: one heat kernel, its place and variance by likelihood."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold import runs
from scorefold.fitting import Description, Trainer, fixed
from scorefold.manifolds import Manifold
from scorefold.models import PointwiseModel, Units, to_inner

__all__ = ["BUMP", "Bump"]


class Bump(Description):
    """p(x) = p_s(x | c): what is passed to ``fit``. ``log_s``: where the search for s starts."""

    manifold: Manifold
    log_s: float = 0.0

    def trainer(self, key, data):
        units = Units.measure(self.manifold, data)
        x = to_inner(self.manifold, units, data, "data")
        return BumpTrainer(self, jnp.mean(x, axis=0), jnp.full((), self.log_s, x.dtype), units)


class BumpTrainer(Trainer):
    description: Bump
    centre: Array
    log_s: Array
    units: Units = fixed()

    def examples(self, data, name, *, held_out=False):
        return to_inner(self.description.manifold, self.units, data, name)

    def batch_loss(self, x, key):
        model = self.model(x, None)
        return -jax.vmap(model.log_density)(x)

    def validate(self, x, key):
        return jnp.mean(self.batch_loss(x, key))

    def model(self, data, val):
        manifold = self.description.manifold
        centre = manifold.project(self.centre)
        return FittedBump(self.description, centre, jnp.exp(self.log_s), self.units)


class FittedBump(PointwiseModel):
    description: Bump
    centre: Array
    s: Array
    units: Units = fixed()

    @property
    def manifold(self):
        return self.description.manifold

    def log_density(self, x):
        centre, s = self.centre.astype(x.dtype), self.s.astype(x.dtype)
        return self.manifold.heat.log_prob(x, centre, s)

    def draw(self, key):
        return self.manifold.heat.sample(key, self.centre, self.s)


BUMP = runs.ModelChoice(
    lambda task: Bump(task.data.manifold, **task.some("log_s")),
    (runs.Setting("log_s", "where the search for the variance starts (default: 0)", low=-9.0),),
    numbers=lambda model: {"variance": float(model.s)},
)
"""What the command line says and asks of it."""
