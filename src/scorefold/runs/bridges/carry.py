"""Points moved along a fitted bridge, in the units of its data."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from scorefold._warnings import warn
from scorefold.bridges import MultiMarginalBridge, SnapshotBridge
from scorefold.data import load_points
from scorefold.runs import documents
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.tables import check_out, check_places, columns_in_words, write_columns

_BLOCK = 2**14
_STATES = 2**20
"""Rows that are walked at a time, and states of paths held at a time, at most."""


def carry(
    folder: str | os.PathLike,
    points: str,
    out: str | os.PathLike,
    *,
    backward: bool = False,
    start: float | None = None,
    at: float | None = None,
    paths: int | None = None,
    columns: str | Sequence[str] | None = None,
    drop: bool | None = None,
    drop_value: Sequence[str] | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> str:
    """Move the points of a table along the bridge of a run, each by one random path, and write
    where they arrive. Returns what was done, in words.

    **Arguments:**

    - ``points``, ``columns``, ``drop``, ``drop_value``: a table, read as the bridge's first was.
    - ``backward``: the points are of the last end, and are moved to the first.
    - ``start``: the time of the points, that of a snapshot; ``at``: where to. A bridge between two
      data sets lasts from 0 to 1.
    - ``paths``: write the whole way in so many steps of equal time.

    **Raises:** ``RunError`` for a folder without a bridge, a file that cannot be written, and times
    that the bridge does not have; ``DataError`` for points that cannot be read.
    """
    out = Path(out)
    check_out(out, [], "")
    run = Run.open(folder, "bridge")
    check_out(out, [points, *(name for name, _ in run.sources)], "a table of points")
    coordinates = run.coordinates()
    check_places(out, coordinates)
    with documents.describes(run.file("run.json")):
        rows, said = load_points(
            points, like=coordinates, columns=columns, drop=bool(drop), drop_value=drop_value,
            data_dir=data_dir,
        )  # fmt: skip
    for line in said:
        warn(f"{points}: {line}")
    bridge = run.model()
    if not isinstance(bridge, SnapshotBridge):
        # Between two ends it lasts from 0 to 1.
        bridge = MultiMarginalBridge((0.0, 1.0), [bridge], [np.asarray(rows)])
    if bridge.manifold.name != coordinates.manifold.name:
        raise RunError(f"{run.folder}: the bridge is on {bridge.manifold.name}, its table on "
                       f"{coordinates.manifold.name}: the folder is damaged.")  # fmt: skip
    start, end = _times(backward, start, at, bridge.times)
    times = np.linspace(start, end, paths + 1) if paths else np.array([end])
    (listener or Listener()).stage(f"stopped; {out} was not written")
    named = ("point", "t") if paths else ()
    clash = [name for name in named if name in coordinates.columns]
    if clash:
        raise RunError(f"--paths: the table has a column {clash[0]!r} of its own.")

    def blocks() -> Iterator[np.ndarray]:
        size = max(1, min(_BLOCK, _STATES // len(times)))
        for k, low in enumerate(range(0, len(rows), size)):
            some = np.asarray(rows[low : low + size])
            key = jax.random.fold_in(jax.random.key(seed), k)
            states = np.asarray(bridge.sample_paths(key, some, times.tolist(), start=start))
            flat = coordinates.to_columns(states.reshape(-1, *bridge.manifold.shape))
            if paths:
                which = np.repeat(np.arange(low, low + len(some)), len(times))
                flat = np.column_stack([which, np.tile(times, len(some)), flat])
            yield flat

    write_columns(out, blocks(), coordinates, len(rows) * len(times), before=tuple(named))
    way = f", {len(times)} states each" if paths else ""
    return (f"{len(rows)} points{way} ({columns_in_words(coordinates)}) carried from time "
            f"{start:g} to {end:g}, written to {out}")  # fmt: skip


def _times(
    backward: bool, start: float | None, end: float | None, times: tuple[float, ...]
) -> tuple[float, float]:
    """Where from and where to."""
    first, last = times[0], times[-1]
    if start is None:
        start = last if backward else first
    if start not in times:
        listed = ", ".join(f"{t:g}" for t in times)
        raise RunError(f"--from {start:g} is no time of the data: {listed}.")
    if end is None:
        end = first if backward else last
    if not first <= end <= last:
        raise RunError(f"--at {end:g}: the bridge lasts from {first:g} to {last:g}.")
    if start == end:
        raise RunError(f"--at {end:g} is where POINTS are: there is no way to go.")
    return float(start), float(end)
