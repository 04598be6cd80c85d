"""Snapshots in one table: a column of times beside the coordinates, and one of labels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from scorefold._types import Values
from scorefold.data._errors import DataError, nearest, rows
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.snapshots import Snapshots
from scorefold.data.sources.assembling import points_of
from scorefold.data.sources.known import plain_coordinates
from scorefold.data.sources.own_table import Dropped, own_table, rows_of
from scorefold.manifolds import Euclidean, Manifold, manifold_from_name

_MANY = 200
"""Times that are still snapshots."""


class SnapshotTable(NamedTuple):
    """``snapshots`` of a table, the ``coordinates`` that its columns are, and ``remarks``: what was
    taken for granted in reading it, a line each."""

    snapshots: Snapshots
    coordinates: Coordinates
    remarks: tuple[str, ...] = ()


@runtime_checkable
class ByName(Protocol):
    """Columns or matrices by name."""

    def __getitem__(self, name: str, /) -> Values: ...

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...


@runtime_checkable
class Cells(Protocol):
    """What is needed of an ``anndata.AnnData``: columns ``obs``, matrices ``obsm``."""

    @property
    def obs(self) -> ByName: ...

    @property
    def obsm(self) -> ByName: ...


def load_snapshot_table(
    name: str | os.PathLike,
    *,
    time: str,
    member: str | None = None,
    manifold: str | Manifold | None = None,
    columns: str | Sequence[str] | None = None,
    degrees: bool | None = None,
    drop: bool = False,
    drop_value: Dropped = None,
) -> SnapshotTable:
    """A table with a row for each point: rows of one time are a snapshot.

    **Arguments:**

    - ``name``: the path of a table, ``"-"`` for standard input, or a ``.h5ad`` file (read by the
      package anndata, ``snapshots_of_cells``; ``columns`` then names the matrix, ``"X_pca"``).
    - ``time``: the column of times: numbers, or dates, which become days since the first.
    - ``member``: the column of labels by which members are known again.
    - the others: those of ``load``. ``drop`` also leaves out rows without a time.

    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    called = "stdin" if name == "-" else Path(name).name
    try:
        if Path(name).suffix == ".h5ad":
            return _of_h5ad(name, called, time, member, manifold, columns)
        beside = (time,) if member is None else (time, member)
        table = own_table(name)
        found = rows_of(table, manifold=manifold, columns=columns, degrees=degrees, drop=drop,
                        drop_value=drop_value, beside=beside)  # fmt: skip
        both = [column for column in beside if column in found.coordinates.columns]
        if both:
            raise DataError(f"column {both[0]!r}: a column of times or labels is no coordinate.")
        points, _, remarks = points_of(found)
        assert found.beside is not None and found.kept is not None
        at, unit, said = _times(time, found.beside[time], found.kept, drop)
        labels = None
        if member is not None:
            labels, lost = _labels(member, found.beside[member], found.kept, drop)
            at, said = np.where(labels == "", np.nan, at), (*said, *lost)
        snapshots = _gathered(called, found.coordinates.manifold, time, at, points, labels, unit)
        return SnapshotTable(snapshots, found.coordinates, (*remarks, *said))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def snapshots_of_cells(
    cells: Cells,
    *,
    time: str,
    use: str = "X_pca",
    member: str | None = None,
    manifold: str | Manifold | None = None,
    name: str = "cells",
) -> SnapshotTable:
    """Snapshots of an ``AnnData``: rows of ``obsm[use]``, a point each, at the times ``obs[time]``;
    ``member``: a column of ``obs`` with labels; ``manifold``: where they lie, the numbers of a
    point in a row (default: R^d).

    **Raises:** ``DataError`` for names that are not there, times that are no numbers, and rows
    that are no points.
    """
    if use not in cells.obsm:
        raise nearest("matrix of obsm", use, list(cells.obsm))
    for column in (time, *([] if member is None else [member])):
        if column not in cells.obs:
            raise nearest("column of obs", column, list(cells.obs))
    matrix = cells.obsm[use]
    # Sparse matrices and frames have ways of their own to become arrays.
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    points, entries = np.asarray(matrix, np.float64), np.asarray(cells.obs[time])
    if not len(entries):
        raise DataError("obs has no rows.")
    if len(points) != len(entries):
        raise DataError(f"obsm[{use!r}] has {len(points)} rows, obs {len(entries)}.")
    if points.ndim != 2:
        raise DataError(f"obsm[{use!r}] has shape {points.shape}, not (cells, d).")
    if not np.isfinite(points).all():
        bad = np.logical_not(np.isfinite(points).all(axis=1))
        raise DataError(f"obsm[{use!r}] is not finite in {rows(bad)}.")
    every = np.arange(len(points))
    at, unit, said = _times(time, entries, every, False)
    labels = None
    if member is not None:
        labels, _ = _labels(member, np.asarray(cells.obs[member]), every, False)
    try:
        space = manifold_from_name(manifold) if isinstance(manifold, str) else manifold
    except ValueError as error:
        raise DataError(str(error)) from error
    space = Euclidean(points.shape[1]) if space is None else space
    if points.shape[1] != math.prod(space.shape):
        raise DataError(
            f"obsm[{use!r}] is of R^{points.shape[1]}: it has {points.shape[1]} columns, and a "
            f"point of {space.name} has {math.prod(space.shape)} numbers."
        )
    rows_of_points = points.reshape(len(points), *space.shape)
    found = _gathered(name, space, time, at, rows_of_points, labels, unit)
    return SnapshotTable(found, plain_coordinates(space), said)


