"""NPY and NPZ files whose headers are checked before anything is allocated."""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_npy", "read_npz"]

_DEFLATE_RATIO = 1032
"""No deflate stream expands by more: a directory that claims more is forged or a bomb."""


def read_npy(path: Path, max_bytes: int) -> pd.DataFrame:
    with open(path, "rb") as file:
        array = _read_array(file, os.fstat(file.fileno()).st_size, str(path), max_bytes)
    return _table({"c": array}, str(path))


def read_npz(path: Path, max_bytes: int) -> pd.DataFrame:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an NPZ archive.")
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        if total > max_bytes or total > _DEFLATE_RATIO * max(packed, 1):
            raise DataError(
                f"{path} claims {total} bytes in an archive of {path.stat().st_size}: refused "
                f"(limit {max_bytes})."
            )
        for member in members:
            if not member.filename.endswith(".npy"):
                raise DataError(
                    f"{path}: {member.filename!r} is not an array; NPZ archives hold .npy only."
                )
            where = f"{path}[{member.filename[:-4]!r}]"
            try:
                with archive.open(member) as file:
                    # At most what the directory promised, whatever the stream would give.
                    content = file.read(member.file_size)
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
                raise DataError(f"{where}: damaged archive ({error}).") from error
            arrays[member.filename[:-4]] = _read_array(
                io.BytesIO(content), len(content), where, max_bytes
            )
    if not arrays:
        raise DataError(f"{path} holds no arrays.")
    return _table(arrays, str(path))


def _read_array(file: io.BufferedIOBase, size: int, where: str, max_bytes: int) -> np.ndarray:
    """One array in NPY format; ``size`` is the number of bytes that are really there."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise DataError(f"{where}: NPY version {version} is not read.")
        shape, _, dtype = reader(file)
    except DataError:
        raise
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{where}: not an NPY array ({reason}).") from error
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which are never loaded. Save numbers.")
    if dtype.kind not in "fiub":
        raise DataError(f"{where}: holds {dtype}, not real numbers.")
    claimed = math.prod(shape) * dtype.itemsize
    present = size - file.tell()
    if claimed > max_bytes or claimed != present:
        raise DataError(
            f"{where}: the header claims {claimed} bytes of data, the file holds {present} "
            f"(limit {max_bytes}): refused."
        )
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _table(arrays: dict[str, np.ndarray], where: str) -> pd.DataFrame:
    """Arrays of n rows side by side: ``name`` for a vector, ``name0``, ``name1``, … otherwise."""
    import pandas as pd

    lengths = {key: len(a) if a.ndim else 0 for key, a in arrays.items()}
    if min(lengths.values()) == 0:
        raise DataError(f"{where}: no rows of data.")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key}: {n}" for key, n in lengths.items())
        raise DataError(f"{where}: arrays of different lengths ({listed}).")
    columns = {}
    for key, array in arrays.items():
        if array.ndim == 1:
            columns[key if len(arrays) > 1 or key != "c" else "c0"] = array
        else:
            flat = array.reshape(len(array), -1)
            columns.update({f"{key}{j}": flat[:, j] for j in range(flat.shape[1])})
    return pd.DataFrame(columns)
