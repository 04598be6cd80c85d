"""Gaussian laws under quadratic potentials: everything in closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.potentials import Quadratic
from scorefold.proximal.preconditioner import Preconditioner


class GaussianMoments(NamedTuple):
    """N(mean, covariance) on R^d."""

    mean: Array
    """Shape (d,)."""
    covariance: Array
    """Shape (d, d)."""


def gaussian_prox(
    potential: Quadratic,
    law: GaussianMoments,
    *,
    tau: float,
    beta: float,
    preconditioner: Preconditioner | None = None,
) -> GaussianMoments:
    """WProx_{τV,β}(N(m, Σ)) for V = ½(x − c)ᵀA(x − c): with B = (I + τMA)⁻¹

        N(c + B(m − c), BΣBᵀ + 2βτ BM),

    in one dimension N(m/(1 + aτ), s²/(1 + aτ)² + 2βτ/(1 + aτ)). ``beta=0`` is the operator
    without viscosity, the image under the Euclidean proximal map.

    Source: Li, Liu & Osher 2023, with the Gaussian integral carried out.
    """
    check_finite_positive(tau=tau)
    if not beta >= 0:
        raise ValueError(f"beta must not be negative, got {beta}.")
    mean, cov = law
    metric = Preconditioner() if preconditioner is None else preconditioner
    centre, a = (v.astype(mean.dtype) for v in (potential.centre, potential.matrix))
    m = metric.matrix(mean)
    b = jnp.linalg.inv(jnp.eye(len(mean), dtype=mean.dtype) + tau * m @ a)
    return GaussianMoments(centre + b @ (mean - centre), b @ cov @ b.T + 2.0 * beta * tau * (b @ m))


def gaussian_brwp_step(
    potential: Quadratic,
    law: GaussianMoments,
    step: float,
    *,
    tau: float,
    beta: float,
    preconditioner: Preconditioner | None = None,
) -> GaussianMoments:
    """The law N(m, Σ) after one BRWP (PRWP) step of infinitely many particles: the affine map

        x ↦ x − ηMA(x − c) + ηβM Σ_τ⁻¹(x − m_τ),   N(m_τ, Σ_τ) = WProx_{τV,β}(N(m, Σ)),

    in one dimension with c = 0: m ↦ m(1 − ηa + ηβ(1 − 1/(1 + aτ))/v_τ), s ↦ |1 − ηa + ηβ/v_τ|s.

    Source: Tan, Osher & Li 2024 and 2025 (quadratic potentials).
    """
    check_finite_positive(step=step, beta=beta)
    mean, cov = law
    metric = Preconditioner() if preconditioner is None else preconditioner
    m, a = metric.matrix(mean), potential.matrix.astype(mean.dtype)
    later = gaussian_prox(potential, law, tau=tau, beta=beta, preconditioner=preconditioner)
    pull = m @ jnp.linalg.inv(later.covariance)
    matrix = jnp.eye(mean.shape[0], dtype=mean.dtype) - step * m @ a + step * beta * pull
    drift = m @ (a @ (mean - potential.centre.astype(mean.dtype)))
    moved = mean - step * drift + step * beta * (pull @ (mean - later.mean))
    return GaussianMoments(moved, matrix @ cov @ matrix.T)


def gaussian_stationary(
    potential: Quadratic,
    *,
    tau: float,
    beta: float,
    preconditioner: Preconditioner | None = None,
    dtype: DTypeLike | None = None,
) -> GaussianMoments:
    """The limit of BRWP (PRWP) whatever the step: N(c, β(A⁻¹ − τ²MAM)), (β/a)(1 − a²τ²) in one
    dimension. The target is N(c, βA⁻¹): the bias is −βτ²MAM.

    **Raises:** ``ValueError`` for τ ≥ 1/λ_max(MA), where the ensemble collapses.

    Source: Tan, Osher & Li 2025 (bias independent of the step).
    """
    check_finite_positive(tau=tau, beta=beta)
    metric = Preconditioner() if preconditioner is None else preconditioner
    check_contracts(potential, tau, metric)
    centre = potential.centre.astype(dtype or jnp.result_type(float))
    a, m = potential.matrix.astype(centre.dtype), metric.matrix(centre)
    return GaussianMoments(centre, beta * (jnp.linalg.inv(a) - tau**2 * (m @ a @ m)))


def check_contracts(potential: Quadratic, tau: float, metric: Preconditioner) -> None:
    """Raise ``ValueError`` unless τ·λ_max(MA) < 1; nothing under a transformation."""
    if isinstance(potential.matrix, jax.core.Tracer):
        return
    a = np.asarray(potential.matrix, np.float64)
    metric.check(len(a))
    root = np.eye(len(a)) if metric.factor is None else np.asarray(metric.factor, np.float64)
    steepest = float(np.linalg.eigvalsh(root.T @ a @ root)[-1])
    if tau * steepest >= 1:
        raise ValueError(
            f"tau={tau:g} is too large for this quadratic potential: the law that BRWP leaves in "
            f"place has variance β/a·(1 − a²τ²), so that τ must be below 1/a = {1 / steepest:g} "
            "(a the largest eigenvalue of MA). Take a smaller tau or a smaller preconditioner."
        )
