"""Projection onto the manifold that local kernels lie along."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._types import Values
from scorefold.learned_manifolds.dimension import _rows
from scorefold.learned_manifolds.manifold import LearnedManifold

_BATCH = 128


class Projection(NamedTuple):
    """Points on the ridge, and how they got there."""

    points: Array
    """Shape ``(m, D)``."""
    steps: Array
    """Steps taken, shape ``(m,)``."""
    residual: Array
    """Length of the last step, in local standard deviations, shape ``(m,)``."""
    converged: Array
    """Whether that is within the tolerance, shape ``(m,)``."""


def project_to_ridge(
    learned: LearnedManifold, points: Values, dim: int, *, steps: int = 100, tolerance: float = 1e-3
) -> Projection:
    """Mean shift across the manifold, and only across it: the steps

        x ← x + N (NᵀA N)⁻¹ Nᵀ Σ_i r_i Γ_i (Z_i − x),   A = Σ_i r_i Γ_i,

    with r_i the share of kernel i in the density at x, Γ_i = Σ_i⁻¹ and N the D − ``dim`` last
    eigenvectors of Σ(x). For fixed N each step is one of expectation–maximisation for where the
    density is largest on x + range N, so the density does not fall. The limit is a point where
    Nᵀ∇log p = 0: on the ridge.

    The ridge is biased towards the inside of a bend, by about the tangential variance of the
    kernels times the curvature. From further away than the kernels reach the nearest decides.

    **Arguments:** ``points``: shape ``(m, D)``; ``dim``: from 1 to D − 1 (``intrinsic_dimension``);
    ``steps``: at most; ``tolerance``: √(δᵀAδ) of the last step δ, in local standard deviations.
    **Raises:** ``ValueError`` for another dimension or shape.

    Source: Ozertem & Erdogmus 2011 (subspace-constrained mean shift), with the learned field in
    place of the Hessian's eigenvectors and anisotropic kernels.
    """
    if not 1 <= dim < learned.dim:
        raise ValueError(f"dim: must be from 1 to {learned.dim - 1}, got {dim}.")
    x = _rows(learned, points)
    return quick_jit(_project)(learned, x, dim, jnp.int32(steps), jnp.asarray(tolerance, x.dtype))


def _project(
    learned: LearnedManifold, x: Array, dim: int, most: Array, tolerance: Array
) -> Projection:
    def move(y: Array) -> tuple[Array, Array]:
        share = jax.nn.softmax(learned.log_kernels(y))
        n, d = learned.centres.shape
        flat = learned.precisions.astype(y.dtype).reshape(n, d * d)
        pull = (share @ flat).reshape(d, d)
        away = learned.centres.astype(y.dtype) - y[None]
        each = jnp.einsum("nij,nj->ni", learned.precisions.astype(y.dtype), away)
        force = share @ each
        across = learned.spectrum(y)[1][dim:]
        step = jnp.linalg.solve(across @ pull @ across.T, across @ force) @ across
        return step, jnp.sqrt(jnp.maximum(step @ pull @ step, 0.0))

    def one(start: Array) -> Projection:
        def body(state: tuple) -> tuple:
            y, k, _ = state
            step, size = move(y)
            return y + step, k + 1, size

        def unfinished(state: tuple) -> Array:
            return (state[1] < most) & (state[2] > tolerance)

        y, k, size = jax.lax.while_loop(
            unfinished, body, (start, jnp.int32(0), jnp.asarray(jnp.inf, start.dtype))
        )
        return Projection(y, k, size, size <= tolerance)

    return jax.lax.map(one, x, batch_size=_BATCH)
