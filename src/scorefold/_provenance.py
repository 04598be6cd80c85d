"""What a number was measured with: versions, machine, state of the source."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

from scorefold._version import __version__

_PACKAGES = ("jax", "jaxlib", "equinox", "diffrax", "numpy")


def provenance() -> dict[str, object]:
    """``versions``, ``device`` and ``git`` (the commit of a source checkout, with ``+`` if files
    were changed since, or None for an installed package)."""
    import os

    import jax

    device = jax.devices()[0]
    name = f"{device.platform} ({device.device_kind})"
    if device.platform == "cpu":
        name = f"cpu, {os.cpu_count()} cores, {platform.machine()}"
    versions = {"scorefold": __version__, "python": platform.python_version()}
    versions |= {p: importlib.metadata.version(p) for p in _PACKAGES}
    return {"versions": versions, "device": name, "git": _commit()}


def _commit() -> str | None:
    here = Path(__file__).resolve().parent
    if not (here.parent.parent / ".git").exists():
        return None
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str:
    run = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return run.stdout.strip()
