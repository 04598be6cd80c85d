"""The multi-marginal bridge of normal snapshots with integrated Brownian motion as reference."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Values
from scorefold.bridges.exact.normal import Normal
from scorefold.bridges.reference.integrated import check_times, pinned_moments, position_precision


class GaussianSpline(eqx.Module):
    """The law of a path on R^d closest to dx = v dt, dv = √ε dW (flat at the start) among those
    with x(t_k) ~ N(m_k, S_k), k = 0, …, K. Velocities are free.

    Given the knots it is the reference pinned there; the knots are normal with

        Cov⁻¹ = Q ⊗ I/ε + blockdiag(D_0, …, D_K),   diagonal blocks of Cov = S_k,

    the multi-marginal Schrödinger system. So E x(t) is the natural cubic spline through the m_k
    for every ε, and as ε → 0 every path is a cubic spline: optimal transport with cost ∫|x''|²dt.

    ``knots``: the law of (x(t_0), …, x(t_K)) on R^{(K+1)d}, ``error``: largest error of its
    diagonal blocks relative to the largest variance; ``sweeps``: iterations used.

    Source: Chen, Conforti & Georgiou 2018 (measure-valued splines); Benamou, Gallouët & Vialard
    2019; the iteration is iterative proportional fitting of normal laws (Speed & Kiiveri 1986).
    """

    epsilon: float
    knots: Normal
    error: float
    sweeps: int
    times: np.ndarray = fixed()

    @property
    def dim(self) -> int:
        return len(self.knots.mean) // len(self.times)

    def law(self, t: float) -> Normal:
        """The law of x(t), also before t_0 and after t_K."""
        return self.joint([t])

    def joint(self, at: Values) -> Normal:
        """The law of x at different times, on R^{md}.

        **Raises:** ``ValueError`` where it is singular to rounding (times nearly equal)."""
        gains, cov = pinned_moments(self.times, at)
        wide = np.kron(gains, np.eye(self.dim))
        full = wide @ self.knots.cov @ wide.T + self.epsilon * np.kron(cov, np.eye(self.dim))
        return Normal(wide @ self.knots.mean, full)

    def sample(self, key: Key, n: int, at: Values, dtype: DTypeLike | None = None) -> Array:
        """n paths at the m times ``at``, shape (n, m, d), exact."""
        dtype = dtype or jnp.result_type(float)
        first, second = jax.random.split(key)
        gains, cov = pinned_moments(self.times, at)
        values, vectors = np.linalg.eigh(self.epsilon * cov)
        factor = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[None, :], dtype)
        knots = self.knots.sample(first, n, dtype).reshape(n, len(self.times), self.dim)
        noise = jax.random.normal(second, (n, len(gains), self.dim), dtype)
        mean = jnp.einsum("mk,nkd->nmd", jnp.asarray(gains, dtype), knots, precision="highest")
        return mean + jnp.einsum("mk,nkd->nmd", factor, noise, precision="highest")


def gaussian_spline(
    times: Values,
    means: Values,
    covs: Values,
    epsilon: float,
    *,
    tolerance: float = 1e-9,
    max_sweeps: int = 5_000,
) -> GaussianSpline:
    """Newton's method on the dual problem, which is convex,

        min over D of −log det(Q ⊗ I/ε + D) + Σ_k tr(D_k S_k),

    at a large ε first and then at ε/4 and so on, D scaled with 1/ε. Above 2500 unknowns
    (K + 1)d², iterative proportional fitting of the blocks, D_k ← D_k + S_k⁻¹ − (Cov_kk)⁻¹ in
    turn, whose sweeps grow like 1/ε.

    **Arguments:** ``times``: t_0 < … < t_K; ``means``, shape (K + 1, d); ``covs``, shape
    (K + 1, d, d), positive definite; ``epsilon``: ε > 0, variance of velocity per unit of time.
    **Raises:** ``ValueError`` for wrong shapes, a covariance that is not positive definite, and
    where the error is above ``tolerance`` after ``max_sweeps`` (ε far below the scale of the
    covariances over the time cubed: raise ε or the tolerance).
    """
    t = check_times(times)
    means = np.asarray(means, np.float64)
    covs = np.asarray(covs, np.float64)
    if means.ndim != 2 or len(means) != len(t) or covs.shape != (*means.shape, means.shape[1]):
        raise ValueError(
            f"means, covs: shapes must be ({len(t)}, d) and ({len(t)}, d, d), got {means.shape} "
            f"and {covs.shape}."
        )
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be a positive finite number, got {epsilon!r}.")
    ends = enumerate(zip(means, covs, strict=True))
    wanted = [Normal(m, c, f"covs[{k}]").cov for k, (m, c) in ends]
    d, count, rough = means.shape[1], len(t), position_precision(t)
    blocks = [slice(k * d, (k + 1) * d) for k in range(count)]
    largest = max(np.abs(cov).max() for cov in wanted)
    small = count * d * d <= 2500
    ratio = np.linalg.eigvalsh(rough)[-1] * largest / epsilon
    rungs = max(0, math.ceil(math.log(ratio, 4))) if small and ratio > 0 else 0
    precision = np.kron(rough, np.eye(d)) / (epsilon * 4.0**rungs)
    for cov, b in zip(wanted, blocks, strict=True):
        precision[b, b] += np.linalg.inv(cov)
    sweeps = 0
    for rung in range(rungs, -1, -1):
        goal = tolerance if rung == 0 else 1e-3
        error = np.inf
        while error > goal and sweeps < max_sweeps:
            sweeps += 1
            precision = (_newton if small else _sweep)(precision, wanted)
            cov = np.linalg.inv(precision)
            error = max(np.abs(cov[b, b] - w).max() for b, w in zip(blocks, wanted, strict=True))
            error = error / largest
        if rung:
            precision = 4.0 * precision
    if error > tolerance:
        raise ValueError(
            f"epsilon: {epsilon:g} leaves the covariances {error:.1e} off after {max_sweeps} "
            "sweeps. Use a larger one, or a larger tolerance."
        )
    cov = np.linalg.inv(0.5 * (precision + precision.T))
    knots = Normal(means.reshape(-1), 0.5 * (cov + cov.T), "knots")
    return GaussianSpline(float(epsilon), knots, float(error), sweeps, t)


def _sweep(precision: np.ndarray, covs: list[np.ndarray]) -> np.ndarray:
    """One block after another is set right; the inverse follows by a low-rank update."""
    precision, cov, d = precision.copy(), np.linalg.inv(precision), len(covs[0])
    for k, wanted in enumerate(covs):
        b = slice(k * d, (k + 1) * d)
        block = cov[b, b]
        step = np.linalg.solve(block, cov[b, :])
        precision[b, b] += np.linalg.inv(wanted) - np.linalg.inv(block)
        cov = cov + step.T @ (wanted - block) @ step
    return 0.5 * (precision + precision.T)


def _newton(precision: np.ndarray, covs: list[np.ndarray]) -> np.ndarray:
    """A Newton step D + Δ with (C Δ C)_kk = C_kk − S_k, C = Cov, halved until the dual falls."""
    from scipy.linalg import block_diag

    count, d = len(covs), len(covs[0])
    cov = np.linalg.inv(precision)
    c = cov.reshape(count, d, count, d)
    gaps = np.stack([c[k, :, k, :] - covs[k] for k in range(count)])
    slope = np.einsum("kilm,lnkj->kijlmn", c, c).reshape(count * d * d, -1)
    delta = np.linalg.solve(slope, gaps.reshape(-1)).reshape(count, d, d)
    full = block_diag(*(0.5 * (delta + delta.transpose(0, 2, 1))))
    linear = float(np.sum(full * block_diag(*covs)))
    decrement, before = float(np.sum(delta * gaps)), np.linalg.slogdet(precision)[1]
    share = 1.0
    while share > 1e-6:
        trial = precision + share * full
        if np.linalg.eigvalsh(trial)[0] > 0:
            fall = np.linalg.slogdet(trial)[1] - before - share * linear
            if fall >= 0.25 * share * decrement - 1e-9 * (1.0 + abs(before)):
                return trial
        share *= 0.5
    return precision
