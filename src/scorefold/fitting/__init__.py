"""Training: one ``fit`` for every model; files of models."""

from scorefold._fixed import fixed
from scorefold.fitting._contract import Config, Defaults, Description, Trainer
from scorefold.fitting.batches import batch_rows
from scorefold.fitting.errors import (
    DamagedFile,
    DifferentRun,
    DirectoryInUse,
    DiskFull,
    Interrupted,
    NonFiniteLoss,
)
from scorefold.fitting.fit import fit, fit_seeds
from scorefold.fitting.history import History
from scorefold.fitting.progress import Progress
from scorefold.fitting.save import load, save
from scorefold.fitting.weighting import RowWeights

__all__ = [
    "Config",
    "DamagedFile",
    "Defaults",
    "Description",
    "DifferentRun",
    "DirectoryInUse",
    "DiskFull",
    "History",
    "Interrupted",
    "NonFiniteLoss",
    "Progress",
    "RowWeights",
    "Trainer",
    "batch_rows",
    "fit",
    "fit_seeds",
    "fixed",
    "load",
    "save",
]
