"""Vectors at one point carried to another in parallel."""

import jax
from jaxtyping import Array

from scorefold._matmul import matmul
from scorefold._types import Point
from scorefold.manifolds import Manifold


def carried(manifold: Manifold, z: Point, m: Array) -> tuple[Point, Array]:
    """exp_z(m), and the frame at z carried there, a row the components of a vector."""
    there = manifold.exp(z, manifold.from_components(z, m))
    carry = lambda e: manifold.components(there, manifold.transport(z, there, e))  # noqa: E731
    return there, jax.vmap(carry)(manifold.frame(z))


def moved_axes(
    manifold: Manifold, centres: Array, shift: Array, axes: Array
) -> tuple[Array, Array]:
    """Centres exp_z(m), shape ``(n, *shape)``, and axes, ``(n, r, d)``, carried there: components
    in the frames there."""

    def one(z: Array, m: Array, rows: Array) -> tuple[Array, Array]:
        there, turned = carried(manifold, z, m)
        return there, matmul(rows, turned)

    if manifold.periods is not None:  # Frames are parallel.
        ahead = jax.vmap(lambda z, m: manifold.exp(z, manifold.from_components(z, m)))
        return ahead(centres, shift), axes
    return jax.vmap(one)(centres, shift, axes)
