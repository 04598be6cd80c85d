"""Reading tables of every dialect, and writing points back in the units that came in."""

import gzip

import numpy as np
import pandas as pd
import pytest

from scorefold.data import DataError, audit, datasets, load, read_table
from scorefold.manifolds import SO3, Torus

LATLON = np.array([[10.5, -170.25], [-33.0, 18.5], [0.0, 180.0], [89.5, 0.125]] * 3)


def write(path, text, encoding="utf-8", newline=""):
    with open(path, "w", encoding=encoding, newline=newline) as file:
        file.write(text)
    return path


def body(sep=",", decimal=".", end="\n"):
    lines = [sep.join(str(v).replace(".", decimal) for v in row) for row in LATLON]
    return end.join(lines) + end


DIALECTS = {
    "plain": "lat,lon\n" + body(),
    "spaces": "lat, lon\n" + body(", "),
    "crlf": "lat,lon\r\n" + body(end="\r\n"),
    "old mac": "lat,lon\r" + body(end="\r"),
    "semicolons": "lat;lon\n" + body(";"),
    "decimal commas": "lat;lon\n" + body(";", ","),
    "tabs": "lat\tlon\n" + body("\t"),
    "bars": "lat|lon\n" + body("|"),
    "blanks": "lat lon\n" + body("  "),
    "one comment": "# from somewhere, 2020\nlat,lon\n" + body(),
    "three comments": "# a\n# b, c; d\n# e\nlat,lon\n" + body(),
    "blank lines": "\n\nlat,lon\n\n" + body() + "\n\n",
    "quoted header": '"lat","lon"\n' + body(),
    "no last newline": "lat,lon\n" + body().rstrip(),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.fault(24, "the same table in each dialect")
def test_every_dialect_gives_the_same_table(dialect, tmp_path):
    table = read_table(write(tmp_path / "t.csv", DIALECTS[dialect]))
    assert list(table.columns) == ["lat", "lon"]
    np.testing.assert_array_equal(table.to_numpy(float), LATLON)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.fault(24, "marks of two encodings")
def test_byte_order_marks_do_not_reach_the_column_names(encoding, tmp_path):
    table = read_table(write(tmp_path / "t.csv", DIALECTS["plain"], encoding))
    assert list(table.columns) == ["lat", "lon"]


@pytest.mark.parametrize("comments", ["", "# source\n"])
def test_a_table_without_header_keeps_its_first_row(comments, tmp_path):
    """pandas with header=0 and comment='#' eats a data row of the published fire.csv."""
    table = read_table(write(tmp_path / "t.csv", comments + body()))
    assert list(table.columns) == ["c0", "c1"]
    np.testing.assert_array_equal(table.to_numpy(float), LATLON)
    mixed = read_table(write(tmp_path / "r.tsv", "402d\tG\t-69.1\t173.9\n402d\tC\t-58.7\t168.5\n"))
    assert mixed["c1"].tolist() == ["G", "C"] and mixed["c3"].tolist() == [173.9, 168.5]


def test_binary_formats_and_gzip_give_the_same_numbers(tmp_path):
    frame = pd.DataFrame(LATLON, columns=["lat", "lon"])
    frame.astype("float32").to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "t.npy", LATLON.astype(">f4"))
    np.savez_compressed(tmp_path / "t.npz", lat=LATLON[:, 0], lon=LATLON[:, 1])
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(DIALECTS["plain"].encode()))
    for name, columns in (
        ("t.parquet", ["lat", "lon"]),
        ("t.npy", ["c0", "c1"]),
        ("t.npz", ["lat", "lon"]),
        ("t.csv.gz", ["lat", "lon"]),
    ):
        table = read_table(tmp_path / name)
        assert list(table.columns) == columns
        np.testing.assert_array_equal(table.to_numpy(float), LATLON)