def _of_h5ad(
    name: str,
    called: str,
    time: str,
    member: str | None,
    manifold: str | Manifold | None,
    columns: str | Sequence[str] | None,
) -> SnapshotTable:
    try:
        import anndata
    except ImportError as error:
        raise DataError(
            "reading .h5ad needs the package anndata: pip install 'scorefold[anndata]'."
        ) from error
    use = "X_pca" if columns is None else columns if isinstance(columns, str) else ",".join(columns)
    try:
        cells = anndata.read_h5ad(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"could not be read as .h5ad ({type(error).__name__}).") from error
    return snapshots_of_cells(
        cells, time=time, use=use, member=member, manifold=manifold, name=called
    )


def _labels(
    name: str, entries: np.ndarray, kept: np.ndarray, drop: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as text, empty where there is none."""
    import pandas as pd

    bad = np.array(pd.isna(pd.Series(entries)))
    labels = np.where(bad, "", entries.astype(str))
    bad |= labels == ""
    if not bad.any():
        return labels, ()
    where = _numbered(bad, kept)
    if not drop:
        raise DataError(f"column {name!r} (--id) has no label in {where}: leave these rows out by "
                        "drop=True (--drop), or leave out --id.")  # fmt: skip
    return labels, (f"left out, no label in column {name!r}: {where}",)


def _numbered(bad: np.ndarray, kept: np.ndarray) -> str:
    """Rows by their numbers in the table as read."""
    whole = np.zeros(int(kept[-1]) + 1, bool)
    whole[kept[bad]] = True
    return rows(whole)


def _times(
    name: str, entries: np.ndarray, kept: np.ndarray, drop: bool
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Times as float64 (NaN: left out), their unit, and what was taken for granted."""
    import pandas as pd

    series, unit = pd.Series(entries), ""
    stamps: pd.Series | None = None
    said: tuple[str, ...] = ()
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, pd.PeriodDtype):
        stamps = pd.Series(series.dt.to_timestamp())
    elif kind == "M":
        stamps = series
    elif kind == "m":
        at, unit = series.dt.total_seconds().to_numpy(np.float64) / 86400.0, "days"
        said = (f"column {name!r} holds lengths of time: times are in days",)
    elif kind == "c":
        raise DataError(f"column {name!r} (--time) holds complex numbers, which are no times.")
    else:
        at = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if not np.isfinite(at).any():
            stamps = pd.to_datetime(series.astype(str), errors="coerce", utc=True, format="ISO8601")
            if not stamps.notna().any():
                raise DataError(
                    f"column {name!r} (--time) holds neither numbers nor dates such as "
                    f"2024-05-31 (first value: {str(entries[0])[:40]!r}): write times as numbers."
                )
        elif _like_dates(at):
            said = (f"column {name!r} is read as numbers: if {at[np.isfinite(at)][0]:.0f} is a "
                    "date, write it with dashes, 2024-05-31",)  # fmt: skip
    if stamps is not None:
        first = stamps.min()
        at = ((stamps - first).dt.total_seconds() / 86400.0).to_numpy(np.float64)
        unit = "days"
        said = (f"column {name!r} holds dates: times are days since {first:%Y-%m-%d %H:%M}",)
    bad = ~np.isfinite(at)
    if bad.any() and not drop:
        raise DataError(
            f"column {name!r} (--time) is no finite time in {_numbered(bad, kept)}: repair these "
            "rows, or leave them out: drop=True (--drop)."
        )
    if bad.any():
        said = (*said, f"left out, no time in column {name!r}: {_numbered(bad, kept)}")
    return at, unit, said


def _like_dates(at: np.ndarray) -> bool:
    """Whether all are whole numbers such as 20240531."""
    known = at[np.isfinite(at)]
    month, day = known // 100 % 100, known % 100
    whole = (
        known == np.round(known)
    ).all() and 1800_00_00 < known.min() <= known.max() < 2200_00_00
    return bool(whole and ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _gathered(
    name: str,
    manifold: Manifold,
    column: str,
    at: np.ndarray,
    points: Values,
    labels: np.ndarray | None,
    unit: str,
) -> Snapshots:
    times = np.unique(at[np.isfinite(at)])
    if len(times) < 2:
        raise DataError(
            f"column {column!r} (--time) has one time only: snapshots need two or more."
        )
    if len(times) > _MANY or 2 * len(times) > len(at):
        raise DataError(
            f"column {column!r} (--time) has {len(times)} different times in {len(at)} rows: "
            "snapshots have many points at few times. Round the times first."
        )
    own = [np.flatnonzero(at == t) for t in times]
    few = [f"{t:g}" for t, r in zip(times, own, strict=True) if len(r) < 2]
    if few:
        raise DataError(f"column {column!r} (--time): a snapshot needs 2 points or more, there is "
                        f"one at {', '.join(few[:8])}.")  # fmt: skip
    kept = np.asarray(points)
    ids = None if labels is None else tuple(labels[r] for r in own)
    for t, labelled in zip(times, ids or (), strict=False):
        twice, counts = np.unique(labelled, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"the label {str(twice[np.argmax(counts)])[:40]!r} is there "
                            f"{counts.max()} times at t = {t:g}: members (--id) are seen once at "
                            "a time.")  # fmt: skip
    clouds = tuple(kept[r] for r in own)
    return Snapshots(name, manifold, tuple(times.tolist()), clouds, ids, unit, licence="unknown")
