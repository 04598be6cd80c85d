"""The blocks of every page, and the tutorials, run as they stand, with few steps of training."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("howto", "theory", "coming-from", "reference")
PAGES = [ROOT / "docs" / "start.md", ROOT / "docs" / "sharp-bits.md"]
PAGES += [page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
PAGES += sorted((ROOT / "examples" / "tutorials").glob("*.py"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_runs(page):
    command = [sys.executable, str(ROOT / "scripts" / "run_pages.py"), "--short", str(page)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
