"""A disk that is soon full."""

import shutil
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A folder with a file system of its own, of one mebibyte. Only root may mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("a file system of one's own needs the rights of root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
