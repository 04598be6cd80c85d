"""Mistakes and interruptions at the command line: one line that names the fix, nothing lost."""

import json
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pandas as pd
import pytest
import toy_run

from scorefold.cli import main

pytestmark = pytest.mark.usefixtures("settings_of_users")


def said(capsys, words, code=2):
    """The message of a command that is refused: one line, and nothing on standard output."""
    assert main([str(w) for w in words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    *before, last = captured.err.splitlines()
    assert last.startswith("scorefold: ")
    return "\n".join([*before, last])


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """300 draws of the standard normal law of the plane."""
    path = tmp_path_factory.mktemp("plane") / "plane.csv"
    rows = np.random.default_rng(0).normal(size=(300, 2))
    pd.DataFrame(rows, columns=["x", "y"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def angles(tmp_path_factory):
    path = tmp_path_factory.mktemp("angles") / "angles.csv"
    rows = np.random.default_rng(0).uniform(0, 360, (40, 2))
    pd.DataFrame(rows, columns=["phi", "psi"]).to_csv(path, index=False)
    return path


# -- before anything is trained --------------------------------------------------------------------
TABLES = {
    "swapped": ({"lat": np.linspace(100, 170, 40), "lon": np.linspace(0, 60, 40)}, "look swapped"),
    "no rows": ({"lat": [], "lon": []}, "no rows of data"),
    "one row": ({"lat": [1.0], "lon": [2.0]}, "1 rows cannot be split"),
    "one place": ({"lat": [1.0] * 40, "lon": [2.0] * 40}, "'random' splits row by row"),
    "other names": ({"lat": [1.0] * 40, "long": [2.0] * 40, "mag": [3.0] * 40}, "Choices: lat"),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.fault(16, "tables of no row, one row, one place on the command line")
def test_tables_that_cannot_be_fitted(case, tmp_path, capsys):
    table, message = TABLES[case]
    pd.DataFrame(table).to_csv(tmp_path / "t.csv", index=False)
    columns = ["--columns", "lat,lonn", "--manifold", "S^2"] if case == "other names" else []
    words = ["fit", tmp_path / "t.csv", "--out", tmp_path / "run", *columns]
    assert message in said(capsys, words)
    assert not (tmp_path / "run").exists()


@pytest.mark.fault(22, "a reflection among rotations on the command line")
def test_reflections_are_named(tmp_path, capsys):
    matrices = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 3, 3)))[0]
    matrices *= np.linalg.det(matrices)[:, None, None]
    matrices[5] *= -1
    np.save(tmp_path / "r.npy", matrices)
    words = ["fit", tmp_path / "r.npy", "--manifold", "SO(3)", "--out", tmp_path / "run"]
    message = said(capsys, words)
    assert "row 5" in message and "handedness" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.fault(18, "angles of 360 without a unit and with the wrong one")
def test_degrees_taken_for_radians(angles, tmp_path, capsys, monkeypatch):
    """Without a unit the command is refused; the wrong one is remarked on: angles of many turns
    are legitimate, so only a person can tell."""
    words = ["fit", angles, "--manifold", "T^2", "--out", tmp_path / "run"]
    assert "look like degrees" in said(capsys, words)
    monkeypatch.setattr("scorefold.runs.path.fit_missing", refuse)
    assert "if they are degrees, say --degrees" in said(capsys, [*words, "--radians"])
    assert "say --" not in said(capsys, [*words, "--degrees"])


def refuse(*_):
    raise ValueError("far enough")


@pytest.mark.parametrize("out", ["file", "file/run"])
@pytest.mark.fault(10, "--out at and below a plain file")
def test_unwritable_out(out, plane, tmp_path, capsys):
    """A file in the way binds everyone; permissions do not bind root."""
    (tmp_path / "file").write_text("mine")
    message = said(capsys, ["fit", plane, "--manifold", "R^2", "--out", tmp_path / out])
    assert str(tmp_path / out) in message and "--out" in message
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["sample", "evaluate", "report"])
@pytest.mark.fault(9, "run folders of other programs")
def test_foreign_folders(command, tmp_path, capsys):
    words = [command, tmp_path, *(["--out", tmp_path / "x.csv"] if command == "sample" else [])]
    assert "run.json is missing" in said(capsys, words)
    (tmp_path / "run.json").write_text('{"name": "of another program"}')
    empty = b"\x08\0\0\0\0\0\0\0{}      "
    (tmp_path / "model.safetensors").write_bytes(empty)
    message = said(capsys, words)
    assert "not a file written by scorefold" in message or "does not describe a run" in message
    (tmp_path / "run.json").write_text('{"data": "x.c')
    assert "damaged" in said(capsys, words) or command == "evaluate"
    assert not (tmp_path / "x.csv").exists()


# -- a run that is interrupted, disturbed, and goes on ---------------------------------------------
def words_of(plane, out):
    return [
        "fit", str(plane), "--manifold", "R^2", "--model", "score", "--steps", "4000",
        "--width", "16", "--depth", "1", "--batch-size", "400", "--s-min", "1e-2",
        "--no-report", "--quiet", "--out", str(out),
    ]  # fmt: skip


@pytest.mark.fault(3, "SIGINT to scorefold fit, then --resume")
@pytest.mark.fault(11, "scorefold fit in the folder of a running one")
@pytest.mark.fault(5, "the model of a finished run cut in half, and with one bit changed")
def test_an_interrupted_run_goes_on(plane, tmp_path, capsys):
    """SIGINT after the first checkpoint; before it, while the run is held, a second run in its
    directory; after it, the same words without --resume and with other settings. The batches are
    larger than the training set. Then the finished model, cut short and with one bit changed."""
    out = tmp_path / "run"
    words = words_of(plane, out)
    program = [sys.executable, "-m", "scorefold.cli", *words]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as child:
        while not list(out.glob("checkpoints/checkpoint-*")) and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGSTOP)
        busy = said(capsys, [*words, "--resume"])
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGCONT)
        errors = child.communicate(timeout=200)[1]
    assert child.returncode == 130
    assert "SIGINT: stopped at step" in errors and "--resume" in errors
    assert f"in use by the run of process {child.pid}" in busy
    assert not (out / "model.safetensors").exists()

    assert "--resume" in said(capsys, words)
    assert "16 there, 8 here" in said(capsys, [*words, "--resume", "--width", "8"])
    assert main([*words, "--resume"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["steps"] == 4000
    # The entropy of the law of the data is log 2πe = 2.84; 30 test points say 2.84 ± 0.18.
    assert abs(metrics["test_nll"] - 2.84) < 4 * 0.18 + 0.1
    capsys.readouterr()

    whole = (out / "model.safetensors").read_bytes()
    other = bytearray(whole)
    other[-9] ^= 1
    for broken in (whole[: len(whole) // 2], bytes(other)):
        (out / "model.safetensors").write_bytes(broken)
        message = said(capsys, ["sample", out, "--out", tmp_path / "x.csv"])
        assert f"{out / 'model.safetensors'}: " in message
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("call", [1, 3])
def test_out_of_memory(tmp_path, monkeypatch, call):
    """The device has no room, when the step is compiled and later: the message names what to
    lower, and the run goes on from its checkpoint to the bits of one that always had room."""
    from scorefold.fitting import loop

    real, calls = loop.train, []

    def train(problem, state, count):
        calls.append(count)
        if len(calls) == call:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 TiB.")
        return real(problem, state, count)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", train)
        with pytest.raises(MemoryError, match="batch_size=64: lower batch_size"):
            toy_run.train(tmp_path / "run")
    kept = list((tmp_path / "run").glob("checkpoint-*"))
    assert bool(kept) == (call > 1)
    resumed = toy_run.digest(*toy_run.train(tmp_path / "run", resume=True))
    assert resumed == toy_run.digest(*toy_run.train(None))
