"""Tables larger than memory as arrays of points on disk."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Values
from scorefold.data._errors import DataError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS = 2**18
_LOST = 1e-3
"""Rounding against the deviation of a column beyond which digits count as lost."""


def map_parquet(
    table: str | os.PathLike[str],
    columns: Sequence[str],
    out: str | os.PathLike[str],
    *,
    points: Callable[[np.ndarray], Values] | None = None,
    dtype: type[np.float32] | type[np.float64] = np.float32,
) -> np.memmap:
    """The rows of a Parquet file as a memory-mapped NPY file ``out``, for ``fit``: read row group
    by row group, so that neither has to fit into memory.

    **Arguments:** ``columns``: those with numbers, in this order; ``points``: from float64 columns
    of shape ``(n, k)`` to points ``(n, …)``, such as ``Coordinates.to_points`` (default: the
    columns are the coordinates); ``dtype``: of the file. ``out`` is whole or absent.
    **Raises:** ``DataError`` for a file that is no Parquet, columns that are not there or hold no
    numbers, rows without a number (naming them), no rows, points that are not one for each row or
    not finite, numbers that ``dtype`` cannot tell apart, and an ``out`` that cannot be written or
    is the table; what ``points`` raises.
    """
    table, out = Path(table), Path(out)
    if out.is_dir() or not out.parent.is_dir():
        raise DataError(f"out: {out} must be a file in a folder that is there.")
    if out.exists() and table.exists() and out.samefile(table):
        raise DataError(f"out: {out} is the table itself; name another file.")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with _opened(table) as file:
        _refuse_columns(file, columns, table)
        n, first = file.metadata.num_rows, 0
        if n == 0:
            raise DataError(f"{table}: no rows of data.")
        rows: np.memmap | None = None
        try:
            for values in _batches(file, columns):
                _refuse_gaps(values, first, table)
                made = _cast(
                    values if points is None else points(values), dtype, first, len(values)
                )
                if rows is None:
                    shape = (n, *made.shape[1:])
                    rows = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
                rows[first : first + len(made)] = made
                first += len(made)
            assert rows is not None
            rows.flush()
            os.replace(temporary, out)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    return np.load(out, mmap_mode="r")


@contextlib.contextmanager
def _opened(table: Path) -> Iterator[ParquetFile]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(f"{table}: reading Parquet needs pyarrow (pip install pyarrow).") from error
    try:
        file = parquet.ParquetFile(table, memory_map=True)
    except pa.ArrowException as error:
        raise DataError(f"{table}: damaged Parquet file ({error}).") from error
    with file:
        try:
            yield file
        except pa.ArrowException as error:
            raise DataError(f"{table}: damaged Parquet file ({error}).") from error


def _batches(file: ParquetFile, columns: Sequence[str]) -> Iterator[np.ndarray]:
    for batch in file.iter_batches(_ROWS, columns=list(columns)):
        yield np.column_stack([
            np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)
            for name in columns
        ])  # fmt: skip


def _refuse_columns(file: ParquetFile, columns: Sequence[str], table: Path) -> None:
    import pyarrow.types as kinds

    there = {field.name: field.type for field in file.schema_arrow}
    names = file.schema_arrow.names
    given = not isinstance(columns, str) and len(columns) > 0
    if not given or not all(isinstance(name, str) for name in columns):
        raise DataError(
            f"columns: a list of names, such as {list(there)[:3]}; got {columns!r:.60}."
        )
    for name in columns:
        if names.count(name) > 1:
            raise DataError(f"{table}: more than one column is called {name!r}.")
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f": it has {listed(list(there))}."
            raise DataError(f"{table}: no column {name!r}{hint}")
        if not (kinds.is_integer(there[name]) or kinds.is_floating(there[name])):
            raise DataError(f"{table}: column {name!r} holds {there[name]}, not numbers.")


def _cast(made: Values, dtype: type[np.floating], first: int, count: int) -> np.ndarray:
    exact = np.asarray(made)
    if exact.ndim == 0 or len(exact) != count or exact.dtype.kind not in "fiu":
        raise DataError(
            f"points: must return {count} points for {count} rows, got shape {exact.shape} of "
            f"{exact.dtype}."
        )
    with np.errstate(over="ignore"):
        cast = exact.astype(dtype)
    bad = first + np.flatnonzero(~np.isfinite(cast.reshape(count, -1)).all(axis=1))
    if bad.size:
        raise DataError(f"points: of rows {listed(bad)} are not finite in {np.dtype(dtype)}.")
    wide = exact.astype(np.float64).reshape(count, -1)
    spread, size = wide.std(axis=0), np.abs(wide).max(axis=0)
    lost = (spread > 0) & (size * np.finfo(dtype).eps > _LOST * spread)
    if lost.any():
        raise DataError(
            f"dtype: {np.dtype(dtype)} cannot tell apart rows of number {int(np.argmax(lost))} of "
            "a point, which vary little beside their size. Take np.float64, or points that "
            "subtract a constant."
        )
    return cast


def _refuse_gaps(values: np.ndarray, first: int, table: Path) -> None:
    bad = first + np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise DataError(
            f"{table}: rows {listed(bad)} have no finite number in every column. Leave them out, "
            "or repair them."
        )
