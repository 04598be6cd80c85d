"""Gaussian and wrapped normal kernels, and covariances learned from data."""

from scorefold.kernels.background import ProductReference, TangentNormal, background
from scorefold.kernels.crossfit import CrossFit, Judged
from scorefold.kernels.local import LocalCovariance
from scorefold.kernels.neighbourhood import (
    Neighbourhoods,
    folds_of,
    resolution,
    seen_from,
    shape_features,
)
from scorefold.kernels.precision import cap_precision, invert, pack, precision, quadratic, unpack
from scorefold.kernels.wrapped import WrappedMixture

__all__ = [
    "CrossFit",
    "Judged",
    "LocalCovariance",
    "Neighbourhoods",
    "ProductReference",
    "TangentNormal",
    "WrappedMixture",
    "background",
    "cap_precision",
    "folds_of",
    "invert",
    "pack",
    "precision",
    "quadratic",
    "resolution",
    "seen_from",
    "shape_features",
    "unpack",
]
