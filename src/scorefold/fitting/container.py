"""One file of named arrays and a JSON document: written whole or not at all, read or refused.

The layout is that of safetensors (eight bytes of header length, a JSON header, the data), with
two entries of metadata: ``document``, any JSON value, and ``sha256``, the digest of the whole file
with the digest itself replaced by zeros. So one flipped bit anywhere is noticed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from scorefold.fitting.errors import DamagedFile, DiskFull

__all__ = ["digest", "read", "write"]

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
_BLANK = "0" * 64
_HEADER_LIMIT = 64 * 2**20


def write(path: Path, arrays: dict[str, np.ndarray], document: Any) -> None:
    """Write to a temporary neighbour, force it to the disk, rename it over ``path``.

    **Raises:** ``DiskFull``; ``TypeError`` for an array dtype that has no name in the format.
    """
    header: dict[str, Any] = {
        "__metadata__": {"document": json.dumps(document, allow_nan=False), "sha256": _BLANK}
    }
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
    head = len(head).to_bytes(8, "little") + head
    hashed = hashlib.sha256(head)
    for block in blocks:
        hashed.update(block)
    head = head.replace(_BLANK.encode(), hashed.hexdigest().encode(), 1)

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(head)
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            needed = len(head) + offset
            free = shutil.disk_usage(path.parent).free
            raise DiskFull(
                errno.ENOSPC,
                f"No room for {needed} bytes ({free} are free)",
                str(path),
                needed=needed,
            ) from error
        raise


def read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The arrays and the document of a file that ``write`` wrote.

    Nothing is allocated on the word of the file: every length is checked against its size, the
    arrays must fill it without gap or overlap, and the digest must agree.

    **Raises:** ``DamagedFile``, saying what is wrong; ``FileNotFoundError``.
    """
    raw = Path(path).read_bytes()
    head_size = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or not 2 <= head_size <= min(len(raw) - 8, _HEADER_LIMIT):
        raise DamagedFile(
            f"{path}: not a scorefold file, or truncated: {len(raw)} bytes, with a header said to "
            f"have {head_size}."
        )
    header = _parse(path, raw[8 : 8 + head_size])
    metadata = header.pop("__metadata__", None)
    if (
        not isinstance(metadata, dict)
        or set(metadata) != {"document", "sha256"}
        or not all(isinstance(v, str) for v in metadata.values())
    ):
        raise DamagedFile(f"{path}: not a file written by scorefold (no document and digest).")
    arrays, end = {}, 0
    body = memoryview(raw)[8 + head_size :]
    for name, entry in header.items():
        dtype, shape, stop = _layout(path, name, entry, end, len(body))
        arrays[name] = np.frombuffer(body[end:stop], dtype).reshape(shape).copy()
        end = stop
    if end != len(body):
        raise DamagedFile(f"{path}: {len(body)} bytes of data, but the arrays take {end}.")
    blank = raw[: 8 + head_size].replace(metadata["sha256"].encode(), _BLANK.encode(), 1)
    hashed = hashlib.sha256(blank)
    hashed.update(body)
    if hashed.hexdigest() != metadata["sha256"]:
        raise DamagedFile(f"{path}: the contents do not agree with their SHA-256 digest.")
    return arrays, _parse(path, metadata["document"].encode())


def digest(array: np.ndarray) -> str:
    """A readable fingerprint of an array: dtype, shape and SHA-256 of its bytes."""
    hashed = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype}{list(array.shape)} sha256:{hashed[:16]}"


def _layout(
    path: Path, name: str, entry: Any, start: int, size: int
) -> tuple[np.dtype, tuple[int, ...], int]:
    """dtype, shape and end of one array, which must start where the one before it ended."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise DamagedFile(f"{path}: the entry of array {name!r} is malformed.")
    dtype, shape, offsets = _DTYPES.get(str(entry["dtype"])), entry["shape"], entry["data_offsets"]
    whole = [shape, offsets] if isinstance(shape, list) and isinstance(offsets, list) else [[None]]
    if dtype is None or not all(type(v) is int and v >= 0 for part in whole for v in part):
        raise DamagedFile(f"{path}: array {name!r} has an impossible dtype, shape or offsets.")
    stop = start + math.prod(shape) * dtype.itemsize
    if offsets != [start, stop] or stop > size:
        raise DamagedFile(
            f"{path}: array {name!r} of {stop - start} bytes claims the bytes {offsets}; expected "
            f"[{start}, {stop}] of {size}. The file is truncated, or its offsets overlap."
        )
    return dtype, tuple(shape), stop


def _parse(path: Path, text: bytes) -> Any:
    """JSON without the extensions of Python's reader and without repeated names."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in items}) < len(items):
            raise ValueError("a name occurs twice")
        return dict(items)

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: the header is not valid JSON: {error}.") from error


def _sync_directory(directory: Path) -> None:
    """A rename is durable only once the directory itself is on the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
