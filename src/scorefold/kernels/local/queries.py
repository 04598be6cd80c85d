"""Points whose density is asked for while kernels are learned, and the kernels that each sees."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, evenly
from scorefold._compile import quick_jit
from scorefold.kernels.wrapped.coordinates import seen_from
from scorefold.manifolds import Manifold, nearest
from scorefold.noising import Reference

_WIDEST = 32
"""Of the widest kernels, every point sees this many besides those of its neighbours."""
_OTHERS = 96
"""Of all other kernels, every point sees this many at random, which stand for the rest."""
_SPARE = 1.15
"""Of the nearest kernels so many times more are looked up than are left, in the mean, when those
of a fold are taken out."""
_ROWS = 1 << 10
"""Points at a time: one program serves every number of points, but few of them."""
_FEW = 1 << 8
_SCORED = 1 << 15
"""Training points whose density is asked for; of more, so many are taken evenly."""


class Queries(NamedTuple):
    """Points x that are asked about, a row a point, each with c kernels that it sees: a sum over
    these stands for the sum over all kernels."""

    fold: Array
    """The fold that x is held out with: kernels in it do not count, and neighbourhoods of the
    others are taken without its points (one past the last fold: nothing is left out), ``(n,)``."""
    rows: Array
    """Rows of the kernels, ``(n, c)``."""
    log_counts: Array
    """For how many kernels each stands, in logarithms (−∞: it does not count), ``(n, c)``."""
    vectors: Array
    """x as each kernel's centre sees it: log_z(x) in the frame at z, ``(n, c, d)``."""
    log_det: Array
    """Of the exponential map there, ``(n, c)``."""
    broad: Array
    """Log densities of the broad laws at x, ``(n, B)``."""


class KernelSites(NamedTuple):
    """Where n kernels are; ``sizes``: log of their widths; ``fold``: of each, of ``folds``."""

    manifold: Manifold
    centres: Array
    sizes: np.ndarray
    fold: np.ndarray
    folds: int

    def seen_by(
        self, points: Array, held_out: np.ndarray, broad: tuple[Reference, ...], candidates: int
    ) -> Queries:
        """Points, each held out with a fold (of ``held_out``, one past the last: with none), as
        queries: each sees its ``candidates`` nearest kernels, the widest, and some others."""
        n, folds = len(self.centres), self.folds
        spare = 1.0 if held_out.min() == folds else _SPARE * folds / max(folds - 1, 1)
        looked_up = min(n, math.ceil(candidates * spare))
        near, _ = nearest(self.manifold, self.centres, points, looked_up)
        order = np.argsort(self.fold[near] == held_out[:, None], axis=1, kind="stable")
        near = np.take_along_axis(near, order[:, :candidates], axis=1)
        wide = np.argsort(-self.sizes, kind="stable")[:_WIDEST]
        rows, log_counts = _strata(near, wide, self.fold, held_out)
        vectors, log_det = self._views(rows, np.asarray(points))
        return Queries(
            fold=device(held_out, np.int32),
            rows=device(rows, np.int32),
            log_counts=device(log_counts, points.dtype),
            vectors=vectors,
            log_det=log_det,
            broad=broad_densities(broad, points),
        )

    def _views(self, rows: np.ndarray, points: np.ndarray) -> tuple[Array, Array]:
        """Points from each of their centres, and log |det d exp| there, some points at a time."""
        n, centres = len(points), np.asarray(self.centres)
        size, parts = (_ROWS if n > _FEW else n), []
        for first in range(0, n, size):
            at = np.minimum(np.arange(first, first + size), n - 1)
            seen = quick_jit(_view)(self.manifold, device(centres[rows[at]]), device(points[at]))
            parts.append([np.asarray(a) for a in seen])
        vectors, log_det = (device(np.concatenate(p)[:n]) for p in zip(*parts, strict=True))
        return vectors, log_det


def scored_rows(n: int) -> np.ndarray:
    """Which of n training points are asked about: 32768 of them at most."""
    return evenly(n, _SCORED)


def broad_densities(laws: tuple[Reference, ...], x: Array) -> Array:
    """Log densities, a column a law."""
    return quick_jit(_broad)(laws, x)


def _broad(laws: tuple[Reference, ...], x: Array) -> Array:
    return jnp.stack([jax.vmap(law.log_prob)(x) for law in laws], axis=1)


def _strata(
    near: np.ndarray, wide: np.ndarray, fold: np.ndarray, held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the kernels that each point sees, and the logarithm of how many each stands for:
    the nearest and the widest for themselves, as many random others for all the rest. Kernels of
    the fold that a point is held out with do not count."""
    m, n = len(near), len(fold)
    draw = np.random.default_rng(0).integers(n, size=(m, _OTHERS))
    rows = np.concatenate([near, np.broadcast_to(wide, (m, len(wide))), draw], axis=1)
    counted = _first_times(rows) & (fold[rows] != held_out[:, None])
    sure = near.shape[1] + len(wide)
    drawn = counted[:, sure:].sum(1)
    kept = n - np.bincount(fold, minlength=held_out.max() + 1)[held_out]
    rest = kept - counted[:, :sure].sum(1)
    log_counts = np.where(counted, 0.0, -np.inf)
    log_counts[:, sure:] += np.log(np.maximum(rest, 1) / np.maximum(drawn, 1))[:, None]
    return rows, log_counts


def _first_times(rows: np.ndarray) -> np.ndarray:
    """Where a number stands in its row for the first time."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    first = np.ones(rows.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    found = np.empty_like(first)
    np.put_along_axis(found, order, first, axis=1)
    return found


def _view(manifold: Manifold, centres: Array, points: Array) -> tuple[Array, Array]:
    """Points from each of their centres, and log |det d exp| there."""
    one = lambda x: lambda z: seen_from(manifold, z, x)  # noqa: E731
    return jax.vmap(lambda z, x: jax.vmap(one(x))(z))(centres, points)
