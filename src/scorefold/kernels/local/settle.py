"""Shares settled at the end of training, by held-out points."""

import math
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._blocks import device, evenly
from scorefold._compile import quick_jit
from scorefold._weights import average, effective_number
from scorefold.kernels.local.learner import KernelLearner
from scorefold.kernels.local.shares import Shares, likeliest_shares

L = TypeVar("L", bound=KernelLearner)

_ASKED = 512
"""Points of each fold, and eight times as many held-out ones, that are asked."""
_GRID = 16
_WIDEST = 1.2
"""Largest bandwidth on a compact manifold, where no kernel is wider than 0.6 anyway."""
_BEFOREHAND = 0.5
"""Points that each broad law is given beforehand, so that none has a share of 0."""
_WORTH = 0.02
"""Kernels of one bandwidth with a smaller share are left away."""


def settled(
    learner: L,
    train: PyTree,
    held_out: PyTree | None,
    weights: Array | None = None,
    held_out_weights: Array | None = None,
) -> L:
    """The learned kernels with the likeliest shares of all parts, by points that had no part in
    them: training points, each by the kernels of other folds, and held-out ones,

        max_π Σ_i log (π_0 e^{−c−g} k(x_i) + Σ_j π_j u_j(x_i) + π_h k_h(x_i)),   Σ π = 1,

    k the learned kernels, u_j the broad laws, k_h kernels of one bandwidth, the likeliest of a
    grid. The problem is concave and solved exactly. The coefficients of k have been learned from
    the training points, and the held-out ones have chosen when to stop: c = q/n, with q learned
    coefficients of a kernel, is what q numbers gain on n points by chance. Where training points
    gain more than that, g ≥ 0 is by how much k gains on k_h at them in the mean more than at
    held-out ones, and applies to them alone (0 without held-out points). Of queries with
    weights all sums and means have these, of mean 1 for either kind, and n is the effective number
    of training points.

    Source: Akaike 1974 (c).
    """
    width = min(_ASKED, learner.by_fold.shape[1])
    rows = np.asarray(learner.by_fold)[:, :width]
    blocks = [jax.tree.map(lambda a: np.asarray(a)[rows], train)]
    _, first = np.unique(rows, return_index=True)
    asked = np.zeros(rows.size, bool)
    asked[first] = True
    every = [_ones(weights, len(train.fold))[rows].ravel()]
    if held_out is not None:
        chosen = evenly(len(held_out.fold), 8 * _ASKED)
        size = -(-len(chosen) // width)
        out = np.resize(chosen, (size, width))
        blocks.append(jax.tree.map(lambda a: np.asarray(a)[out], held_out))
        asked = np.concatenate([asked, np.arange(size * width) < len(chosen)])
        every.append(_ones(held_out_weights, len(held_out.fold))[out].ravel())
    each = jax.tree.map(lambda *a: device(np.concatenate(a)), *blocks)
    grid = _bandwidths(learner, blocks[0])
    found = quick_jit(_densities)(learner, each, device(grid, each.broad.dtype))
    table = np.asarray(found, np.float64).reshape(len(asked), -1)
    new = np.arange(len(asked)) >= rows.size
    table, new = table[asked], new[asked]
    w: np.ndarray | None = None
    if weights is not None or held_out_weights is not None:
        w = np.concatenate(every)[asked]
    known = 1 + len(learner.broad)
    table = np.where(np.isfinite(table), table, -1e30)
    best = known + int(np.argmax(average(table[:, known:], w)))
    table = np.concatenate([table[:, :known], table[:, best : best + 1]], axis=1)
    if new.any():
        gain = np.clip(table[:, 0] - table[:, -1], -100.0, 100.0)
        old, fresh = (average(gain[some], None if w is None else w[some]) for some in (~new, new))
        table[~new, 0] -= max(0.0, old - fresh)
    n = (
        len(learner.fold_of_point)
        if learner.weights is None
        else effective_number(np.asarray(learner.weights, np.float64))
    )
    table[:, 0] -= learner.covariance.layers[-1].weight.shape[0] / n
    prior = np.concatenate([[0.0], np.full(known - 1, _BEFOREHAND), [0.0]])
    share, bandwidth = likeliest_shares(table, prior, w), grid[best - known]
    if share[-1] < _WORTH:
        share, bandwidth = likeliest_shares(table[:, :known], prior[:known], w), None
    dtype = learner.shares.odds.dtype
    logs = device(np.log(np.maximum(share, 1e-30)), dtype)
    even = None if bandwidth is None else device(bandwidth, dtype)
    return eqx.tree_at(lambda k: k.shares, learner, Shares.of(logs, even))


def _ones(weights: Array | None, n: int) -> np.ndarray:
    """Weights of n queries, 1 where all are alike."""
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def _bandwidths(learner: KernelLearner, x: PyTree) -> np.ndarray:
    """Standard deviations from a quarter of the distance to the nearest kernel to the spread."""
    square = np.asarray(learner.squares(x), np.float64)
    counts = np.asarray(x.log_counts) > -math.inf
    square = square.reshape(-1, square.shape[-1])
    counts = counts.reshape(square.shape)
    near = np.where(counts & (square > 0), square, np.inf).min(1)
    near = near[np.isfinite(near)]
    floor = float(learner.covariance.floor)
    low = 0.25 * math.sqrt(float(np.median(near)) / learner.manifold.dim) if len(near) else floor
    high = max(_WIDEST if learner.manifold.compact else learner.spread(x), floor)
    return np.geomspace(min(max(low, floor), high), high, _GRID)


def _densities(learner: KernelLearner, blocks: PyTree, bandwidths: Array) -> Array:
    """Log densities of the parts and of kernels of each bandwidth, a block of a fold at a time."""
    return jax.lax.map(lambda x: learner.all_parts(x, x.fold[0], bandwidths), blocks)
