"""Scores of noised points by kernels that their starting points had no part in."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._compile import quick
from scorefold._types import Point, Scalar
from scorefold.kernels.crossfit import CrossFit
from scorefold.kernels.wrapped import WrappedMixture
from scorefold.manifolds import Euclidean, Manifold

__all__ = ["excluded_scores", "spread_kernel"]

_PAIRS = 1 << 20


def spread_kernel(
    manifold: Manifold, x: Point, z: Point, axes: Array, variances: Array, s: Scalar
) -> Scalar:
    """log of a wrapped normal kernel after Brownian motion for the variance-time s, without the
    heat kernel:

        log N(v; 0, Σ + s) − (1 − f/2) log |det d exp|,   v = log_z(x),  f = s/(τ + s),

    τ the mean of Σ's eigenvalues. Exact on flat space and for s → 0; elsewhere the heat kernel of
    ``WrappedMixture`` is replaced by its first term N · |det d exp|^{−1/2}, whose score is off by
    the order of curvature · distance · s: for s small against the radius of curvature.
    """
    v = manifold.log(z, x)
    along, spread = axes @ manifold.components(z, v), variances + s
    normal = -0.5 * jnp.sum(along * along / spread + jnp.log(2.0 * math.pi * spread))
    if isinstance(manifold, Euclidean):
        return normal
    flowed = s / (jnp.mean(variances) + s)
    return normal - (1.0 - 0.5 * flowed) * manifold.exp_log_det(z, v)


def excluded_scores(
    learner: CrossFit, x: Array, s: Array, own: np.ndarray, *, candidates: int
) -> Array:
    """∇ log p_s(x) by the kernels of the folds other than ``own``, tangent at x.

    Each point is seen by its nearest kernels, the widest, and random others that stand for the
    rest (as in ``CrossFit.judged``), drawn anew for each point.

    **Arguments:** ``x``: points, shape ``(m, *shape)``; ``s``: their noise levels, ``(m,)``;
    ``own``: a fold each (``learner.folds``: nothing is left out), ``(m,)``; ``candidates``: nearest
    kernels.
    """
    found = np.zeros(x.shape, x.dtype)
    for fold in np.unique(own):
        at = np.flatnonzero(own == fold)
        mixture = quick(CrossFit.mixture)(learner, jnp.int32(fold))
        for part in np.array_split(at, max(1, len(at) * (candidates + 128) // _PAIRS)):
            rows, weights = learner.seen_rows(x[part], own[part], candidates)
            pairs = jnp.asarray(rows, jnp.int32), jnp.asarray(weights, x.dtype)
            found[part] = quick(_scores)(mixture, x[part], s[part], *pairs)
    return jnp.asarray(found)


def _scores(mixture: WrappedMixture, x: Array, s: Array, rows: Array, weights: Array) -> Array:
    m, n = mixture.manifold, len(mixture.centres) // 2
    background = mixture.background

    def density(y: Point, level: Scalar, at: Array, log_w: Array) -> Scalar:
        parts = mixture.centres[at], mixture.axes[at], mixture.variances[at]
        each = jax.vmap(lambda z, a, v: spread_kernel(m, y, z, a, v, level))(*parts)
        kernels = jax.nn.logsumexp(log_w + mixture.log_weights[at] + each)
        return mixture.with_background(kernels, background.log_prob(y))

    def one(i: Array) -> Point:
        at = jnp.concatenate([rows[i], rows[i] + n])
        log_w = jnp.concatenate([weights[i], weights[i]])
        gradient = jax.grad(lambda y: density(y, s[i], at, log_w))(x[i])
        return m.gradient(x[i], gradient)

    return in_blocks(one, jnp.arange(len(x)), max(1, (1 << 18) // rows.shape[1]))
