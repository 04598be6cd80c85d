"""Which of very many kernels stand for all at a point: the nearest, and the nearest of fewer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.manifolds import Manifold, count_within, nearest

_NEAREST = 40
"""Kernels of each level that a point sees."""
_THINNED, _LEVELS = 8, 3
"""A level has one of so many kernels of the one before; so many levels."""
MOST_SEEN = _LEVELS * _NEAREST


class Seen(NamedTuple):
    """Kernels that each of n points sees, c of them in levels one after another."""

    kernels: np.ndarray
    """Rows, ``(n, c)``."""
    log_counts: np.ndarray
    """For how many kernels each stands, in logarithms (−∞: it does not count), ``(n, c)``."""
    radius: np.ndarray
    """Within which they stand for all kernels, ``(n,)``."""
    far: np.ndarray
    """How many kernels are beyond, ``(n,)``."""


def how_many(n: int) -> int:
    """Levels of n kernels."""
    levels = 1
    while levels < _LEVELS and n // _THINNED**levels >= 4 * _NEAREST:
        levels += 1
    return levels


def seen_by(
    manifold: Manifold, centres: Values, fold: np.ndarray, points: Values, held_out: np.ndarray
) -> Seen:
    """For each point, held out with a fold whose kernels do not count, the nearest 40 kernels, then
    the nearest 40 of an eighth of all that are farther, and of a 64th. Those of a level stand for
    all kernels between its distance and that of the level before, which are counted; where more
    than 40 kernels are copies of one another, so do the first 40.

    Which eighth is drawn for each point: were it one for all, its kernels would be judged in the
    name of others everywhere, and training would find them out.
    """
    n, rng = len(fold), np.random.default_rng(0)
    centres, points = np.asarray(centres), np.asarray(points)
    order = rng.permutation(n)
    counted = n - np.bincount(fold, minlength=int(held_out.max()) + 1)[held_out]
    inner, before, near_by = np.full(len(points), -1.0), np.zeros(len(points)), 0.0
    kernels, log_counts = [], []
    for level in range(how_many(n)):
        parts = _THINNED**level
        part = rng.integers(parts, size=len(points))
        at = np.empty((len(points), min(_NEAREST, n // parts)), np.int64)
        distance = np.empty(at.shape)
        for p in range(parts):
            mine = np.flatnonzero(part == p)
            some = np.sort(order[p::parts])
            if len(mine):
                near, distance[mine] = nearest(manifold, centres[some], points[mine], at.shape[1])
                at[mine] = some[near]
        beyond = distance > inner[:, None]
        kept = (fold[at] != held_out[:, None]) & beyond
        outer = np.maximum(inner, distance[:, -1])
        within = count_within(manifold, centres, points, outer)
        stands = np.maximum((within - before) / np.maximum(beyond.sum(1), 1), 1.0)
        near_by = near_by + stands * kept.sum(1)
        with np.errstate(divide="ignore"):
            log_counts.append(np.where(kept, np.log(stands)[:, None], -np.inf))
        kernels.append(at)
        inner, before = outer, within
    far = np.maximum(counted - near_by, 0.0)
    far = np.where(far < 0.5, 0.0, far)
    return Seen(np.concatenate(kernels, 1), np.concatenate(log_counts, 1), inner, far)
