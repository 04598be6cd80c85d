"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.defaults import default_noising
from scorefold.models.flat_kernel import GaussianKernelModel
from scorefold.models.informed import InformedModel
from scorefold.models.kernel import KernelModel
from scorefold.models.plain import EmpiricalModel, HeatKernelDensity, ManifoldParzen
from scorefold.models.score import ScoreModel

__all__ = [
    "EmpiricalModel",
    "GaussianKernelModel",
    "HeatKernelDensity",
    "InformedModel",
    "KernelModel",
    "ManifoldParzen",
    "Model",
    "ScoreModel",
    "default_noising",
]
