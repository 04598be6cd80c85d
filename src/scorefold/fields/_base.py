"""A vector field on a manifold that depends on the noise level."""

import abc

import equinox as eqx

from scorefold._types import Point, Scalar
from scorefold.manifolds import Manifold


class TangentField(eqx.Module):
    """(x, s) ↦ a tangent vector at x: one point, one variance-time, the same shape out."""

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def __call__(self, x: Point, s: Scalar) -> Point: ...
