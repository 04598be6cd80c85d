"""Models as a class of flowjax: imported where flowjax is."""

# No postponed annotations here: equinox reads them.
from typing import ClassVar

import jax.numpy as jnp
from flowjax.distributions import AbstractDistribution
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.data import Law
from scorefold.models import Model


class ModelFlowjax(AbstractDistribution):
    """See ``scorefold.interop.flowjax.to_flowjax``."""

    model: Model | Law
    cond_shape: ClassVar[None] = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.model.manifold.shape

    def _log_prob(self, x: Point, condition: Array | None = None) -> Scalar:
        return self.model.log_prob(x)

    def _sample(self, key: Key, condition: Array | None = None) -> Point:
        return jnp.asarray(self.model.sample(key, 1))[0]
