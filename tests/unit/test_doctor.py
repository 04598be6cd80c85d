"""``scorefold doctor``: what is wrong is found, what is right is not."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from scorefold import fitting
from scorefold.cli import main
from scorefold.runs import examine, installation

pytestmark = pytest.mark.usefixtures("settings_of_users")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One bandwidth on 400 points of a wide and a narrow normal law in the plane."""
    folder = tmp_path_factory.mktemp("doctor")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 2)) * np.where(rng.random((400, 1)) < 0.5, 1.0, 0.3)
    np.savetxt(folder / "t.csv", rows, delimiter=",", header="x,y", comments="")
    words = ["fit", str(folder / "t.csv"), "--model", "kde", "--manifold", "R^2", "--columns",
             "x,y", "--protocol", "random", "--no-report", "--quiet"]  # fmt: skip
    assert main([*words, "--out", str(folder / "run")]) == 0
    return folder


def verdicts(folder):
    ((_, checks),) = examine(folder)
    return {check.name: check.verdict for check in checks}


def test_a_good_run(run, capsys):
    assert main(["doctor", str(run / "run"), "--json"]) == 0
    ((name, checks),) = json.loads(capsys.readouterr().out).items()
    assert name == str(run / "run")
    found = {check["name"]: check["verdict"] for check in checks}
    assert found == dict.fromkeys(
        ("numbers", "versions", "data", "leak", "likelihood", "total mass", "draws",
         "draws and density", "memorisation", "precision"), "ok",
    )  # fmt: skip


def test_what_is_wrong_is_found(run, tmp_path, capsys, monkeypatch):
    """Other data, another model file, other versions, and draws that are not of the density."""
    shutil.copytree(run / "run", tmp_path / "run")
    document = json.loads((tmp_path / "run" / "metrics.json").read_text())
    document["versions"]["jax"] = "0.0.1"
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(document))
    assert verdicts(tmp_path / "run")["versions"] == "note"
    model = fitting.load(tmp_path / "run" / "model.safetensors")

    def drawn(self, key, n, **more):
        return 1.3 * jnp.asarray(type(model).sample_as_it_is(self, key, n, **more))

    monkeypatch.setattr(type(model), "sample_as_it_is", type(model).sample, raising=False)
    monkeypatch.setattr(type(model), "sample", drawn)
    assert verdicts(tmp_path / "run")["draws and density"] == "wrong"
    monkeypatch.undo()
    text = (run / "t.csv").read_text()
    try:
        (run / "t.csv").write_text(text.replace("1", "2", 1))
        assert verdicts(tmp_path / "run")["data"] == "wrong"
        assert main(["doctor", str(tmp_path / "run")]) == 1
        assert "1 thing is wrong; " in capsys.readouterr().out
        (run / "t.csv").unlink()
        assert verdicts(tmp_path / "run")["data"] == "unknown"
    finally:
        (run / "t.csv").write_text(text)
    document["test_nll"] -= 1.0
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(document))
    assert verdicts(tmp_path / "run")["likelihood"] == "wrong"
    (tmp_path / "run" / "metrics.json").write_text("{")
    assert verdicts(tmp_path / "run")["numbers"] == "wrong"
    (tmp_path / "run" / "history.json").write_text("[]")
    assert verdicts(tmp_path / "run")["history"] == "wrong"
    (tmp_path / "run" / "metrics.json").unlink()
    assert verdicts(tmp_path / "run")["numbers"] == "wrong"


def test_the_installation(capsys):
    found = {check.name: check.verdict for check in installation()}
    assert {found[name] for name in ("versions", "devices", "precision", "heat kernel")} == {"ok"}
    assert main(["doctor"]) == 0
    assert "heat kernel" in capsys.readouterr().out


def test_a_data_folder_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setenv("SCOREFOLD_DATA_DIR", "/no/such/folder")
    assert main(["doctor"]) == 1
    assert "there is no such folder" in capsys.readouterr().out


def test_what_is_no_run(tmp_path, capsys):
    assert main(["doctor", str(tmp_path)]) == 2
    assert "holds no finished run" in capsys.readouterr().err


def test_a_bridge_that_does_not_arrive(tmp_path, capsys):
    """Its ends are read where ``bridge`` writes them."""
    rng = np.random.default_rng(0)
    for name in ("a.csv", "b.csv"):
        rows = rng.normal(size=(60, 1))
        np.savetxt(tmp_path / name, rows, delimiter=",", header="x", comments="")
    words = ["bridge", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--manifold", "R^1",
             "--columns", "x", "--steps", "20", "--no-report", "--quiet"]  # fmt: skip
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    document = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for missed, verdict in ((False, "ok"), (True, "wrong")):
        document["ends"]["b"] |= {"missed": missed, "miss": 0.1, "miss_floor": 0.3}
        (tmp_path / "run" / "metrics.json").write_text(json.dumps(document))
        assert verdicts(tmp_path / "run")["arrival b"] == verdict
