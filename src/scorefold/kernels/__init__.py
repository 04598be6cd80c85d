"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.bandwidth import leave_one_out_bandwidth
from scorefold.kernels.gaussian.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.gaussian.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.gaussian.eigen import Eigen
from scorefold.kernels.gaussian.mixture import GaussianMixture
from scorefold.kernels.gaussian.network import CovarianceNetwork, Form
from scorefold.kernels.gaussian.objectives import (
    held_out_implicit,
    held_out_nll,
    left_out_masks,
    refuse_centres,
)
from scorefold.kernels.local.best_start import with_best_start
from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.kernels.local.neighbourhood import (
    Neighbourhoods,
    folds_of,
    resolution,
    seen_from,
    shape_features,
)
from scorefold.kernels.local.precision import (
    cap_precision,
    invert,
    pack,
    precision,
    quadratic,
    unpack,
)
from scorefold.kernels.local.queries import Queries
from scorefold.kernels.local.settle import settled
from scorefold.kernels.local.shares import Shares, likeliest_shares
from scorefold.kernels.wrapped.background import (
    MixedReference,
    ProductReference,
    TangentNormal,
    broad_laws,
    density_at,
    plain_law,
)
from scorefold.kernels.wrapped.clustered import ClusteredMixture
from scorefold.kernels.wrapped.families import EsagFamily, HeatFamily, KernelFamily, WrappedFamily
from scorefold.kernels.wrapped.lattice import lattice_normal
from scorefold.kernels.wrapped.mass import mixture_mass
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.kernels.wrapped.truncated import cheaper_log_prob, truncated_log_prob

__all__ = [
    "Cholesky",
    "ClusteredMixture",
    "Covariance",
    "CovarianceNetwork",
    "CrossFit",
    "Diagonal",
    "Eigen",
    "EsagFamily",
    "Form",
    "GaussianMixture",
    "HeatFamily",
    "KernelFamily",
    "LocalCovariance",
    "LowRankDiagonal",
    "MixedReference",
    "NeighbourMixture",
    "Neighbourhoods",
    "ProductReference",
    "Queries",
    "Shares",
    "TangentNormal",
    "TruncatedDensity",
    "WrappedFamily",
    "WrappedMixture",
    "blockwise",
    "broad_laws",
    "cap_precision",
    "cheaper_log_prob",
    "density_at",
    "folds_of",
    "held_out_implicit",
    "held_out_nll",
    "invert",
    "lattice_normal",
    "leave_one_out_bandwidth",
    "left_out_masks",
    "likeliest_shares",
    "mixture_mass",
    "pack",
    "plain_law",
    "precision",
    "quadratic",
    "refuse_centres",
    "resolution",
    "seen_from",
    "settled",
    "shape_features",
    "truncated_log_prob",
    "unpack",
    "with_best_start",
]
