"""Manifold Parzen windows on flat space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import evenly, in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar, Values
from scorefold._weights import mean, on_device
from scorefold.kernels import GaussianMixture, LowRankDiagonal
from scorefold.kernels.bandwidth import bandwidth_grid, same_points, scored_points
from scorefold.manifolds import Euclidean
from scorefold.models._pointwise import PointwiseModel
from scorefold.models.standardise import Units, weighted_points


class ManifoldParzen(PointwiseModel):
    """p(x) = (1/n) Σ_i N(x; Z_i, Σ_j λ_ij v_ij v_ijᵀ + σ²I) on R^d, with λ_ij, v_ij the leading
    eigenpairs of the second moment of the k nearest neighbours of Z_i about Z_i.

    ``ManifoldParzen.choose(manifold, data)`` finds k and σ, for coordinates that it standardises
    (``units``; ``law`` and ``sigma`` are in those). Kernels of rows with weights w have w_i/Σw in
    the place of 1/n, and the second moments of k rows are weighted.

    Source: Vincent & Bengio 2002 (Manifold Parzen windows), with equal weights in place of a
    neighbourhood kernel.
    """

    rows_together: ClassVar[int] = 256

    manifold: Euclidean
    neighbours: int
    sigma: float
    law: GaussianMixture = fixed()
    units: Units = fixed(default=Units())

    @classmethod
    def choose(
        cls,
        manifold: Euclidean,
        data: Values,
        *,
        val: Values | None = None,
        weights: Values | None = None,
        val_weights: Values | None = None,
        neighbours: int | Sequence[int] = (4, 8, 16, 32),
        rank: int | None = None,
        size: int = 16,
        scored: int = 1024,
    ) -> ManifoldParzen:
        """The best k and σ of a grid, compared in one program by the mean log density of ``val``
        or by leave-one-out (where the covariance of a kernel has seen the row: prefer ``val``).

        **Arguments:** ``rank``: eigenpairs kept (default: all, at most d and k); ``size``: number
        of σ, log-spaced below the bandwidth range of ``HeatKernelDensity``; ``weights``,
        ``val_weights``: of the rows of ``data`` and ``val``, as of ``fit``.
        """
        if not manifold.euclidean:
            raise ValueError(f"ManifoldParzen needs flat space, got {manifold!r}.")
        (points, weighed), some, units = weighted_points(manifold, data, val, weights, val_weights)
        w = on_device(weighed, points.dtype)
        ks = [neighbours] if isinstance(neighbours, int) else list(neighbours)
        if max(ks) >= len(points) or min(ks) < 1:
            raise ValueError(f"neighbours must lie in 1 … {len(points) - 1}, got {ks}.")
        rank = min(max(ks), manifold.d) if rank is None else rank
        grid = bandwidth_grid(manifold, points, size, w)
        s = jnp.asarray(np.geomspace(grid[0] / 16, grid[-1], size), points.dtype)
        x = scored_points(points, None if some is None else some[0], scored)
        own = some[1] if some is not None else weighed
        if some is None and own is not None:
            own = own[evenly(len(points), scored)]
        bases = _local_bases(points, jnp.asarray(ks), max(ks), rank, w)
        found = _parzen_scores(points, bases, s, x, val is None, w, on_device(own, points.dtype))
        table = np.where(np.isfinite(found), np.asarray(found, np.float64), -math.inf)
        k, g = divmod(int(np.argmax(table)), len(s))
        law = _parzen(points, bases[k], s[g], w)
        return cls(manifold, int(ks[k]), math.sqrt(float(s[g])), law, units)

    @property
    def exact_mass(self) -> tuple[float, float]:
        return 1.0, 0.0

    def log_density(self, x: Point) -> Scalar:
        return self.law.log_prob(x)

    def draw(self, key: Key) -> Point:
        return self.law.sample(key, 1)[0]


@eqx.filter_jit
def _local_bases(points: Array, ks: Array, most: int, rank: int, weights: Array | None) -> Array:
    """U with UUᵀ = Σ_j λ_j v_j v_jᵀ for each k and point, shape (K, n, d, rank): from the singular
    values of the differences to the neighbours, so that no d × d matrix is formed."""

    def one(x: Array) -> Array:
        gap = points - x[None]
        square = jnp.sum(gap * gap, axis=1)
        _, near = jax.lax.top_k(-jnp.where(square > 0, square, jnp.inf), most)
        weight = (jnp.arange(most)[None] < ks[:, None]).astype(x.dtype)
        total = ks[:, None].astype(x.dtype)
        if weights is not None:
            weight = weight * weights[near][None]
            total = jnp.sum(weight, axis=1, keepdims=True)
        scale = jnp.sqrt(weight / total)
        _, size, direction = jnp.linalg.svd(
            scale[:, :, None] * gap[near][None], full_matrices=False
        )
        return jnp.swapaxes(size[:, :rank, None] * direction[:, :rank], 1, 2)

    return jnp.swapaxes(jax.lax.map(one, points, batch_size=ManifoldParzen.rows_together), 0, 1)


def _parzen(points: Array, basis: Array, s: Scalar, weights: Array | None) -> GaussianMixture:
    variances = jnp.full(points.shape, s)
    law = GaussianMixture.equal(points, jax.vmap(LowRankDiagonal)(basis, variances))
    if weights is None:
        return law
    return GaussianMixture(jnp.log(weights / jnp.sum(weights)), points, law.covariances)


@eqx.filter_jit
def _parzen_scores(
    points: Array,
    bases: Array,
    s: Array,
    x: Array,
    leave_out: bool,
    weights: Array | None,
    own: Array | None,
) -> Array:
    """Mean log density at x for every k and σ², shape (K, G)."""

    def one(basis: Array, s: Scalar) -> Scalar:
        law = _parzen(points, basis, s, weights)

        def at(y: Array) -> Scalar:
            if not leave_out:
                return law.log_prob(y)
            return law.without(same_points(y[None], points)[0]).log_prob(y)

        return mean(in_blocks(at, x, ManifoldParzen.rows_together), own)

    # One after the other: the memory of one mixture.
    return jax.lax.map(lambda basis: jax.lax.map(lambda t: one(basis, t), s), bases)
