"""The velocity of a flow from data to a reference law, as a network."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar
from scorefold.fields._base import TangentField
from scorefold.fields.tangent import TangentOutput
from scorefold.manifolds import Manifold


class VelocityField(TangentField):
    """v_θ(x, t) = reach · output(network(embed(x), reach² · (t + offset)²)),  t ∈ [0, 1], 0 at the
    data.

    A path from a data point has gone about ``reach``·t per dimension at time t, so (reach·t)² is
    the noise level that the network's features are damped by, and v_θ/reach is O(1). Networks see
    the logarithm of the level: with ``offset`` = 0 the field may change with every factor of t, as
    averages over geodesics do; with 0.2 it is smooth in t.

    The point is projected before it is embedded: the field is continued off the manifold by
    v ∘ project, and the divergence that is taken in ambient coordinates is the Riemannian one.
    """

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput
    reach: Array = fixed()
    offset: float = 0.0

    def __call__(self, x: Point, t: Scalar) -> Point:
        m, x = self.manifold, self.manifold.project(x)
        reach = self.reach.astype(x.dtype)
        c = self.network(m.embed(x), jnp.square(reach * (t + self.offset)))
        return reach * self.output(m, x, c)
