"""Every table at its quick length: all runs are made, and their numbers make sense."""

import pytest

from scorefold.bench import TableRequest, run_table
from scorefold.bench.hyperbolic import LANGEVIN

pytestmark = [pytest.mark.usefixtures("settings_of_users"), pytest.mark.timeout(900)]


def quick(name, folder, methods=None):
    """The runs of a table by (data, method), with its pictures written and none failed."""
    results = run_table(name, folder, TableRequest("quick", methods=methods))
    assert results.failed == 0 and (folder / "table.md").exists()
    assert list(folder.glob("*.png"))
    return {(run.data, run.method): run for run in results.runs}


def test_torus(tmp_path):
    """Two moments of each angle from 2000 points: 1/2000 nats a dimension, a quarter of a percent
    of the truth; 2 % are its noise of 128 test points, in two dimensions 8 %."""
    runs = quick("torus", tmp_path)
    assert runs["torus-50", "score"].values["shortfall"] < 2.0
    assert runs["torus-2", "score"].values["shortfall"] < 8.0
    assert runs["torus-2", "flow-matching"].values["shortfall"] > 0.0


def below_the_truth(runs):
    """How many nats: never above it by more than the noise of test points allows."""
    gaps = {method: run.values["gap"] for (_, method), run in runs.items()}
    assert all(gap > -0.05 for gap in gaps.values())
    return gaps


def test_so3(tmp_path):
    """16 laws of five numbers (place, width, weight) from 4000 points: k/2n = 0.01 nats. The score
    model is 0.9 below after 200 steps."""
    gaps = below_the_truth(quick("so3", tmp_path))
    assert gaps["heat-mixture"] < 0.05 and gaps["score"] < 1.5


def test_hyperbolic(tmp_path):
    """Four laws of four numbers from 4000 points: k/2n = 0.002 nats."""
    gaps = below_the_truth(quick("hyperbolic", tmp_path))
    assert gaps["heat-mixture"] < 0.03 and gaps["kernel"] < 0.2


def test_scores_on_hyperbolic_space(tmp_path):
    """Both processes; most of their time is compiling, so that they are not in the quick table."""
    gaps = below_the_truth(quick("hyperbolic", tmp_path, ("score", LANGEVIN)))
    assert set(gaps) == {"score", LANGEVIN}


def test_complexity(tmp_path):
    runs = quick("complexity", tmp_path)
    exact = {data: r.values["passes"] for (data, m), r in runs.items() if m == "implicit, exact"}
    assert exact == {"T^2": 6.0, "T^5": 12.0, "T^10": 22.0}  # 2 + 2d
    assert all(run.values["milliseconds"] > 0 for run in runs.values())


@pytest.mark.usefixtures("data_dir")
def test_samples(tmp_path):
    """Kernels are at the floor in closed form: within three standard deviations of a pair."""
    runs = {method: run for (_, method), run in quick("samples", tmp_path).items()}
    kernel = runs["kernel"]
    above = kernel.values["root_mmd"] - kernel.floors["root_mmd"]
    assert above < 3 * kernel.more["floor_std"]["root_mmd"]
    assert runs["score, 1 step"].values["root_mmd"] > kernel.values["root_mmd"]


@pytest.mark.parametrize("name", ["earth", "wpo", "bridge", "theory"])
@pytest.mark.usefixtures("data_dir")
def test_others(name, tmp_path):
    assert quick(name, tmp_path)
