"""A function of rows, over many rows in blocks."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._mesh import (
    current_mesh,
    devices_of_rows,
    fetched,
    fill,
    on_mesh,
    rows_by_device,
    shared_out,
)
from scorefold._types import DTypeLike, Key, NumPyOrJax, Values

R = TypeVar("R")

_SIZES = (1, 32, 1024, 32768)
"""Rows that programs are compiled for."""
_FILLED = 0.25
"""A block is filled up with copies where more than this share of it is there; up to 1024 rows."""
_FILLED_UP = 1024
_NUMBER = np.float32(0.0)


def in_blocks(function: Callable[[Array], R], x: Array, size: int) -> R:
    """``jax.vmap(function)(x)``, ``size`` rows at a time, in whole blocks; on a mesh each device
    has its share of the rows.

    The last block is filled up with copies of the last row. ``jax.lax.map`` computes what is left
    over in a second program instead; where both hold many small factorisations, XLA's processor
    backend has been seen not to come back (jaxlib 0.10.2).
    """
    n, devices = len(x), devices_of_rows()
    size = max(1, min(size, -(-n // devices)))
    at = jnp.minimum(jnp.arange(-(-n // (devices * size)) * devices * size), n - 1)
    whole = x if len(at) == n else x[at]
    if devices == 1:
        return cut(jax.lax.map(function, whole, batch_size=size), n)
    # Axes: block, device, row.
    shares = jnp.swapaxes(whole.reshape(devices, -1, size, *x.shape[1:]), 0, 1)
    found = jax.lax.map(jax.vmap(jax.vmap(function)), rows_by_device(shares, 1))
    joined = lambda a: jnp.swapaxes(a, 0, 1).reshape(len(at), *a.shape[3:])[:n]  # noqa: E731
    return jax.tree.map(joined, found)


def pairs_together() -> int:
    """Pairs of points to compute at a time in a sum over all: on a processor as many as stay in
    its cache (of 2²² a pair took five times as long), elsewhere as keep a device busy."""
    return 1 << (16 if jax.default_backend() == "cpu" else 22)


def by_blocks(function: Callable[..., R], *rows: NumPyOrJax, most: int = _SIZES[-1]) -> R:
    """``function(*rows)`` for a compiled function of arrays with one leading axis, called with 1,
    32, 1024 or 32768 rows only (``most`` at most), so that four programs serve every number of
    rows, whatever sizes are asked for. Blocks are filled up with copies of the last row. On a mesh
    (``use_mesh``) the rows of a block lie in shares on its devices.

    **Arguments:** ``rows``: NumPy or JAX arrays of n rows; ``function``: returns a tree of arrays
    with a row for each row. Cutting and joining are done by NumPy, which compiles nothing.
    Inside a JAX transformation ``function(*rows)`` itself.
    """
    n = len(rows[0])
    sizes = list(blocks(n, most))
    if is_traced(rows) or inside_jit():
        return function(*(device(a) for a in rows))
    if sizes == [(0, n)] and current_mesh() is None:
        return function(*(device(a) for a in rows))
    host = [np.asarray(a) for a in rows]
    parts = []
    for first, size in sizes:
        at = np.minimum(np.arange(first, first + size + fill(size)), n - 1)
        with on_mesh():
            found = function(*(shared_out(a[at]) for a in host))
        if is_traced(found):  # of something traced that is no row
            return function(*(device(a) for a in rows))
        parts.append(cut(fetched(found), size))
    return jax.tree.map(lambda *a: device(np.concatenate(a)[:n]), *parts)


def blocks(n: int, most: int = _SIZES[-1]) -> Iterator[tuple[int, int]]:
    """(first row, size) of the blocks that n rows are computed in."""
    sizes = [s for s in _SIZES if s < most] + [most]
    first = 0
    while first < n:
        left = n - first
        below = max(s for s in sizes if s <= left)
        above = min((s for s in sizes if s >= left), default=below)
        fill = above <= _FILLED_UP and left > _FILLED * above
        size = above if fill else below
        yield first, size
        first += size


def by_keys(function: Callable[[Array], R], key: Array, n: int) -> R:
    """``function(jax.random.split(key, n))`` as ``by_blocks`` computes it."""
    key = typed_key(key)
    if is_traced(key) or inside_jit():
        return function(jax.random.split(key, n))
    impl = jax.random.key_impl(key)
    return by_blocks(
        lambda rows: function(jax.random.wrap_key_data(rows, impl=impl)), split_data(key, n)
    )


def as_array(x: Values) -> Array:
    """Lists, frames and numbers as an array of JAX, whose own arrays stay as they are."""
    return x if isinstance(x, jax.Array) else jnp.asarray(np.asarray(x))


def typed_key(key: Key) -> Key:
    """The key in JAX's new style.

    **Raises:** ``TypeError`` for what is no key, such as a number."""
    if not hasattr(key, "dtype"):
        raise TypeError(f"key: give jax.random.key(0) or the like, got {key!r:.60}.")
    return key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)


def split_data(key: Array, n: int) -> np.ndarray:
    """The numbers of ``jax.random.split(key, n)``, by few programs: longer splits begin alike."""
    size = -(-n // _SIZES[-1]) * _SIZES[-1]
    return np.asarray(jax.random.key_data(jax.random.split(key, size)))[:n]


def device(x: Values, dtype: DTypeLike | None = None) -> Array:
    """``jnp.asarray``, which compiles a program for every shape of a NumPy array."""
    if is_traced(x):
        return jnp.asarray(x, dtype)
    if isinstance(x, jax.Array):
        return x if dtype is None or x.dtype == dtype else device(np.asarray(x), dtype)
    return jax.device_put(np.asarray(x, dtype))


def cut(tree: PyTree, n: int) -> PyTree:
    """The first n rows of every array."""
    return jax.tree.map(lambda a: a[:n], tree)


def taken(x: NumPyOrJax, rows: np.ndarray) -> Array:
    """``x[rows]`` for arrays whose values are known, by NumPy: JAX compiles a program for every
    shape."""
    return device(np.asarray(x)[rows])


def is_traced(tree: PyTree) -> bool:
    """Whether values are not known: inside a JAX transformation."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def evenly(n: int, most: int) -> np.ndarray:
    """At most ``most`` of the numbers 0 … n − 1, evenly spaced, the ends included."""
    return np.unique(np.linspace(0, n - 1, most).round().astype(int))


def listed(rows: Sequence | np.ndarray, most: int = 10) -> str:
    """The first ``most`` of some rows in words: ``3, 7, 12, …``."""
    return ", ".join(map(str, rows[:most])) + (", …" if len(rows) > most else "")


def inside_jit() -> bool:
    """Whether a program is being traced around this call: arrays made here are part of it."""
    return isinstance(jax.device_put(_NUMBER), jax.core.Tracer)
