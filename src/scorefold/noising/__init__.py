"""Noising processes: from data to a reference law."""

from scorefold.noising._base import Noising, Reference
from scorefold.noising.brownian import Brownian, UniformReference
from scorefold.noising.schedules import Constant, Cosine, Linear, LogLinear, Schedule

__all__ = [
    "Brownian",
    "Constant",
    "Cosine",
    "Linear",
    "LogLinear",
    "Noising",
    "Reference",
    "Schedule",
    "UniformReference",
]
