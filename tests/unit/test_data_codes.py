"""Codes for no value, constant columns and row numbers: found, and never found in sound data."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from scorefold.data import REGISTRY, DataError, audit, load, load_snapshots, read_table
from scorefold.data.columns.codes import codes_of
from scorefold.data.columns.coordinates import Coordinates, Part
from scorefold.manifolds import Euclidean

RNG = np.random.default_rng(2)


def frame(n=400):
    return {"phi": RNG.uniform(-180, 180, n), "psi": RNG.uniform(-180, 180, n)}


def read(tmp_path, columns, space, **options):
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    return load(tmp_path / "t.csv", manifold=space, protocol="random", **options)


def of(*columns, names=None):
    """The codes of columns in memory."""
    values = np.column_stack(columns)
    k = values.shape[1]
    part = Part(Euclidean(k), "flat", tuple(range(k)), ("none",) * k, (False,) * k, (0.0,) * k)
    return codes_of(Coordinates(Euclidean(k), names or tuple(f"c{i}" for i in range(k)), (part,)),
                    values)  # fmt: skip


@pytest.mark.fault(52, "codes for no value")
@pytest.mark.parametrize("code", [360.0, 9999.0, -999.0, 1e30])
def test_a_code_is_named_and_left_out(tmp_path, code):
    columns = frame()
    columns["phi"][::10] = code
    data = read(tmp_path, columns, "T^2", degrees=True)
    assert data.audit.codes == {"phi": {f"{code:.9g}": 0.1}}
    line = next(line for line in data.warnings if "lies apart" in line)
    assert "column 'phi'" in line and f"--drop-value {code:.9g}" in line and "10 %" in line
    assert line in str(data.audit)
    for stated in (code, f"{code}", [7.5, f"phi={code}"]):
        clean = read(tmp_path, columns, "T^2", degrees=True, drop_value=stated)
        assert len(clean.values) == 360 and not clean.audit.codes
        assert any(p.startswith("40 rows") for p in clean.problems)
    with pytest.raises(DataError, match="Unknown coordinate column 'ph'"):
        read(tmp_path, columns, "T^2", degrees=True, drop_value="ph=1")
    with pytest.raises(DataError, match="must be a number"):
        read(tmp_path, columns, "T^2", degrees=True, drop_value="none")


def test_codes_between_other_values_and_several_at_once():
    x = np.r_[RNG.uniform(-180, -40, 200), RNG.uniform(40, 180, 200), np.zeros(50)]
    assert of(x, x[::-1]).values["c0"] == {0.0: 50 / 450}
    both = np.r_[RNG.normal(size=300), [99.99] * 9, [-999.0] * 5]
    assert set(of(both, both[::-1]).values["c0"]) == {99.99, -999.0}


@pytest.mark.parametrize("code, rows", [(999.0, 20), (999.0, 100), (-99.0, 30)])
def test_usual_codes_near_the_other_values(tmp_path, code, rows):
    """Depths to 820 with 999 for no depth, the example of the how-to, and −99 below concentrations
    to 1000; a depth that is itself near 999 a few times is none."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.0, 820.0 if code > 0 else 1000.0, 1000).round(1)
    depth[:rows] = code
    assert codes_in(tmp_path, depth) == {"z": {f"{code:.9g}": rows / 1000}}
    depth[:rows] = rng.uniform(0.0, 820.0, rows)
    depth[:4] = code
    assert not codes_in(tmp_path, depth) or code < 0


def codes_in(tmp_path, values):
    columns = {"z": values, "y": np.random.default_rng(1).normal(size=len(values))}
    return read(tmp_path, columns, "R^2").audit.codes


def test_angles_that_are_not_bunge_are_said(tmp_path):
    rng = np.random.default_rng(0)
    angles = rng.uniform(-38.0, 36.0, (200, 3))
    columns = {f"Euler{k + 1}": angles[:, k] for k in range(3)}
    data = read(tmp_path, columns, "SO(3)", degrees=True)
    assert any("column 'Euler2' runs from -3" in line and "roll, pitch" in line
               for line in data.warnings)  # fmt: skip
    columns["Euler2"] = np.abs(columns["Euler2"])
    data = read(tmp_path, columns, "SO(3)", degrees=True)
    assert not any("Bunge's" in line for line in data.warnings)


@pytest.mark.fault(52, "null island, constant columns, row numbers")
def test_null_island_constants_and_row_numbers(tmp_path):
    lat, lon = RNG.uniform(-80, 80, 300), RNG.uniform(-180, 180, 300)
    lat[:15] = lon[:15] = 0.0
    data = read(tmp_path, {"lat": lat, "lon": lon}, "S^2")
    assert any("5 % of the rows are at latitude 0, longitude 0" in w for w in data.warnings)
    x = RNG.normal(size=50)
    found = of(np.arange(50), x, np.full(50, 3.0), names=("n", "x", "k"))
    assert (found.numbering, found.constant) == (("n",), ("k",))
    assert of(RNG.permutation(50) + 1.0, x, names=("Unnamed: 0", "x")).numbering == ("Unnamed: 0",)


