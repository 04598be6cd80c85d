"""Laws of reading: what columns are called decides, over every space, their order does not."""

import json

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.spatial.transform import Rotation

from scorefold.data import Coordinates, DataError, load

N = 12
LAW = settings(max_examples=3, deadline=None, derandomize=True)
RNG = np.random.default_rng(5)
LAT, LON = RNG.uniform(-80, 80, N), RNG.uniform(-175, 175, N)
ROTATIONS = Rotation.random(N, random_state=3)
FLAT = RNG.normal(size=(N, 3))
BALL = RNG.uniform(-0.5, 0.5, (N, 2))
SHEET = np.c_[1 + (BALL**2).sum(1), 2 * BALL] / (1 - (BALL**2).sum(1))[:, None]
VECTORS = RNG.normal(size=(N, 4))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
TORUS = RNG.uniform(-180, 180, (N, 3))
BUNGE = ROTATIONS.as_euler("ZXZ", degrees=True)
RPY = ROTATIONS.as_euler("xyz", degrees=True)
ZYZ = ROTATIONS.as_euler("ZYZ", degrees=True)
Q = ROTATIONS.as_quat(canonical=True)  # x, y, z, w


def xyz(lat, lon):
    lat, lon = np.radians([lat, lon])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def table(names, *columns):
    return dict(zip(names.split(","), np.column_stack(columns).T, strict=True))


