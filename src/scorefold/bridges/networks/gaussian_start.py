"""Iterative proportional fitting between Gaussian laws: what a learned bridge starts from."""

import jax.numpy as jnp
import numpy as np

from scorefold._types import DTypeLike
from scorefold.bridges.exact.gaussian import GaussianBridge
from scorefold.bridges.networks.affine import AffineScore
from scorefold.bridges.reference.linear import linear_transition
from scorefold.noising import Noising


def gaussian_iterates(
    reference: Noising, a: np.ndarray, b: np.ndarray, count: int, *, converged: bool
) -> list[AffineScore]:
    """The fields of the first ``count`` half-steps of iterative proportional fitting between the
    Gaussian laws with the means and covariances of ``a`` and ``b``, after the field towards b
    that it starts from: ``count + 1`` values in all, towards b, a, b, a, ….

    It starts from the reference; with ``converged`` from the bridge itself, which every half-step
    leaves as it is. In natural parameters (precision Λ, linear term h) a half-step is one
    subtraction: with p = φψ̃/π at end E, φ_E = p_E π/ψ̃, hence

        Λ ← Cov_E⁻¹ + Λ_π − Λ',   h ← Cov_E⁻¹(mean_E − μ) − h',

    ' the other factor, carried over to E by the reference.

    Source: the Gaussian case of Fortet 1940 and Kullback 1968; the limit is that of
    Bunne et al. 2023, Theorem 3.
    """
    transition = linear_transition(reference)
    total = np.float64(reference.schedule.total)
    m, _, v = (np.asarray(k) for k in transition.moments(total, np))
    steady, mu = transition.rate, transition.location
    ends = [_moments(np.asarray(x, np.float64)) for x in (a, b)]
    inverses = [np.linalg.inv(covariance) for _, covariance in ends]
    eye = np.eye(a.shape[1])
    if converged:
        bridge = GaussianBridge(reference, *ends[0], *ends[1])
        inverse = np.linalg.inv(bridge.end_cov)
        precision = inverse - eye / v + steady * eye
        linear = inverse @ (ends[1][0] - mu) - m / v * (ends[0][0] - mu)
    else:
        precision, linear = steady * eye, np.zeros(a.shape[1])
    found = [_affine(reference, precision, linear, a.dtype)]
    for n in range(count):
        mean, inverse = ends[n % 2][0] - mu, inverses[n % 2]
        values, vectors = np.linalg.eigh(precision)
        carried = 1.0 / (m * m + v * values)
        far = vectors * (values * carried) @ vectors.T
        far_linear = vectors @ (m * carried * (vectors.T @ linear))
        precision = inverse + steady * eye - far
        linear = inverse @ mean - far_linear
        found.append(_affine(reference, precision, linear, a.dtype))
    return found


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, covariance), with no variance below 1e-6 of the largest."""
    covariance = np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-6 * max(values[-1], 1e-12))
    return x.mean(axis=0), vectors * values @ vectors.T


def _affine(
    reference: Noising, precision: np.ndarray, linear: np.ndarray, dtype: DTypeLike
) -> AffineScore:
    values, vectors = np.linalg.eigh(0.5 * (precision + precision.T))
    arrays = (vectors, values, vectors.T @ linear)
    return AffineScore(reference, *(jnp.asarray(x, dtype) for x in arrays))
