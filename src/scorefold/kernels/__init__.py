"""Closed-form kernels on R^d: covariances, mixtures of Gaussians and what is learned of them."""

from scorefold.kernels.bandwidth import leave_one_out_bandwidth
from scorefold.kernels.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.gaussian import GaussianMixture
from scorefold.kernels.network import CovarianceNetwork, Form
from scorefold.kernels.objectives import (
    held_out_implicit,
    held_out_nll,
    leave_one_out,
    refuse_centres,
)

__all__ = [
    "Cholesky",
    "Covariance",
    "CovarianceNetwork",
    "Diagonal",
    "Form",
    "GaussianMixture",
    "LowRankDiagonal",
    "NeighbourMixture",
    "TruncatedDensity",
    "blockwise",
    "held_out_implicit",
    "held_out_nll",
    "leave_one_out",
    "leave_one_out_bandwidth",
    "refuse_centres",
]
