"""Are samples nearer to the training points than fresh data are? The test C_T."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Key
from scorefold.manifolds import Manifold, nearest
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._draws import generator

__all__ = ["Copying", "copying", "mann_whitney"]


class Copying(NamedTuple):
    """``value``: C_T. ``null_std``: its standard deviation for fresh data. ``z`` = value/null_std.
    ``cells``: cells used of those asked for; ``share``: of the test points that lie in them.
    ``ties``: share of samples at distance 0 from a training point."""

    value: float
    null_std: float
    z: float
    cells: int
    share: float
    ties: float

    @property
    def verdict(self) -> str:
        if self.z < -3:
            return "copies training points"
        if self.z > 3:
            return "underfits: further from training points than fresh data"
        return "consistent with fresh data"


def copying(
    manifold: Manifold,
    samples: Any,
    train: Any,
    test: Any,
    *,
    key: Key,
    cells: int = 5,
    least: int = 20,
) -> Copying:
    """C_T = Σ_c P(c) Z_c / Σ_c P(c)   (Meehan, Chaudhuri, Dasgupta 2020).

    Z_c is the Mann–Whitney statistic of the geodesic distances to the nearest training point, of
    the samples in cell c against the test points in cell c, in standard deviations: negative if
    samples are nearer, that is, copied; positive if they are further, that is, underfitted. P(c)
    is the share of test points in c. Cells are those of k-means on ``manifold.embed`` of the
    training points, with ``least`` test points and samples or more.

    Samples drawn as the test points are have mean 0 and, given the cells, standard deviation
    √(Σ P(c)²)/Σ P(c) < 1 for independent cells: it is reported, and the verdict is on their
    quotient. Test points that are training points too (leaks) make the test points look copied;
    split by groups of equal rows first.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``key``: of the k-means.
    **Raises:** ``ValueError`` if no cell holds ``least`` of both.
    """
    x, t, p = (
        rows_of(manifold, name, rows)
        for name, rows in (("samples", samples), ("train", train), ("test", test))
    )
    if not 1 <= cells <= len(t):
        raise ValueError(f"cells: must be from 1 to the {len(t)} training points, got {cells}.")
    centres = _k_means(_embed(manifold, t), cells, generator(key))
    mine, fresh = (_cell(_embed(manifold, rows), centres) for rows in (x, p))
    near, far = (nearest(manifold, t, rows, 1)[1][:, 0] for rows in (x, p))
    weights, values = [], []
    for cell in range(cells):
        a, b = near[mine == cell], far[fresh == cell]
        if min(len(a), len(b)) >= max(least, 1):
            weights.append(len(b) / len(p))
            values.append(mann_whitney(a, b))
    if not weights:
        raise ValueError(
            f"least: no cell holds {least} samples and {least} test points, with {len(x)} samples, "
            f"{len(p)} test points and {cells} cells; ask for fewer cells or give more points."
        )
    w, z = np.asarray(weights), np.asarray(values)
    value = float(np.sum(w * z) / np.sum(w))
    std = float(np.sqrt(np.sum(w * w)) / np.sum(w))
    return Copying(value, std, value / std, len(w), float(w.sum()), float(np.mean(near == 0)))


def mann_whitney(a: np.ndarray, b: np.ndarray) -> float:
    """(U − nm/2)/σ with U = #{a_i > b_j} + ½#{a_i = b_j} and
    σ² = nm/12 · (N + 1 − Σ(t³ − t)/(N(N − 1))), t the sizes of groups of equal values; 0 if all
    values are equal. The normal form of the test, without a correction for continuity."""
    n, m = len(a), len(b)
    total = n + m
    _, inverse, counts = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    counts = counts.astype(np.float64)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1.0))[inverse]
    u = ranks[:n].sum() - n * (n + 1) / 2
    tied = np.sum(counts**3 - counts) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - tied)
    return float((u - n * m / 2) / math.sqrt(variance)) if variance > 0 else 0.0


def _embed(manifold: Manifold, x: np.ndarray) -> np.ndarray:
    return np.asarray(_embed_all(manifold, jnp.asarray(x, jnp.result_type(float))), np.float64)


@jax.jit(static_argnums=0)
def _embed_all(manifold, x):
    return jax.vmap(manifold.embed)(x)


def _cell(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    from scipy.cluster.vq import vq

    return vq(x, centres)[0]


def _k_means(x: np.ndarray, k: int, rng: np.random.Generator, rounds: int = 50) -> np.ndarray:
    """Lloyd's rounds from centres drawn far apart (k-means++); a cell that empties keeps its
    centre."""
    centres = x[rng.integers(len(x))][None]
    while len(centres) < k:
        gap = np.min(((x[:, None] - centres[None]) ** 2).sum(-1), axis=1)
        gap = gap if gap.sum() > 0 else np.ones_like(gap)
        centres = np.concatenate([centres, x[rng.choice(len(x), p=gap / gap.sum())][None]])
    for _ in range(rounds):
        cell = _cell(x, centres)
        counts = np.bincount(cell, minlength=k)
        sums = np.stack([np.bincount(cell, weights=c, minlength=k) for c in x.T], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres
