"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.defaults import default_noising, default_output
from scorefold.models.score import ScoreModel

__all__ = ["Model", "ScoreModel", "default_noising", "default_output"]
