"""``load_snapshots``: recorded and synthetic snapshots by name."""

import os
from pathlib import Path

import jax
import numpy as np

from scorefold.data._errors import DataError, nearest
from scorefold.data.laws import evolutions
from scorefold.data.snapshots import Snapshots
from scorefold.data.sources.download import locate
from scorefold.data.sources.registry import Entry, Source
from scorefold.data.tables.readers import numbers, read_table
from scorefold.manifolds import Euclidean, Sphere

_STORMS = ("storm_id", "name", "yyyymmddhhmm", "status", "lat", "lon", "max_wind_kt")
_HOURS = (0, 24, 48, 72, 96, 120)

SNAPSHOTS: dict[str, Entry] = {
    e.name: e
    for e in (
        Entry(
            "hurricanes",
            "Atlantic storms 0, 24, …, 120 hours after their first record",
            "S^2",
            ("lat", "lon"),
            "degrees",
            "Public domain (NOAA National Hurricane Center)",
            "HURDAT2, Atlantic basin 1970–2018 (Landsea & Franklin 2013, Monthly Weather Review "
            "141, 3576).",
            (
                Source(
                    "bridge/hurdat2_atlantic_1970_2018.csv.gz",
                    "f4d6758cf53cb31c1ef0580953dc4522f8d9df5920345170d7ffa8198d506640",
                    _STORMS,
                ),
            ),
            group="storm_id",
            note="797 storms, of which 787, 721, 612, 515 and 424 have a record 24, 48, 72, 96 and "
            "120 hours after their first: mass is lost. 396 records are off the six-hour grid.",
            earth=True,
        ),
        Entry(
            "cite",
            "Single cells at days 2, 3, 4 and 7, fifty principal components",
            "R^50",
            tuple(f"pc{i}" for i in range(50)),
            "days",
            "Not stated upstream: for tests and benchmarks, do not redistribute",
            "CITE-seq of the Open Problems multimodal challenge 2022, as prepared for Korotin et "
            "al. 2024.",
            (
                Source(
                    "bridge/cite_pca50.npz",
                    "1ba204b1d61f58921aef9d80a199ef1e378075da91dc3c51703a8c8319c714d9",
                    ("day2", "day3", "day4", "day7"),
                ),
            ),
            note="Components are not whitened: standard deviations fall from 43 to 3.",
        ),
        Entry(
            "embryoid",
            "Embryoid body cells at five times, five principal components",
            "R^5",
            tuple(f"pc{i}" for i in range(5)),
            "snapshots",
            "Not stated upstream: for tests and benchmarks, do not redistribute",
            "Moon et al. 2019, Nature Biotechnology 37, 1482.",
            (
                Source(
                    "bridge/eb_pca5_300.npz",
                    "464ddc6775a37850e07d36303fc96b4681ba388e5768116a1bc05a69d1e14c1b",
                    ("x",),
                ),
            ),
            note="300 cells a time, drawn with replacement: some rows repeat.",
        ),
    )
}
"""The recorded snapshots that the library knows by name."""


def load_snapshots(
    name: str, *, seed: int = 0, n: int | None = None, data_dir: str | os.PathLike | None = None
) -> Snapshots:
    """Snapshots by name: ``"hurricanes"`` (S²), ``"cite"`` (R⁵⁰), ``"embryoid"`` (R⁵), read from
    verified files; ``"petal"``, ``"bifurcation"``, ``"vortex"`` (R²) and ``"curving-storms"`` (S²),
    drawn with ``seed`` and ``n`` members.

    **Raises:** ``DataError`` with the nearest name if unknown, and where a file is missing.
    """
    if name in evolutions.EVOLUTIONS:
        return evolutions.EVOLUTIONS[name](jax.random.key(seed), 300 if n is None else n)
    if name not in SNAPSHOTS:
        raise nearest("snapshots", name, (*SNAPSHOTS, *evolutions.EVOLUTIONS))
    if n is not None:
        raise DataError(f"n is the number of synthetic members; {name!r} is a table.")
    entry = SNAPSHOTS[name]
    path, _ = locate(entry, data_dir)
    if name == "hurricanes":
        return _hurricanes(entry, path)
    with np.load(path, allow_pickle=False) as stored:
        clouds = [stored[c] for c in entry.sources[0].columns] if name == "cite" else stored["x"]
    points = tuple(cloud.astype(np.float64) for cloud in clouds)
    times = (2.0, 3.0, 4.0, 7.0) if name == "cite" else (0.0, 1.0, 2.0, 3.0, 4.0)
    manifold = Euclidean(points[0].shape[1])
    about = (entry.units, entry.licence, entry.citation, entry.note)
    return Snapshots(name, manifold, times, points, None, *about)


def _hurricanes(entry: Entry, path: Path) -> Snapshots:
    import pandas as pd

    table = read_table(path)
    table.columns = list(entry.sources[0].columns)
    stamp = pd.to_datetime(table["yyyymmddhhmm"].astype(str), format="%Y%m%d%H%M")
    age = (stamp - stamp.groupby(table["storm_id"]).transform("min")).dt.total_seconds() / 3600
    latlon, _ = numbers(table, entry.columns, entry.name)
    storms = table["storm_id"].to_numpy(str)
    sphere, points, ids = Sphere(2), [], []
    for hours in _HOURS:
        rows = np.flatnonzero(age.to_numpy() == hours)
        points.append(np.asarray(sphere.from_latlon(*latlon[rows].T), np.float64))
        ids.append(storms[rows])
    times = tuple(map(float, _HOURS))
    about = ("hours", entry.licence, entry.citation, entry.note)
    return Snapshots(entry.name, sphere, times, tuple(points), tuple(ids), *about)
