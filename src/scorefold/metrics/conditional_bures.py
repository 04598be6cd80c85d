"""Distance of learned conditional laws X₁ | x₀ from known ones, by their moments."""

import numpy as np

from scorefold._types import Values
from scorefold.bridges.exact.normal import square_root


def conditional_bures(samples: Values, means: Values, covs: Values, variance: float) -> float:
    """cBW₂²-UVP in per cent:

        100 · (1/n) Σ_i BW₂²(N(m̂_i, Ŝ_i), N(m_i, S_i)) / (½ Var p₁),

    m̂_i, Ŝ_i the moments of the draws given the i-th x₀, Var p₁ the trace of its covariance. Not 0
    for a perfect model: draws of the true conditional laws, of the same number, give the floor.

    **Arguments:** ``samples``: shape (n, draws, d); ``means``: m_i, (n, d); ``covs``: S_i,
    (n, d, d); ``variance``: Var p₁ > 0.
    **Raises:** ``ValueError`` for shapes that do not agree or fewer than 2 draws.

    Source: Gushchin et al. 2023 (1000 points x₀, 1000 draws each).
    """
    samples, means, covs = (np.asarray(a, np.float64) for a in (samples, means, covs))
    n, draws, d = samples.shape if samples.ndim == 3 else (0, 0, 0)
    if means.shape != (n, d) or covs.shape != (n, d, d) or draws < 2:
        raise ValueError(
            "samples: shape must be (n, draws, d) with draws > 1, for means (n, d) and covs "
            f"(n, d, d); got {samples.shape}, {means.shape} and {covs.shape}."
        )
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance!r}.")
    mean = samples.mean(axis=1)
    gap = samples - mean[:, None]
    cov = np.einsum("nsd,nse->nde", gap, gap) / (draws - 1)
    return float(100.0 * bures_wasserstein(mean, cov, means, covs).mean() / (0.5 * variance))


def bures_wasserstein(mean0: Values, cov0: Values, mean1: Values, cov1: Values) -> np.ndarray:
    """W₂² of normal laws, row by row: |m₀ − m₁|² + tr(S₀ + S₁ − 2 (S₀^{½} S₁ S₀^{½})^{½}).

    **Arguments:** means (…, d), covariances (…, d, d), positive semidefinite.
    """
    mean0, cov0, mean1, cov1 = (np.asarray(a, np.float64) for a in (mean0, cov0, mean1, cov1))
    half = square_root(cov0)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ cov1 @ half), 0.0)).sum(axis=-1)
    traces = np.trace(cov0, axis1=-2, axis2=-1) + np.trace(cov1, axis1=-2, axis2=-1)
    return np.asarray(np.sum((mean0 - mean1) ** 2, axis=-1) + traces - 2.0 * cross)
