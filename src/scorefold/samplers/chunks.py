"""A solver of many rows, chunk by chunk."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._blocks import blocks, cut, device, inside_jit, is_traced, split_data
from scorefold._mesh import fetched, fill, on_mesh, rows_by_device, shared_out
from scorefold._types import Key, NumPyOrJax, Values
from scorefold.manifolds import Manifold


class Limits(NamedTuple):
    """When an adaptive solver accepts a step, and when it gives up."""

    rtol: float
    atol: float
    max_steps: int


class Solved(NamedTuple):
    """What a solver returns for a chunk, or, one a row, for all of them."""

    value: PyTree
    """Arrays, a row for each row of the chunk."""
    nfe: NumPyOrJax
    """Evaluations of the velocity."""
    finished: NumPyOrJax
    """Whether the end was reached."""
    error: NumPyOrJax | float
    """Estimated RMS error; NaN where there is no estimate."""


Solver = Callable[[Array, Array | None], Solved]
"""(rows of a chunk, a key for each or None) ↦ what was found."""


def in_chunks(
    solve: Solver, rows: NumPyOrJax, keys: Array | None, chunk: int, limits: Limits
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
        at = np.minimum(np.arange(first, first + size + fill(size)), n - 1)
        with on_mesh():
            drawn = None
            if data is not None:
                drawn = jax.random.wrap_key_data(shared_out(data[at]), impl=impl)
            part = solve(shared_out(host[at]), drawn)
        part = part if is_traced(part) else fetched(part)
        _check_finished(part.finished, first, min(first + size, n), limits)
        repeated = (
            jnp.broadcast_to(a, size) if is_traced(a) else np.full(size, a) for a in part[1:]
        )
        parts.append(Solved(cut(part.value, size), *repeated))
    return _joined(parts, n)


def rows_of(x: Values, manifold: Manifold) -> tuple[NumPyOrJax, tuple[int, ...]]:
    """Points of shape ``(*batch, *manifold.shape)`` one a row, and the shape of the batch."""
    # NumPy's cut and reshape compile nothing.
    rows: NumPyOrJax = jnp.asarray(x) if is_traced(x) else np.asarray(x)
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        rows = rows.astype(jnp.result_type(float))
    shape, k = rows.shape, rows.ndim - len(manifold.shape)
    if k < 0 or shape[k:] != manifold.shape:
        raise ValueError(
            f"x: shape {shape} does not end in {manifold.shape}, one point of {manifold.name}."
        )
    return rows.reshape(math.prod(shape[:k]), *manifold.shape), shape[:k]


def probe_keys(key: Key, n: int) -> Array:
    """``jax.random.split(key, n)``, outside of transformations by programs of few lengths."""
    if is_traced(key) or inside_jit():
        return jax.random.split(key, n)
    return jax.random.wrap_key_data(jnp.asarray(split_data(key, n)), impl=jax.random.key_impl(key))


def _joined(parts: list[Solved], n: int) -> Solved:
    """The results of blocks put together; by NumPy, which compiles nothing, where they are known
    (the score may be a closure over traced values)."""
    if is_traced(parts):
        join = lambda *a: jnp.concatenate(a)[:n]  # noqa: E731
    else:
        join = lambda *a: device(np.concatenate([np.asarray(p) for p in a])[:n])  # noqa: E731
    return jax.tree.map(join, *parts)


def _traced(solve: Solver, rows: Array, keys: Array | None, chunk: int) -> Solved:
    """The same inside a JAX transformation: one program, chunk after chunk; on a mesh the rows of
    a chunk lie in shares on its devices."""
    n = len(rows)
    size = min(chunk, n)
    at = np.minimum(np.arange(-(-n // size) * size), n - 1)
    cut = lambda a: a[at].reshape(-1, size, *a.shape[1:])  # noqa: E731

    def one(part: tuple[Array, Array | None]) -> Solved:
        found = solve(*rows_by_device(part))
        return Solved(found.value, *(jnp.full((size,), a) for a in found[1:]))

    if n == size:
        return one((rows, keys))
    whole = jax.lax.map(one, (cut(rows), None if keys is None else cut(keys)))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], whole)


def _check_finished(finished: NumPyOrJax, first: int, last: int, limits: Limits) -> None:
    if not isinstance(finished, jax.core.Tracer) and not bool(finished):
        rows = f"rows {first} to {last - 1}" if last - first > 1 else f"row {first}"
        raise RuntimeError(
            f"The probability flow of {rows} did not reach its end in "
            f"max_steps={limits.max_steps} steps at rtol={limits.rtol:g}, atol={limits.atol:g}: "
            "the score varies too fast along it. Raise max_steps (or the s_min of a score model), "
            "or loosen the tolerances (float32 cannot meet tolerances near 1e-7)."
        )
