"""Data: a registry, readers, audited splits, and targets whose density is known exactly."""

from scorefold.data._errors import DataError
from scorefold.data.columns.audit import Audit
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.dataset import Dataset
from scorefold.data.laws.flat import Checkerboard, NoisyLinear, Pinwheel
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.data.laws.law import Law
from scorefold.data.laws.synthetic import SYNTHETIC, Target, target
from scorefold.data.snapshots import Snapshots
from scorefold.data.sources.catalogue import Listing, audit, datasets
from scorefold.data.sources.idx import read_idx
from scorefold.data.sources.images import IMAGES, Images, load_images
from scorefold.data.sources.known import plain_coordinates
from scorefold.data.sources.loading import load, load_points
from scorefold.data.sources.registry import REGISTRY, Entry
from scorefold.data.sources.snapshot_loading import SNAPSHOTS, load_snapshots
from scorefold.data.sources.snapshot_tables import (
    SnapshotTable,
    load_snapshot_table,
    snapshots_of_cells,
)
from scorefold.data.splits.protocols import LEAKING, PROTOCOLS, Split
from scorefold.data.tables.on_disk import map_parquet
from scorefold.data.tables.readers import read_table

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
    "SnapshotTable",
    "Snapshots",
    "Split",
    "Target",
    "audit",
    "datasets",
    "load",
    "load_images",
    "load_points",
    "load_snapshot_table",
    "load_snapshots",
    "map_parquet",
    "plain_coordinates",
    "read_idx",
    "read_table",
    "snapshots_of_cells",
    "target",
]
