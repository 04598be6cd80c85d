"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.defaults import default_noising, default_output
from scorefold.models.empirical import EmpiricalModel
from scorefold.models.flat_kernel import GaussianKernelModel
from scorefold.models.heat_kernel_density import HeatKernelDensity
from scorefold.models.informed import InformedModel
from scorefold.models.kernel import KernelModel
from scorefold.models.manifold_parzen import ManifoldParzen
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
    "default_output",
]
