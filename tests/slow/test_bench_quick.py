"""Every table at its quick length: all runs are made, and their numbers make sense."""

import pytest

from scorefold.bench import TableRequest, run_table

pytestmark = pytest.mark.usefixtures("settings_of_users")


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
