"""Parquet files, bounded by what their metadata announce and by what is then read."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.tables.footer import claims_of
from scorefold.data.tables.frame import frame
from scorefold.data.tables.sample import MAX_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import Array, DataType, Schema
    from pyarrow.parquet import ParquetFile

_BATCH = 2**16
_STRINGS = 2**26
_CONTAINERS = 2**22


def read_parquet(content: bytes, where: str, max_bytes: int) -> pd.DataFrame:
    """The table in a Parquet file; see ``read_table``."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DataError(f"{where}: reading Parquet needs pyarrow (pip install pyarrow).") from error
    try:
        return _read(content, where, max_bytes)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # A damaged file makes pyarrow raise anything.
        raise DataError(f"{where}: damaged Parquet file ({error}).") from error


def _open(content: bytes, words: list[str] | None = None) -> ParquetFile:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(
        io.BytesIO(content),
        read_dictionary=words,
        thrift_string_size_limit=_STRINGS,
        thrift_container_size_limit=_CONTAINERS,
    )


def _read(content: bytes, where: str, max_bytes: int) -> pd.DataFrame:
    import pyarrow as pa

    _refuse_claims(content, where, max_bytes)
    file = _open(content)
    schema = file.schema_arrow
    names = list(schema.names)
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise DataError(f"{where}: more than one column is called {twice!r}.")
    index = _index(schema)
    kept = [f.name for f in schema if _is_column(f.type) and f.name not in index]
    if not kept:
        listed = ", ".join(f"{f.name}: {f.type}" for f in schema)
        raise DataError(f"{where}: no columns of numbers or text ({listed}).")
    # Words as a dictionary: a long one that repeats is in memory once.
    words = [f.name for f in schema if f.name in kept and _is_text(f.type)]
    file = _open(content, words)
    batches, size = [], 0
    for batch in file.iter_batches(_BATCH, columns=kept, use_threads=False):
        size += batch.nbytes
        if size > max_bytes:
            raise DataError(f"{where}: expands to more than {max_bytes} bytes: refused.")
        batches.append(batch)
    if not any(batch.num_rows for batch in batches):
        raise DataError(f"{where}: no rows of data.")
    read = pa.Table.from_batches(batches)
    columns: dict[str, np.ndarray] = {}
    notes = []
    for name in kept:
        found = _columns(name, read.column(name).combine_chunks(), where)
        if any(other in columns for other in found):
            raise DataError(f"{where}: more than one column is called like {name!r}.")
        columns |= found
        size += sum(sum(map(len, values)) for values in found.values() if values.dtype == object)
        if size > max_bytes:
            raise DataError(f"{where}: expands to more than {max_bytes} bytes: refused.")
    lost = [name for name in names if name not in kept]
    if lost:
        notes.append(f"left out: {', '.join(lost)} (index, nested or binary columns)")
    return frame(columns, notes)


def _refuse_claims(content: bytes, where: str, max_bytes: int) -> None:
    found = claims_of(content, where)
    if found.columns > MAX_COLUMNS:
        raise DataError(f"{where}: {found.columns} columns: more than {MAX_COLUMNS} are not read.")
    made = max(found.size, 8 * found.values)
    if made > max_bytes:
        raise DataError(
            f"{where}: {found.rows} rows of {found.columns} columns expand to {made} bytes: "
            f"refused (limit {max_bytes})."
        )


def _index(schema: Schema) -> set[str]:
    """The columns that pandas wrote as the index of a frame."""
    described = schema.pandas_metadata or {}
    return {name for name in described.get("index_columns", ()) if isinstance(name, str)}


def _is_text(kind: DataType) -> bool:
    import pyarrow.types as t

    return t.is_string(kind) or t.is_large_string(kind)


def _is_list(kind: DataType) -> bool:
    import pyarrow.types as t

    lists = t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)
    return lists and (t.is_integer(kind.value_type) or t.is_floating(kind.value_type))


def _is_number(kind: DataType) -> bool:
    import pyarrow.types as t

    return any(
        test(kind) for test in (t.is_integer, t.is_floating, t.is_boolean, t.is_decimal, t.is_null)
    )


def _is_column(kind: DataType) -> bool:
    import pyarrow.types as t

    if t.is_dictionary(kind):
        kind = kind.value_type
    return _is_text(kind) or _is_list(kind) or _is_number(kind) or t.is_temporal(kind)


def _columns(name: str, array: Array, where: str) -> dict[str, np.ndarray]:
    import pyarrow.types as t

    if not _is_list(array.type):
        return {name: _values(array)}
    flat = array.flatten()
    width = len(flat) // len(array)
    even = t.is_fixed_size_list(array.type) or (np.diff(array.offsets.to_numpy()) == width).all()
    if width == 0 or array.null_count or not even:
        raise DataError(f"{where}: column {name!r} holds lists of different lengths.")
    values = _values(flat).reshape(len(array), width)
    return {f"{name}{j}": values[:, j] for j in range(width)}


def _values(array: Array) -> np.ndarray:
    """An arrow array as int, float64, datetime64 or text."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        if not _is_text(array.type.value_type):
            return _values(array.dictionary_decode())
        entries = np.append(_values(array.dictionary), "").astype(object)
        return entries[array.indices.fill_null(len(entries) - 1).to_numpy()]
    if t.is_null(array.type):
        return np.full(len(array), np.nan)
    if t.is_boolean(array.type):
        array = array.cast(pa.int8())
    elif t.is_decimal(array.type):
        return np.array([np.nan if v is None else float(v) for v in array.to_pylist()], float)
    elif t.is_timestamp(array.type):
        return array.cast(pa.timestamp(array.type.unit)).to_numpy(zero_copy_only=False)
    elif not t.is_integer(array.type) and not t.is_floating(array.type):
        words = array.cast(pa.string()).to_pylist()
        return np.array(["" if word is None else word for word in words], object)
    found = array.to_numpy(zero_copy_only=False)
    return found.astype(np.float32) if found.dtype == np.float16 else found
