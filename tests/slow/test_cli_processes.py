"""The command line in processes of its own: killed, small, with and without compiled programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from test_cli_runs import fitted, own, try_documents  # noqa: F401

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("settings_of_users"),
]
NUMBERS = ("test_nll", "val_nll", "normalisation", "generalisation", "model_sha256")


def command(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "scorefold.cli", *map(str, words)],
        capture_output=True, text=True, timeout=1200, env={**os.environ, **environment},
    )  # fmt: skip


def numbers(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: metrics[name] for name in NUMBERS}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    rows = np.random.default_rng(0).normal(size=(200, 2))
    pd.DataFrame(rows, columns=["x", "y"]).to_csv(path, index=False)
    return path


def words_of(table, out, *more):
    return ["fit", table, "--manifold", "R^2", "--steps", "60", "--width", "8", "--depth", "1",
            "--quiet", "--out", out, *more]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    since = time.monotonic()
    assert command(*words_of(table, out)).returncode == 0
    return out, time.monotonic() - since


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_at_many_moments(table, undisturbed, tmp_path, number):
    """Ended at eight moments from the first import to the report, resumed each time: the numbers
    of a run that was left alone, one line for each signal that can be heard, nothing left over."""
    whole, seconds = undisturbed
    out = tmp_path / "run"
    rng = np.random.default_rng(int(number))
    for delay in rng.uniform(0.1, 0.9 * seconds, 8):
        words = [sys.executable, "-m", "scorefold.cli", *words_of(table, out, "--resume")]
        with subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True) as child:
            time.sleep(delay)
            child.send_signal(number)
            error = child.communicate(timeout=600)[1]
        assert "Traceback" not in error
        if number != signal.SIGKILL and child.returncode != 0:
            assert child.returncode == 128 + number
            assert number.name in error.splitlines()[-1]
    assert command(*words_of(table, out, "--resume")).returncode == 0
    assert numbers(out) == numbers(whole)
    assert not [p for p in out.rglob(".*")]
    assert {p.name for p in out.iterdir()} == {p.name for p in whole.iterdir()}


def test_compiled_programs_change_nothing(table, undisturbed, tmp_path):
    """Without the cache, filling it, from it, two processes at once filling one, and from one in
    which every file has a flipped byte: the same bits and nothing said."""
    cache = tmp_path / "cache"
    settings = {
        "off": "0", "cold": str(cache), "warm": str(cache), "damaged": str(cache),
    }  # fmt: skip
    said = {}
    for name, value in settings.items():
        if name == "damaged":
            files = list(cache.rglob("*-cache"))
            assert len(files) > 5
            for path in files:
                raw = bytearray(path.read_bytes())
                raw[len(raw) // 2] ^= 0xFF
                path.write_bytes(raw)
        done = command(*words_of(table, tmp_path / name, "--no-report"),
                       SCOREFOLD_COMPILATION_CACHE=value)  # fmt: skip
        assert done.returncode == 0
        said[name] = done.stderr
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "scorefold.cli",
             *map(str, words_of(table, tmp_path / f"both-{k}", "--no-report"))],
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, "SCOREFOLD_COMPILATION_CACHE": str(tmp_path / "both")},
        )
        for k in range(2)
    ]  # fmt: skip
    for k, child in enumerate(both):
        said[f"both-{k}"] = child.communicate(timeout=1200)[1]
        assert child.returncode == 0
    for name, error in said.items():
        assert numbers(tmp_path / name) == numbers(undisturbed[0])
        assert error == said["off"], name


SPACES = {
    "S^2": lambda rng, n: (["lat", "lon"], rng.normal(0, 20, (n, 2)), []),
    "T^2": lambda rng, n: (["a", "b"], rng.uniform(-3, 3, (n, 2)), ["--radians"]),
    "R^3": lambda rng, n: (["x", "y", "z"], rng.normal(size=(n, 3)), []),
    "SO(3)": lambda rng, n: (["qw", "qx", "qy", "qz"], rng.normal(size=(n, 4)), []),
    "H^2": lambda rng, n: (["x", "y"], rng.uniform(-0.5, 0.5, (n, 2)), []),
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("rows", [4, 5, 6, 8, 12, 19, 24])
def test_small_tables_end_with_a_model(space, rows, tmp_path):
    """Few rows on every space: a model, finite likelihoods, null with a reason for the rest."""
    names, values, more = SPACES[space](np.random.default_rng(rows), rows)
    if space == "SO(3)":
        values /= np.linalg.norm(values, axis=1, keepdims=True)
    pd.DataFrame(values, columns=names).to_csv(tmp_path / "t.csv", index=False)
    done = command("fit", tmp_path / "t.csv", "--manifold", space, *more, "--quiet",
                   "--out", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert np.isfinite(metrics["test_nll"]) and np.isfinite(metrics["val_nll"])
    for name, value in metrics.items():
        said = f"{name}_reason" in metrics or name.endswith("_reason") or name == "git"
        assert value is not None or said, name
    drawn = ["sample", tmp_path / "run", "-n", "5", "--out", tmp_path / "x.csv"]
    for words in (["evaluate", tmp_path / "run"], drawn):
        assert command(*words).returncode == 0


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "history.json"])
def test_documents_with_all_other_values(own, capsys, monkeypatch, name):  # noqa: F811
    try_documents(own, capsys, monkeypatch, name, every=1)
