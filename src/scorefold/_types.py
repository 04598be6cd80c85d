"""Array types shared by every room, and the two small numerical idioms everything relies on."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

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


_SHORT = 6
"""Terms that are added one by one, at most."""

Values = ArrayLike | Sequence | SupportsArray
"""What a caller may pass as an array: arrays, numbers, nested lists, tables."""
Document = dict[str, Any]
"""A JSON object, as it is read and written."""
ReadOnlyDocument = Mapping[str, Any]


def constant(value: np.ndarray | float | list, like: Array) -> Array:
    """A NumPy constant in the dtype of ``like``: nothing is promoted behind the caller's back."""
    return jnp.asarray(np.asarray(value), dtype=like.dtype)


@jax.custom_jvp
def sum_last(x: Array) -> Array:
    """Σ over the last axis. Few terms are added one by one: a processor takes several times as
    long for XLA's loop over them. Derivatives are those of the loop."""
    return _over_last(operator.add, x) if _is_short(x) else jnp.sum(x, axis=-1)


@sum_last.defjvp
def _sum_last_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return sum_last(*primals), jnp.sum(tangents[0], axis=-1)


def _is_short(x: Array) -> bool:
    return 0 < x.shape[-1] <= _SHORT


def _over_last(join: Callable[[Array, Array], Array], x: Array) -> Array:
    each = (jax.lax.index_in_dim(x, i, -1, keepdims=False) for i in range(x.shape[-1]))
    return functools.reduce(join, each)


def safe_norm(v: Array) -> Scalar:
    """|v|₂ with gradient 0 (not NaN) at v = 0, and no overflow of the squares."""
    v = v.reshape(-1)
    sizes = jax.lax.stop_gradient(jnp.abs(v))
    peak = _over_last(jnp.maximum, sizes) if _is_short(v) else jnp.max(sizes, initial=0.0)
    scale = jnp.where(peak > 0, peak, jnp.ones_like(peak))
    scaled = v / scale
    squared = sum_last(scaled * scaled)
    positive = squared != 0  # true for NaN, which must not pass for length 0
    return jnp.where(
        positive, scale * jnp.sqrt(jnp.where(positive, squared, 1.0)), jnp.zeros_like(squared)
    )


def safe_where(condition: Bool[Array, "..."], x: Array, otherwise: float) -> Array:
    """``x`` where the condition holds, a harmless number elsewhere: the inner half of a double
    ``where``, which keeps the gradient of the branch not taken from being NaN."""
    return jnp.where(condition, x, jnp.full_like(x, otherwise))
