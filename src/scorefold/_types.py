"""Array types shared by every room, and the two small numerical idioms everything relies on."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike as DTypeLike
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, UInt32

Point = Float[Array, "..."]
"""One point (or tangent vector) of a manifold: an array of shape ``manifold.shape``."""
Scalar = Float[Array, ""]
ScalarLike = Float[ArrayLike, ""]
"""A number that a caller may also pass as a Python float."""
Key = PRNGKeyArray | UInt32[Array, "2"]
NumPyOrJax = np.ndarray | Array
"""Of functions that work on the host and on traced arrays alike."""


@runtime_checkable
class SupportsArray(Protocol):
    """What NumPy makes an array of: a table of pandas, a tensor."""

    def __array__(self) -> np.ndarray: ...


@runtime_checkable
class SupportsMatrix(Protocol):
    """What is a matrix, or many: the rotations of SciPy."""

    def as_matrix(self) -> np.ndarray: ...


if TYPE_CHECKING:
    # What the functions of NumPy are declared for; SciPy's classes have no types.
    Values = ArrayLike | Sequence | SupportsArray
else:
    Values = ArrayLike | Sequence | SupportsArray | SupportsMatrix
"""What a caller may pass as an array: arrays, numbers, nested lists, tables, tensors, rotations."""
Document = dict[str, Any]
"""A JSON object, as it is read and written."""
ReadOnlyDocument = Mapping[str, Any]


def constant(value: np.ndarray | float | list, like: Array) -> Array:
    """A NumPy constant in the dtype of ``like``: nothing is promoted behind the caller's back."""
    return jnp.asarray(np.asarray(value), dtype=like.dtype)


def safe_norm(v: Array) -> Scalar:
    """|v|₂ with gradient 0 (not NaN) at v = 0, and no overflow of the squares."""
    peak = jax.lax.stop_gradient(jnp.max(jnp.abs(v), initial=0.0))
    scale = jnp.where(peak > 0, peak, jnp.ones_like(peak))
    scaled = v / scale
    squared = jnp.sum(scaled * scaled)
    positive = squared != 0  # true for NaN, which must not pass for length 0
    return jnp.where(
        positive, scale * jnp.sqrt(jnp.where(positive, squared, 1.0)), jnp.zeros_like(squared)
    )


def safe_where(condition: Bool[Array, "..."], x: Array, otherwise: float) -> Array:
    """``x`` where the condition holds, a harmless number elsewhere: the inner half of a double
    ``where``, which keeps the gradient of the branch not taken from being NaN."""
    return jnp.where(condition, x, jnp.full_like(x, otherwise))