@pytest.mark.fault(52, "sound columns")
def test_sound_columns_are_not_accused():
    n = 2000
    sound = {
        "whole degrees": RNG.integers(-90, 91, n),
        "lattice": np.repeat(np.arange(40.0), 50),
        "counts with many zeros": RNG.poisson(3, n) * (RNG.random(n) < 0.5),
        "rain": np.where(RNG.random(n) < 0.6, 0, RNG.gamma(0.5, 10, n)),
        "magnitudes": np.round(5 + RNG.exponential(0.5, n), 1),
        "trans peptide bonds": np.where(RNG.random(n) < 0.2, 180.0, 180 - RNG.exponential(8, n)),
        "heavy tails": RNG.standard_cauchy(n),
        "two clusters": np.r_[RNG.normal(size=n // 2), 1e6 + RNG.normal(size=n // 2)],
        "one far point": np.r_[RNG.normal(size=n - 1), 1e6],
        "ages": np.round(RNG.normal(40, 15, n).clip(0)),
        "two values": RNG.integers(0, 2, n) * 100.0,
        "normal": RNG.normal(size=n),
    }
    for name, column in sound.items():
        found = of(column, RNG.normal(size=n))
        assert not found.lines(), name


def test_real_data_hold_no_codes_but_true_ones(data_dir, monkeypatch):
    monkeypatch.setenv("SCOREFOLD_DATA_DIR", str(data_dir))
    for name in REGISTRY:
        assert load(name).warnings == (), name
    storms = read_table(data_dir / "bridge" / "hurdat2_atlantic_1970_2018.csv.gz")
    wind = storms.iloc[:, -1].to_numpy(float)
    expected = {"c1": {-99.0}} if (wind == -99).any() else {}
    found = of(storms["lat"], wind, storms["lon"]).values
    assert {column: set(codes) for column, codes in found.items()} == expected
    for name in ("cite", "embryoid"):
        for points in load_snapshots(name, data_dir=data_dir).points:
            assert not of(*points.T).lines()


# The first two seeds of every protocol, as they were published.
SPLITS = {
    "airports": "366f57195bd45289",
    "volcano": "3d6b967c15fff29b",
    "earthquake": "c5e5c829edfadf41",
    "flood": "f4ad7a19553c56ea",
    "fire": "7d007b477b4a0fc8",
    "rna": "299ac9b7bc1b02f4",
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_of_registered_sets_are_those_of_published_results(name, data_dir):
    digest = hashlib.sha256()
    for protocol in REGISTRY[name].protocols:
        for seed in (0, 1):
            for part in load(name, protocol=protocol, seed=seed, data_dir=data_dir).indices:
                digest.update(np.asarray(part, np.int64).tobytes() + b"|")
    assert digest.hexdigest()[:16] == SPLITS[name]


# -- digits ----------------------------------------------------------------------------------------
@pytest.mark.fault(44, "Julian dates of one day")
def test_julian_dates_of_one_day_stay_apart(tmp_path):
    """60 dates a minute apart, seven digits before the point: 64-bit floats hold them to 5e-10
    days, 32-bit ones to a quarter of a day."""
    dates = 2459000.5 + np.arange(60) / 1440
    data = read(tmp_path, {"jd": dates, "mag": RNG.normal(size=60)}, "R^2")
    assert data.audit.unique == 60
    back = data.to_units(data.train)["jd"].to_numpy()
    np.testing.assert_allclose(back, dates[data.indices.train], rtol=0, atol=1e-9)


def test_rows_that_32_bits_merge_are_refused(tmp_path, settings_of_users):
    dates = 2459000.5 + np.arange(60) / 60
    frame = {"jd": dates, "mag": np.arange(60) % 7.0}
    data = read(tmp_path, frame, "R^2")
    assert data.audit.unique == 60 and data.train.dtype == np.float32
    back = data.to_units(data.train)["jd"].to_numpy()
    # Half a day in 24 bits.
    np.testing.assert_allclose(back, dates[data.indices.train], rtol=0, atol=3.1e-8)
    frame["jd"] = np.r_[dates[:30] % 1, 1e9 + dates[30:] % 1]
    with pytest.raises(DataError, match=r"float32 cannot tell 60 .*column 'jd'.*JAX_ENABLE_X64"):
        read(tmp_path, frame, "R^2")
    near = {"lat": 48 + 1e-8 * np.arange(60), "lon": 8 + 1e-8 * np.arange(60)}
    with pytest.raises(DataError, match="float32 cannot tell 60"):
        read(tmp_path, near, "S^2")
    with pytest.raises(DataError, match="column 'x', row 3: beyond the largest float32"):
        read(tmp_path, {"x": [1.0, 2, 3, 1e60, 5], "y": range(5)}, "R^2")
    # By chance: a million uniform numbers have fewer than 2^24 places.
    x = np.random.default_rng(0).random(300_000)
    np.save(tmp_path / "t.npy", x[:, None])
    many = load(tmp_path / "t.npy", manifold="R^1", protocol="random")
    assert "are one point in float32: counted as repeats" in many.remarks[-1]


# -- words -----------------------------------------------------------------------------------------
def test_uneven_parts_and_mixed_longitudes_are_said(tmp_path):
    n = 300
    group = np.r_[np.zeros(280), np.arange(20)].astype(int)
    columns = {"lat": RNG.uniform(-80, 80, n), "lon": RNG.uniform(-170, 350, n), "g": group}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv", group="g", columns="lat,lon")
    assert any("far from 80/10/10: groups stay whole" in line for line in data.remarks)
    assert any("'lon' runs from" in line and "mixed" in line for line in data.remarks)


def test_rows_that_cannot_be_used_name_the_options(tmp_path):
    (tmp_path / "t.csv").write_text("lat,lon\n1,2\n3,4\n5,\n7,8\n9,9\n")
    with pytest.raises(DataError, match=r"row 2: not a finite.*drop=True \(--drop\)"):
        load(tmp_path / "t.csv")
    (tmp_path / "u.csv").write_text("lat,lon\n1,x\n3,y\n5,z\n7,w\n")
    with pytest.raises(DataError, match=r"'lon' holds no numbers \(first value: 'x'\)") as caught:
        load(tmp_path / "u.csv", drop=True)
    assert "--drop)" not in str(caught.value)
    assert audit(tmp_path / "t.csv").rows == 4
