"""Snapshots in one table: times, dates and labels beside the coordinates."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scorefold.cli import main
from scorefold.data import DataError, load_snapshot_table, snapshots_of_cells


def drifters(members=20, days=4, seed=0):
    """Buoys that drift east by ten degrees a day; the last half of them is not seen on day 2."""
    rng = np.random.default_rng(seed)
    rows = [
        {"buoy": f"b{i}", "day": 2.0 * k, "lon": 170.0 + 10.0 * k + x, "lat": 20.0 + y}
        for i, (x, y) in enumerate(rng.normal(size=(members, 2)))
        for k in range(days)
        if not (k == 2 and i >= members // 2)
    ]
    return pd.DataFrame(rows).sample(frac=1.0, random_state=seed)


def written(tmp_path, table, name="buoys.csv"):
    path = tmp_path / name
    table.to_csv(path, index=False)
    return str(path)


def test_rows_of_one_time_are_a_snapshot(tmp_path):
    table = drifters()
    found = load_snapshot_table(written(tmp_path, table), time="day", member="buoy")
    snapshots = found.snapshots
    assert snapshots.times == (0.0, 2.0, 4.0, 6.0) and snapshots.mass == (20, 20, 10, 20)
    assert snapshots.lost == (0, 10, 0) and snapshots.manifold.name == "S^2"
    for k, (points, labels) in enumerate(zip(snapshots.points, snapshots.ids, strict=True)):
        own = table[table.day == 2.0 * k].set_index("buoy").loc[labels]
        expected = snapshots.manifold.from_latlon(own.lat.to_numpy(), own.lon.to_numpy())
        np.testing.assert_allclose(points, expected, atol=1e-6)
    assert found.coordinates.columns == ("lon", "lat")


def test_dates_are_days_since_the_first(tmp_path):
    table = drifters()
    table["when"] = [f"2024-02-{28 + int(d // 2):02d}T12:00:00" if d < 4
                     else f"2024-03-{int(d // 2) - 1:02d}T12:00:00" for d in table.day]  # fmt: skip
    found = load_snapshot_table(
        written(tmp_path, table), time="when", member="buoy", columns="lat,lon"
    )
    assert found.snapshots.times == (0.0, 1.0, 2.0, 3.0) and found.snapshots.unit == "days"
    assert any("days since 2024-02-28 12:00" in line for line in found.remarks)


def test_a_time_column_with_names_of_the_field_is_no_coordinate(tmp_path):
    """x, y and t on R^2: without --time three columns were too many."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 2)), columns=["x", "y"])
    table.insert(0, "t", np.repeat([0.0, 0.5, 1.0], 10))
    found = load_snapshot_table(written(tmp_path, table), time="t", manifold="R^2")
    assert found.coordinates.columns == ("x", "y") and found.snapshots.mass == (10, 10, 10)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"time": "dya"}, "column 'dya'.*day"),
        ({}, {"time": "day", "member": "buoys"}, "column 'buoys'.*buoy"),
        ({"day": "early"}, {"time": "day"}, "holds neither numbers nor dates.*'early'"),
        ({"day": 1.0}, {"time": "day"}, "has one time only"),
        ({"day": "own"}, {"time": "day"}, "78 different times|70 different times"),
        ({"day": "one"}, {"time": "day"}, "a snapshot needs 2 points or more, there is one at 99"),
        ({"day": "gap"}, {"time": "day"}, r"is no finite time in.*--drop"),
        (
            {"buoy": "b"},
            {"time": "day", "member": "buoy"},
            "the label 'b' is there 20 times at t = 0",
        ),
        ({}, {"time": "day", "columns": "lat,lon,day", "manifold": "R^3"}, "is no coordinate"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, change, options, message):
    table = drifters()
    for name, value in change.items():
        if value == "own":
            table[name] = np.arange(len(table))
        elif value in ("one", "gap"):
            table.loc[table.index[3], name] = 99.0 if value == "one" else np.nan
        else:
            table[name] = value
    with pytest.raises(DataError, match=message) as raised:
        load_snapshot_table(written(tmp_path, table), **options)
    assert "\n" not in str(raised.value)


def test_rows_without_a_time_are_left_out_when_asked(tmp_path):
    table = drifters()
    table.loc[table.index[3], "day"] = np.nan
    found = load_snapshot_table(written(tmp_path, table), time="day", drop=True)
    assert sum(found.snapshots.mass) == len(table) - 1
    assert any("left out, no time in column 'day'" in line for line in found.remarks)


def test_rows_left_out_are_counted_as_in_the_table(tmp_path):
    table = drifters().reset_index(drop=True)
    table.loc[2, "lat"] = np.nan
    table.loc[10, "day"] = np.nan
    table.loc[12, "buoy"] = np.nan
    path = written(tmp_path, table)
    whole = written(tmp_path, table.fillna({"lat": 0.0}), "whole.csv")
    with pytest.raises(DataError, match="no finite time in row 10"):
        load_snapshot_table(whole, time="day")
    found = load_snapshot_table(path, time="day", member="buoy", drop=True)
    assert any(line.endswith("no time in column 'day': row 10") for line in found.remarks)
    assert any(line.endswith("no label in column 'buoy': row 12") for line in found.remarks)
    assert sum(found.snapshots.mass) == len(table) - 3


