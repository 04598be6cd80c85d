"""Training: one ``fit`` for every model."""

from scorefold.fitting._contract import Trainable
from scorefold.fitting.errors import NonFiniteLoss
from scorefold.fitting.fit import fit, fit_seeds
from scorefold.fitting.history import History

__all__ = ["History", "NonFiniteLoss", "Trainable", "fit", "fit_seeds"]
