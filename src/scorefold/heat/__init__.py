"""Heat kernels: one file a geometry, exact, in log space."""

from scorefold._geometry import HeatKernel
from scorefold.heat._base import IsotropicHeat, RadialProfile
from scorefold.heat.euclidean import EuclideanHeat
from scorefold.heat.fitted import FittedProfile, fitted_kernel
from scorefold.heat.hyperbolic import HyperbolicProfile
from scorefold.heat.mixture import Transition, TransitionMixture
from scorefold.heat.product import ProductHeat
from scorefold.heat.series import TruncatedSeries
from scorefold.heat.so3 import SO3Profile, is_of_rotations
from scorefold.heat.sphere import SphereProfile, sphere_dimension
from scorefold.heat.tabulated import TabulatedProfile, tabulated_kernel
from scorefold.heat.torus import TorusHeat
from scorefold.heat.varadhan import Varadhan

__all__ = [
    "EuclideanHeat",
    "FittedProfile",
    "HeatKernel",
    "HyperbolicProfile",
    "IsotropicHeat",
    "ProductHeat",
    "RadialProfile",
    "SO3Profile",
    "SphereProfile",
    "TabulatedProfile",
    "TorusHeat",
    "Transition",
    "TransitionMixture",
    "TruncatedSeries",
    "Varadhan",
    "fitted_kernel",
    "is_of_rotations",
    "sphere_dimension",
    "tabulated_kernel",
]
