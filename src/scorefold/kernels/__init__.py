"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.background import (
    MixedReference,
    ProductReference,
    TangentNormal,
    broad_laws,
    density_at,
    plain_law,
)
from scorefold.kernels.bandwidth import leave_one_out_bandwidth
from scorefold.kernels.blockwise import NeighbourMixture, TruncatedDensity, blockwise
from scorefold.kernels.clustered import ClusteredMixture
from scorefold.kernels.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.crossfit import CrossFit, Judged
from scorefold.kernels.dimension import (
    Dimension,
    intrinsic_dimension,
    principal_angle,
    tangents,
)
from scorefold.kernels.families import EsagKernel, HeatKernels, KernelFamily, WrappedKernel
from scorefold.kernels.gaussian import GaussianMixture
from scorefold.kernels.geodesics import Geodesics, curve_length, geodesics
from scorefold.kernels.lattice import lattice_normal
from scorefold.kernels.learned_manifold import LearnedManifold, tangent_projector
from scorefold.kernels.learned_metric import InducedMetric, InverseCovariance, LearnedMetric
from scorefold.kernels.local import Kernels, LocalCovariance
from scorefold.kernels.mass import mixture_mass
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
from scorefold.kernels.ridge import Projection, project_to_ridge
from scorefold.kernels.settle import settled
from scorefold.kernels.shares import Shares, likeliest_shares
from scorefold.kernels.truncated import cheaper_log_prob, truncated_log_prob
from scorefold.kernels.wrapped import WrappedMixture

__all__ = [
    "Cholesky",
    "ClusteredMixture",
    "Covariance",
    "CovarianceNetwork",
    "CrossFit",
    "Diagonal",
    "Dimension",
    "EsagKernel",
    "Form",
    "GaussianMixture",
    "Geodesics",
    "HeatKernels",
    "InducedMetric",
    "InverseCovariance",
    "Judged",
    "KernelFamily",
    "Kernels",
    "LearnedManifold",
    "LearnedMetric",
    "LocalCovariance",
    "LowRankDiagonal",
    "MixedReference",
    "NeighbourMixture",
    "Neighbourhoods",
    "ProductReference",
    "Projection",
    "Shares",
    "TangentNormal",
    "TruncatedDensity",
    "WrappedKernel",
    "WrappedMixture",
    "blockwise",
    "broad_laws",
    "cap_precision",
    "cheaper_log_prob",
    "curve_length",
    "density_at",
    "folds_of",
    "geodesics",
    "held_out_implicit",
    "held_out_nll",
    "intrinsic_dimension",
    "invert",
    "lattice_normal",
    "leave_one_out",
    "leave_one_out_bandwidth",
    "likeliest_shares",
    "mixture_mass",
    "pack",
    "plain_law",
    "precision",
    "principal_angle",
    "project_to_ridge",
    "quadratic",
    "refuse_centres",
    "resolution",
    "seen_from",
    "settled",
    "shape_features",
    "tangent_projector",
    "tangents",
    "truncated_log_prob",
    "unpack",
]
