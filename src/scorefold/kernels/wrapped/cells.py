"""Kernels of a mixture put into cells, of neighbours that are about as wide."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import numpy as np

from scorefold._blocks import device
from scorefold._types import DTypeLike
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Manifold
from scorefold.manifolds.neighbours import rows_of

_WIDTHS = 4.0
"""How much cells are narrowed in width: by halves where the logarithm of a cell's widths ranges
over more than a quarter of its extent in standard deviations."""
_SEEN = 1 << 10
"""Kernels of a cell by which it is measured before it is divided."""
_BLOCK = 1 << 18
"""Distances at a time."""


class KernelCells(NamedTuple):
    """C cells of L kernels in NumPy. Where a cell is not full its last places have weight 0."""

    centres: np.ndarray
    """z, ``(C, *shape, L)``."""
    rows: np.ndarray
    """E_k/√λ_k, the inverse root of Σ, row by row, ``(C, d, d, L)``."""
    levels: np.ndarray
    """log w − ½ Σ log 2πλ: the weighted density at z, ``(C, L)``."""
    middle: np.ndarray
    """A centre, ``(C, *shape)``."""
    radius: np.ndarray
    """The largest geodesic distance of a centre from the middle, ``(C,)``, float64."""
    std: np.ndarray
    """The largest standard deviation, ``(C,)``, float64."""
    log_mass: np.ndarray
    """log Σ e^{levels}, ``(C,)``, float64."""


def cells_of(mixture: WrappedMixture, size: int, dtype: DTypeLike) -> KernelCells:
    """The kernels of positive weight, ``size`` of them in each cell, with numbers of this dtype. A
    cell is divided at the median along the axis in which it is longest, in its standard
    deviations, or in width."""
    m = mixture.manifold
    host = lambda a: np.asarray(a, np.float64)  # noqa: E731
    log_w, variances = host(mixture.log_weights), host(mixture.variances)
    kept = np.flatnonzero(log_w > -np.inf)
    std = np.sqrt(variances.max(1))
    levels = log_w - 0.5 * np.log(2.0 * math.pi * variances).sum(1)
    centres = np.asarray(mixture.centres)
    order = _divided(_places(m, centres), np.log(std), kept, size)
    full, there = np.maximum(order, 0), order >= 0
    levels = np.where(there, levels[full], -np.inf)
    top = levels.max(1)
    mass = top + np.log(np.exp(levels - top[:, None]).sum(1))
    middle, radius = _balls(m, centres, full, there)
    roots = (host(mixture.axes) / np.sqrt(variances)[:, :, None]).astype(dtype)
    last = lambda a: np.ascontiguousarray(np.moveaxis(a[full], 1, -1))  # noqa: E731
    return KernelCells(
        centres=last(centres.astype(dtype)),
        rows=last(roots),
        levels=levels.astype(dtype),
        middle=middle.astype(dtype),
        radius=radius,
        std=np.where(there, std[full], 0.0).max(1),
        log_mass=mass,
    )


def _places(manifold: Manifold, centres: np.ndarray) -> np.ndarray:
    """Coordinates in which what is near is near."""
    chords = manifold.chords(rows_of(manifold, "centres", centres))
    if chords is not None:
        return chords.coordinates.astype(np.float32)
    return np.asarray(jax.vmap(manifold.embed)(device(centres)), np.float32)


def _divided(places: np.ndarray, log_std: np.ndarray, kept: np.ndarray, size: int) -> np.ndarray:
    """Rows of the kernels of each cell, −1 where it is not full, ``(C, size)``."""
    numbers = np.vstack([places.T, log_std.astype(np.float32)])[:, kept]
    # Depth first, halves in place: ``kept`` ends in the order of the cells.
    kept = kept.copy()
    waiting, ends = [(0, len(kept))], []
    while waiting:
        first, stop = waiting.pop()
        if stop - first <= size:
            ends.append((first, stop))
            continue
        some = numbers[:, first:stop]
        seen = some[:, :: 1 + some.shape[1] // _SEEN]
        low, high = seen.min(1), seen.max(1)
        extent = (high - low) / math.exp(0.5 * float(low[-1] + high[-1]))
        extent[-1] = _WIDTHS * (high[-1] - low[-1])
        half = size * (-(-(stop - first) // size) // 2)
        order = np.argpartition(some[int(np.argmax(extent))], half)
        numbers[:, first:stop] = some[:, order]
        kept[first:stop] = kept[first:stop][order]
        waiting += [(first, first + half), (first + half, stop)]
    found = np.full((len(ends), size), -1)
    for row, (first, stop) in enumerate(ends):
        found[row, : stop - first] = kept[first:stop]
    return found


def _balls(
    manifold: Manifold, centres: np.ndarray, full: np.ndarray, there: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A centre in the middle of each cell, and the radius around it."""
    middle, radius = np.empty(len(full), np.int64), np.empty(len(full))
    axes = len(manifold.shape)
    flat = rows_of(manifold, "centres", centres)
    step = max(1, _BLOCK // full.shape[1])
    for start in range(0, len(full), step):
        rows = slice(start, start + step)
        points, inside = flat[full[rows]], there[rows]
        spread = inside.reshape(*inside.shape, *[1] * axes)
        mean = (points * spread).sum(1) / spread.sum(1)
        off = ((points - mean[:, None]) ** 2).reshape(*inside.shape, -1).sum(2)
        at = np.where(inside, off, np.inf).argmin(1)
        own = points[np.arange(len(at)), at]
        distance = manifold.distances(own[:, None], points)
        radius[rows] = np.where(inside, distance, 0.0).max(1)
        middle[rows] = full[rows][np.arange(len(at)), at]
    return centres[middle], radius
