"""The sdist and the wheel are built, and installed clean where nothing of the checkout is."""

import subprocess
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(3600)
ROOT = Path(__file__).parents[2]


def run(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel from the sdist, not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    tools = folder / "tools"
    venv.create(tools, with_pip=True)
    run(tools / "bin" / "pip", "install", "--quiet", "build")
    run(tools / "bin" / "python", "-m", "build", "--outdir", folder, ROOT)
    return folder


def test_the_wheel_works_alone(built, tmp_path):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert wheel.name.split("-")[1] == sdist.name.removesuffix(".tar.gz").split("-")[1]
    venv.create(tmp_path / "fresh", with_pip=True)
    binaries = tmp_path / "fresh" / "bin"
    run(binaries / "pip", "install", "--quiet", wheel)
    assert (
        run(binaries / "scorefold", "--version", cwd=tmp_path).split()[1]
        == wheel.name.split("-")[1]
    )
    table = "lat,lon\n" + "\n".join(f"{i % 60},{(7 * i) % 90}" for i in range(60))
    (tmp_path / "points.csv").write_text(table)
    run(binaries / "scorefold", "fit", "points.csv", "--model", "kde", "--out", "run", cwd=tmp_path)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    code = (
        "import scorefold.citations as c, sys; print(len(c.references())); "
        "assert 'src' not in c.__file__; assert not {'pandas', 'matplotlib'} & set(sys.modules)"
    )
    assert int(run(binaries / "python", "-c", code, cwd=tmp_path)) > 90
