"""Are samples nearer to the training points than to held-out ones? Exchange of labels, and C_T."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._types import Key, Values
from scorefold.manifolds import Manifold, nearest
from scorefold.metrics._draws import generator, points_of
from scorefold.metrics._exchange import LEVEL, ODDS, Beside, Groups, Pool, held_out
from scorefold.metrics._verdicts import COPIES, FRESH

_CLOSE = (1 / 3, 1 / 10, 1 / 30, 1 / 100, 1 / 1000)
_C_T = 3.0


class Copying(NamedTuple):
    """What ``copying`` found.

    ``nearer`` ± ``nearer_error``: the share of draws that are nearer to the training points than to
    equally many held-out ones, ½ for draws that have not seen the former, and ``p_value`` by
    exchange of labels. ``copies``: the share of draws that lie close beside a training point beyond
    chance, by d₁/d₂ below the level where this is clearest, 0 where there is none; ``p_copies``:
    its p-value.
    ``value``: C_T; ``null_std``: its standard deviation for fresh data; ``z`` = value/null_std;
    ``cells``: cells used of those asked for; ``share``: of the test points that lie in them; None
    where no cell holds enough points.
    ``ties``: share of samples at distance 0 from a training point.
    """

    nearer: float
    nearer_error: float
    p_value: float
    copies: float
    p_copies: float
    value: float | None
    null_std: float | None
    z: float | None
    cells: int
    share: float
    ties: float

    @property
    def verdict(self) -> str:
        drawn_in = self.p_value <= LEVEL and self.z is not None and self.z < -_C_T
        if self.p_copies <= LEVEL or drawn_in:
            return COPIES
        if self.z is not None and self.z > _C_T:
            return "underfits: further from training points than fresh data"
        return FRESH


def copying(
    manifold: Manifold,
    samples: Values,
    train: Values,
    test: Values,
    *,
    key: Key,
    val: Values | None = None,
    groups: Groups | None = None,
    cells: int = 5,
    least: int = 20,
) -> Copying:
    """Do samples lie nearer to the training points than to points that were held out?

    **The verdict** takes the labels off n training and m held-out points (``test``, and ``val``
    where given) and counts beside which of them samples lie. Of samples that have not seen the
    training points each of the n + m is as likely a training point as any other, whatever the law:
    repulsion, clusters and grids are the same around both. So the labels are exchanged 999 times,
    equal rows (or rows of one group) together, and p is the share of exchanges that have as many
    samples beside training points. It is taken twice:

    * ``p_copies``: of the samples much nearer to one point than to any other, d₁/d₂ below 1/3,
      1/10, … 1/1000: the clearest of those levels at which a training point has at least twice as
      many samples beside it as a held-out point,
    * ``p_value``: of all samples.

    "Copies" are called at ``p_copies`` ≤ 0.005, or at ``p_value`` ≤ 0.005 if also C_T is below −3
    of its standard deviations: kernels as wide as the likelihood of held-out points asks for draw
    a little nearer to the training points than to others, and are no copies for that. C_T above 3
    deviations is called underfitting.

    **C_T** = Σ_c P(c) Z_c / Σ_c P(c)   (Meehan, Chaudhuri, Dasgupta 2020).
    Z_c is the Mann–Whitney statistic of the geodesic distances to the nearest training point, of
    the samples in cell c against the test points in cell c, in standard deviations: negative if
    samples are nearer, positive if they are further. P(c) is the share of test points in c. Cells
    are those of k-means on ``manifold.embed`` of the training points, with ``least`` test points
    and samples or more. Samples drawn as the test points are, one independent of another, have
    mean 0 and, given the cells, standard deviation √(Σ P(c)²)/Σ P(c). Points that repel each other
    are not so drawn: their test points keep away from the training points, and C_T of uniform
    samples is far below 0. Alone it accuses nobody.

    Test points that are training points too (leaks) make copies look fresh; split by groups of
    equal rows first.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``groups``: labels of the rows
    of ``train`` and of ``test`` followed by ``val``, where rows of one group were kept together;
    ``key``: of the exchanges and of the k-means.
    **Raises:** ``ValueError`` for fewer than 10 held-out points or groups.
    """
    x, t, p = points_of(manifold, samples=samples, train=train, test=test)
    if not 1 <= cells <= len(t):
        raise ValueError(f"cells: must be from 1 to the {len(t)} training points, got {cells}.")
    pool = Pool(manifold, t, held_out(manifold, p, val), groups)
    near = pool.nearest(x)
    everyone = pool.counts(near, np.ones(len(x), bool))
    close = [pool.counts(near, near.ratio < level) for level in _CLOSE]
    rng = generator(key)
    all_of_them = pool.beside(everyone)
    by_level = [pool.beside(counts) for counts in close]
    clear = [b.odds >= ODDS for b in by_level]
    clearest = max((b for b in by_level if b.odds >= ODDS), key=lambda b: b.z, default=None)
    nearer, error = _nearer(all_of_them)
    found = _c_t(manifold, x, t, p, rng, cells, least)
    distance = nearest(manifold, t, x, 1)[1][:, 0]
    return Copying(
        nearer,
        error,
        pool.p_value([everyone], rng),
        0.0 if clearest is None else clearest.excess / len(x),
        pool.p_value(close, rng, chosen=clear),
        *found,
        float(np.mean(distance == 0)),
    )


def _nearer(of: Beside) -> tuple[float, float]:
    """The share nearer to training points if there were as many held-out ones, by the numbers of
    draws that each point of either kind has beside it; and its standard error by exchange."""
    beside, apart = of.observed / of.share, (of.n - of.observed) / (1.0 - of.share)
    total = beside + apart
    slope = of.n / (of.share * (1.0 - of.share)) / total**2
    return float(beside / total), float(of.std * slope)


def _c_t(
    manifold: Manifold,
    x: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    rng: np.random.Generator,
    cells: int,
    least: int,
) -> tuple[float | None, float | None, float | None, int, float]:
    """C_T, its standard deviation, their quotient, cells used and their share of test points."""
    centres = _k_means(_embed(manifold, t), cells, rng)
    mine, fresh = (_cell(_embed(manifold, rows), centres) for rows in (x, p))
    near, far = (nearest(manifold, t, rows, 1)[1][:, 0] for rows in (x, p))
    weights, values = [], []
    for cell in range(cells):
        a, b = near[mine == cell], far[fresh == cell]
        if min(len(a), len(b)) >= max(least, 1):
            weights.append(len(b) / len(p))
            values.append(mann_whitney(a, b))
    if not weights:
        return None, None, None, 0, 0.0
    w, z = np.asarray(weights), np.asarray(values)
    value = float(np.sum(w * z) / np.sum(w))
    std = float(np.sqrt(np.sum(w * w)) / np.sum(w))
    return value, std, value / std, len(w), float(w.sum())


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
    return np.asarray(_embed_all(manifold, device(x, jnp.result_type(float))), np.float64)


@jax.jit(static_argnums=0)
def _embed_all(manifold: Manifold, x: Array) -> Array:
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
