"""Iterative proportional fitting between Gaussian laws: what a learned bridge starts from."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from scorefold.bridges.affine import AffineScore, pull
from scorefold.noising import Noising, OrnsteinUhlenbeck

__all__ = ["gaussian_iterates"]


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
    total = reference.schedule.total
    steady = pull(reference)
    m, v = math.exp(-0.5 * steady * total), total
    if steady:
        v = -math.expm1(-steady * total) / steady
    mu = np.zeros(a.shape[1])
    if isinstance(reference, OrnsteinUhlenbeck) and reference.law.location is not None:
        mu = np.asarray(reference.law.location, np.float64)
    ends = [_natural(np.asarray(x, np.float64) - mu) for x in (a, b)]
    eye = np.eye(a.shape[1])
    if converged:
        (mean_a, _, cov_a), (mean_b, _, cov_b) = ends
        root = _power(cov_a, 0.5)
        noise = v / m
        middle = _power(4.0 * root @ cov_b @ root + noise**2 * eye, 0.5)
        cross = 0.5 * (root @ middle @ np.linalg.inv(root) - noise * eye)
        given = cov_b - cross.T @ np.linalg.solve(cov_a, cross)
        inverse = np.linalg.inv(0.5 * (given + given.T))
        precision, linear = inverse - eye / v + steady * eye, inverse @ mean_b - m / v * mean_a
    else:
        precision, linear = steady * eye, np.zeros(a.shape[1])
    found = [_affine(reference, precision, linear, a.dtype)]
    for n in range(count):
        mean, inverse, _ = ends[n % 2]
        values, vectors = np.linalg.eigh(precision)
        carried = 1.0 / (m * m + v * values)
        far = vectors * (values * carried) @ vectors.T
        far_linear = vectors @ (m * carried * (vectors.T @ linear))
        precision = inverse + steady * eye - far
        linear = inverse @ mean - far_linear
        found.append(_affine(reference, precision, linear, a.dtype))
    return found


def _natural(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, inverse covariance, covariance); the covariance has no variance below 1e-6 of the
    largest."""
    covariance = np.cov(y, rowvar=False).reshape(y.shape[1], y.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-6 * max(values[-1], 1e-12))
    return (
        y.mean(axis=0),
        vectors / values @ vectors.T,
        vectors * values @ vectors.T,
    )


def _power(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return vectors * np.maximum(values, 0.0) ** power @ vectors.T


def _affine(reference: Noising, precision: np.ndarray, linear: np.ndarray, dtype) -> AffineScore:
    values, vectors = np.linalg.eigh(0.5 * (precision + precision.T))
    arrays = (vectors, values, vectors.T @ linear)
    return AffineScore(reference, *(jnp.asarray(x, dtype) for x in arrays))
