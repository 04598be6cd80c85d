"""Closed-form kernels on R^d: covariances, mixtures of Gaussians and what is learned of them."""

from scorefold.kernels.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.gaussian import GaussianMixture

__all__ = [
    "Cholesky",
    "Covariance",
    "Diagonal",
    "GaussianMixture",
    "LowRankDiagonal",
    "NeighbourMixture",
    "TruncatedDensity",
    "blockwise",
]
