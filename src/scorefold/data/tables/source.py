"""The bytes behind a name: of a file, of a pipe, or of standard input."""

import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scorefold.data._errors import DataError

_STDIN = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_PATIENCE = 0.8
"""Seconds that a pipe may lie there without anybody who writes to it."""
_CHUNK = 2**20


def is_stream(name: str | os.PathLike) -> bool:
    """Whether the name is standard input or a pipe: what can be read once, and not again later."""
    if os.fspath(name) in _STDIN:
        return True
    try:
        return not stat.S_ISREG(os.stat(name).st_mode) and not os.path.isdir(name)
    except (OSError, ValueError):
        return False


def read_bytes(name: str, max_bytes: int) -> bytes:
    """All bytes of a file, a pipe or ``-``, never more than ``max_bytes``.

    **Raises:** ``DataError`` if there is no such file, if it is a folder or a device, if nobody
    writes to the pipe, and where there is nothing or too much.
    """
    try:
        content = _stdin(max_bytes) if name in _STDIN else _opened(Path(name), max_bytes)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name} could not be read: {reason}.") from error
    if not content:
        once = " (what comes through a pipe can be read once)" if is_stream(name) else ""
        raise DataError(f"{name} is empty{once}.")
    return content


def _opened(path: Path, max_bytes: int) -> bytes:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise DataError(f"No file {path}.") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder, not a file.")
    if stat.S_ISFIFO(mode):
        return _from_pipe(path, max_bytes)
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is a device or a socket, not a file or a pipe.")
    if os.stat(path).st_size > max_bytes:
        raise _too_large(str(path), max_bytes)
    with open(path, "rb") as file:
        return _all(file.read, str(path), max_bytes)


def _all(read: Callable[[int], bytes], name: str, max_bytes: int) -> bytes:
    content = bytearray()
    while chunk := read(min(_CHUNK, max_bytes + 1 - len(content))):
        content += chunk
        if len(content) > max_bytes:
            raise _too_large(name, max_bytes)
    return bytes(content)


def _from_pipe(path: Path, max_bytes: int) -> bytes:
    """Opened without waiting for a writer: one that never comes would be waited for forever."""
    content, written = bytearray(), False
    end = time.monotonic() + _PATIENCE
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        while True:
            try:
                chunk = os.read(descriptor, min(_CHUNK, max_bytes + 1 - len(content)))
            except BlockingIOError:
                written = True
                waiting.poll()
                continue
            if chunk:
                content += chunk
                if len(content) > max_bytes:
                    raise _too_large(str(path), max_bytes)
            elif content or written:
                return bytes(content)
            else:
                left = end - time.monotonic()
                if left <= 0:
                    raise DataError(
                        f"{path} is a pipe that nobody writes to: start its writer first."
                    )
                written = any(event & select.POLLHUP for _, event in waiting.poll(1000 * left))
    finally:
        os.close(descriptor)


def _stdin(max_bytes: int) -> bytes:
    stream = sys.stdin
    if stream is None or stream.closed:
        raise DataError("- (standard input) is closed: pipe a table into it.")
    if stream.isatty():
        raise DataError("- (standard input) is a terminal: pipe a table into it, or name a file.")
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, io.UnsupportedOperation):
        mode = stat.S_IFIFO
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise DataError("- (standard input) is a device: pipe a table into it, or name a file.")
    return _all(stream.buffer.read, "- (standard input)", max_bytes)


def _too_large(name: str, max_bytes: int) -> DataError:
    return DataError(f"{name}: larger than the limit of {max_bytes} bytes.")
