"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.defaults import default_noising, default_output
from scorefold.models.flat_kernel import GaussianKernelModel
from scorefold.models.score import ScoreModel

__all__ = ["GaussianKernelModel", "Model", "ScoreModel", "default_noising", "default_output"]
