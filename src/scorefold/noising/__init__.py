"""Noising processes: from data to a reference law."""

from scorefold.noising._base import Noising, Reference
from scorefold.noising.brownian import Brownian
from scorefold.noising.langevin import Langevin
from scorefold.noising.mixture_brownian import MixtureBrownian
from scorefold.noising.ornstein_uhlenbeck import OrnsteinUhlenbeck
from scorefold.noising.random_walk import RandomWalk
from scorefold.noising.references import HeatReference, UniformReference, WrappedNormal
from scorefold.noising.schedules import Constant, Cosine, Linear, LogLinear, Schedule
from scorefold.noising.torus_brownian import TorusBrownian
from scorefold.noising.variance_exploding import VarianceExploding

__all__ = [
    "Brownian",
    "Constant",
    "Cosine",
    "HeatReference",
    "Langevin",
    "Linear",
    "LogLinear",
    "MixtureBrownian",
    "Noising",
    "OrnsteinUhlenbeck",
    "RandomWalk",
    "Reference",
    "Schedule",
    "TorusBrownian",
    "UniformReference",
    "VarianceExploding",
    "WrappedNormal",
]
