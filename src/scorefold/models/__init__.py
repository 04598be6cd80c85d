"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models.score import ScoreModel

__all__ = ["Model", "ScoreModel"]