def test_sphere_is_inferred_from_names_and_units_come_back(tmp_path):
    path = write(
        tmp_path / "t.csv",
        "name;Longitude;Latitude\n"
        + "".join(f"p{i};{lon % 360};{lat}\n" for i, (lat, lon) in enumerate(LATLON)),
    )
    data = load(path, protocol="random")
    assert data.manifold.name == "S^2" and data.coordinates.units == "degrees"
    order = np.concatenate(data.indices)
    points = np.concatenate([data.train, data.val, data.test])
    # Oracle: the definition of geographic coordinates.
    lat, lon = np.radians(LATLON[order].T)
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    np.testing.assert_allclose(points, xyz, atol=1e-12)
    back = data.to_units(points)
    assert list(back.columns) == ["Latitude", "Longitude"]
    np.testing.assert_allclose(back["Latitude"], LATLON[order, 0], atol=1e-9)
    np.testing.assert_allclose(back["Longitude"], LATLON[order, 1] % 360, atol=1e-9)


@pytest.mark.fault(42, "longitude before latitude")
def test_longitude_first_is_understood_by_name(tmp_path):
    path = write(tmp_path / "t.csv", "lon,lat\n" + "170,10\n171,20\n-172,-30\n173,40\n")
    data = load(path, columns="lon,lat")
    np.testing.assert_allclose(
        data.to_units(data.train)[["lon", "lat"]],
        np.array([[170, 10], [171, 20], [-172, -30], [173, 40.0]])[data.indices.train],
        atol=1e-9,
    )


def test_angles_need_a_stated_unit_and_return_in_their_range(tmp_path):
    rng = np.random.default_rng(0)
    angles = np.stack([rng.uniform(-180, 180, 50), rng.uniform(0, 360, 50)], axis=1)
    pd.DataFrame(angles, columns=["phi", "chi"]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"state degrees=True.*look like degrees"):
        load(tmp_path / "t.csv", manifold="T^2")
    data = load(tmp_path / "t.csv", manifold=Torus(2), degrees=True)
    assert np.abs(data.train).max() <= np.pi
    back = data.to_units(data.test)
    np.testing.assert_allclose(back.to_numpy(), angles[data.indices.test], atol=1e-9)
    small = pd.DataFrame(np.radians(angles), columns=["phi", "chi"])
    small.to_csv(tmp_path / "r.csv", index=False)
    radians = load(tmp_path / "r.csv", manifold="T^2", degrees=False)
    np.testing.assert_allclose(radians.train, data.train, atol=1e-12)


def test_rotations_as_euler_angles_quaternions_and_matrices(tmp_path):
    """Oracle: scipy.spatial.transform.Rotation."""
    from scipy.spatial.transform import Rotation

    rotations = Rotation.random(12, random_state=0)
    matrices = rotations.as_matrix()
    q = rotations.as_quat()[:, [3, 0, 1, 2]]
    np.savez(tmp_path / "q.npz", q=q)
    np.save(tmp_path / "m.npy", matrices)
    np.save(tmp_path / "e.npy", np.mod(rotations.as_euler("ZXZ"), 2 * np.pi))
    for name, degrees in (("q.npz", None), ("m.npy", None), ("e.npy", False)):
        data = load(tmp_path / name, manifold=SO3(), degrees=degrees, protocol="random")
        np.testing.assert_allclose(data.train, matrices[data.indices.train], atol=1e-7)
    back = data.to_units(data.test).to_numpy()
    expected = np.mod(rotations.as_euler("ZXZ"), 2 * np.pi)[data.indices.test]
    np.testing.assert_allclose(back, expected, atol=1e-9)


@pytest.mark.fault(21, "one place written in several ways")
@pytest.mark.fault(20, "longitudes a whole turn apart are one place")
def test_equal_places_written_differently_are_one_group(tmp_path):
    rows = ["10,180", "10,-180", "10,540.0", "20,-0.1", "20,359.9", "90,5", "90,77", "-5,0", "6,7"]
    path = write(tmp_path / "t.csv", "lat,lon\n" + "\n".join(r for r in rows if "540" not in r))
    found = load(path).audit
    assert (found.rows, found.unique, found.largest_multiplicity) == (8, 5, 2)


