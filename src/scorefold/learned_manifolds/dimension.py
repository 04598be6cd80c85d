"""Tangent spaces and intrinsic dimension of a learned manifold, and angles between subspaces."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._types import Values
from scorefold.learned_manifolds.manifold import LearnedManifold

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Dimension:
    """What points say about the intrinsic dimension.

    ``votes``: the estimate of each point, integers, shape ``(m,)``; ``shares``: of the votes for
    1, …, D, shape ``(D,)``; ``dim``: the dimension with most votes (the smaller of equals);
    ``participation``: (Σλ)²/Σλ² at each point, shape ``(m,)``: d for d equal eigenvalues and
    nothing else, a number without a threshold.
    """

    votes: np.ndarray
    shares: np.ndarray
    participation: np.ndarray

    @property
    def dim(self) -> int:
        return int(np.argmax(self.shares)) + 1

    @property
    def agreement(self) -> float:
        """Share of the points that vote for ``dim``."""
        return float(self.shares[self.dim - 1])

    @property
    def mean(self) -> float:
        return float(self.votes.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the votes: 0 where all agree."""
        return float(self.votes.std())


def intrinsic_dimension(
    learned: LearnedManifold,
    points: Values,
    *,
    by: Literal["gap", "participation"] = "gap",
    least_gap: float = 2.0,
) -> Dimension:
    """The dimension of the learned manifold at points, shape ``(m, D)``, from the eigenvalues
    λ₁ ≥ … ≥ λ_D of Σ(x).

    - ``"gap"``: argmax_k λ_k/λ_{k+1}, or D where no ratio reaches ``least_gap``.
    - ``"participation"``: (Σλ)²/Σλ², rounded. Too small where the tangent eigenvalues differ.

    Both see the manifold at the scale of the kernels: a sheet as thick as its kernels are wide
    has one dimension more.

    **Raises:** ``ValueError`` for another ``by``.
    """
    if by not in ("gap", "participation"):
        raise ValueError(f'by: must be "gap" or "participation", got {by!r}.')
    values = np.asarray(quick_jit(_spectra)(learned, _rows(learned, points))[0], np.float64)
    sharing = values.sum(1) ** 2 / (values**2).sum(1)
    if by == "gap":
        ratios = values[:, :-1] / values[:, 1:]
        votes = np.full(len(values), values.shape[1])
        if ratios.shape[1]:
            votes = np.where(ratios.max(1) >= least_gap, ratios.argmax(1) + 1, votes)
    else:
        votes = np.rint(sharing).astype(int)
    shares = np.bincount(votes, minlength=values.shape[1] + 1)[1:] / len(votes)
    return Dimension(votes, shares, sharing)


def tangents(learned: LearnedManifold, points: Values, dim: int) -> Array:
    """The ``dim`` leading eigenvectors of Σ at points ``(m, D)``: rows, shape ``(m, dim, D)``."""
    return quick_jit(_spectra)(learned, _rows(learned, points))[1][:, :dim]


def principal_angle(a: Values, b: Values) -> np.ndarray:
    """The largest principal angle between two subspaces of one dimension, in radians:

        arcsin |(1 − AᵀA) Bᵀ|₂,

    exact to rounding for small angles, where arccos of the smallest cosine is not.

    **Arguments:** ``a``, ``b``: orthonormal rows, shape ``(..., k, D)``; for a hypersurface either
    the tangents or, as k = 1, the normals.
    **Raises:** ``ValueError`` if the last two axes differ.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.ndim < 2 or one.shape[-2:] != other.shape[-2:]:
        raise ValueError(
            f"a, b: need rows of equal number and length, shape (..., k, D), got {one.shape} and "
            f"{other.shape}."
        )
    rest = other - (other @ np.swapaxes(one, -1, -2)) @ one
    sine = np.linalg.norm(rest, ord=2, axis=(-2, -1))
    return np.asarray(np.arcsin(np.minimum(sine, 1.0)))


def _rows(learned: LearnedManifold, points: Values) -> Array:
    x = jnp.asarray(points)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(learned.centres.dtype)
    if x.ndim != 2 or x.shape[1] != learned.dim or len(x) == 0:
        raise ValueError(f"points: need shape (m, {learned.dim}) with m ≥ 1, got {x.shape}.")
    return x


def _spectra(learned: LearnedManifold, x: Array) -> tuple[Array, Array]:
    return jax.lax.map(learned.spectrum, x, batch_size=_BATCH)
