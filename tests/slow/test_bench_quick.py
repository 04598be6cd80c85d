"""Every table at its quick length: all runs are made, and their numbers make sense."""

import pytest

from scorefold.bench import TableRequest, run_table

pytestmark = pytest.mark.usefixtures("settings_of_users")


def quick(name, folder):
    """The runs of a table by (data, method), with its pictures written and none failed."""
    results = run_table(name, folder, TableRequest("quick"))
    assert results.failed == 0 and (folder / "table.md").exists()
    assert list(folder.glob("*.png"))
    return {(run.data, run.method): run for run in results.runs}


def below_the_truth(runs):
    """How many nats: never above it by more than the noise of test points allows."""
    gaps = {method: run.values["gap"] for (_, method), run in runs.items()}
    assert all(gap > -0.05 for gap in gaps.values())
    return gaps


def test_so3(tmp_path):
    """16 laws of five numbers (place, width, weight) from 4000 points: k/2n = 0.01 nats."""
    gaps = below_the_truth(quick("so3", tmp_path))
    assert gaps["heat-mixture"] < 0.05 and gaps["kernel"] < 0.5


def test_hyperbolic(tmp_path):
    """Four laws of four numbers from 4000 points: k/2n = 0.002 nats."""
    gaps = below_the_truth(quick("hyperbolic", tmp_path))
    assert gaps["heat-mixture"] < 0.03 and gaps["kernel"] < 0.2
