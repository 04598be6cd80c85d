"""IDX files, the format of MNIST, read as if they were hostile."""

import gzip
import io
import math
import os
import zlib
from pathlib import Path

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.tables.readers import MAX_BYTES

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MAX_DIMS = 8


def read_idx(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of an IDX file, plain or gzipped (by content, not by name), in the byte order of
    this machine.

    Two zero bytes, the type of the entries, the number of axes; the sizes of the axes, each four
    bytes, most significant first; the entries, last axis fastest. Nothing is allocated or
    decompressed beyond what the sizes announce, which is at most ``max_bytes``.
    **Raises:** ``DataError`` naming the file for anything else: another format, sizes over the
    limit, fewer or more bytes than announced, a damaged archive.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path} is a folder, not a file." if path.is_dir() else f"No file {path}.")
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not packed:
                return _read(plain, path, max_bytes)
            with gzip.GzipFile(fileobj=plain) as file:
                return _read(file, path, max_bytes)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: damaged gzip archive ({error}).") from error
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}.") from error


def _read(file: io.BufferedIOBase, path: Path, max_bytes: int) -> np.ndarray:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise DataError(
            f"{path} is not an IDX file: it begins with {head.hex(' ') or 'nothing'}, not with two "
            "zero bytes and one of the types 08, 09, 0b, 0c, 0d, 0e."
        )
    if not 1 <= head[3] <= _MAX_DIMS:
        raise DataError(f"{path}: {head[3]} axes where 1 to {_MAX_DIMS} are read.")
    raw = file.read(4 * head[3])
    if len(raw) < 4 * head[3]:
        raise DataError(f"{path}: ends within its header.")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4"))
    dtype = np.dtype(_TYPES[head[2]])
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > max_bytes:
        raise DataError(
            f"{path}: the header claims an array {shape} of {claimed} bytes: refused (limit "
            f"{max_bytes})."
        )
    # One more than announced: the end of an archive is where its checksum is compared.
    content = file.read(claimed + 1)
    if len(content) != claimed:
        found = "more" if len(content) > claimed else str(len(content))
        raise DataError(f"{path}: {claimed} bytes of data are announced, but {found} follow.")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
