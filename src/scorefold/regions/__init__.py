"""Credible regions of a model: where its density is highest, how large they are, whether they hold
what they promise, and on surfaces their boundary.

    region = credible_region(model, mass=0.9, key=jax.random.key(0))
    region.contains(points)                     # where log p is at least region.level
    region.area, region.area_error              # Riemannian volume
    region.coverage(held_out)                   # the share of fresh points inside, in deviations
    calibrated_region(model, validation, 0.9, key=key)  # 0.9 of the data, however sure the model is
    region.to_geojson()                         # on S^2: polygons in degrees of longitude, latitude
"""

from scorefold.regions.calibration import calibrated_region
from scorefold.regions.contours import Contours
from scorefold.regions.region import (
    Coverage,
    CredibleRegion,
    contours,
    credible_region,
    feature_collection,
)

__all__ = [
    "Contours",
    "Coverage",
    "CredibleRegion",
    "calibrated_region",
    "contours",
    "credible_region",
    "feature_collection",
]
