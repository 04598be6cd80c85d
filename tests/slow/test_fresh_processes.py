"""Processes that share nothing but the seed, and processes without a home."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from scorefold.fitting import container

pytestmark = pytest.mark.timeout(1800)

PROGRAM = """
import sys, jax, numpy as np, scorefold as sf
rng = np.random.default_rng(0)
x = rng.normal(size=(120, 3)); x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("f4")
plane = rng.normal(size=(120, 2)).astype("f4")
models = {
    "kernel": (sf.KernelModel(sf.Sphere(2), width=8, depth=1), x),
    "score": (sf.ScoreModel(sf.default_noising(sf.Euclidean(2), plane),
                            network=sf.NetworkSpec(width=8, depth=1)), plane),
}
for name, (model, data) in models.items():
    fitted, _ = sf.fit(model, data[:100], val=data[100:], key=jax.random.key(3), steps=20,
                       progress=False)
    sf.save(f"{sys.argv[1]}/{name}", fitted)
    np.save(f"{sys.argv[1]}/{name}.npy", fitted.sample(jax.random.key(4), 50))
    np.save(f"{sys.argv[1]}/{name}-density.npy", fitted.log_prob(data[100:]))
"""


def run(words, **environment):
    """A process with nothing of this environment but what Python needs."""
    kept = {k: os.environ[k] for k in ("PATH", "PYTHONPATH", "XLA_FLAGS") if k in os.environ}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, timeout=900, env={**kept, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    rows = np.random.default_rng(0).normal(size=(80, 2))
    np.savetxt(path, rows, delimiter=",", header="x,y", comments="")
    return path


@pytest.mark.fault(37, "kernel and score model: files, draws and densities of two processes")
def test_the_same_seed_gives_the_same_bytes(tmp_path):
    """Hash seeds, working directories and homes differ."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run(["-c", PROGRAM, tmp_path / name], PYTHONHASHSEED=str(ord(name)), HOME=str(tmp_path))
    names = sorted(os.listdir(tmp_path / "a"))
    assert len(names) == 6
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


HOMES = {
    "no home": {},
    "a home that cannot be written": {"HOME": "/proc"},
    "a cache below a device": {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"},
}


@pytest.mark.fault(37, "scorefold fit and sample in three environments: model and table of draws")
@pytest.mark.fault(40, "scorefold fit, sample, report without a home, or one nobody can write")
def test_the_command_line_without_a_home(table, tmp_path):
    """It works, and gives the same model and the same draws whatever the home."""
    found = set()
    for i, home in enumerate(HOMES.values()):
        out = tmp_path / f"run-{i}"
        cli = ["-m", "scorefold.cli"]
        fit = ["fit", table, "--manifold", "R^2", "--steps", "5", "--quiet", "--out", out]
        run([*cli, *fit, "--no-report"], **home)
        run([*cli, "sample", out, "-n", "20", "--out", tmp_path / f"{i}.csv"], **home)
        report = run([*cli, "report", out], **home)
        assert "Traceback" not in report.stderr
        arrays, document = container.read(out / "model.safetensors")
        drawn = (tmp_path / f"{i}.csv").read_bytes()
        found.add((str(document["model"]), *(a.tobytes() for a in arrays.values()), drawn))
    assert len(found) == 1
