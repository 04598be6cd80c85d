"""Densities of queries under kernels of which a fold is left out."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.kernels.local.covariance import LocalKernels
from scorefold.kernels.local.precision import cap_precision, precision, quadratic
from scorefold.kernels.local.queries import Queries
from scorefold.manifolds import Manifold

_FAR = 1e30
"""Bound on squared distances in standard deviations."""


class Normals(NamedTuple):
    """What the density of a kernel at a point needs, a row a kernel (or a query's kernel)."""

    mean: Array
    """m, ``(…, d)``."""
    precision: Array
    """Packed Σ⁻¹, ``(…, d(d+1)/2)``."""
    levels: Array
    """log density at the mean, of the narrow kernel and of the t wider ones, ``(…, t + 1)``."""
    narrowing: Array
    """1/f of the wider ones, ``(…, t)``."""

    def gathered(self, rows: Array) -> Normals:
        """These rows. One gather of one table: four would take four times as long."""
        ends = np.cumsum([part.shape[1] for part in self[:-1]]).tolist()
        return Normals(*jnp.split(jnp.concatenate(self, axis=1)[rows], ends, axis=-1))

    def log_prob(self, manifold: Manifold, vectors: Array, log_det: Array) -> Array:
        """log (weight · density) at points that each kernel sees at ``vectors``, ``(…, d)``, with
        log |det d exp| there: shape ``(…)``."""
        away = vectors - self.mean
        square = jnp.minimum(quadratic(self.precision, away), _FAR)
        near = self.levels[..., 0] - 0.5 * square
        for i in range(self.narrowing.shape[-1]):
            wider = self.levels[..., i + 1] - 0.5 * self.narrowing[..., i] * square
            near = jnp.logaddexp(near, wider)
        cap = jnp.asarray(cap_precision(manifold), away.dtype)
        capped = jnp.sum(away * away * cap.reshape((1,) * (away.ndim - 1) + (-1,)), axis=-1)
        return near - 0.5 * capped - log_det


def learned_densities(manifold: Manifold, kernels: LocalKernels, kept: Array, x: Queries) -> Array:
    """log p of queries under learned kernels, shape ``(n,)``. ``kept``: which kernels count."""
    log_w = jnp.where(kept, kernels.log_weights, -jnp.inf)
    log_w = log_w - jax.nn.logsumexp(log_w)
    each = normals(manifold, kernels._replace(log_weights=log_w), kept).gathered(x.rows)
    return jax.nn.logsumexp(x.log_counts + each.log_prob(manifold, x.vectors, x.log_det), axis=1)


def normals(manifold: Manifold, kernels: LocalKernels, kept: Array) -> Normals:
    """Of n kernels, whose weights are in their densities; those that are not ``kept`` have levels
    of 0."""
    d, cap = manifold.dim, cap_precision(manifold)
    packed, roots = precision(kernels.covariance, kernels.widening, cap)
    log_w = kernels.log_weights - 0.5 * d * math.log(2.0 * math.pi)
    levels = jnp.where(kept[:, None], log_w[:, None] + roots + kernels.log_shares, 0.0)
    return Normals(kernels.shift, packed, levels, 1.0 / kernels.widening)


def even_densities(
    manifold: Manifold,
    kept: Array,
    x: Queries,
    bandwidths: Array,
    log_weights: Array | None = None,
) -> Array:
    """log p of queries under kernels of equal weight (or with those of their rows) and one
    bandwidth (a standard deviation, within the cap), for each of g bandwidths: shape ``(n, g)``."""
    if log_weights is None:
        log_counts = x.log_counts - jnp.log(jnp.sum(kept).astype(x.log_counts.dtype))
    else:
        log_counts = x.log_counts + log_weights[x.rows]
        log_counts = log_counts - jax.nn.logsumexp(log_weights, where=kept)
    return even_sums(manifold, x.vectors, log_counts - x.log_det, bandwidths)


def even_sums(manifold: Manifold, vectors: Array, log_weights: Array, bandwidths: Array) -> Array:
    """log Σ_j w_j N(v_j; 0, h²) of kernels that see points at ``vectors``, ``(n, c, d)``, for each
    h of g ``bandwidths``: shape ``(n, g)``."""
    cap = jnp.asarray(cap_precision(manifold), vectors.dtype)

    def one(h: Array) -> Array:
        narrow = cap + 1.0 / (h * h)
        square = jnp.sum(vectors * vectors * narrow[None, None], axis=-1)
        level = 0.5 * jnp.sum(jnp.log(narrow / (2.0 * math.pi)))
        return level + jax.nn.logsumexp(log_weights - 0.5 * square, axis=1)

    return jax.vmap(one, out_axes=1)(bandwidths)