SPHERE, TURNS = xyz(LAT, LON), ROTATIONS.as_matrix()
# What is read, on which space, and the points in closed form.
TABLES = {
    "latitude first": (table("lat,lon", LAT, LON), "S^2", {}, SPHERE),
    "Darwin Core": (table("decimalLongitude,decimalLatitude", LON, LAT), "S^2", {}, SPHERE),
    "units in brackets": (table("Longitude (deg),Latitude (deg)", LON, LAT), "S^2", {}, SPHERE),
    "meteorites": (table("reclong,reclat", LON, LAT), "S^2", {}, SPHERE),
    "a prefix": (table("station_longitude,station_latitude", LON, LAT), "S^2", {}, SPHERE),
    "radians by name": (table("lon_rad,lat_rad", *np.radians([LON, LAT])), "S^2", {}, SPHERE),
    "hours": (table("ra[hours],dec", LON % 360 / 15, LAT), "S^2", {}, SPHERE),
    "catalogue": (table("RAJ2000,DEJ2000", LON % 360, LAT), "S^2", {}, SPHERE),
    "galactic": (table("l,b", LON % 360, LAT), "S^2", {}, SPHERE),
    "from the pole": (table("phi,colatitude", LON % 360, 90 - LAT), "S^2", {}, SPHERE),
    "unit vectors": (table("nz,nx,ny", SPHERE[:, [2, 0, 1]]), "S^2", {}, SPHERE),
    "numbered vectors": (table("x2,x0,x1,x3", VECTORS[:, [2, 0, 1, 3]]), "S^3", {}, VECTORS),
    "torsions": (table("psi,phi,chi1", TORUS[:, [1, 0, 2]]), "T^3", {"degrees": True},
                 np.radians(TORUS)),
    "robotics": (table("qx,qy,qz,qw", Q), "SO(3)", {}, TURNS),
    "scalar first": (table("q0,q1,q2,q3", Q[:, [3, 0, 1, 2]]), "SO(3)", {}, TURNS),
    "messages": (table("orientation.x,orientation.y,orientation.z,orientation.w", Q), "SO(3)", {},
                 TURNS),
    "matrices": (table(",".join(f"R{i}{j}" for j in range(3) for i in range(3)),
                       TURNS.transpose(0, 2, 1).reshape(N, 9)), "SO(3)", {}, TURNS),
    "Bunge": (table("phi2,Phi,phi1", BUNGE[:, ::-1]), "SO(3)", {"degrees": True}, TURNS),
    "roll, pitch, yaw": (table("yaw,pitch,roll", RPY[:, ::-1]), "SO(3)", {"degrees": True}, TURNS),
    "ZYZ": (table("tilt,psi,rot", ZYZ[:, [1, 2, 0]]), "SO(3)", {"degrees": True}, TURNS),
    "rotation vectors": (table("rz,rx,ry", ROTATIONS.as_rotvec()[:, [2, 0, 1]]), "SO(3)",
                         {"degrees": False}, TURNS),
    "hyperboloid": (table("x,y,t", SHEET[:, [1, 2, 0]]), "H^2", {}, SHEET),
    "ball": (table("p2,p1", BALL[:, ::-1]), "H^2", {}, SHEET),
    "flat": (table("z,y,x", FLAT[:, ::-1]), "R^3", {}, FLAT),
    "sphere and depth": (table("depth,lon,lat", FLAT[:, 0], LON, LAT), "S^2 x R^1", {},
                         np.c_[SPHERE, FLAT[:, 0]]),
    "torus and height": (table("z,phi,psi", FLAT[:, 0], TORUS[:, :2]), "T^2 x R^1",
                         {"degrees": True}, np.c_[np.radians(TORUS[:, :2]), FLAT[:, 0]]),
    "pose": (table("x,y,z,qx,qy,qz,qw", FLAT, Q), "SO(3) x R^3", {},
             np.c_[TURNS.reshape(N, 9), FLAT]),
    "nested": (table("qw,qx,qy,qz,lon,lat,phi", Q[:, [3, 0, 1, 2]], LON, LAT, TORUS[:, 0]),
               "S^2 x (T^1 x SO(3))", {"degrees": True},
               np.c_[SPHERE, np.radians(TORUS[:, 0]), TURNS.reshape(N, 9)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def read(folder, frame, space=None, **options):
    path = folder / "t.csv"
    pd.DataFrame(frame).to_csv(path, index=False)
    return load(path, manifold=space, protocol="random", **options)


def points(data):
    """All points, in the order of the rows of the table."""
    found = np.concatenate([data.train, data.val, data.test]).astype(float)
    return found[np.argsort(np.concatenate(data.indices))].reshape(len(found), -1)


@pytest.mark.fault(42, "columns permuted with their names, names against position, on every space")
@pytest.mark.parametrize("case", TABLES)
@LAW
@given(seed=st.integers(0, 10**6))
def test_names_decide_and_columns_may_be_permuted(folder, case, seed):
    frame, space, options, expected = TABLES[case]
    order = np.random.default_rng(seed).permutation(len(frame)) if seed else range(len(frame))
    moved = {list(frame)[j]: frame[list(frame)[j]] for j in order}
    data = read(folder, moved, space, **options)
    np.testing.assert_allclose(points(data), expected.reshape(N, -1), atol=1e-9)
    assert not [line for line in data.remarks if "by position" in line]
    # Back in the names, the order and the units of the table.
    back = data.to_units(data.train)
    assert list(back.columns) == list(moved) and (back.dtypes == np.float64).all()
    again = data.coordinates.to_points(back.to_numpy())
    np.testing.assert_allclose(np.asarray(again), data.train, atol=1e-9)
    if data.coordinates.system not in ("quaternion", "rotvec"):
        np.testing.assert_allclose(back, data.values[data.indices.train], atol=1e-7)
    # The description is plain JSON.
    text = json.dumps(data.coordinates.to_dict(), allow_nan=False)
    assert Coordinates.from_dict(json.loads(text)) == data.coordinates


@pytest.mark.fault(42, "two tables with two orders of columns")
@LAW
@given(seed=st.integers(0, 10**6), space=st.sampled_from(["R^3", "T^3"]))
def test_a_second_table_is_read_by_the_names_of_the_first(folder, seed, space):
    names = ["mass", "Age (years)", "height"]
    options = {"degrees": True} if space[0] == "T" else {}
    frame = dict(zip(names, TORUS.T, strict=True))
    first = read(folder, frame, space, **options)
    order = np.random.default_rng(seed).permutation(3)
    second = read(folder, {names[j]: frame[names[j]] for j in order}, like=first)
    np.testing.assert_array_equal(points(second), points(first))
    third = read(folder, {n.upper(): frame[n] for n in names[::-1]} | {"more": LAT}, like=first)
    np.testing.assert_array_equal(points(third), points(first))


def test_the_second_table_may_state_other_units_and_other_names(folder):
    first = read(folder, table("lat,lon", LAT, LON))
    for frame in (
        table("lon_rad,lat_rad", *np.radians([LON, LAT])),
        table("Longitude,Latitude", LON, LAT),
        table("y,z,x", SPHERE[:, [1, 2, 0]]),
    ):
        np.testing.assert_allclose(points(read(folder, frame, like=first)), SPHERE, atol=1e-9)
    torus = read(folder, table("a,b", TORUS[:, :2]), "T^2", degrees=True)
    other = read(folder, table("b [rad],a [rad]", np.radians(TORUS[:, 1::-1])), like=torus)
    np.testing.assert_allclose(points(other), points(torus), atol=1e-9)
    flat = read(folder, table("u (m),v", FLAT[:, :2]), "R^2")
    with pytest.raises(DataError, match="another unit"):
        read(folder, table("u (km),v", FLAT[:, :2]), like=flat)
    by_position = read(folder, table("x,y", FLAT[:, :2]), like=flat)
    assert "by position" in by_position.remarks[0]
    np.testing.assert_array_equal(points(by_position), points(flat))
    with pytest.raises(DataError, match="'v' is missing"):
        read(folder, table("u,w", FLAT[:, :2]), like=flat)
    depth = read(folder, table("lat,lon,depth", LAT, LON, FLAT[:, 0]), "S^2 x R^1")
    same = read(folder, table("depth,longitude,latitude", FLAT[:, 0], LON, LAT), like=depth)
    np.testing.assert_array_equal(points(same), points(depth))


@LAW
@given(seed=st.integers(0, 10**6))
def test_the_same_point_written_differently_is_one_point(folder, seed):
    rng = np.random.default_rng(seed)
    turn = 360.0 * rng.integers(-1, 2, N)
    one = read(folder, {"lat": LAT, "lon": np.clip(LON + turn, -360, 360)})
    kept = np.abs(LON + turn) <= 360
    np.testing.assert_allclose(points(one)[kept], SPHERE[kept], atol=1e-9)
    twice = np.concatenate
    cases = (
        ({"a": twice([TORUS[:, 0], TORUS[:, 0] + turn])}, "T^1", {"degrees": True}),
        (table("lat,lon", np.full(2 * N, 90.0), RNG.uniform(-180, 180, 2 * N)), "S^2", {}),
        (table("qx,qy,qz,qw", twice([Q, -rng.uniform(0.1, 9) * Q])), "SO(3)", {}),
        (table("phi1,Phi,phi2", twice([np.c_[LON, 0 * LON, LAT], np.c_[LAT, 0 * LAT, LON]])),
         "SO(3)", {"degrees": True}),
        (table("roll,pitch,yaw", twice([RPY, [180, 180, 180] + RPY * [1, -1, 1]])), "SO(3)",
         {"degrees": True}),
    )  # fmt: skip
    for frame, space, options in cases:
        data = read(folder, frame, space, **options)
        assert data.audit.unique == (1 if "lat" in frame else N)
        assert data.audit.duplicates == 2 * N - data.audit.unique


@LAW
@given(seed=st.integers(0, 10**6))
def test_permuted_rows_change_nothing_but_the_draw(folder, seed):
    order = np.random.default_rng(seed).permutation(200)
    rng = np.random.default_rng(0)
    frame = {"x": 5e6 + rng.normal(size=200), "y": rng.normal(size=200), "k": np.arange(200.0)}
    frame["y"][:20] = 9999
    one = read(folder, frame, "R^3")
    two = read(folder, {name: column[order] for name, column in frame.items()}, "R^3")
    assert two.coordinates == one.coordinates and two.warnings == one.warnings
    np.testing.assert_array_equal(points(two), points(one)[order])
    for fact in ("unique", "duplicates", "nearest", "ranges", "resolution", "codes", "index"):
        assert getattr(two.audit, fact) == getattr(one.audit, fact)


@pytest.mark.fault(44, "flat columns up to 1e9 spreads from zero come back")
@LAW
@given(
    power=st.integers(-9, 9), shift=st.sampled_from([0.0, 1.0, 1e3, -1e6, 1e9]),
    space=st.sampled_from(["R^2", "S^2 x R^2", "R^1 x SO(3) x R^1"]),
)  # fmt: skip
def test_flat_columns_come_back_from_anywhere(folder, power, shift, space):
    """float64 carries x + c to ε·c: what comes back is what the table holds."""
    scale = 10.0**power
    frame = {"u": scale * (FLAT[:, 0] + shift), "v": scale * (FLAT[:, 1] - shift)}
    if "S^2" in space:
        frame |= table("lat,lon", LAT, LON)
    if "SO" in space:
        frame |= table("qx,qy,qz,qw", Q)
    data = read(folder, frame, space)
    back = data.to_units(data.train)[["u", "v"]].to_numpy()
    rows = data.indices.train
    for j, name in enumerate("uv"):
        np.testing.assert_allclose(back[:, j], frame[name][rows], rtol=2e-16, atol=1e-14 * scale)
    flat = [j for j, c in enumerate(data.coordinates.columns) if c in "uv"]
    ordinary = abs(shift) < 100
    assert all((data.coordinates.origin[j] == 0) == ordinary for j in flat)


def test_names_that_say_nothing_are_read_by_position_with_a_line(folder):
    data = read(folder, table("B,A", LAT, LON), "S^2")
    np.testing.assert_allclose(points(data), SPHERE, atol=1e-9)
    assert "read as latitude: column 1, 'B'; longitude: column 2, 'A'" in data.remarks[0]
    half = read(folder, table("Longitude,where", LON, LAT), "S^2")
    np.testing.assert_allclose(points(half), SPHERE, atol=1e-9)
    assert "read as latitude: column 2, 'where'" in half.remarks[0]
    named = read(folder, table("east,north", LON, LAT), "S^2", columns="lon=east,lat=north")
    np.testing.assert_allclose(points(named), SPHERE, atol=1e-9)
    assert not named.remarks
    q = read(folder, table("a,b,c,d", Q[:, [3, 0, 1, 2]]), "SO(3)")
    np.testing.assert_allclose(points(q), TURNS.reshape(N, 9), atol=1e-9)
    assert "read as w: column 1, 'a'" in q.remarks[0]
    product = read(folder, table("a,b,z", np.radians(TORUS[:, :2]), FLAT[:, 0]), "T^2 x R^1",
                   degrees=False)  # fmt: skip
    assert "T^2: column 1, 'a', column 2, 'b'; R^1: column 3, 'z'" in product.remarks[0]
    assert product.coordinates.column_units == ("radians", "radians", "none")


REFUSED = {
    "two latitudes": (table("lat,latitude", LAT, LAT), "S^2", {}, "same meaning.*--columns"),
    "two pairs": (
        table("start_lat,start_lon,end_lat,end_lon", LAT, LON, LAT, LON), "S^2", {},
        "start_lat, start_lon; or end_lat, end_lon. Choose by columns= \\(--columns\\)",
    ),
    "lengths": (table("easting,northing", LAT, LON), "S^2", {}, "lengths on a map"),
    "westward": (table("Latitude,Longitude (°W)", LAT, LON), "S^2", {}, "westward"),
    "two units": (table("lat_rad,lon_rad", LAT, LON), "S^2", {"degrees": True}, "leave one out"),
    "no convention": (table("alpha,beta,gamma", BUNGE), "SO(3)", {"degrees": True},
                      "several conventions.*phi1=A"),
    "no unit": (table("phi,psi", TORUS[:, :2]), "T^2", {}, "state degrees=True"),
    "latitude in a vector": (table("lat,y,z", SPHERE), "S^2", {}, "'lat' is called as latitude"),
    "one column too many": (
        table("phi,psi,chi1,chi2", TORUS, LAT) | {"pdb": ["1abc"] * N}, "T^4", {"degrees": True},
        "5 columns were given for T.4: phi, psi, chi1, chi2, pdb; did you mean .*"
        "--columns phi,psi,chi1,chi2 --group pdb",
    ),
    "text": ({"x": ["a"] * N, "y": LAT}, "R^2", {}, "'x' holds no numbers"),
    "factors": (table("a,b,c,d,e,f", FLAT, FLAT), "S^2 x SO(3)", {}, "can be"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused_in_one_line(folder, case):
    frame, space, options, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        read(folder, frame, space, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) - len(str(folder)) <= 500


DAMAGED = [
    lambda d: d.update(manifold=3), lambda d: d.update(manifold="Q^2"),
    lambda d: d.update(columns="ab"), lambda d: d.update(parts={}), lambda d: d.pop("parts"),
    lambda d: d["parts"][0].update(system="nothing"), lambda d: d["parts"][0].update(places=[0]),
    lambda d: d["parts"][0].update(places=[0, 0]), lambda d: d["parts"][0].update(units=[1, 2]),
    lambda d: d["parts"][0].update(units=["feet", "feet"]),
    lambda d: d["parts"][0].update(turns=[0, 1]), lambda d: d["parts"][0].update(places=[0, 99]),
    lambda d: d["parts"][0].update(origin=[float("nan"), 0.0]),
    lambda d: d.update(manifold="S^2 x R^1"), lambda d: d["parts"].append(7),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_descriptions_are_refused(folder, damage):
    fields = read(folder, table("lat,lon", LAT, LON)).coordinates.to_dict()
    damage(fields)
    with pytest.raises(DataError, match="description of the coordinates is damaged"):
        Coordinates.from_dict(fields)
