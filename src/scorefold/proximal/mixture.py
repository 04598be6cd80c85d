"""Gaussian mixtures from matrices: closed under the heat flow, so exact at every time."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from scorefold._types import Values
from scorefold.kernels import Eigen, GaussianMixture
from scorefold.proximal._check import check_matrix


def gaussian_mixture(
    means: Values, covariances: Values, weights: Values | None = None
) -> GaussianMixture:
    """π = Σ_k w_k N(μ_k, Σ_k) on R^d; π.log_prob(x, s) is that of its heat flow
    G_s * π = Σ_k w_k N(μ_k, Σ_k + sI), differentiable in x and s.

    A potential for everything in this room: V = −2γ log π makes π a Wasserstein proximal point,
    U(x, t) = −2γ log(G_{2γ(τ−t)} * π)(x) solves the Hamilton–Jacobi equation exactly, and
    V = −β log π makes it a Gibbs law.

    **Arguments:** ``means``: (K, d); ``covariances``: (K, d, d); ``weights``: K positive numbers,
    normalised here (default equal).
    **Raises:** ``ValueError`` naming the component that is not a Gaussian.
    """
    means = np.asarray(means, np.float64)
    if means.ndim != 2 or not np.isfinite(means).all():
        raise ValueError(f"means must be finite, shape (K, d); got shape {means.shape}.")
    k, d = means.shape
    covariances = np.asarray(covariances, np.float64)
    if covariances.shape != (k, d, d):
        raise ValueError(f"covariances must have shape {(k, d, d)}, got {covariances.shape}.")
    weights = np.ones(k) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (k,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(f"weights must be {k} positive numbers, got {weights}.")
    checked = [check_matrix(f"covariances[{i}]", c) for i, c in enumerate(covariances)]
    variances, axes = np.linalg.eigh(np.stack(checked))
    found = (np.log(weights / weights.sum()), means, axes, variances)
    log_weights, centres, columns, spread = (jnp.asarray(a, jnp.result_type(float)) for a in found)
    return GaussianMixture(log_weights, centres, eqx.filter_vmap(Eigen)(columns, spread))
