"""Models whose density takes one point, and whose draws take one key."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold.models._base import Model


class PointwiseModel(Model):
    """A ``Model`` by two functions of one point and of one key, both in inner coordinates: checks,
    batches, compilation and units happen here.

    ``rows_together``: rows that are computed side by side, which bounds the memory.
    """

    rows_together: ClassVar[int] = 1024

    @abc.abstractmethod
    def log_density(self, x: Point) -> Scalar:
        """log p of one point in inner coordinates, with respect to their own volume."""

    @abc.abstractmethod
    def draw(self, key: Key) -> Point:
        """One draw in inner coordinates."""

    def log_prob(self, x: Values) -> Array:
        return self._density(lambda rows: _log_densities(self, rows), x)

    def sample(self, key: Key, n: int) -> NumPyOrJax:
        return self._draws(lambda keys: _draws(self, keys), key, n)


@eqx.filter_jit
def _log_densities(model: PointwiseModel, rows: Array) -> Array:
    return in_blocks(model.log_density, rows, model.rows_together)


@eqx.filter_jit
def _draws(model: PointwiseModel, keys: Array) -> Array:
    return in_blocks(model.draw, keys, model.rows_together)
