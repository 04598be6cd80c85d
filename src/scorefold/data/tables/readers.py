"""Tables from files, pipes and standard input, read as if they were hostile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError, nearest, rows
from scorefold.data.tables.arrays import read_npy, read_npz, selection
from scorefold.data.tables.geojson import read_geojson
from scorefold.data.tables.kinds import kind_of, unpacked
from scorefold.data.tables.number_text import thousands, to_float
from scorefold.data.tables.parquet import read_parquet
from scorefold.data.tables.source import is_stream, read_bytes
from scorefold.data.tables.text import read_text

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 2**31
"""Largest table that is read, in bytes after decompression."""


def read_table(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """The table in a file, a pipe, or standard input (``"-"``): one row per point, columns named
    as in the file.

    What it is follows from its first bytes, and from its name where they do not say so:

    - Text: UTF-8, UTF-16 with its mark, or Windows-1252; any line ends; commas, semicolons, tabs,
      bars or blanks between fields, quotes around fields that hold them; decimal points or
      commas; lines that begin with ``#`` left out; names in the first line, in a comment above
      the table, or none (``c0``, ``c1``, …). Numbers are the nearest float64. Columns that are
      not numbers are text, as are numbers with leading zeros.
    - NPY: columns ``c0``, ``c1``, …, or the fields of a structured array.
    - NPZ: the arrays side by side, ``x0``, ``x1``, … for an array ``x``. If their lengths differ,
      those of the one array with several columns. ``data.npz:x`` is the array ``x`` alone,
      ``data.npz:x:3`` or ``data.npy:3`` its entry 3 along the first axis (one snapshot).
    - Parquet: numbers, text, and lists of one length.
    - GeoJSON: features that are points; ``lat``, ``lon`` in degrees, and their properties.

    Each of them may be compressed by gzip, bzip2 or xz. Never more than ``max_bytes`` are read,
    unpacked or made into columns. ``table.attrs`` holds ``"notes"``, a line for each thing that was
    guessed or left out; ``"points"``, the columns of points where others stand beside them; and
    ``"lines"``, the line of row 0 and the number of rows, where each row is a line.

    **Raises:** ``DataError``, one line that names the file and what to do, for anything else.
    """
    given = os.path.expanduser(os.fsdecode(path))
    file, chosen = selection(given)
    content, name = unpacked(read_bytes(file, max_bytes), file, max_bytes)
    kind = kind_of(content, name)
    if chosen and kind not in ("npy", "npz"):
        raise DataError(f"{given}: only arrays of NPY and NPZ files are chosen by ':'.")
    try:
        if kind == "npy":
            table = read_npy(content, file, chosen, max_bytes)
        elif kind == "npz":
            table = read_npz(content, file, chosen, max_bytes)
        elif kind == "parquet":
            table = read_parquet(content, file, max_bytes)
        elif kind == "geojson":
            table = read_geojson(content, file)
        else:
            table = read_text(content, file)
    except MemoryError as error:
        raise DataError(f"{file}: does not fit into memory.") from error
    if is_stream(file):
        note = "read from a pipe, which is not kept: evaluate and report need the table again"
        table.attrs["notes"] = (*table.attrs["notes"], note)
    return table


def numbers(
    table: pd.DataFrame, columns: tuple[str, ...], where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The named columns as float64, shape ``(n, len(columns))``, NaN where an entry is not a
    finite number, and one line for each column that has such entries, naming the rows (counted
    from 0 below the names) and, for text, the line of the first.

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
        values = _floats(series)
        bad = ~np.isfinite(values)
        if bad.any():
            problems.append(_problem(table, str(column), series, bad))
        out[:, j] = np.where(bad, np.nan, values)
    return out, tuple(problems)


def _floats(series: pd.Series) -> np.ndarray:
    if getattr(series.dtype, "kind", "O") in "fiub":
        return series.to_numpy(np.float64, na_value=np.nan)
    found = np.empty(len(series))
    for i, entry in enumerate(series.to_numpy(object)):
        value = to_float(entry) if isinstance(entry, str) else entry
        try:
            found[i] = np.nan if value is None else value
        except (TypeError, ValueError):  # An object that is no number, such as pandas.NA.
            found[i] = np.nan
    return found


def _problem(table: pd.DataFrame, column: str, series: pd.Series, bad: np.ndarray) -> str:
    at = int(np.flatnonzero(bad)[0])
    first = str(series.iloc[at])
    start, count = table.attrs.get("lines", (0, 0))
    line = f", line {start + at}" if count == len(table) else ""
    hint = ""
    if thousands(first):
        hint = "; write numbers without thousands separators"
    elif "," in first and to_float(first.replace(",", ".")) is not None:
        hint = "; write one decimal mark in all columns"
    return (
        f"column {column!r}, {rows(bad)}: not a finite number (first value: {first[:40]!r}{line})"
        f"{hint}"
    )
