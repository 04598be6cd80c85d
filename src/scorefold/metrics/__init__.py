"""Measures of a model: held-out likelihood and total mass."""

from scorefold.metrics.likelihood import HeldOut, held_out
from scorefold.metrics.mass import total_mass

__all__ = ["HeldOut", "held_out", "total_mass"]
