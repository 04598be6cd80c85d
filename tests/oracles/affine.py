"""dX = (AX + C) dt + √r dB in the plane: its moments in closed form."""

import jax.numpy as jnp
import numpy as np
from scipy.linalg import expm

from scorefold.bridges import GivenDrift
from scorefold.manifolds import Euclidean

A = np.array([[-0.4, 1.1], [-0.7, -0.2]])
C = np.array([0.3, -0.5])
PLANE = Euclidean(2)


def affine():
    return GivenDrift(PLANE, lambda x, t: jnp.asarray(A, x.dtype) @ x + jnp.asarray(C, x.dtype))


def affine_moments(t, x):
    """Mean and covariance per unit rate after t from x, and e^{At}, by Van Loan's exponential."""
    block = np.zeros((4, 4))
    block[:2, :2], block[:2, 2:], block[2:, 2:] = A, np.eye(2), -A.T
    whole = expm(block * t)
    move = whole[:2, :2]
    return move @ x + np.linalg.solve(A, (move - np.eye(2)) @ C), whole[:2, 2:] @ move.T, move


def affine_pinned(t, end, x, y):
    """Mean and covariance per unit rate at t of the process from x at 0 to y at ``end``."""
    mean, cov, _ = affine_moments(t, x)
    later, _, onward = affine_moments(end - t, mean)
    gain = cov @ onward.T @ np.linalg.inv(affine_moments(end, x)[1])
    return mean + gain @ (y - later), cov - gain @ onward @ cov
