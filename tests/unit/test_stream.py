"""Rows that stay on disk give the model that they give in memory."""

import jax
import numpy as np
import pytest

import scorefold as sf
from scorefold.fitting import stream as streams

SPHERE = sf.Sphere(2)
NETWORK = sf.NetworkSpec(width=8, depth=1)


def _points(n, dtype=np.float32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)) * 0.3 + [0.0, 0.0, 1.0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)


def _on_disk(folder, x):
    np.save(folder / "rows.npy", x)
    return np.load(folder / "rows.npy", mmap_mode="r")


def _fit(description, data, **settings):
    usual = {"val": _points(40), "steps": 23, "batch_size": 32, "validate_every": 10}
    return sf.fit(description, data, key=jax.random.key(1), progress=False, **usual | settings)


CASES = {
    "score": (sf.ScoreModel(sf.default_noising(SPHERE, _points(50)), network=NETWORK), np.float32),
    "flow": (sf.FlowMatching(SPHERE, network=NETWORK), np.float64),
    "pushforward": (sf.PushforwardScoreModel(SPHERE, network=NETWORK), np.float32),
    "moser": (sf.MoserFlow(SPHERE, network=NETWORK), np.float32),
}


def _same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if isinstance(x, jax.Array):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("case", CASES)
def test_the_model_is_the_same_bit_for_bit(case, tmp_path, monkeypatch):
    """Windows of 7 steps: the last one is not whole, and a resumed run begins within one."""
    description, dtype = CASES[case]
    x = _points(300, dtype)
    monkeypatch.setattr(streams, "_BYTES", 7 * 32 * x[0].nbytes)
    expected, course = _fit(description, x)
    found, history = _fit(description, _on_disk(tmp_path, x), out=tmp_path / "run")
    _same(found, expected)
    np.testing.assert_array_equal(history.loss, course.loss)
    checkpoints = sorted((tmp_path / "run").glob("checkpoint-*"))
    checkpoints[-1].unlink()
    again, _ = _fit(description, _on_disk(tmp_path, x), out=tmp_path / "run", resume=True)
    _same(again, expected)


def test_parquet_by_row_groups_is_the_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    x = _points(500, np.float64)
    table = pa.table({"z": x[:, 2], "x": x[:, 0], "y": x[:, 1], "name": ["a"] * 500})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=90)
    rows = sf.data.map_parquet(tmp_path / "t.parquet", ["x", "y", "z"], tmp_path / "rows.npy")
    assert isinstance(rows, np.memmap) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, x.astype(np.float32))
    halves = sf.data.map_parquet(
        tmp_path / "t.parquet", ["z"], tmp_path / "h.npy", points=lambda v: v / 2, dtype=np.float64
    )
    np.testing.assert_array_equal(halves, x[:, 2:] / 2)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["x", "zz"], "no column 'zz'; did you mean 'z'"),
        (["name"], "column 'name' holds string, not numbers"),
        (["z"], r"rows 3 have no finite number"),
        ([], "columns: a list of names"),
    ],
)
def test_parquet_that_is_no_table_of_points(columns, said, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table({"x": [1.0] * 5, "z": [1.0, 2.0, 3.0, None, 5.0], "name": ["a"] * 5})
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(sf.data.DataError, match=said):
        sf.data.map_parquet(tmp_path / "t.parquet", columns, tmp_path / "rows.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.parquet"]
    (tmp_path / "t.parquet").write_bytes(b"no table")
    with pytest.raises(sf.data.DataError, match="damaged Parquet"):
        sf.data.map_parquet(tmp_path / "t.parquet", columns, tmp_path / "rows.npy")


def test_many_rows_are_measured_by_some_and_checked_all(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_MOST", 64)
    assert len(streams.rows_to_measure(300)) == 64
    x = _points(300)
    x[217] = 0.0
    with pytest.raises(sf.PointsError, match=r"data, counted from row 192.* 25\b"):
        _fit(CASES["score"][0], _on_disk(tmp_path, x))
    x[217] = np.nan
    with pytest.raises(ValueError, match=r"data, counted from row 192 has 1 rows .* 25\b"):
        _fit(CASES["score"][0], _on_disk(tmp_path, x))


def test_kernels_load_what_they_stand_on(tmp_path):
    x = _points(120)
    expected, _ = _fit(sf.KernelModel(SPHERE), x, steps=3)
    found, _ = _fit(sf.KernelModel(SPHERE), _on_disk(tmp_path, x), steps=3)
    _same(found, expected)


def test_a_loss_that_is_not_finite_names_the_rows_of_the_file(tmp_path, monkeypatch):
    line = sf.Euclidean(1)
    x = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    monkeypatch.setattr(sf.losses.Denoising, "__call__", _bad_beyond_two)
    description = sf.ScoreModel(sf.default_noising(line, x), network=NETWORK)
    said = []
    for data in (x, _on_disk(tmp_path, x)):
        with pytest.raises(sf.fitting.NonFiniteLoss) as error:
            sf.fit(description, data, key=jax.random.key(0), steps=20, progress=False)
        said.append(error.value.rows)
    far = np.flatnonzero((x[:, 0] - x.mean()) / x.std() > 1.49)
    assert said[0] == said[1] and set(said[0]) <= set(far.tolist())


def _bad_beyond_two(self, field, noising, p, s, key):
    return jax.numpy.where(p[0] > 1.5, jax.numpy.nan, 0.0 * jax.numpy.sum(field(p, s)))


@pytest.mark.parametrize(
    ("points", "values", "said"),
    [
        (lambda v: v[:3], [1.0, 2.0, 3.0, 4.0, 5.0], "must return 5 points for 5 rows"),
        (lambda v: np.append(v, v, axis=0), [1.0, 2.0], "must return 2 points for 2 rows"),
        (lambda v: 1.0, [1.0, 2.0], "must return 2 points"),
        (lambda v: np.where(v > 1.5, np.nan, v), [1.0, 2.0], "rows 1 are not finite"),
        (None, [1.0, 1e300], "rows 1 are not finite in float32"),
        (None, [1e9, 1e9 + 1, 1e9 + 2], "float32 cannot tell apart"),
    ],
)
def test_points_that_a_file_cannot_hold(points, values, said, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"x": values}), tmp_path / "t.parquet")
    with pytest.raises(sf.data.DataError, match=said):
        sf.data.map_parquet(tmp_path / "t.parquet", ["x"], tmp_path / "o.npy", points=points)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_table_is_not_written_over(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": [1.0, 2.0]}), table)
    before = table.read_bytes()
    for out, said in ((table, "is the table itself"), (tmp_path / "no" / "o.npy", "in a folder")):
        with pytest.raises(sf.data.DataError, match=said):
            sf.data.map_parquet(table, ["x"], out)
    assert table.read_bytes() == before


@pytest.mark.parametrize("shape", [(20, 1), (20,), (20, 2, 2)])
def test_points_of_another_shape_are_named(shape):
    for description in (sf.KernelModel(sf.Euclidean(2)), sf.FlowMatching(sf.Euclidean(2))):
        with pytest.raises(sf.PointsError, match=r"data: has shape .*points of R\^2 have shape"):
            sf.fit(description, np.zeros(shape), key=jax.random.key(0), progress=False)
