"""Pictures and reports. Matplotlib is imported when something is drawn, not before."""

from scorefold.report.arrows import arrows
from scorefold.report.axes import Axes
from scorefold.report.coast import coastlines, land_raster, on_land
from scorefold.report.curves import smooth, training_curves
from scorefold.report.density import Raster, density_raster, histogram_raster
from scorefold.report.explore.build import Explored, scene_of
from scorefold.report.explore.scene import Curves, Scene, Series
from scorefold.report.film import film
from scorefold.report.findings import Finding
from scorefold.report.flat import CoordinatePair, Plane
from scorefold.report.globes import globes
from scorefold.report.half_steps import half_steps
from scorefold.report.html import name_in_words, to_png, value_in_words, write_report
from scorefold.report.hyperbolic import PoincareDisk
from scorefold.report.kernels import kernel_ellipses, kernel_outlines, kernel_shapes
from scorefold.report.lines_in_time import against_time
from scorefold.report.maps import Globe, Mollweide, best_centre
from scorefold.report.patch import Patch, patch_of
from scorefold.report.paths import trajectories
from scorefold.report.picture import picture, views_of
from scorefold.report.rotations import AxisView, euler_angles, euler_marginals
from scorefold.report.tabulate import tabulated
from scorefold.report.torus import AnglePair, TorusChart
from scorefold.report.views import Chart, View

__all__ = [
    "AnglePair",
    "Axes",
    "AxisView",
    "Chart",
    "CoordinatePair",
    "Curves",
    "Explored",
    "Finding",
    "Globe",
    "Mollweide",
    "Patch",
    "Plane",
    "PoincareDisk",
    "Raster",
    "Scene",
    "Series",
    "TorusChart",
    "View",
    "against_time",
    "arrows",
    "best_centre",
    "coastlines",
    "density_raster",
    "euler_angles",
    "euler_marginals",
    "film",
    "globes",
    "half_steps",
    "histogram_raster",
    "kernel_ellipses",
    "kernel_outlines",
    "kernel_shapes",
    "land_raster",
    "name_in_words",
    "on_land",
    "patch_of",
    "picture",
    "scene_of",
    "smooth",
    "tabulated",
    "to_png",
    "training_curves",
    "trajectories",
    "value_in_words",
    "views_of",
    "write_report",
]