def test_groups_of_a_user_column_never_straddle(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.uniform(-60, 60, (200, 2)), columns=["lat", "lon"])
    frame["storm"] = rng.integers(0, 25, 200)
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv", columns=["lat", "lon"], group="storm")
    assert data.audit.groups == 25 and data.audit.straddling_groups == 0
    assert load(tmp_path / "t.csv", protocol="random", group="storm").audit.straddling_groups > 0


@pytest.mark.fault(21, "an audit against counts by hand")
def test_audit_counts_by_hand(tmp_path):
    """A table small enough to count: 2 repeated sites, one row of text, one row out of range."""
    text = "lat,lon\n1.5,2\n1.5,2\n1.5,2\n3,4\n3,4\n5.25,6\n7,8\nx,9\n95,10\n"
    found = audit(write(tmp_path / "t.csv", text), protocol="random")
    assert (found.rows, found.unique, found.duplicates) == (7, 4, 3)
    assert found.largest_multiplicity == 3 and found.whole == 3
    assert found.resolution == {"lat": 0.01, "lon": 1.0}
    assert found.ranges == {"lat": (1.5, 7.0), "lon": (2.0, 8.0)}
    assert "column 'lat', row 7: not a finite number (first value: 'x', line 9)" in found.problems
    assert "row 8: out of the range of the coordinates" in found.problems
    assert found.to_dict()["parts"] == list(found.parts) and "row 8" in str(found)


def test_nearest_distances_are_geodesic(tmp_path):
    # On the torus across the seam: 359° and 1° are 2° apart; on the sphere 90° of longitude on
    # the equator are 90°.
    np.save(tmp_path / "t.npy", np.array([[359.0], [1.0], [100.0], [150.0]]))
    found = load(tmp_path / "t.npy", manifold="T^1", degrees=True).audit
    np.testing.assert_allclose(found.nearest["0%"], np.radians(2.0), rtol=1e-9)
    np.testing.assert_allclose(found.nearest["100%"], np.radians(50.0), rtol=1e-9)
    path = write(tmp_path / "s.csv", "lat,lon\n0,0\n0,90\n0,180\n0,270\n")
    nearest = load(path).audit.nearest
    np.testing.assert_allclose(nearest["50%"], np.pi / 2, rtol=1e-12)


def test_names_and_columns_are_suggested(tmp_path):
    path = write(tmp_path / "t.csv", DIALECTS["plain"])
    with pytest.raises(DataError, match="Did you mean 'flood'"):
        load("floods")
    with pytest.raises(DataError, match="Did you mean 'so3-mixture-16'"):
        load("so3-mixture16")
    with pytest.raises(DataError, match=r"Unknown column .*'lattitude'. Did you mean 'lat'"):
        load(path, columns="lattitude,lon", manifold="S^2")
    with pytest.raises(DataError, match=r"state manifold=.*Columns: lat, lon"):
        load(path, columns="lat")
    with pytest.raises(DataError, match=r"1 column \(lat\) cannot be points of S\^2"):
        load(path, columns="lat", manifold="S^2")
    with pytest.raises(DataError, match=r"protocol for 'rna':.*'publishd'"):
        load("rna", protocol="publishd")
    with pytest.raises(DataError, match="columns cannot be changed"):
        load("flood", columns="lat,lon")
    with pytest.raises(DataError, match="number of draws"):
        load(path, n=5)


def test_every_name_is_listed_once():
    names = [listing.name for listing in datasets()]
    assert len(set(names)) == len(names)
    assert {"volcano", "earthquake", "flood", "fire", "rna", "lysine", "airports"} <= set(names)
