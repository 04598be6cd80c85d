"""``scorefold carry``: points moved by a fitted bridge, in the units of its data."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold import ScorefoldWarning
from scorefold._oneline import one_line
from scorefold.bridges import MultiMarginalBridge
from scorefold.cli.parser import UsageError, add_drop_options, real, seed, whole
from scorefold.data import load_points
from scorefold.runs import documents
from scorefold.runs.folder import Run
from scorefold.runs.models.draws import check_out, write_columns

__all__ = ["add_commands"]

_time = real(-1e30, 1e30)
_BLOCK = 2**14
_STATES = 2**20
"""Rows that are walked at a time, and states of paths held at a time, at most."""


def add_commands(commands: Any) -> None:
    carry = commands.add_parser("carry", help="move points along a fitted bridge")
    carry.add_argument("run", metavar="DIR", help="the folder of a bridge")
    carry.add_argument("data", metavar="POINTS", help="a table with the columns of the bridge's")
    carry.add_argument("--out", metavar="FILE", required=True, help=".csv, .tsv, .parquet, .npy")
    carry.add_argument("--backward", action="store_true",
                       help="POINTS are of the end; move them back")  # fmt: skip
    carry.add_argument("--from", dest="start", type=_time, metavar="T",
                       help="the time of POINTS, that of a snapshot (default: the first; with "
                       "--backward the last)")  # fmt: skip
    carry.add_argument(
        "--at", type=_time, metavar="T",
        help="where to (default: the last time; with --backward the first)",
    )  # fmt: skip
    carry.add_argument(
        "--paths", type=whole(1, 10**5), metavar="N",
        help="write the whole way, N steps of equal time, with columns point and t",
    )  # fmt: skip
    carry.add_argument("--columns", help="coordinate columns of a file (default: those of the run)")
    add_drop_options(carry)
    carry.add_argument("--seed", type=seed, default=0, help="of the noise (default: 0)")
    carry.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    carry.set_defaults(command=_carry)


def _carry(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    check_out(out)
    run = Run.open_bridge(arguments.run)
    for table in (arguments.data, *run.sources()):
        if out.exists() and os.path.exists(table) and os.path.samefile(out, table):
            raise UsageError(f"--out {out} is a table of points: choose another name.")
    coordinates = run.coordinates()
    with documents.describes(run.folder / "run.json"):
        points, said = load_points(
            arguments.data, like=coordinates, columns=arguments.columns,
            drop=bool(arguments.drop), drop_value=arguments.drop_value,
            data_dir=arguments.data_dir,
        )  # fmt: skip
    for line in said:
        warnings.warn(f"{arguments.data}: {line}", ScorefoldWarning, stacklevel=2)
    bridge = _whole(run.model(), points)
    if bridge.manifold.name != coordinates.manifold.name:
        raise UsageError(f"{run.folder}: the bridge is on {bridge.manifold.name}, its table on "
                         f"{coordinates.manifold.name}: the folder is damaged.")  # fmt: skip
    start, end = _times(arguments, bridge.times)
    count = arguments.paths or 1
    times = np.linspace(start, end, count + 1) if arguments.paths else np.array([end])
    arguments.stops.note = f"stopped; {out} was not written"
    named = ("point", "t") if arguments.paths else ()
    clash = [name for name in named if name in coordinates.columns]
    if clash:
        raise UsageError(f"--paths: the table has a column {clash[0]!r} of its own.")

    def blocks() -> Iterator[np.ndarray]:
        size = max(1, min(_BLOCK, _STATES // len(times)))
        for k, low in enumerate(range(0, len(points), size)):
            rows = np.asarray(points[low : low + size])
            key = jax.random.fold_in(jax.random.key(arguments.seed), k)
            states = np.asarray(bridge.sample_paths(key, rows, times.tolist(), start=start))
            flat = coordinates.to_columns(states.reshape(-1, *bridge.manifold.shape))
            if arguments.paths:
                which = np.repeat(np.arange(low, low + len(rows)), len(times))
                flat = np.column_stack([which, np.tile(times, len(rows)), flat])
            yield flat

    write_columns(out, blocks(), (*named, *coordinates.columns), len(points) * len(times))
    units = "" if coordinates.units == "none" else f" in {coordinates.units}"
    way = f", {len(times)} states each" if arguments.paths else ""
    shown = one_line(", ".join(coordinates.columns), 200)
    print(f"{len(points)} points{way} ({shown}{units}) carried from time "
          f"{start:g} to {end:g}, written to {out}")  # fmt: skip
    return 0


def _whole(bridge: Any, points: Any) -> MultiMarginalBridge:
    """The bridge as one through snapshots: a bridge between two ends lasts from 0 to 1."""
    if isinstance(bridge, MultiMarginalBridge):
        return bridge
    return MultiMarginalBridge((0.0, 1.0), [bridge], [np.asarray(points)])


def _times(arguments: argparse.Namespace, times: tuple[float, ...]) -> tuple[float, float]:
    """Where from and where to."""
    first, last = times[0], times[-1]
    start = arguments.start
    if start is None:
        start = last if arguments.backward else first
    if start not in times:
        listed = ", ".join(f"{t:g}" for t in times)
        raise UsageError(f"--from {start:g} is no time of the data: {listed}.")
    end = arguments.at
    if end is None:
        end = first if arguments.backward else last
    if not first <= end <= last:
        raise UsageError(f"--at {end:g}: the bridge lasts from {first:g} to {last:g}.")
    if start == end:
        raise UsageError(f"--at {end:g} is where POINTS are: there is no way to go.")
    return float(start), float(end)
