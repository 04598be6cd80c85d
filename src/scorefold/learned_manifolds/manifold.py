"""The field of covariances that local kernels define on R^D, and its tangent spaces."""

from __future__ import annotations

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scorefold._blocks import listed
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Scalar, Values
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Euclidean, nearest

_NEIGHBOUR = 2
"""The default bandwidth is the median distance from a centre to this neighbour of it."""


class LearnedManifold(eqx.Module):
    """Gaussian kernels N(Z_i, Σ_i) with weights ω_i on R^D, and the field of covariances

        Σ(x) = Σ_i w_i(x) Σ_i,   w_i(x) = softmax_i(−|x − Z_i|²/2h²),

    smooth and positive definite everywhere. Its inverse is a Riemannian metric (``metric``; others
    in ``InverseCovariance`` and ``InducedMetric``), its leading eigenvectors are the tangent space
    of the manifold that the data lie along (``tangent``), and the ridge of the density Σ_i ω_i
    N(x; Z_i, Σ_i) along the other eigenvectors is the manifold (``project_to_ridge``).

    Each method takes ONE point, shape ``(D,)``, and keeps its dtype. ``LearnedManifold.build`` and
    ``LearnedManifold.of`` make the fields.

    **Arguments:** ``centres``: Z, shape ``(n, D)``; ``covariances``: Σ_i, and ``precisions``:
    Σ_i⁻¹, shape ``(n, D, D)``; ``log_weights``: log ω, shape ``(n,)``; ``log_dets``: log |Σ_i|;
    ``bandwidth``: h, in the unit of x; ``crowd``: the median over the centres of
    log Σ_j exp(−|Z_i − Z_j|²/2h²), what "among the data" means (``log_crowd``).

    Source: Zhang et al. 2024 (local covariances define a metric and so a manifold); Hauberg,
    Freifeld & Black 2012 (metrics as smooth averages of local ones).
    """

    centres: Float[Array, "n d"] = fixed()
    covariances: Float[Array, "n d d"] = fixed()
    precisions: Float[Array, "n d d"] = fixed()
    log_weights: Float[Array, " n"] = fixed()
    log_dets: Float[Array, " n"] = fixed()
    bandwidth: Float[Array, ""] = fixed()
    crowd: Float[Array, ""] = fixed()

    @classmethod
    def build(
        cls,
        centres: Values,
        covariances: Values,
        log_weights: Values | None = None,
        *,
        bandwidth: float | int | None = None,
    ) -> LearnedManifold:
        """From n ≥ 2 centres, shape ``(n, D)``, and covariances, shape ``(n, D, D)``; equal
        weights unless they are given (they are normalised), and for h the median distance from a
        centre to its second nearest, so that Σ(x) averages some four kernels on a surface.
        A wide h averages the noise of the kernels away, and flattens bends with it.

        **Raises:** ``ValueError`` for shapes that do not fit, values not finite, covariances that
        are not symmetric and positive definite (rows named) and a bandwidth that is not positive.
        """
        z = np.asarray(centres)
        given = np.asarray(covariances)
        if z.ndim != 2 or given.shape != (*z.shape, z.shape[1]) or len(z) < 2:
            raise ValueError(
                "centres, covariances: need shapes (n, D) and (n, D, D) with n ≥ 2, got "
                f"{z.shape} and {given.shape}."
            )
        n, d = z.shape
        dtype = z.dtype if np.issubdtype(z.dtype, np.floating) else jnp.result_type(float)
        _refuse("centres", "not finite", ~np.isfinite(z).all(1))
        full = given.astype(np.float64)
        _refuse("covariances", "not finite", ~np.isfinite(full).all((1, 2)))
        size = np.abs(full).max((1, 2))
        skew = np.abs(full - full.transpose(0, 2, 1)).max((1, 2))
        _refuse("covariances", "not symmetric; pass (A + Aᵀ)/2", skew > 1e-4 * size)
        values, vectors = np.linalg.eigh(0.5 * (full + full.transpose(0, 2, 1)))
        _refuse("covariances", "not positive definite; add a small multiple of the identity",
                values[:, 0] <= 1e-12 * values[:, -1])  # fmt: skip
        precisions = (vectors / values[:, None]) @ vectors.transpose(0, 2, 1)
        if log_weights is None:
            log_w = np.full(n, -math.log(n))
        else:
            log_w = np.asarray(log_weights, np.float64)
            if log_w.shape != (n,) or not np.isfinite(log_w).any():
                raise ValueError(f"log_weights: need {n} numbers, not all −∞, got {log_w.shape}.")
            log_w = log_w - np.logaddexp.reduce(log_w)
        near = nearest(Euclidean(d), z, z, min(_NEIGHBOUR, n - 1), exclude_self=True)[1]
        h = float(np.median(near[:, -1])) if bandwidth is None else float(bandwidth)
        if not (math.isfinite(h) and h > 0):
            raise ValueError(
                f"bandwidth: must be positive and finite, got {h}; where most centres repeat, "
                "state one."
            )
        cast = lambda a: jnp.asarray(a, dtype)  # noqa: E731
        made = cls(
            cast(z), cast(full), cast(precisions), cast(log_w), cast(np.log(values).sum(1)),
            cast(h), cast(0.0),
        )  # fmt: skip
        return eqx.tree_at(lambda m: m.crowd, made, quick_jit(_crowd)(made))

    @classmethod
    def of(
        cls, mixture: WrappedMixture, *, bandwidth: float | int | None = None
    ) -> LearnedManifold:
        """From the kernels of a fitted model on R^D, in the units of its data:
        ``LearnedManifold.of(model.mixture_in_units())``. The background law is left out; kernels
        around one centre become one, with the weight and the covariance that they have together.

        **Raises:** ``ValueError`` if the mixture is not on R^D.
        """
        if not mixture.manifold.euclidean:
            raise ValueError(
                f"mixture: is on {mixture.manifold.name}; a manifold is learned in R^D. Embed the "
                "points (manifold.embed) and fit a KernelModel(Euclidean(D)) to them."
            )
        axes = np.asarray(mixture.axes, np.float64)
        spread = np.asarray(mixture.variances, np.float64)[:, None]
        full = (axes.transpose(0, 2, 1) * spread) @ axes
        if mixture.diagonal is not None:
            full += np.asarray(mixture.diagonal, np.float64)[:, None] * np.eye(full.shape[-1])
        z, log_w = np.asarray(mixture.centres), np.asarray(mixture.log_weights, np.float64)
        _, first, centre = np.unique(z, axis=0, return_index=True, return_inverse=True)
        centre = centre.ravel()
        together = np.full(len(first), -np.inf)
        np.logaddexp.at(together, centre, log_w)
        both = np.zeros((len(first), *full.shape[1:]))
        np.add.at(both, centre, np.exp(log_w - together[centre])[:, None, None] * full)
        return cls.build(z[first], both, together, bandwidth=bandwidth)

    @property
    def dim(self) -> int:
        """D, the number of coordinates."""
        return self.centres.shape[1]

    # -- one point -------------------------------------------------------------------------------
    def covariance(self, x: Float[Array, " d"]) -> Float[Array, "d d"]:
        """Σ(x)."""
        share = jax.nn.softmax(self._log_near(x))
        n, d = self.centres.shape
        return (share @ self.covariances.astype(x.dtype).reshape(n, d * d)).reshape(d, d)

    def metric(self, x: Float[Array, " d"]) -> Float[Array, "d d"]:
        """g(x) = Σ(x)⁻¹: lengths in local standard deviations."""
        return jnp.linalg.inv(self.covariance(x))

    def spectrum(self, x: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        """Eigenvalues of Σ(x), largest first, and its eigenvectors as rows."""
        values, vectors = jnp.linalg.eigh(self.covariance(x))
        return values[::-1], vectors.T[::-1]

    def tangent(self, x: Float[Array, " d"], dim: int) -> Float[Array, "k d"]:
        """The ``dim`` leading eigenvectors of Σ(x), orthonormal rows."""
        return self.spectrum(x)[1][:dim]

    def log_prob(self, x: Float[Array, " d"]) -> Scalar:
        """log Σ_i ω_i N(x; Z_i, Σ_i) in nats."""
        return jax.nn.logsumexp(self.log_kernels(x))

    def log_kernels(self, x: Float[Array, " d"]) -> Float[Array, " n"]:
        """log (ω_i N(x; Z_i, Σ_i))."""
        away = x[None] - self.centres.astype(x.dtype)
        pull = jnp.einsum("nij,nj->ni", self.precisions.astype(x.dtype), away)
        twice = jnp.sum(pull * away, axis=1) + self.log_dets.astype(x.dtype)
        level = self.log_weights.astype(x.dtype) - 0.5 * self.dim * math.log(2.0 * math.pi)
        return level - 0.5 * twice

    def log_crowd(self, x: Float[Array, " d"]) -> Scalar:
        """log Σ_i exp(−|x − Z_i|²/2h²) − ``crowd``: about 0 among data, −r²/2h² at distance r."""
        return jax.nn.logsumexp(self._log_near(x)) - self.crowd.astype(x.dtype)

    def _log_near(self, x: Array) -> Array:
        away = (x[None] - self.centres.astype(x.dtype)) / self.bandwidth.astype(x.dtype)
        return -0.5 * jnp.sum(away * away, axis=1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _projectors(matrix: Array, rank: int) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(matrix)
    leading = _leading(values, rank)
    inside, outside = _means(values, leading)
    return (vectors * leading[None]) @ vectors.T, inside / outside


@_projectors.defjvp
def _projectors_jvp(rank: int, primals: tuple, tangents: tuple) -> tuple:
    (matrix,), (change,) = primals, tangents
    values, vectors = jnp.linalg.eigh(matrix)
    leading = _leading(values, rank)
    inner = vectors.T @ change @ vectors
    # Only pairs across the gap turn the subspace: no division by differences within it.
    across = leading[:, None] * (1 - leading)[None]
    gap = values[:, None] - values[None]
    tiny = jnp.finfo(matrix.dtype).eps * jnp.abs(values[-1]) + jnp.finfo(matrix.dtype).tiny
    turn = inner * across / jnp.where(across > 0, jnp.maximum(gap, tiny), 1.0)
    moved = vectors @ (turn + turn.T) @ vectors.T
    inside, outside = _means(values, leading)
    rate_in, rate_out = _means(jnp.diagonal(inner), leading)
    projector = (vectors * leading[None]) @ vectors.T
    ratio = inside / outside
    return (projector, ratio), (moved, ratio * (rate_in / inside - rate_out / outside))


def _leading(values: Array, rank: int) -> Array:
    """1 for the last ``rank`` of ascending eigenvalues, else 0."""
    d = len(values)
    return (jnp.arange(d) >= d - rank).astype(values.dtype)


def _means(values: Array, leading: Array) -> tuple[Array, Array]:
    """Means of the leading numbers and of the others."""
    inside = jnp.sum(values * leading) / jnp.sum(leading)
    return inside, jnp.sum(values * (1 - leading)) / jnp.sum(1 - leading)


def tangent_projector(
    matrix: Float[Array, "d d"], dim: int
) -> tuple[Float[Array, "d d"], Float[Array, ""]]:
    """P = Σ_{k ≤ dim} u_k u_kᵀ over the leading eigenvectors of a symmetric positive matrix, and
    the mean of its ``dim`` leading eigenvalues over the mean of the others (1 ≤ dim < D).

    The derivative dP = Σ_{k ≤ dim < l} (u_kᵀ dA u_l)/(λ_k − λ_l) (u_k u_lᵀ + u_l u_kᵀ) divides by
    the gap alone, so that equal eigenvalues on either side of it do no harm.
    """
    return _projectors(matrix, dim)


def _crowd(made: LearnedManifold) -> Array:
    return jnp.median(jax.lax.map(made.log_crowd, made.centres, batch_size=512))


def _refuse(name: str, why: str, bad: np.ndarray | np.bool_) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        shown = listed(rows, 5)
        raise ValueError(f"{name}: {len(rows)} of {np.size(bad)} rows are {why} (rows {shown}).")
