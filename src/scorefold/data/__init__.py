"""Data: a registry, readers, audited splits, and targets whose density is known exactly."""

from scorefold.data._errors import DataError
from scorefold.data.audit import Audit
from scorefold.data.coordinates import Coordinates
from scorefold.data.dataset import Dataset
from scorefold.data.loading import load
from scorefold.data.readers import read_table
from scorefold.data.registry import REGISTRY, Entry
from scorefold.data.splits import PROTOCOLS, Split

__all__ = [
    "PROTOCOLS",
    "REGISTRY",
    "Audit",
    "Coordinates",
    "DataError",
    "Dataset",
    "Entry",
    "Split",
    "load",
    "read_table",
]