def test_a_label_that_is_missing_is_nobody(tmp_path):
    table = drifters()
    table.loc[table.index[:2], "buoy"] = np.nan
    with pytest.raises(DataError, match=r"column 'buoy' .--id. has no label in rows 0, 1"):
        load_snapshot_table(written(tmp_path, table), time="day", member="buoy")


def test_lengths_of_time_and_numbers_like_dates(tmp_path):
    stub = cells()
    stub.obs["age"] = pd.to_timedelta(np.repeat([0, 12, 36], 8), unit="h")
    found = snapshots_of_cells(stub, time="age")
    assert found.snapshots.times == (0.0, 0.5, 1.5) and found.snapshots.unit == "days"
    stub.obs["date"] = np.repeat([20210130, 20210131, 20210201], 8)
    (line,) = snapshots_of_cells(stub, time="date").remarks
    assert "read as numbers: if 20210130 is a date" in line


def test_a_snapshot_too_small_to_split_is_named(tmp_path, capsys):
    table = pd.DataFrame({"t": np.repeat([0, 1, 2], [30, 3, 30]), "x": np.arange(63.0)})
    path = written(tmp_path, table)
    assert main(["bridge", path, "--time", "t", "--manifold", "R^1", "--method", "spline"]) == 2
    assert "the 3 points at t = 1 are too few for three parts" in capsys.readouterr().err


def cells():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"day": pd.Categorical(np.repeat([1, 2, 5], 8)), "sample": "a"})
    return SimpleNamespace(obs=obs, obsm={"X_pca": rng.normal(size=(24, 3)), "X_bad": np.ones(24)})


def test_cells_of_anndata():
    found = snapshots_of_cells(cells(), time="day")
    assert found.snapshots.times == (1.0, 2.0, 5.0) and found.snapshots.manifold.name == "R^3"
    np.testing.assert_array_equal(found.snapshots.points[1], cells().obsm["X_pca"][8:16])
    for options, message in (
        ({"time": "dya"}, "column of obs.*day"),
        ({"time": "day", "use": "X_pc"}, "matrix of obsm.*X_pca"),
        ({"time": "day", "use": "X_bad"}, r"shape \(24,\)"),
        ({"time": "sample"}, "neither numbers nor dates"),
    ):
        with pytest.raises(DataError, match=message):
            snapshots_of_cells(cells(), **options)
    stub = cells()
    stub.obsm["X_pca"] = stub.obsm["X_pca"][:20]
    with pytest.raises(DataError, match="has 20 rows, obs 24"):
        snapshots_of_cells(stub, time="day")


def test_cells_of_a_file(tmp_path):
    anndata = pytest.importorskip("anndata")
    stub = cells()
    stub.obs.index = stub.obs.index.astype(str)
    path = tmp_path / "cells.h5ad"
    anndata.AnnData(obs=stub.obs, obsm={"X_pca": stub.obsm["X_pca"]}).write_h5ad(path)
    found = load_snapshot_table(path, time="day")
    assert found.snapshots.mass == (8, 8, 8) and found.snapshots.name == "cells.h5ad"
    (tmp_path / "bad.h5ad").write_bytes(b"not one")
    with pytest.raises(DataError, match="could not be read"):
        load_snapshot_table(tmp_path / "bad.h5ad", time="day")


def test_the_command_line_reads_one_table(tmp_path, capsys):
    table, out = written(tmp_path, drifters(members=60)), tmp_path / "run"
    words = ["bridge", table, "--time", "day", "--id", "buoy", "--method", "spline"]
    assert main([*words, "--quiet", "--no-report", "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["times"] == [0.0, 2.0, 4.0, 6.0] and metrics["manifold"] == "S^2"
    assert metrics["lost"][1] > 0
    there = tmp_path / "there.csv"
    start = written(tmp_path, pd.DataFrame({"lat": [20.0], "lon": [170.0]}), "one.csv")
    assert main(["carry", str(out), start, "--at", "3", "--out", str(there)]) == 0
    found = pd.read_csv(there)
    assert list(found.columns) == ["lon", "lat"]
    assert abs(found.lon[0] % 360 - 185.0) < 4 and abs(found.lat[0] - 20.0) < 4
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 0
    for more, message in (
        ([table], "its column is of one table, got 2"),
        (["--times", "0,1"], "--time, --times: state one of the two"),
        (["--group", "buoy"], "--group is no option of a table of snapshots"),
    ):
        given = [*words[:2], *more, *words[2:]] if more == [table] else [*words, *more]
        assert main([*given, "--out", str(tmp_path / "other")]) == 2
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
    assert main(["bridge", table, table, "--id", "buoy"]) == 2
    assert not (tmp_path / "other").exists()
