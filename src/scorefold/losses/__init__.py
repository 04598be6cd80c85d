"""Score-matching losses, one example at a time, and the noise levels they are taken at."""

from scorefold.losses._base import LogUniform, Loss, TimeLaw
from scorefold.losses.denoising import Denoising

__all__ = ["Denoising", "LogUniform", "Loss", "TimeLaw"]
