"""Data: a registry, readers, audited splits, and targets whose density is known exactly."""

from scorefold.data._errors import DataError
from scorefold.data.audit import Audit
from scorefold.data.catalogue import Listing, audit, datasets
from scorefold.data.coordinates import Coordinates
from scorefold.data.dataset import Dataset
from scorefold.data.flat import Checkerboard, NoisyLinear, Pinwheel
from scorefold.data.heat_mixture import HeatMixture
from scorefold.data.idx import read_idx
from scorefold.data.images import IMAGES, Images, load_images
from scorefold.data.laws import Law
from scorefold.data.loading import load, load_points, plain_coordinates
from scorefold.data.readers import read_table
from scorefold.data.registry import REGISTRY, Entry
from scorefold.data.snapshot_loading import SNAPSHOTS, load_snapshots
from scorefold.data.snapshots import Snapshots
from scorefold.data.splits import LEAKING, PROTOCOLS, Split
from scorefold.data.synthetic import SYNTHETIC, Target, target

__all__ = [
    "IMAGES",
    "LEAKING",
    "PROTOCOLS",
    "REGISTRY",
    "SNAPSHOTS",
    "SYNTHETIC",
    "Audit",
    "Checkerboard",
    "Coordinates",
    "DataError",
    "Dataset",
    "Entry",
    "HeatMixture",
    "Images",
    "Law",
    "Listing",
    "NoisyLinear",
    "Pinwheel",
    "Snapshots",
    "Split",
    "Target",
    "audit",
    "datasets",
    "load",
    "load_images",
    "load_points",
    "load_snapshots",
    "plain_coordinates",
    "read_idx",
    "read_table",
    "target",
]
