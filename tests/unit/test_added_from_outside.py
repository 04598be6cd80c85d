"""What others add without a change in ``src``: a model, a bridge, a metric, a data set, a command.
A geometry: ``test_projective_plane.py``; a model that trains: ``test_installed.py``."""

import hashlib
import json

import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold import runs
from scorefold.bridges import LightBridge
from scorefold.cli import main
from scorefold.cli.commands import COMMANDS, Command
from scorefold.data.sources.registry import REGISTRY, Entry, Source
from scorefold.models import HeatKernelDensity
from scorefold.runs import BRIDGES, END_MEASURES, MEASURES, MODELS

pytestmark = pytest.mark.usefixtures("settings_of_users")


@pytest.fixture
def words(tmp_path):
    """A table of 60 normal points of the plane, and how it is read."""
    np.save(tmp_path / "t.npy", np.random.default_rng(0).normal(size=(60, 2)))
    return [str(tmp_path / "t.npy"), "--manifold", "R^2", "--no-report", "--quiet",
            "--out", str(tmp_path / "run")]  # fmt: skip


def numbers(tmp_path):
    return json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_a_model(words, tmp_path, monkeypatch, capsys):
    """A kernel density with a bandwidth that is stated: an option of its own with a range, a number
    in metrics.json, and all that ``evaluate`` and ``sample`` do with models."""
    bandwidth = runs.Setting("bandwidth", "of all kernels (default: 0.5)", high=10.0)

    def build(task):
        points, s = task.data.train, task.stated.get("bandwidth", 0.5) ** 2
        return HeatKernelDensity(task.data.manifold, points, jnp.full(len(points), s))

    def chosen(model):
        return {"bandwidth": float(model.s[0]) ** 0.5}

    choice = runs.ModelChoice(build, (bandwidth,), trained=False, numbers=chosen)
    monkeypatch.setitem(MODELS, "parzen", choice)
    assert main(["fit", *words, "--model", "parzen", "--bandwidth", "0.3"]) == 0
    found = numbers(tmp_path)
    assert found["model"] == "parzen" and found["bandwidth"] == pytest.approx(0.3)
    run = str(tmp_path / "run")
    assert main(["evaluate", run]) == 0
    assert main(["sample", run, "-n", "4", "--out", str(tmp_path / "x.npy")]) == 0
    capsys.readouterr()
    assert main(["fit", *words, "--model", "parzen", "--bandwidth", "11"]) == 2
    assert "argument --bandwidth: '11' is not a number" in capsys.readouterr().err
    assert main(["fit", *words, "--model", "kde", "--bandwidth", "1"]) == 2
    assert "--bandwidth is not an option of --model kde." in capsys.readouterr().err
    assert main(["fit", *words, "--model", "parzen", "--width", "9"]) == 2
    assert "--width is not an option of --model parzen." in capsys.readouterr().err


def test_a_metric(words, tmp_path, monkeypatch, capsys):
    """A number of every model: in metrics.json, in a line of its own, in ``evaluate``, and null
    with its reason where it fails."""

    def spread(fitted):
        return {"spread": float(np.std(fitted.draws))}

    def fail(fitted):
        raise RuntimeError("no luck")

    monkeypatch.setitem(
        MEASURES, "spread", runs.Measure("the spread", ("spread",), spread, "spread")
    )
    monkeypatch.setitem(MEASURES, "luck", runs.Measure("luck", ("luck",), fail))
    assert main(["fit", *words, "--model", "kde"]) == 0
    said = capsys.readouterr()
    found = numbers(tmp_path)
    # Draws of a law of deviation 1 with a kernel on it.
    assert 0.8 < found["spread"] < 1.6 and f"{found['spread']:.4f}" in said.out
    assert found["luck"] is None and "no luck" in found["luck_reason"]
    assert "luck could not be measured" in said.err
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spread"] == found["spread"]


def test_a_metric_that_was_not_measured_yet(words, tmp_path, monkeypatch):
    """A run that is gone on with has the number too."""
    assert main(["fit", *words, "--model", "kde"]) == 0
    before = numbers(tmp_path)
    measure = runs.Measure("an answer", ("answer",), lambda fitted: {"answer": 42})
    monkeypatch.setitem(MEASURES, "answer", measure)
    assert main(["fit", *words, "--model", "kde", "--resume"]) == 0
    found = numbers(tmp_path)
    assert found["answer"] == 42 and found["test_nll"] == before["test_nll"]


def test_a_bridge_and_its_metric(words, tmp_path, monkeypatch):
    """A light bridge of 50 origins, and a number of bridges between two tables."""
    choice = runs.BridgeChoice(lambda reference: LightBridge(reference, origins=50))
    monkeypatch.setitem(BRIDGES, "short", choice)
    measure = runs.Measure("the way", ("way",), lambda fitted: {"way": len(fitted.held["b"])})
    monkeypatch.setitem(END_MEASURES, "way", measure)
    command = ["bridge", words[0], *words, "--model", "short", "--steps", "5", "--variance", "0.5"]
    assert main(command) == 0
    found = numbers(tmp_path)
    assert found["model"] == "short" and found["way"] == found["n_test"][0]


def test_a_data_set(tmp_path, monkeypatch, capsys):
    """A registered file: listed, read by its columns and units, refused where its bytes differ."""
    lat = np.linspace(-60, 60, 40)
    rows = "".join(f"{2 * x:.3f},{x:.3f}\n" for x in lat)
    (tmp_path / "wells.csv").write_text("lon,lat\n" + rows)
    digest = hashlib.sha256((tmp_path / "wells.csv").read_bytes()).hexdigest()
    entry = Entry(
        "wells", "Wells of a country", "S^2", ("lat", "lon"), "degrees", "CC0", "nobody",
        (Source("wells.csv", digest, ("lon", "lat")),),
    )  # fmt: skip
    monkeypatch.setitem(REGISTRY, "wells", entry)
    assert main(["datasets"]) == 0
    assert "Wells of a country" in capsys.readouterr().out
    data = sf.data.load("wells", data_dir=tmp_path)
    np.testing.assert_allclose(np.sort(data.values[:, 0]), lat, atol=1e-3)
    words = [
        "fit",
        "wells",
        "--data-dir",
        str(tmp_path),
        "--model",
        "kde",
        "--no-report",
        "--quiet",
    ]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert numbers(tmp_path)["dataset"] == "wells"
    (tmp_path / "wells.csv").write_text("lon,lat\n0,0\n" + rows)
    assert main([*words, "--out", str(tmp_path / "again")]) == 2
    assert "wells.csv" in capsys.readouterr().err


def test_a_command(monkeypatch, capsys):
    def add_options(parser):
        parser.add_argument("name")
        parser.set_defaults(command=lambda arguments: print(f"hello {arguments.name}") or 0)

    monkeypatch.setattr(
        "scorefold.cli.commands.COMMANDS", COMMANDS | {"greet": Command("say hello", add_options)}
    )
    assert main(["greet", "world"]) == 0
    assert capsys.readouterr().out == "hello world\n"
    assert main(["gret", "world"]) == 2
    assert "Did you mean 'greet'?" in capsys.readouterr().err
