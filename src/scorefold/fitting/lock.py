"""One writer for one directory."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scorefold.fitting.errors import DirectoryInUse


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold ``directory/run.lock``, made with its directory if need be, which names this process.

    The operating system drops the lock when its owner ends, however it ends: there is nothing
    to clean up after a killed run, and a recycled process number misleads nobody.

    Neither the directory nor the file may be a link, and the file has one name: what is written
    to it is written nowhere else.

    **Raises:** ``DirectoryInUse`` with the owner's process number; ``OSError`` at once if the
    directory cannot be made or written.
    """
    import fcntl  # absent on Windows, where everything else works

    path = directory / "run.lock"
    try:
        if directory.is_symlink():
            raise OSError(errno.ELOOP, "it is a link: give the folder that it leads to")
        directory.mkdir(parents=True, exist_ok=True)
        handle = _opened(path)
    except OSError as error:
        raise OSError(
            error.errno, f"Nothing can be written here ({error.strerror})", str(directory)
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = os.read(handle, 32).decode("ascii", "replace").strip()
            pid = int(text) if text.isdecimal() else None
            raise DirectoryInUse(
                f"{directory} is in use by the run of process {pid or 'unknown'}. Wait for it, "
                "end it, or choose another directory.",
                pid=pid,
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """The lock file, which is nothing but that."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, f"its {path.name} is a link: remove it") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise OSError(errno.EEXIST, f"its {path.name} is more than a lock: remove it")
    return handle
