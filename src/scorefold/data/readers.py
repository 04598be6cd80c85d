"""Tables of numbers from files: CSV, TSV, Parquet, NPY and NPZ, read as if they were hostile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._arrays import read_npy, read_npz
from scorefold.data._errors import DataError, nearest, rows
from scorefold.data._text import read_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MAX_BYTES", "numbers", "read_table"]

MAX_BYTES = 2**31
"""Largest table that is read, in bytes after decompression."""

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".ang")
_SUFFIXES = (*_TEXT, *(f"{suffix}.gz" for suffix in _TEXT), ".parquet", ".npy", ".npz")


def read_table(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """The table in a file, one row per point, columns named as in the file.

    Text may have a byte-order mark, any line ends, comment lines starting with ``#``, commas,
    semicolons, tabs, bars or blanks between fields, and a header or none (a first line in which
    some field is a number is data); columns without names are called ``c0``, ``c1``, …
    NPY and NPZ hold arrays of numbers (never pickled objects); trailing axes are ravelled.
    **Raises:** ``DataError`` naming the file, and what to do, for anything else.
    """
    path = Path(path).expanduser()
    name = path.name.lower()
    if path.is_dir() or not path.exists():
        raise DataError(f"{path} is a folder, not a file." if path.is_dir() else f"No file {path}.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    if not name.endswith(_SUFFIXES):
        raise DataError(
            f"{path}: this kind of file is not read. Choices: {', '.join(_SUFFIXES)}. "
            "Pickles (.pkl, .pt) are never loaded: they can run code."
        )
    if path.stat().st_size > max_bytes:
        raise DataError(f"{path}: larger than the limit of {max_bytes} bytes.")
    try:
        if name.endswith(".npy"):
            return read_npy(path, max_bytes)
        if name.endswith(".npz"):
            return read_npz(path, max_bytes)
        if name.endswith(".parquet"):
            return _read_parquet(path)
        return read_text(path, max_bytes)
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}.") from error


def numbers(
    table: pd.DataFrame, columns: tuple[str, ...], where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The named columns as float64, shape ``(n, len(columns))``, NaN where an entry is not a
    finite number, and one line for each column that has such entries, naming the rows.

    **Raises:** ``DataError`` if a column is missing (with the nearest name) or of another kind,
    or if the table has no rows.
    """
    import pandas as pd

    if len(table) == 0:
        raise DataError(f"{where}: no rows of data.")
    out = np.empty((len(table), len(columns)))
    problems = []
    for j, column in enumerate(columns):
        if column not in table.columns:
            raise nearest(f"column in {where}:", column, map(str, table.columns))
        series = table[column]
        if isinstance(series, pd.DataFrame):
            raise DataError(f"{where}: more than one column is called {column!r}.")
        if getattr(series.dtype, "kind", "O") in "cmM":
            raise DataError(f"{where}: column {column!r} holds {series.dtype}, not real numbers.")
        values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(values)
        if bad.any():
            first = series.iloc[int(np.flatnonzero(bad)[0])]
            problems.append(
                f"column {column!r}, {rows(bad)}: not a finite number (first value: "
                f"{str(first)[:40]!r})"
            )
        out[:, j] = np.where(bad, np.nan, values)
    return out, tuple(problems)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    with open(path, "rb") as file:
        if file.read(4) != b"PAR1":
            raise DataError(f"{path} is not a Parquet file.")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow).") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged Parquet file ({error}).") from error
