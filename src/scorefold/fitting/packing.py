"""A tree of arrays as one vector for each dtype: what is done to every number is done once."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


class Packing:
    """How the arrays of one tree lie in vectors, one vector a dtype.

    An optimiser with a dozen operations an array is a hundred operations for a small network, all
    of which would have to be compiled; on vectors it is the dozen.
    """

    def __init__(self, tree: PyTree) -> None:
        leaves, self.structure = jax.tree.flatten(tree)
        self.shapes = [leaf.shape for leaf in leaves]
        self.dtypes = [leaf.dtype for leaf in leaves]

    def pack(self, tree: PyTree) -> tuple[Array, ...]:
        leaves = jax.tree.leaves(tree)
        return tuple(
            jnp.concatenate([leaves[i].ravel() for i in members]) for members in self._members
        )

    def unpack(self, vectors: tuple[Array, ...]) -> PyTree:
        leaves: list[Array | None] = [None] * len(self.shapes)
        for vector, members in zip(vectors, self._members, strict=True):
            at = 0
            for i in members:
                size = math.prod(self.shapes[i])
                leaves[i] = vector[at : at + size].reshape(self.shapes[i])
                at += size
        return jax.tree.unflatten(self.structure, leaves)

    def matrices(self) -> tuple[Array, ...]:
        """1 for entries of arrays with two or more axes, 0 for others."""
        parts = [
            [jnp.full((math.prod(self.shapes[i]),), float(len(self.shapes[i]) >= 2), self.dtypes[i])
             for i in members]
            for members in self._members
        ]  # fmt: skip
        return tuple(jnp.concatenate(part) for part in parts)

    @property
    def _members(self) -> list[list[int]]:
        """The numbers of the arrays of each dtype."""
        kinds = list(dict.fromkeys(self.dtypes))
        return [[i for i, d in enumerate(self.dtypes) if d == kind] for kind in kinds]
