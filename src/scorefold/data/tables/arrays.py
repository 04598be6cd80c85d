"""Tables from NPY and NPZ files: which arrays are the points, and what stands beside them."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.tables.frame import frame
from scorefold.data.tables.npy import NoColumns, array_from
from scorefold.data.tables.sample import MAX_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_DEFLATE_RATIO = 1032
"""No deflate stream expands by more: a directory that claims more is forged or a bomb."""
_DIRECTORY = 2**24
_LAST_CHARACTER = 0x10FFFF
_CHOSEN = re.compile(r"(.*\.np[yz](?:\.gz|\.bz2|\.xz)?):(.+)", re.DOTALL | re.IGNORECASE)


def selection(path: str) -> tuple[str, str]:
    """The file and the choice in ``data.npz:x``, ``data.npz:x:3`` or ``data.npy:3``."""
    found = _CHOSEN.fullmatch(path)
    if found is None or os.path.exists(path):
        return path, ""
    return found.group(1), found.group(2)


def read_npy(content: bytes, where: str, chosen: str, max_bytes: int) -> pd.DataFrame:
    array = array_from(content, where, max_bytes)
    if chosen:
        array = _entry(array, chosen, where)
    if array.ndim == 0:
        raise DataError(f"{where}: no rows of data, one number only.")
    name = "c0" if array.ndim == 1 else "c"
    _refuse_snapshots(array, where)
    return _table({name: array}, None, _ravelled({where: array}), where)


def read_npz(content: bytes, where: str, chosen: str, max_bytes: int) -> pd.DataFrame:
    archive, members = _directory(content, where, max_bytes)
    if chosen:
        return _chosen(archive, members, chosen, where, max_bytes)
    arrays: dict[str, np.ndarray] = {}
    refused: dict[str, NoColumns] = {}
    for name in members:
        try:
            arrays[name] = _member(archive, members[name], where, max_bytes)
        except NoColumns as error:
            refused[name] = error
    several = {name: a for name, a in arrays.items() if a.ndim}
    if not any(_is_numeric(a) for a in several.values()):
        raise next(iter(refused.values()), DataError(f"{where}: no rows of numbers."))
    n = _length(several, where)
    kept = {name: a for name, a in several.items() if len(a) == n}
    for name, array in kept.items():
        _refuse_snapshots(array, f"{where}:{name}")
    notes = _ravelled(kept)
    lost = [name for name in members if name not in kept]
    if lost:
        notes.append(f"left out: {', '.join(lost)} ({n} rows: {', '.join(kept)})")
    return _table(kept, _points(kept), notes, where)


def _chosen(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    chosen: str,
    where: str,
    max_bytes: int,
) -> pd.DataFrame:
    """The table in the array ``x``, or in its entry 3, for ``x:3``."""
    name, _, index = (chosen, "", "") if chosen in members else chosen.rpartition(":")
    if name not in members:
        raise DataError(f"{where} has no array {chosen!r}. Arrays: {', '.join(members)}.")
    array = _member(archive, members[name], where, max_bytes)
    if index:
        array = _entry(array, index, f"{where}:{name}")
    if array.ndim == 0:
        raise DataError(f"{where}:{chosen}: no rows of data, one number only.")
    _refuse_snapshots(array, f"{where}:{chosen}")
    return _table({name: array}, None, _ravelled({name: array}), where)


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, max_bytes: int
) -> np.ndarray:
    where = f"{where}[{member.filename[:-4]!r}]"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: damaged archive, or not written by NumPy.")
    try:
        with archive.open(member) as file:
            # At most what the directory promised, whatever the stream would give.
            stored = file.read(member.file_size)
    except Exception as error:  # zipfile, zlib and struct raise a dozen kinds of their own.
        raise DataError(f"{where}: damaged archive ({error}).") from error
    return array_from(stored, where, max_bytes)


def _directory(
    content: bytes, where: str, max_bytes: int
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The archive and its arrays by name, if it claims no more than there may be."""
    end = content.rfind(b"PK\5\6", -(2**16) - 22)
    if end >= 0 and int.from_bytes(content[end + 12 : end + 16], "little") > _DIRECTORY:
        raise DataError(f"{where}: an archive of too many files: refused.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = archive.infolist()
    except Exception as error:  # As in _member.
        raise DataError(f"{where} is not an NPZ archive, or damaged ({error}).") from error
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > max_bytes or total > _DEFLATE_RATIO * max(packed, 1):
        raise DataError(
            f"{where} claims {total} bytes in an archive of {len(content)}: refused "
            f"(limit {max_bytes})."
        )
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            raise DataError(f"{where}: {name!r} is not an array; NPZ archives hold .npy only.")
        if name in found:
            raise DataError(f"{where}: two arrays are called {name!r}.")
        found[name] = member
    if not found:
        raise DataError(f"{where} holds no arrays.")
    return archive, found


# -- which arrays ----------------------------------------------------------------------------
def _entry(array: np.ndarray, index: str, where: str) -> np.ndarray:
    if array.ndim < 2 or not re.fullmatch(r"\d{1,18}", index) or int(index) >= len(array):
        raise DataError(
            f"{where} has shape {array.shape}: no entry {index!r}. Give 0 to {len(array) - 1}."
            if array.ndim > 1
            else f"{where} has shape {array.shape}: its entries are no tables."
        )
    return array[int(index)]


def _length(arrays: dict[str, np.ndarray], where: str) -> int:
    """The rows of the points: of all arrays, if they agree; otherwise of those with several
    columns; without such, the length that most arrays of numbers have."""
    lengths = {len(a) for a in arrays.values()}
    if len(lengths) == 1:
        return lengths.pop()
    numeric = {name: a for name, a in arrays.items() if _is_numeric(a)}
    tables = {name: a for name, a in numeric.items() if _is_table(a)} or numeric
    counts = Counter(len(a) for a in tables.values())
    (best, most), *others = counts.most_common(2)
    if others and (others[0][1] == most or any(map(_is_table, tables.values()))):
        shapes = ", ".join(f"{name} {a.shape}" for name, a in tables.items())
        raise DataError(
            f"{where}: arrays of different lengths ({shapes}). Choose one: "
            f"{where}:{next(iter(tables))}"
        )
    return best


def _points(arrays: dict[str, np.ndarray]) -> list[str] | None:
    """The arrays that are points where others stand beside them: the only one with several
    columns, or else all numbers beside text."""
    numeric = [name for name, a in arrays.items() if _is_numeric(a)]
    tables = [name for name in numeric if _is_table(arrays[name])]
    points = tables if len(tables) == 1 else numeric
    return points if len(points) < len(arrays) else None


def _is_numeric(array: np.ndarray) -> bool:
    return array.dtype.names is not None or array.dtype.kind in "fiub"


def _is_table(array: np.ndarray) -> bool:
    return array.dtype.names is not None or array.size > len(array)


def _refuse_snapshots(array: np.ndarray, where: str) -> None:
    """(times, n, d) is not n rows; (n, 3, 3) is, of matrices."""
    if array.ndim == 3 and array.shape[0] < array.shape[1] != array.shape[2]:
        times, n, d = array.shape
        shown = " ".join(f"{where}:{i}" for i in range(min(times, 3)))
        raise DataError(
            f"{where} has shape {array.shape}: {times} snapshots of {n} rows of {d} numbers? Give "
            f"each as a table of its own: {shown}. If it is {times} rows, reshape it to two axes."
        )


def _ravelled(arrays: dict[str, np.ndarray]) -> list[str]:
    return [
        f"{name} of shape {a.shape} read as {len(a)} rows of {a.size // len(a)} numbers"
        for name, a in arrays.items()
        if a.ndim > 2
    ]


# -- columns ---------------------------------------------------------------------------------


def _table(
    arrays: dict[str, np.ndarray], points: list[str] | None, notes: list[str], where: str
) -> pd.DataFrame:
    """Arrays of n rows side by side: ``name`` for a vector, ``name0``, ``name1``, … otherwise."""
    columns: dict[str, np.ndarray] = {}
    coordinates: list[str] = []
    width = sum(len(a.dtype.names) if a.dtype.names else a.size // len(a) for a in arrays.values())
    if width > MAX_COLUMNS:
        raise DataError(f"{where}: {width} columns: more than {MAX_COLUMNS} are not read.")
    for name, array in arrays.items():
        found = _fields(array, where) if array.dtype.names else _split(name, array, where)
        twice = next((column for column in found if column in columns), None)
        if twice is not None:
            raise DataError(f"{where}: more than one column is called {twice!r}.")
        columns |= found
        coordinates += found if points is None or name in points else []
    table = frame(columns, notes)
    text = any(values.dtype == object for values in columns.values())
    if points is None and text:
        coordinates = [name for name in coordinates if columns[name].dtype != object]
    if points is not None or text:
        table.attrs["points"] = tuple(coordinates)
    return table


def _fields(array: np.ndarray, where: str) -> dict[str, np.ndarray]:
    """The fields of a structured array."""
    if array.ndim != 1:
        raise DataError(f"{where}: a structured array of shape {array.shape}: ravel it.")
    found: dict[str, np.ndarray] = {}
    for name in array.dtype.names or ():
        found |= _split(name, array[name], where)
    return found


def _split(name: str, array: np.ndarray, where: str) -> dict[str, np.ndarray]:
    plain = _plain(array, where)
    if plain.ndim == 1:
        return {name: plain}
    flat = plain.reshape(len(plain), -1)
    return {f"{name}{j}": flat[:, j] for j in range(flat.shape[1])}


def _plain(array: np.ndarray, where: str) -> np.ndarray:
    """The array in a dtype that pandas knows."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size not in (4, 8):
        return array.astype(np.float32 if size == 2 else np.float64)
    if kind in "fiub":
        return array
    if kind == "U" and np.any(np.ascontiguousarray(array).view(np.uint32) > _LAST_CHARACTER):
        raise DataError(f"{where}: holds text that is none.")
    try:
        text = np.char.decode(array, "utf-8") if kind == "S" else array.astype(str)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: holds {array.dtype} that is none ({error}).") from error
    return text.astype(object)
