"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.background import ProductReference, TangentNormal, background
from scorefold.kernels.crossfit import CrossFit, Judged
from scorefold.kernels.dimension import (
    Dimension,
    intrinsic_dimension,
    principal_angle,
    tangents,
)
from scorefold.kernels.geodesics import Geodesics, curve_length, geodesics
from scorefold.kernels.learned_manifold import LearnedManifold, tangent_projector
from scorefold.kernels.learned_metric import InducedMetric, InverseCovariance, LearnedMetric
from scorefold.kernels.local import LocalCovariance
from scorefold.kernels.neighbourhood import (
    Neighbourhoods,
    folds_of,
    resolution,
    seen_from,
    shape_features,
)
from scorefold.kernels.precision import cap_precision, invert, pack, precision, quadratic, unpack
from scorefold.kernels.ridge import Projection, project_to_ridge
from scorefold.kernels.wrapped import WrappedMixture

__all__ = [
    "CrossFit",
    "Dimension",
    "Geodesics",
    "InducedMetric",
    "InverseCovariance",
    "Judged",
    "LearnedManifold",
    "LearnedMetric",
    "LocalCovariance",
    "Neighbourhoods",
    "ProductReference",
    "Projection",
    "TangentNormal",
    "WrappedMixture",
    "background",
    "cap_precision",
    "curve_length",
    "folds_of",
    "geodesics",
    "intrinsic_dimension",
    "invert",
    "pack",
    "precision",
    "principal_angle",
    "project_to_ridge",
    "quadratic",
    "resolution",
    "seen_from",
    "shape_features",
    "tangent_projector",
    "tangents",
    "unpack",
]
