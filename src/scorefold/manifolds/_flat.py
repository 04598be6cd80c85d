"""What R^d and T^d share: d numbers with the flat metric."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import equinox as eqx
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold._geometry import Manifold
from scorefold._types import Point, Scalar
from scorefold.manifolds._check import check_dimension


class FlatManifold(Manifold):
    """A quotient of R^d by translations; a point is d numbers."""

    d: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        check_dimension(type(self).__name__, self.d, 1)

    @property
    def dim(self) -> int:
        return self.d

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d,)

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return jnp.zeros(self.shape, dtype or jnp.result_type(float))

    def to_tangent(self, x: Point, u: Point) -> Point:
        return u

    def frame(self, x: Point) -> Array:
        return jnp.eye(self.d, dtype=x.dtype)

    def components(self, x: Point, v: Point) -> Array:
        return v

    def from_components(self, x: Point, c: Array) -> Point:
        return c

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        return v

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        return jnp.zeros((), v.dtype)

    def defect(self, x: Point) -> Scalar:
        """0: every number is a coordinate."""
        return jnp.zeros((), x.dtype)

    def killing(self, x: Point) -> Array:
        """The d translations."""
        return self.frame(x)
