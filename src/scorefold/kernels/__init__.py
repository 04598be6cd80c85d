"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.background import ProductReference, TangentNormal, background
from scorefold.kernels.bandwidth import leave_one_out_bandwidth
from scorefold.kernels.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.crossfit import CrossFit, Judged
from scorefold.kernels.gaussian import GaussianMixture
from scorefold.kernels.local import Kernels, LocalCovariance
from scorefold.kernels.neighbourhood import (
    Neighbourhoods,
    folds_of,
    resolution,
    seen_from,
    shape_features,
)
from scorefold.kernels.network import CovarianceNetwork, Form
from scorefold.kernels.objectives import (
    held_out_implicit,
    held_out_nll,
    leave_one_out,
    refuse_centres,
)
from scorefold.kernels.precision import cap_precision, invert, pack, precision, quadratic, unpack
from scorefold.kernels.truncated import truncated_log_prob
from scorefold.kernels.wrapped import WrappedMixture

__all__ = [
    "Cholesky",
    "Covariance",
    "CovarianceNetwork",
    "CrossFit",
    "Diagonal",
    "Form",
    "GaussianMixture",
    "Judged",
    "Kernels",
    "LocalCovariance",
    "LowRankDiagonal",
    "NeighbourMixture",
    "Neighbourhoods",
    "ProductReference",
    "TangentNormal",
    "TruncatedDensity",
    "WrappedMixture",
    "background",
    "blockwise",
    "cap_precision",
    "folds_of",
    "held_out_implicit",
    "held_out_nll",
    "invert",
    "leave_one_out",
    "leave_one_out_bandwidth",
    "pack",
    "precision",
    "quadratic",
    "refuse_centres",
    "resolution",
    "seen_from",
    "shape_features",
    "truncated_log_prob",
    "unpack",
]
