"""Tables of results at their quick length: every run is made, and the figures are drawn."""

from scorefold.bench import TableRequest, run_table


def quick(name, folder, data_dir=None):
    results = run_table(name, folder, TableRequest("quick", data_dir=data_dir))
    assert results.runs and not results.failed
    assert (folder / "table.md").stat().st_size > 500
    assert list(folder.glob("*.png"))
    return results


def test_complexity(tmp_path):
    runs = quick("complexity", tmp_path).runs
    exact = {r.data: r.values["passes"] for r in runs if r.method == "implicit, exact"}
    assert exact == {"T^2": 6.0, "T^5": 12.0, "T^10": 22.0}  # 2 + 2d
    assert all(run.values["milliseconds"] > 0 for run in runs)


def test_samples(tmp_path, data_dir):
    """Kernels are at the floor in closed form: within three standard deviations of a pair."""
    runs = {run.method: run for run in quick("samples", tmp_path, str(data_dir)).runs}
    kernel = runs["kernel"]
    above = kernel.values["root_mmd"] - kernel.floors["root_mmd"]
    assert above < 3 * kernel.more["floor_std"]["root_mmd"]
    one = runs["score, 1 step"]
    assert one.values["root_mmd"] > kernel.values["root_mmd"]
