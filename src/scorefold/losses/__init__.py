"""Score-matching losses, one example at a time, and the noise levels they are taken at."""

from scorefold.losses._base import Loss
from scorefold.losses.denoising import ConsecutiveDenoising, Denoising
from scorefold.losses.implicit import Implicit, Sliced
from scorefold.losses.levels import Importance, LogUniform, TimeLaw, Uniform
from scorefold.losses.weighting import Likelihood, Variance, Weighting

__all__ = [
    "ConsecutiveDenoising",
    "Denoising",
    "Implicit",
    "Importance",
    "Likelihood",
    "LogUniform",
    "Loss",
    "Sliced",
    "TimeLaw",
    "Uniform",
    "Variance",
    "Weighting",
]
