"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.defaults import default_noising, default_output
from scorefold.models.kernel import KernelModel
from scorefold.models.score import ScoreModel

__all__ = ["KernelModel", "Model", "ScoreModel", "default_noising", "default_output"]
