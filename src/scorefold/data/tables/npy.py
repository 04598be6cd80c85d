"""One array in NPY format, from bytes, its header checked before anything is believed."""

import ast
import math
import warnings

import numpy as np

from scorefold.data._errors import DataError

_MAGIC = b"\x93NUMPY"
_LONGEST = 10_000
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}


class NoColumns(DataError):
    """A sound array that cannot be columns of a table."""


def array_from(content: bytes, where: str, max_bytes: int) -> np.ndarray:
    """The array, a view of ``content`` where its bytes are in the order of this machine.

    **Raises:** ``NoColumns`` for Python objects, entries that are no numbers, text or times, and
    arrays without entries; ``DataError`` for another format, a damaged header, and where the header
    claims other than what is there.
    """
    shape, dtype, fortran, start = _header(content, where)
    if dtype.hasobject:
        raise NoColumns(f"{where}: holds Python objects, which are never loaded. Save numbers.")
    parts = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    for part in parts:
        if part.base.kind not in "fiubUSmM":
            raise NoColumns(f"{where}: holds {part}, not real numbers.")
    claimed, present = math.prod(shape) * dtype.itemsize, len(content) - start
    if claimed > max_bytes or claimed != present:
        raise DataError(
            f"{where}: the header claims {claimed} bytes of data, the file holds {present} "
            f"(limit {max_bytes}): refused."
        )
    if claimed == 0:
        raise NoColumns(f"{where}: no rows of data.")
    flat = np.frombuffer(content, dtype, offset=start)
    array = flat.reshape(shape, order="F" if fortran else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _header(content: bytes, where: str) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """(shape, dtype, Fortran order, where the data begin)."""
    if content[:6] != _MAGIC or len(content) < 12:
        raise DataError(f"{where}: not an NPY array: it begins with {content[:8]!r}.")
    version = content[6], content[7]
    if version not in _LENGTH_BYTES:
        raise DataError(f"{where}: NPY version {version} is not read.")
    start = 8 + _LENGTH_BYTES[version]
    length = int.from_bytes(content[8:start], "little")
    if length > _LONGEST or start + length > len(content):
        raise DataError(
            f"{where}: not an NPY array (a header of {length} bytes in a file of {len(content)})."
        )
    encoding = "utf-8" if version == (3, 0) else "latin-1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ast.literal_eval(content[start : start + length].decode(encoding).strip())
            shape, fortran, descr = found["shape"], found["fortran_order"], found["descr"]
            dtype = np.lib.format.descr_to_dtype(descr)
    except Exception as error:  # Whatever a forged header makes of the parser.
        reason = str(error).partition("\n")[0]
        raise DataError(f"{where}: not an NPY array (header: {reason}).") from error
    sizes = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**63 for n in shape)
    if not sizes or type(fortran) is not bool or dtype.subdtype is not None:
        raise DataError(f"{where}: not an NPY array (the header is damaged).")
    if dtype.itemsize == 0:
        raise NoColumns(f"{where}: holds {dtype}: entries of no size.")
    return shape, dtype, fortran, start + length
