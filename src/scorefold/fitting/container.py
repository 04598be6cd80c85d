"""One file of named arrays and a JSON document: written whole or not at all, read or refused.

The layout is that of safetensors (eight bytes of header length, a JSON header, the data), with
two entries of metadata: ``document``, any JSON value, and ``sha256``, the digest of the whole file
with the digest itself replaced by zeros. So one flipped bit anywhere is noticed.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from scorefold._files import whole_file
from scorefold._oneline import one_line
from scorefold._types import Document
from scorefold.fitting.errors import DamagedFile, DiskFull

_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_BLANK = b"0" * 64
_HEADER_LIMIT = 16 * 2**20
"""Longest header in bytes."""
_PARTS_LIMIT = 500_000
"""Most commas and opening brackets of a header: a parser works and allocates for each."""
_DIGITS_LIMIT = 20
"""Most digits of a whole number: no length, offset or field needs more."""
_AXES_LIMIT = 32


def write(path: Path, arrays: dict[str, np.ndarray], document: Document) -> None:
    """Write the file whole or not at all; a link called ``path`` is replaced, never followed.

    **Raises:** ``DiskFull``; ``OSError``; ``TypeError`` for an array dtype that has no name in the
    format; ``ValueError`` for a document that ``read`` would refuse.
    """
    words = json.dumps(document, allow_nan=False)
    header: Document = {"__metadata__": {"document": words, "sha256": _BLANK.decode()}}
    blocks, offset = [], 0
    for name, array in arrays.items():
        if array.dtype not in _NAMES:
            raise TypeError(f"The array {name!r} has dtype {array.dtype}, which is not storable.")
        blocks.append(np.ascontiguousarray(array).tobytes())
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(blocks[-1])],
        }
        offset += len(blocks[-1])
    head = json.dumps(header, allow_nan=False).encode()
    head += b" " * (-len(head) % 8)
    try:
        _parse(path, head)
        _parse(path, words.encode())
    except DamagedFile as error:
        raise ValueError(f"What is to be written could not be read again: {error}") from error
    head = len(head).to_bytes(8, "little") + head
    hashed = hashlib.sha256(head)
    for block in blocks:
        hashed.update(block)
    head = head.replace(_BLANK, hashed.hexdigest().encode(), 1)
    try:
        with whole_file(path) as file:
            file.writelines([head, *blocks])
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        needed, free = len(head) + offset, shutil.disk_usage(path.parent).free
        message = f"No room for {needed} bytes ({free} are free)"
        raise DiskFull(errno.ENOSPC, message, str(path), needed=needed) from error


def read(path: Path, *, follow: bool = True) -> tuple[dict[str, np.ndarray], object]:
    """The arrays and the document of a file that ``write`` wrote.

    Nothing is allocated on the word of the file: every length is checked against its size, the
    arrays must fill it without gap or overlap, and the digest must agree. Only ordinary files are
    opened; a link is followed if ``follow``.

    **Raises:** ``DamagedFile``, saying what is wrong; ``FileNotFoundError``; ``PermissionError``.
    """
    with _opened(path, follow) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        head_size = int.from_bytes(start, "little")
        if size < 8 or not 2 <= head_size <= min(size - 8, _HEADER_LIMIT):
            raise DamagedFile(
                f"{path}: not a scorefold file, or truncated: {size} bytes, with a header said to "
                f"have {head_size}."
            )
        head = file.read(head_size)
        header = _parse(path, head)
        match header.pop("__metadata__", None) if isinstance(header, dict) else None:
            case {"document": str(words), "sha256": str(stated), **more} if not more:
                document = _parse(path, words.encode("utf-8", "replace"))
            case _:
                raise DamagedFile(
                    f"{path}: not a file written by scorefold (no document and digest)."
                )
        blank = (start + head).replace(stated.encode("utf-8", "replace"), _BLANK, 1)
        hashed = hashlib.sha256(blank)
        arrays = _arrays(path, file, header, size - 8 - head_size, hashed.update)
    if hashed.hexdigest() != stated:
        raise DamagedFile(f"{path}: the contents do not agree with their SHA-256 digest.")
    return arrays, document


def _opened(path: Path, follow: bool) -> BufferedReader:
    """The file, if it is an ordinary one, without waiting for a pipe or a device."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError) as error:
        link = not follow and os.path.islink(path)
        reason = "a link, which is not followed" if link else getattr(error, "strerror", error)
        raise DamagedFile(f"{path}: cannot be read as a file ({reason}).") from error
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe, a socket or a device"
        raise DamagedFile(f"{path}: {what}, not a file.")
    return os.fdopen(handle, "rb")


