"""One writer for one directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scorefold.fitting.errors import DirectoryInUse

__all__ = ["locked"]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold ``directory/run.lock``, made with its directory if need be, which names this process.

    The operating system drops the lock when its owner ends, however it ends: there is nothing
    to clean up after a killed run, and a recycled process number misleads nobody.

    **Raises:** ``DirectoryInUse`` with the owner's process number; ``OSError`` at once if the
    directory cannot be made or written.
    """
    import fcntl  # absent on Windows, where everything else works

    path = directory / "run.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OSError(
            error.errno, f"Checkpoints cannot be written here ({error.strerror})", str(directory)
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = os.read(handle, 32).decode(errors="replace").strip()
            pid = int(text) if text.isdecimal() else None
            raise DirectoryInUse(
                f"{directory} is in use by the run of process {text or 'unknown'}. Wait for it, "
                "end it, or choose another directory.",
                pid=pid,
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)
