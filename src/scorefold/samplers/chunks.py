"""A solver of many rows, chunk by chunk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import blocks, device, inside_jit, is_traced, split_data
from scorefold._types import Key
from scorefold.manifolds import Manifold

__all__ = ["Limits", "Solved", "in_chunks", "probe_keys", "rows_of"]


class Limits(NamedTuple):
    """When an adaptive solver accepts a step, and when it gives up."""

    rtol: float
    atol: float
    max_steps: int


class Solved(NamedTuple):
    """What a solver returns for a chunk, or, one a row, for all of them."""

    value: Any
    """Arrays, a row for each row of the chunk."""
    nfe: Array
    """Evaluations of the velocity."""
    finished: Array
    """Whether the end was reached."""
    error: Array | float
    """Estimated RMS error; NaN where there is no estimate."""


Solver = Callable[[Array, Array | None], Solved]
"""(rows of a chunk, a key for each or None) ↦ what was found."""


def in_chunks(
    solve: Solver, rows: Array | np.ndarray, keys: Array | None, chunk: int, limits: Limits
) -> Solved:
    """``solve`` applied to blocks of few sizes, at most ``chunk`` rows; the last one is padded with
    copies of the last row.

    **Raises:** ``ValueError`` if there are no rows; ``RuntimeError`` naming the rows of a block
    whose end was not reached.
    """
    n = rows.shape[0]
    if n == 0:
        raise ValueError("x: there are no points.")
    if is_traced((rows, keys)) or inside_jit():
        return _traced(solve, jnp.asarray(rows), keys, chunk)
    host = np.asarray(rows)
    data = None if keys is None else np.asarray(jax.random.key_data(keys))
    impl = None if keys is None else jax.random.key_impl(keys)
    parts = []
    for first, size in blocks(n, chunk):
        at = np.minimum(np.arange(first, first + size), n - 1)
        drawn = None if data is None else jax.random.wrap_key_data(device(data[at]), impl=impl)
        part = solve(device(host[at]), drawn)
        _check_finished(part.finished, first, min(first + size, n), limits)
        parts.append(Solved(part.value, *(_repeated(a, size) for a in part[1:])))
    return _joined(parts, n)


def rows_of(x: Any, manifold: Manifold) -> tuple[Array | np.ndarray, tuple[int, ...]]:
    """Points of shape ``(*batch, *manifold.shape)`` one a row, and the shape of the batch."""
    # NumPy's cut and reshape compile nothing.
    x = x if is_traced(x) else np.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    k = x.ndim - len(manifold.shape)
    if k < 0 or x.shape[k:] != manifold.shape:
        raise ValueError(
            f"x: shape {x.shape} does not end in {manifold.shape}, one point of {manifold.name}."
        )
    return x.reshape(math.prod(x.shape[:k]), *manifold.shape), x.shape[:k]


def probe_keys(key: Key, n: int) -> Array:
    """``jax.random.split(key, n)``, outside of transformations by programs of few lengths."""
    if is_traced(key) or inside_jit():
        return jax.random.split(key, n)
    return jax.random.wrap_key_data(jnp.asarray(split_data(key, n)), impl=jax.random.key_impl(key))


def _repeated(a: Array | float, size: int) -> Any:
    return jnp.broadcast_to(a, size) if is_traced(a) else np.full(size, a)


def _joined(parts: list[Solved], n: int) -> Solved:
    """The results of blocks put together; by NumPy, which compiles nothing, where they are known
    (the score may be a closure over traced values)."""
    if is_traced(parts):
        join = lambda *a: jnp.concatenate(a)[:n]  # noqa: E731
    else:
        join = lambda *a: device(np.concatenate([np.asarray(p) for p in a])[:n])  # noqa: E731
    whole: Solved = jax.tree.map(join, *parts)
    return whole


def _traced(solve: Solver, rows: Array, keys: Array | None, chunk: int) -> Solved:
    """The same inside a JAX transformation: one program, chunk after chunk."""
    n = len(rows)
    size = min(chunk, n)
    at = np.minimum(np.arange(-(-n // size) * size), n - 1)
    cut = lambda a: a[at].reshape(-1, size, *a.shape[1:])  # noqa: E731

    def one(part: tuple[Array, Array | None]) -> Solved:
        found = solve(*part)
        return Solved(found.value, *(jnp.full((size,), a) for a in found[1:]))

    if n == size:
        return one((rows, keys))
    whole: Solved = jax.lax.map(one, (cut(rows), None if keys is None else cut(keys)))
    joined: Solved = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], whole)
    return joined


def _check_finished(finished: Array, first: int, last: int, limits: Limits) -> None:
    if not isinstance(finished, jax.core.Tracer) and not bool(finished):
        rows = f"rows {first} to {last - 1}" if last - first > 1 else f"row {first}"
        raise RuntimeError(
            f"The probability flow of {rows} did not reach its end in "
            f"max_steps={limits.max_steps} steps at rtol={limits.rtol:g}, atol={limits.atol:g}: "
            "the score varies too fast along it. Raise max_steps (or the s_min of a score model), "
            "or loosen the tolerances (float32 cannot meet tolerances near 1e-7)."
        )
