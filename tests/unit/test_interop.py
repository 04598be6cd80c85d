"""Doors that need no other package: GeoJSON, rotations of SciPy, Euler angles, masked arrays, laws
on grids; and what is said where a package is missing."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

import scorefold as sf
from scorefold import interop
from scorefold.data import DataError, HeatMixture, read_table, snapshots_of_cells
from scorefold.interop._grid_law import GridLaw
from scorefold.interop._needed import needed
from scorefold.interop.geojson import from_geojson, to_geojson
from scorefold.interop.rotations import from_bunge, from_scipy, to_bunge, to_scipy
from scorefold.manifolds.points import exact_points

SPHERE = sf.Sphere(2)
PLACES = np.array([[-122.4, 37.8], [180.0, -16.5], [0.0, 90.0], [12.25, -89.5]])
"""Longitude and latitude in degrees."""


def one_line(error):
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    return message


def test_a_package_that_is_missing_is_named():
    with pytest.raises(ModuleNotFoundError) as error:
        needed("no_such_package_of_ours.part", "geo")
    assert one_line(error) == (
        "no_such_package_of_ours is not installed: pip install 'scorefold[geo]'."
    )
    for name in interop.__all__:
        assert getattr(interop, name).__name__ == f"scorefold.interop.{name}"
    with pytest.raises(AttributeError, match="has no attribute 'jupyter'"):
        _ = interop.jupyter


# -- GeoJSON ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_of_geojson_come_back(dtype):
    """Through text: to two roundings of the coordinates in float64, and to the digit in float32,
    whose degrees float64 holds."""
    x = np.random.default_rng(0).normal(size=(200, 3))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)
    document = json.loads(json.dumps(to_geojson(x, [{"row": i} for i in range(200)])))
    found = from_geojson(document)
    assert [p["row"] for p in found.properties] == list(range(200))
    assert found.points.dtype == np.float64
    if dtype == np.float64:
        np.testing.assert_allclose(found.points, x, atol=4e-16)
    else:
        # float32 vectors are off the sphere by their rounding, along themselves.
        unit = x.astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        np.testing.assert_allclose(found.points, unit, atol=4e-16)
    assert np.abs(np.linalg.norm(found.points, axis=1) - 1.0).max() < 4e-16


def test_geojson_is_longitude_and_latitude(tmp_path):
    """Known places, from a file: x is (0, 0), z the north pole, y 90° east."""
    document = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": None,
             "geometry": {"type": "Point", "coordinates": [90.0, 0.0]}},
            {"type": "Feature", "properties": {"a": 1},
             "geometry": {"type": "MultiPoint", "coordinates": [[0.0, 0.0], [7.0, 90.0]]}},
        ],
    }  # fmt: skip
    path = tmp_path / "places.geojson"
    path.write_text(json.dumps(document))
    found = from_geojson(path)
    np.testing.assert_allclose(found.points, np.eye(3)[[1, 0, 2]], atol=1e-15)
    assert found.properties == [{}, {"a": 1}, {"a": 1}]
    assert to_geojson(np.eye(3)[:1])["features"][0]["geometry"]["coordinates"] == [0.0, 0.0]
    high = {"type": "Point", "coordinates": [1.0, 2.0, 300.0]}
    with pytest.warns(sf.ScorefoldWarning, match="the heights of 1 points are left out"):
        from_geojson(high)


def feature(geometry):
    return {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": geometry}]}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (feature(None), r"features: 1 have no geometry \(numbers 0\)"),
        (feature({"type": "Point", "coordinates": []}), "have no geometry"),
        (feature({"type": "Polygon", "coordinates": [[[0, 0]]]}), "type 'Polygon': points are"),
        (feature({"type": "Point", "coordinates": [1.0]}), "not two numbers: longitude, latitude"),
        (feature({"type": "Point", "coordinates": ["1", 2.0]}), "not two numbers"),
        (feature({"type": "Point", "coordinates": [10.0, 120.0]}), "features: lat: row 0.*swapped"),
        (feature({"type": "Point", "coordinates": [math.nan, 1.0]}), "row 0 not finite"),
        (feature({"type": "Point", "coordinates": [5e5, 6e6]}), "lat: row 0 beyond ±90°"),
        ({**feature({"type": "Point", "coordinates": [1, 2]}),
          "crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}, "crs: .*EPSG:4326"),
        ({"type": "FeatureCollection", "features": []}, "no features"),
    ],
)  # fmt: skip
def test_geojson_that_is_no_points(document, said):
    with pytest.raises(DataError, match=said) as error:
        from_geojson(document)
    one_line(error)


# -- rotations -------------------------------------------------------------------------------------
def test_rotations_of_scipy_are_points():
    """To the digit: a model, a distance and a table take the object as it stands."""
    turns = Rotation.random(40, random_state=0)
    np.testing.assert_array_equal(exact_points(sf.SO3(), turns, "x"), turns.as_matrix())
    np.testing.assert_array_equal(from_scipy(turns), turns.as_matrix())
    assert from_scipy(turns[0]).shape == (3, 3)
    back = to_scipy(from_scipy(turns))
    assert (back * turns.inv()).magnitude().max() < 4e-16
    law = HeatMixture(sf.SO3(), turns[:2], 0.3)
    np.testing.assert_array_equal(law.log_prob(turns), law.log_prob(turns.as_matrix()))
    assert sf.SO3().to_quaternion(turns, order="xyzw").shape == (40, 4)
    with pytest.raises(sf.PointsError, match=r"has shape \(40, 3, 3\)"):
        exact_points(SPHERE, turns, "x")
    with pytest.raises(TypeError, match="a Rotation of SciPy, got ndarray"):
        from_scipy(turns.as_matrix())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotations_of_both_dtypes_go_out(dtype):
    x = jnp.asarray(Rotation.random(20, random_state=1).as_matrix(), dtype)
    angle = (to_scipy(x) * Rotation.from_matrix(np.asarray(x, np.float64)).inv()).magnitude()
    assert angle.max() < (1e-6 if dtype == np.float32 else 1e-15)


def test_bunge_angles_written_out():
    """R = R_z(φ₁) R_x(Φ) R_z(φ₂), product by product, and g its transpose; radians and degrees."""
    a, b, c = np.radians([30.0, 50.0, 70.0])

    def about(axis, t):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        r = np.eye(3)
        r[i, i] = r[j, j] = math.cos(t)
        r[i, j], r[j, i] = -math.sin(t), math.sin(t)
        return r

    expected = about(2, a) @ about(0, b) @ about(2, c)
    active = from_bunge([30.0, 50.0, 70.0], degrees=True, sense="active")
    np.testing.assert_allclose(active, expected, atol=1e-15)
    passive = from_bunge([[a, b, c]], degrees=False, sense="passive")
    np.testing.assert_allclose(passive[0], expected.T, atol=1e-15)
    # Bunge (1982), eq. 2.50: the first entry of g.
    first = math.cos(a) * math.cos(c) - math.sin(a) * math.sin(c) * math.cos(b)
    assert float(passive[0, 0, 0]) == pytest.approx(first, abs=1e-15)


def test_bunge_angles_come_back():
    """In their ranges, to 1e-13 where Φ is away from 0 and π; there φ₂ is 0 and the rotation that
    of the angles."""
    rng = np.random.default_rng(0)
    angles = rng.uniform([0.0, 1.0, 0.0], [360.0, 179.0, 360.0], size=(300, 3))
    for sense in ("active", "passive"):
        x = from_bunge(angles, degrees=True, sense=sense)
        back = to_bunge(x, degrees=True, sense=sense)
        np.testing.assert_allclose(back, angles, atol=1e-11)
    edge = from_bunge([[40.0, 0.0, 30.0], [40.0, 180.0, 30.0]], degrees=True, sense="active")
    back = to_bunge(edge, degrees=True, sense="active")
    np.testing.assert_allclose(back[:, 2], 0.0)
    again = from_bunge(back, degrees=True, sense="active")
    np.testing.assert_allclose(again, edge, atol=1e-7)
    assert ((back >= 0.0) & (back < 360.0)).all()


def test_senses_and_degrees_are_not_guessed():
    with pytest.raises(TypeError, match="sense"):
        from_bunge([30.0, 50.0, 70.0], degrees=True)
    with pytest.raises(ValueError, match="Bunge's g") as error:
        to_bunge(np.eye(3), degrees=True, sense="both")
    one_line(error)
    with pytest.raises(sf.PointsError, match="pass degrees=True"):
        from_bunge([30.0, 50.0, 70.0], degrees=False, sense="active")


# -- arrays ----------------------------------------------------------------------------------------
def test_masked_entries_are_named():
    """NumPy would hand over what lies below the mask."""
    x = np.ma.masked_invalid([[0.0, 1.0], [np.nan, 0.5], [1.0, 2.0]])
    said = r"x: 1 rows have masked entries \(rows 1\): leave them out, or fill them"
    with pytest.raises(sf.PointsError, match=said) as error:
        sf.check_points(sf.Euclidean(2), x, "x")
    one_line(error)
    with pytest.raises(ValueError, match=r"data: 1 rows have masked entries \(rows 1\)"):
        sf.fit(sf.KernelModel(sf.Euclidean(2)), x, key=jax.random.key(0), steps=1)
    with pytest.raises(sf.PointsError, match=r"lat: 1 rows have masked entries \(rows 2\)"):
        SPHERE.from_latlon(np.ma.array([0.0, 1.0, 2.0], mask=[0, 0, 1]), [0.0, 1.0, 2.0])
    whole = np.ma.array([[0.0, 1.0]])
    np.testing.assert_array_equal(sf.check_points(sf.Euclidean(2), whole), [[0.0, 1.0]])


def test_frames_of_any_index_and_of_categories():
    """The index is no number of a point; categories of numbers are their numbers, of words not."""
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": pd.Categorical([30, 10])}, index=["b", "a"])
    found = sf.check_points(sf.Euclidean(2), frame)
    np.testing.assert_array_equal(found, [[1.0, 30.0], [2.0, 10.0]])
    with pytest.raises(sf.PointsError, match="contains text"):
        sf.check_points(sf.Euclidean(2), frame.astype({"y": str}).astype({"y": "category"}))


def test_which_angles_close():
    """Longitude, torsions and outer Euler angles do; latitude, Φ and rotation vectors do not."""

    def closed(m, name):
        return next(s.circular for s in m.systems if s.name == name)

    assert closed(SPHERE, "latlon") == closed(SPHERE, "colatlon") == (False, True)
    assert closed(sf.Torus(2), "angles") == (True, True)
    assert closed(sf.SO3(), "euler") == (True, False, True)
    assert not any(closed(sf.SO3(), "rotvec")) and not any(closed(sf.Euclidean(2), "flat"))


def test_cells_on_a_manifold():
    """Rows of ``obsm`` that are points of T², at the times of categories."""

    class Cells:
        obs = pd.DataFrame({"day": pd.Categorical(["1", "1", "2", "2"])}, index=list("dcba"))
        obsm = {"X": np.array([[0.0, 1.0], [0.5, 2.0], [-1.0, 3.0], [2.0, -3.0]])}  # noqa: RUF012

    found = snapshots_of_cells(Cells(), time="day", use="X", manifold="T^2").snapshots
    assert found.manifold == sf.Torus(2) and found.times == (1.0, 2.0)
    np.testing.assert_array_equal(found.points[1], Cells.obsm["X"][2:])
    with pytest.raises(DataError, match=r"has 2 columns, and a point of S\^2 has 3 numbers"):
        snapshots_of_cells(Cells(), time="day", use="X", manifold="S^2")


# -- a law on a grid -------------------------------------------------------------------------------
def cells():
    """Densities of mass 1 on 30° cells, with an empty one."""
    lat, lon = np.linspace(-90.0, 90.0, 7), np.linspace(-180.0, 180.0, 13)
    values = np.random.default_rng(0).uniform(0.2, 1.0, size=(6, 12))
    values[2, 3] = 0.0
    tall = np.diff(np.sin(np.radians(lat)))
    shares = values * tall[:, None] * np.radians(30.0)
    return lat, lon, values / shares.sum(), shares / shares.sum()


def test_draws_of_a_grid_fill_its_cells():
    """χ² of 20,000 draws in 71 cells, and of sin φ within the cells at the pole, which must be
    uniform; the empty cell stays so."""
    lat, lon, values, shares = cells()
    law = GridLaw.of(lat, lon, values, 1.0)
    x = np.asarray(law.sample(jax.random.key(0), 20_000))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, atol=4e-16)
    place = SPHERE.to_latlon(x)
    count, *_ = np.histogram2d(place[:, 0], place[:, 1], bins=(lat, lon))
    expected = 20_000 * shares
    assert count[2, 3] == 0
    some = expected > 0
    chi = float(((count[some] - expected[some]) ** 2 / expected[some]).sum())
    assert abs(chi - 70.0) < 4.0 * math.sqrt(2.0 * 70.0)
    top = np.sort((x[place[:, 0] > 60.0, 2] - math.sqrt(0.75)) / (1.0 - math.sqrt(0.75)))
    gap = np.abs(top - (np.arange(len(top)) + 0.5) / len(top)).max()
    assert gap < 1.63 / math.sqrt(len(top))  # Kolmogorov's 1 %


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_law_on_a_grid_is_its_values(dtype):
    """At the centres, on either side of 180°, and at the poles; −∞ in the empty cell."""
    lat, lon, values, _ = cells()
    law = GridLaw.of(lat, lon, values, 1.0)
    up, along = (0.5 * (e[1:] + e[:-1]) for e in (lat, lon))
    points = np.asarray(SPHERE.from_latlon(np.repeat(up, 12), np.tile(along, 6)), dtype)
    found = law.log_prob(points)
    assert found.dtype == dtype
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(found, np.log(values).ravel(), rtol=1e-6)
    seam = np.asarray(SPHERE.from_latlon([10.0, 10.0], [179.99, -179.99]), dtype)
    np.testing.assert_allclose(law.log_prob(seam), np.log(values[3, [11, 0]]), rtol=1e-6)
    assert np.isfinite(law.log_prob(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype))).all()
    part = GridLaw.of(lat[2:4], lon[:3], values[2:3, :2], 1.0)
    assert float(part.log_prob(np.array([0.0, 0.0, 1.0], dtype))) == -math.inf


def test_a_table_of_geojson_has_places_and_properties(tmp_path):
    """Of the fields of one feature a number or null is a number; text stays text; a property that
    is called lat gives way to the geometry, and that is said."""
    x = np.asarray(SPHERE.from_latlon([46.0, -30.0, 89.0], [8.0, 179.9, -120.0]))
    document = to_geojson(
        x, [{"mag": 5, "lat": 0, "place": "a"}, {"mag": None}, {"place": "b,\nc"}]
    )
    document["features"][1]["geometry"]["coordinates"].append(-10.5)
    path = tmp_path / "quakes.json"  # recognised by its first words
    path.write_text(json.dumps(document))
    table = read_table(path)
    assert list(table) == ["lat", "lon", "height", "mag", "place"]
    np.testing.assert_allclose(table["lon"], [8.0, 179.9, -120.0], rtol=1e-12)
    np.testing.assert_array_equal(table["mag"], [5.0, np.nan, np.nan])
    np.testing.assert_array_equal(table["height"], [np.nan, -10.5, np.nan])
    assert table["place"].tolist() == ["a", None, "b,\nc"]
    assert any("left out: lat" in note for note in table.attrs["notes"])
    (tmp_path / "many.geojson").write_text(json.dumps(to_geojson(np.repeat(x, 20, axis=0))))
    data = sf.data.load(str(tmp_path / "many.geojson"), protocol="random")
    assert data.manifold == SPHERE and len(data.train) == 48


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"type": "FeatureCollection", "features": []}', "no features"),
        ('{"type": "FeatureCollection", "features": [{', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"type": "LineString", "coordinates": [[0, 1], [1, 2]]}', "of the type 'LineString'"),
        ('{"type": "Feature", "geometry": null}', "have no geometry (numbers 0)"),
        ('{"type": "Point", "coordinates": [1e999, 0]}', "Infinity"),
    ],
)
def test_a_table_of_geojson_that_is_none(text, said, tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    if said == "Infinity":  # a number that is not finite is a row that is not
        assert not np.isfinite(read_table(path)["lon"]).any()
        return
    with pytest.raises(DataError) as refused:
        read_table(path)
    assert said in str(refused.value) and str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tilt", [190.0, -10.0])
def test_a_tilt_of_bunge_that_is_none_is_refused(tilt):
    with pytest.raises(sf.PointsError, match="rows 1 is not between 0 and 180"):
        from_bunge([[0.0, 90.0, 0.0], [0.0, tilt, 0.0]], degrees=True, sense="active")


def test_angles_of_bunge_keep_their_digits():
    angles = np.array([[30.0, 45.0, 350.0], [0.25, 179.5, 90.125]])
    for sense in ("active", "passive"):
        x = from_bunge(angles, degrees=True, sense=sense)
        back = to_bunge(x, degrees=True, sense=sense)
        np.testing.assert_allclose(back, angles, rtol=0, atol=1e-12)
