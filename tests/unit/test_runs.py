"""Runs from Python: the requests of the command line, without it."""

import dataclasses
import json

import numpy as np
import pytest

from scorefold import runs
from scorefold.data import load

pytestmark = pytest.mark.usefixtures("settings_of_users")


class Heard(runs.Listener):
    """Keeps what it is told."""

    def __init__(self):
        self.lines, self.stages = [], []

    def tell(self, line):
        self.lines.append(line)

    def stage(self, note):
        self.stages.append(note)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables of 120 normal points of std 0.3 about (0, 0) and (2, 2)."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    for name, centre in (("a", 0.0), ("b", 2.0)):
        np.save(folder / f"{name}.npy", centre + 0.3 * rng.normal(size=(120, 2)))
    return folder


def test_a_fit(tables, tmp_path):
    """A model by its request: typed results, the folder of ``scorefold fit``, and what is there is
    not done again. log 2πe·σ² = 0.43 nats is the entropy; 12 test points say 0.43 ± 0.29."""
    request = runs.FitRequest(data=str(tables / "a.npy"), reading=runs.Reading(manifold="R^2"),
                              model="kde", report=False, out=tmp_path / "run")  # fmt: skip
    heard = Heard()
    done = runs.carry_out(request, heard)
    assert abs(done.metrics["test_nll"] - 0.43) < 4 * 0.29
    assert done.metrics["command"] == repr(request)
    assert "120 rows" not in heard.lines[0] and "96 training" in heard.lines[0]
    assert len(heard.stages) == 2 and "test NLL" in done.text
    run = runs.Run.open(tmp_path / "run", "model")
    assert run.kind == "model" and run.metrics() == done.metrics and run.history().steps == 0
    assert run.model().sample(np_key(), 5).shape == (5, 2)
    with pytest.raises(runs.RunError, match="already holds a finished run"):
        runs.carry_out(request)
    found = runs.evaluate(run.folder, str(tables / "b.npy"), samples=False)
    assert found.metrics["nll"] > done.metrics["test_nll"] + 10 and "NLL" in found.text
    assert "7 points" in runs.write_draws(run.folder, tmp_path / "x.npy", 7)
    assert np.load(tmp_path / "x.npy").shape == (7, 2)


def test_a_bridge(tables, tmp_path):
    """A bridge by its request, and points that are carried along it: (0, 0) to about (2, 2)."""
    ends = tuple(str(tables / f"{name}.npy") for name in "ab")
    reading = runs.Reading(manifold="R^2")
    request = runs.BridgeRequest(data=ends, reading=reading, variance=0.3, steps=40, report=False,
                                 out=tmp_path / "run")  # fmt: skip
    done = runs.carry_out(request)
    assert done.metrics["ends"]["b"]["w1"] < 1.0 < done.metrics["ends"]["b"]["unbridged"]
    run = runs.Run.open(tmp_path / "run", "bridge")
    assert run.metrics() == done.metrics and run.history().steps == 40
    said = runs.carry(run.folder, ends[0], tmp_path / "there.npy")
    assert said.startswith("120 points (c0, c1) carried from time 0 to 1")
    np.testing.assert_allclose(np.load(tmp_path / "there.npy").mean(0), 2.0, atol=0.3)
    assert runs.evaluate(run.folder).metrics == done.metrics
    # What was measured is not measured again.
    again = runs.carry_out(dataclasses.replace(request, resume=True))
    assert again.metrics == done.metrics
    with pytest.raises(runs.RunError, match="holds a bridge"):
        runs.write_draws(run.folder, tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "no"}, "no model is called 'no'"),
        ({"settings": {"width": -1}}, "width: -1 is not a whole number from 1"),
        ({"settings": {"heads": 4}}, "--heads is not an option of --model kernel"),
        ({"steps": 5, "budget": 5.0}, "state one of the two"),
        ({"learning_rate": float("nan")}, "learning_rate: nan is not a number"),
    ],
)
def test_requests_that_cannot_be_carried_out(tables, tmp_path, more, message):
    reading = runs.Reading(manifold="R^2")
    request = runs.FitRequest(data=str(tables / "a.npy"), reading=reading, out=tmp_path / "run",
                              **{"model": "kernel", **more})  # fmt: skip
    with pytest.raises(runs.RunError, match=message):
        runs.carry_out(request)
    assert not (tmp_path / "run").exists()


def test_requests_are_read_back(tables, tmp_path):
    """``run.json`` has all that a request states of data and model."""
    from scorefold.runs.opening import opened

    request = runs.FitRequest(data=str(tables / "a.npy"), reading=runs.Reading(manifold="R^2"),
                              model="kernel", seed=3, settings={"width": 16}, steps=7)  # fmt: skip
    (problem,) = opened(request).problems.values()
    found = json.loads(json.dumps(problem.described))
    again = runs.FitRequest.of(found)
    (other,) = opened(again).problems.values()
    assert other.described == problem.described
    assert (again.steps, again.seed, again.settings) == (7, 3, {"width": 16})
    data = load(tables / "a.npy", manifold="R^2", seed=3)
    np.testing.assert_array_equal(problem.dataset.train, data.train)


def np_key():
    import jax

    return jax.random.key(0)