def _arrays(
    path: Path, file: BufferedReader, header: Document, size: int, update: Callable
) -> dict[str, np.ndarray]:
    """The arrays, which fill the ``size`` bytes that follow; ``update`` is told of each byte."""
    layout, end = {}, 0
    for name, entry in header.items():
        layout[name] = dtype, shape, end = _layout(path, name, entry, end, size)
    if end != size:
        raise DamagedFile(f"{path}: {size} bytes of data, but the arrays take {end}.")
    if size > _memory():
        # A file with holes takes no room on the disk, but it would in memory.
        raise DamagedFile(f"{path}: {size} bytes of data, more than this machine has memory.")
    arrays = {}
    for name, (dtype, shape, _) in layout.items():
        arrays[name] = np.empty(shape, dtype)
        flat = arrays[name].reshape(-1).view(np.uint8).data
        if file.readinto(flat) != flat.nbytes:
            raise DamagedFile(f"{path}: truncated while it was read.")
        update(flat)
    return arrays


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # not everywhere
        return math.inf


def digest(array: np.ndarray) -> str:
    """A readable fingerprint of an array: dtype, shape and SHA-256 of its bytes."""
    hashed = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype}{list(array.shape)} sha256:{hashed[:16]}"


def _layout(
    path: Path, name: str, entry: object, start: int, size: int
) -> tuple[np.dtype, tuple[int, ...], int]:
    """dtype, shape and end of one array, which must start where the one before it ended."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise DamagedFile(f"{path}: the entry of array {_short(name)} is malformed.")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    shape, offsets = entry["shape"], entry["data_offsets"]
    if dtype is None or not _lengths(shape) or not _lengths(offsets):
        raise DamagedFile(
            f"{path}: array {_short(name)} has an impossible dtype, shape or offsets."
        )
    stop = start + math.prod(shape) * dtype.itemsize
    if offsets != [start, stop] or stop > size:
        raise DamagedFile(
            f"{path}: array {_short(name)} of {stop - start} bytes claims the bytes {offsets}; "
            f"expected [{start}, {stop}] of {size}. The file is truncated, or its offsets overlap."
        )
    return dtype, tuple(shape), stop


def _lengths(values: object) -> bool:
    """Whether these are few whole numbers, 0 or more, below 2⁶³."""
    return (
        isinstance(values, list)
        and len(values) <= _AXES_LIMIT
        and all(type(v) is int and 0 <= v < 2**63 for v in values)
    )


def _short(name: str) -> str:
    return f"'{one_line(name, 100)}'"


def _parse(path: Path, text: bytes) -> Any:
    """JSON without the extensions of Python's reader, without repeated names, and of bounded
    size: what it costs is known before it begins."""

    def pairs(items: list[tuple[str, object]]) -> Document:
        if len({name for name, _ in items}) < len(items):
            raise ValueError("a name occurs twice")
        return dict(items)

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    def whole(digits: str) -> int:
        if len(digits) > _DIGITS_LIMIT:
            raise ValueError(f"a whole number of {len(digits)} digits")
        return int(digits)

    def number(digits: str) -> float:
        if len(digits) > 10 * _DIGITS_LIMIT or math.isinf(float(digits)):
            raise ValueError("a number that is too long or too large")
        return float(digits)

    try:
        if len(text) > _HEADER_LIMIT or sum(map(text.count, (b",", b"[", b"{"))) > _PARTS_LIMIT:
            raise ValueError("too long")
        return json.loads(
            text.decode(), object_pairs_hook=pairs, parse_constant=refuse, parse_int=whole,
            parse_float=number,
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: the header is not valid JSON: {error}.") from error
