"""``scorefold bridge``: the files it leaves, their keys, and errors of one line."""

import json

import numpy as np
import pytest

from scorefold.cli import main
from scorefold.fitting import load

pytestmark = pytest.mark.usefixtures("settings_of_users")


def tables(folder):
    rng = np.random.default_rng(0)
    for name, centre in (("a", 0.0), ("b", 2.0)):
        np.save(folder / f"{name}.npy", centre + 0.3 * rng.normal(size=(120, 2)))
    return [str(folder / "a.npy"), str(folder / "b.npy"), "--manifold", "R^2"]


def test_a_bridge_between_two_files(tmp_path, capsys):
    """The contract of metrics.json; held-out points two units apart come to lie within a third of
    that of the other end (the mean of 12 points of std 0.3 is known to 0.1); the model in the file
    carries points of A to the mean of B; a second run into the folder is refused."""
    out = tmp_path / "run"
    command = ["bridge", *tables(tmp_path), "--variance", "0.3", "--steps", "60", "--quiet",
               "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr()
    assert "W₁ at b.npy" in said.out and "written to" in said.out
    metrics = json.loads((out / "metrics.json").read_text())
    assert {
        "model", "datasets", "manifold", "protocol", "seed", "variance", "n_train", "n_val",
        "n_test", "ends", "path_energy", "path_energy_standard_error", "steps", "best_step",
        "stopped", "train_seconds", "compile_seconds", "evaluate_seconds", "command", "versions",
        "device", "git",
    } == set(metrics)  # fmt: skip
    assert metrics["model"] == "light" and metrics["datasets"] == ["a.npy", "b.npy"]
    assert metrics["variance"] == 0.3 and metrics["steps"] == 60
    for end in metrics["ends"].values():
        assert set(end) == {"w1", "floor", "ratio", "ratio_std", "unbridged", "n"}
        assert end["w1"] < 1.0 < 2.0 < end["unbridged"] and end["floor"] < 0.6
    # A drift that moves points by (2, 2) costs |(2, 2)|²/2S = 13 nats, less what noise does.
    assert 8 < metrics["path_energy"] < 16
    for name in ("report.html", "history.json", "run.json", "paths.png", "training.png"):
        assert (out / name).stat().st_size > 60
    page = (out / "report.html").read_text()
    assert "Both ends, on held-out points" in page and "<script" not in page
    drawn = load(out / "model.safetensors").couple(np_key(), np.zeros((400, 2), np.float32))
    assert np.abs(np.asarray(drawn).mean(0) - 2.0).max() < 0.25
    assert main(command) == 2
    assert "already holds a finished run" in capsys.readouterr().err


def np_key():
    import jax

    return jax.random.key(0)


@pytest.mark.parametrize(
    "words, message",
    [
        (["A", "B", "A"], "more than two snapshots are not supported"),
        (["A"], "needs two data sets, got 1"),
        (["A", "B", "--variance", "-1"], "--variance must be a positive number"),
        (["A", "torus-2"], "on R^2, torus-2 on T^2"),
        (["A", "B", "--model", "lite"], "Did you mean 'light'?"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, words, message):
    a, b, *reading = tables(tmp_path)
    names = {"A": a, "B": b}
    words = [names.get(word, word) for word in words]
    assert main(["bridge", *words, *reading, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_budget_is_refused_where_there_is_none(tmp_path, capsys):
    """Half-steps have no budget: said before anything is trained."""
    command = ["bridge", *tables(tmp_path), "--model", "imf", "--budget", "5", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "give --steps" in capsys.readouterr().err


def test_learned_bridges_have_the_same_numbers(tmp_path, capsys):
    """--model imf: the keys of the light bridge and two more; 16 steps are two for each of the 8
    half-steps, and its samplers carry A to B, from the closed Gaussian start on."""
    out = tmp_path / "run"
    command = ["bridge", *tables(tmp_path), "--variance", "0.3", "--model", "imf", "--steps", "16"]
    assert main([*command, "--quiet", "--no-report", "--out", str(out)]) == 0
    capsys.readouterr()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["half_steps"] == 8 and metrics["steps"] == 16
    assert metrics["evaluations"] > 0 and metrics["compile_seconds"] is None
    for end in metrics["ends"].values():
        assert end["w1"] < 1.0 < 2.0 < end["unbridged"]
