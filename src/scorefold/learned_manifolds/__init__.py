"""Manifolds that are learned: metrics, shortest curves and ridges from local covariances."""

from scorefold.learned_manifolds.dimension import (
    Dimension,
    intrinsic_dimension,
    principal_angle,
    tangents,
)
from scorefold.learned_manifolds.geodesics import Geodesics, curve_length, geodesics
from scorefold.learned_manifolds.manifold import LearnedManifold, tangent_projector
from scorefold.learned_manifolds.metric import InducedMetric, InverseCovariance, LearnedMetric
from scorefold.learned_manifolds.ridge import Projection, project_to_ridge

__all__ = [
    "Dimension",
    "Geodesics",
    "InducedMetric",
    "InverseCovariance",
    "LearnedManifold",
    "LearnedMetric",
    "Projection",
    "curve_length",
    "geodesics",
    "intrinsic_dimension",
    "principal_angle",
    "project_to_ridge",
    "tangent_projector",
    "tangents",
]
