"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.gaussian.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.gaussian.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.gaussian.eigen import Eigen
from scorefold.kernels.gaussian.mixture import GaussianMixture
from scorefold.kernels.gaussian.network import CovarianceNetwork
from scorefold.kernels.gaussian.objectives import held_out_implicit, held_out_nll, left_out_masks
from scorefold.kernels.wrapped.background import plain_law
from scorefold.kernels.wrapped.clustered import ClusteredMixture
from scorefold.kernels.wrapped.families import EsagFamily, HeatFamily, KernelFamily, WrappedFamily
from scorefold.kernels.wrapped.mass import mixture_mass
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.kernels.wrapped.truncated import truncated_log_prob

__all__ = [
    "Cholesky",
    "ClusteredMixture",
    "Covariance",
    "CovarianceNetwork",
    "Diagonal",
    "Eigen",
    "EsagFamily",
    "GaussianMixture",
    "HeatFamily",
    "KernelFamily",
    "LowRankDiagonal",
    "NeighbourMixture",
    "TruncatedDensity",
    "WrappedFamily",
    "WrappedMixture",
    "blockwise",
    "held_out_implicit",
    "held_out_nll",
    "left_out_masks",
    "mixture_mass",
    "plain_law",
    "truncated_log_prob",
]
