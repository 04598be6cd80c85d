"""Heat kernels: one file a geometry, exact, in log space."""

from scorefold.heat._base import HeatKernel, IsotropicHeat, RadialProfile
from scorefold.heat.sphere import SphereProfile

__all__ = ["HeatKernel", "IsotropicHeat", "RadialProfile", "SphereProfile"]
