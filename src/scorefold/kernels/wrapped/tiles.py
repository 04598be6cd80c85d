"""Sums over pairs of points and cells of kernels: a tile of points by kernels at a time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._compile import trace_settings
from scorefold._matmul import matmul
from scorefold._types import Point, Scalar
from scorefold.kernels.wrapped.cells import KernelCells
from scorefold.kernels.wrapped.coordinates import MOST_NUMBERS, seen_from
from scorefold.manifolds import Manifold

R = TypeVar("R")

_POINTS = 32
"""Points of a tile, which has all kernels of a cell."""
_PAIRS = 1 << 20
"""Pairs at a time."""


def tile_sums(
    manifold: Manifold, cells: KernelCells, x: np.ndarray, points: np.ndarray, of: np.ndarray
) -> np.ndarray:
    """log Σ_i w_i k_i(x_p) over the kernels i of the cell c, for pairs (p, c): ``points`` and
    ``of``, shape ``(n,)``, sorted by ``of``. Float64."""
    found = np.empty(len(points))
    if not len(points):
        return found
    size = cells.levels.shape[1]
    counts = np.bincount(of, minlength=len(cells.levels))
    tiles_of = -(-counts // _POINTS)
    first_pair, first_tile = np.cumsum(counts) - counts, np.cumsum(tiles_of) - tiles_of
    place = np.arange(len(of)) - first_pair[of] + _POINTS * first_tile[of]
    cell = np.repeat(np.arange(len(counts)), tiles_of)
    # A place that is left over has the first point.
    filled = np.zeros(_POINTS * len(cell), np.int64)
    filled[place] = points
    at = filled.reshape(-1, _POINTS)
    step = max(1, _PAIRS // (_POINTS * size))

    def tile(start: int) -> np.ndarray:
        some = np.minimum(np.arange(start, start + step), len(cell) - 1)
        asked = np.moveaxis(x[at[some]], 1, -1)
        own = (a[cell[some]] for a in (cells.centres, cells.rows, cells.levels))
        found = _tiles(manifold, device(asked), *(device(a) for a in own))
        return np.asarray(found, np.float64)

    sums = np.concatenate(side_by_side(tile, range(0, len(cell), step)))
    return sums.reshape(-1)[place]


def side_by_side(function: Callable[..., R], *arguments: Iterable) -> list[R]:
    """``list(map(function, *arguments))`` on all cores: a program of one loop runs on one. The
    first call, which compiles, is made alone; so are all in a context of JAX's settings that does
    not reach other threads, where numbers of 64 bits would become numbers of 32."""
    calls = zip(*arguments, strict=True)
    first = [function(*a) for a in itertools.islice(calls, 1)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        if threads.submit(trace_settings).result() != trace_settings():
            return first + [function(*a) for a in calls]
        return first + list(threads.map(lambda a: function(*a), calls))


@eqx.filter_jit
def _tiles(manifold: Manifold, x: Array, centres: Array, rows: Array, levels: Array) -> Array:
    """log of sums over kernels: ``(tiles, points)`` from ``(tiles, …, points)`` and
    ``(tiles, …, kernels)``. Points come last: sums over kernels are loops without a carry."""
    points = jax.vmap(lambda *a: log_kernel(manifold, *a), (-1, None, None, None))
    each = jax.vmap(jax.vmap(points, (None, -1, -1, -1)))(x, centres, rows, levels)
    top = jnp.max(each, 1)
    finite = jnp.where(jnp.isfinite(top), top, 0.0)
    return finite + jnp.log(jnp.sum(jnp.exp(each - finite[:, None]), 1))


def log_kernel(manifold: Manifold, x: Point, z: Point, rows: Array, level: Scalar) -> Scalar:
    """log of a wrapped normal kernel with its weight, ``rows``: E_k/√λ_k; what
    ``WrappedFamily.log_prob`` gives, up to rounding."""
    if manifold.dim > MOST_NUMBERS:
        u, log_det = seen_from(manifold, z, x)
        along = matmul(rows, u)
        return level - 0.5 * jnp.sum(along * along) - log_det
    v, log_det = manifold.normal_coordinates(z, x)
    square = jnp.zeros_like(level)
    for k in range(len(v)):
        along = rows[k, 0] * v[0]
        for j in range(1, len(v)):
            along = along + rows[k, j] * v[j]
        square = square + along * along
    return level - 0.5 * square - log_det
