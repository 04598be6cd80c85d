"""Compiled programs kept between processes, by JAX's own cache."""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

from scorefold._version import __version__

_VARIABLE = "SCOREFOLD_COMPILATION_CACHE"
_LIMIT = 512 * 2**20
_SHORTEST = 0.1
"""Seconds of compiling below which a program is not kept: reading it takes some hundredths."""


def compilation_folder() -> Path | None:
    """Where compiled programs are kept: ``$XDG_CACHE_HOME/scorefold/compiled-…`` (by default in
    ``~/.cache``), the rest of the name standing for the versions of scorefold and jaxlib and the
    features of the processor; None where ``SCOREFOLD_COMPILATION_CACHE`` is 0. Another value of it
    is the folder to use instead of ``$XDG_CACHE_HOME/scorefold``.
    """
    stated = os.environ.get(_VARIABLE, "")
    if stated.lower() in ("0", "off", "no", "false"):
        return None
    if stated and stated != "1":
        parent = Path(stated)
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        try:
            parent = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "scorefold"
        except RuntimeError:
            return None
    base = __version__.partition(".dev")[0]  # not a folder for every commit
    return parent / f"compiled-{base}-{importlib.metadata.version('jaxlib')}-{_processor()}"


def keep_compilations() -> bool:
    """Let JAX keep compiled programs in ``compilation_folder()``; returns whether it does.

    Where that cannot be written, nothing is kept and nothing is said. A folder that was chosen by
    JAX's own variable is left alone. Programs that were not used for longest go when the folder
    exceeds half a gigabyte.
    """
    import jax

    folder = compilation_folder()
    if folder is None or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.is_symlink() or not os.access(folder, os.W_OK | os.X_OK):
            return False
        _prune(folder)
    except OSError:
        return False
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)
    return True


def clear_compilations() -> None:
    """Remove all kept programs: one of them was found damaged."""
    folder = compilation_folder()
    if folder is not None and folder.is_dir():
        for path in folder.glob("*-cache"):
            with contextlib.suppress(OSError):
                path.unlink()


def _prune(folder: Path) -> None:
    """Remove the oldest programs beyond the limit."""
    used = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            found = path.stat()
            used.append((max(found.st_atime, found.st_mtime), found.st_size, path))
    total = 0
    for _, size, path in sorted(used, reverse=True):
        total += size
        if total > _LIMIT:
            with contextlib.suppress(OSError):
                path.unlink()


def _processor() -> str:
    """A few letters that differ between processors with different instructions: a program made
    for one may not run on another that shares its home folder."""
    words = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", errors="replace") as lines:
        for line in lines:
            if line.startswith(("model name", "flags", "Features", "CPU part")):
                words.append(line.strip())
            if not line.strip() and len(words) > 2:
                break
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
