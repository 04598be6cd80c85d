"""The Python of the documentation and the examples run as they stand, with few steps."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = tuple(ROOT / p for p in ("README.md", "docs/guide.md", "docs/data.md", "docs/proximal.md"))

NEEDED = {"geojson": "", "rotations": "", "healpix": "astropy_healpix"}
"""The package of a file of scorefold.interop that does not have its name."""


def programs():
    """One program a section of a guide; one a page elsewhere."""
    for page in PAGES:
        whole = page.name == "data.md"
        for section in [page.read_text()] if whole else page.read_text().split("\n## "):
            code = "\n".join(re.findall(r"^```python\n(.*?)^```", section, flags=re.S | re.M))
            if code:
                title = page.name if whole else f"{page.name}, {section.splitlines()[0]}"
                yield pytest.param(code, id=title)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("code", list(programs()))
def test_runs(code, tmp_path):
    short = re.sub(r"\bsteps=\d{3,}", "steps=10", code)
    file = tmp_path / "program.py"
    file.write_text(re.sub(r"\bbudget=\d+", "steps=10", short))
    run = subprocess.run([sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.timeout(900)
def test_other_packages_run(tmp_path):
    """docs/interop.md, as one program: the sections whose packages are installed."""
    first, *sections = (ROOT / "docs/interop.md").read_text().split("\n## ")
    kept, missing = [], []
    for section in (first, *sections):
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", section, flags=re.S | re.M))
        wanted = {name.partition(".")[0] for name in re.findall(r"^(?:import|from) ([\w.]+)", code,
                                                               flags=re.M)}  # fmt: skip
        extra = re.findall(r"from scorefold\.interop\.(\w+)", code)
        wanted |= {NEEDED.get(name, name) for name in extra} - {""}
        lacking = sorted(name for name in wanted if importlib.util.find_spec(name) is None)
        missing += lacking
        kept += [] if lacking else [code]
    if len(kept) == 1:
        pytest.skip(f"needs one of {', '.join(missing)}")
    file = tmp_path / "program.py"
    file.write_text("\n".join(kept))
    run = subprocess.run([sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ("sphere", "torus", "rotations"))
def test_examples(name, tmp_path):
    words = [sys.executable, str(ROOT / "examples" / f"{name}.py"), str(tmp_path), "--steps", "10"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) == 1 and pictures[0].read_bytes()[:4] == b"\x89PNG"
