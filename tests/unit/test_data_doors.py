"""What a table says of itself that its numbers do not: units, frames, directions, lost digits."""

import numpy as np
import pandas as pd
import pytest

from scorefold.data import DataError, load

RNG = np.random.default_rng(0)
LAT, LON = RNG.uniform(-60, 60, 60), RNG.uniform(-170, 170, 60)
PLANE = RNG.normal(size=(60, 2))


def table(folder, names, *columns, name="a.csv"):
    path = folder / name
    pd.DataFrame(dict(zip(names, columns, strict=True))).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Latitude (°S)", "Longitude (°E)"), "counts southward"),
        (("Latitude (S)", "Longitude (E)"), "counts southward"),
        (("Lat °S", "Lon °E"), "counts southward"),
        (("Latitude", "Longitude (°W)"), "counts westward"),
        (("Latitude", "Longitude (°O)"), "eastward in German and westward in French"),
        (("lat (gon)", "lon (gon)"), "'gon', which is no unit of angle"),
        (("lat_mrad", "lon_mrad"), "'mrad', which is no unit of angle"),
    ],
)
@pytest.mark.fault(42, "directions and units that a name states and that cannot be read")
def test_names_that_contradict_the_reading_are_refused(tmp_path, names, message):
    path = table(tmp_path, names, LAT, LON)
    with pytest.raises(DataError, match=message):
        load(path, manifold="S^2")
    # Also where another table was read first.
    first = load(table(tmp_path, ("lat", "lon"), LAT, LON, name="first.csv"))
    with pytest.raises(DataError, match=message):
        load(path, like=first)


@pytest.mark.parametrize(
    "names", [("lat_deg", "lat_min"), ("Latitude Degrees", "Latitude Minutes")]
)
def test_minutes_beside_degrees_are_refused(tmp_path, names):
    others = [n.replace("lat", "lon").replace("Lat", "Long") for n in names]
    minutes = RNG.uniform(0, 60, 60)
    path = table(tmp_path, (*names, *others), np.trunc(LAT), minutes, np.trunc(LON), minutes)
    with pytest.raises(DataError, match="degrees and minutes of one angle"):
        load(path)


@pytest.mark.parametrize(
    ("first", "second"),
    [("T (°C)", "T (°F)"), ("T (°C)", "T (K)"), ("t (h)", "t (s)"), ("a (deg)", "a (rad)")],
)
@pytest.mark.fault(43, "two tables in two units, of what is no angle")
def test_units_of_flat_columns_are_the_same_in_both_tables(tmp_path, first, second):
    one = load(table(tmp_path, (first, "x"), *PLANE.T), manifold="R^2")
    with pytest.raises(DataError, match="states another unit"):
        load(table(tmp_path, (second, "x"), *PLANE.T, name="b.csv"), like=one)
    bare = load(table(tmp_path, (first.split()[0], "x"), *PLANE.T, name="c.csv"), like=one)
    assert "only one of them states a unit" in " ".join(bare.warnings)


def test_a_temperature_is_no_angle(tmp_path):
    """The wind turns, whatever comes first; no name says that the temperature does."""
    wind, heat = RNG.uniform(0, 360, 60), RNG.normal(15, 5, 60)
    path = table(tmp_path, ("Wind direction", "Temperature (°C)"), wind, heat)
    found = load(path, manifold="T^1 x R^1", degrees=True)
    assert found.coordinates.column_units == ("degrees", "none")
    assert "by position" in " ".join(found.warnings)


@pytest.mark.fault(43, "two tables in two frames of the sky")
@pytest.mark.parametrize("second", [("l", "b"), ("glon", "glat"), ("az", "alt"), ("elon", "elat")])
def test_frames_of_the_sky_are_not_mixed(tmp_path, second):
    one = load(table(tmp_path, ("ra", "dec"), LON % 360, LAT))
    with pytest.raises(DataError, match="turn both into one frame"):
        load(table(tmp_path, second, LON % 360, LAT, name="b.csv"), like=one)


def test_right_ascension_below_24_may_be_hours(tmp_path):
    found = load(table(tmp_path, ("ra", "dec"), (LON % 360) / 15, LAT))
    assert "if these are hours, call it 'ra (hours)'" in " ".join(found.warnings)
    assert not load(table(tmp_path, ("ra", "dec"), LON % 360, LAT, name="b.csv")).warnings


@pytest.mark.parametrize("pair", [(-99, -98), (-999, -998), (9999, 9998), (-888, -999), (999, 998)])
@pytest.mark.fault(53, "two codes side by side")
def test_two_codes_do_not_hide_each_other(tmp_path, pair):
    x = RNG.normal(size=(200, 2))
    x[:10, 0], x[10:20, 0] = pair
    found = load(table(tmp_path, ("a", "b"), *x.T), manifold="R^2")
    assert set(found.codes.values) == {"a"} and set(found.codes.values["a"]) == set(pair)


def test_codes_among_few_values(tmp_path):
    """Answers from 1 to 7; and those without a code, of which 1 is frequent, are no codes."""
    answers = RNG.integers(1, 8, 200).astype(float)
    answers[:20] = -9999
    other = np.where(RNG.uniform(size=200) < 0.5, 1.0, RNG.integers(1, 8, 200))
    found = load(table(tmp_path, ("a", "b"), answers, other), manifold="R^2")
    assert found.codes.values == {"a": {-9999.0: 0.1}}


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "npy"])
@pytest.mark.fault(44, "whole numbers beyond 2^53 in every format")
def test_whole_numbers_that_floats_merge_are_told(tmp_path, kind):
    """Times in ns: 200 apart, some merge and are told; 40 apart, most do and are refused."""
    for step in (200, 40):
        t = 1_700_000_000_000_000_000 + step * np.arange(300)
        x, path = np.arange(300) % 7, tmp_path / f"a.{kind}"
        frame = pd.DataFrame({"t": t, "x": x})
        if kind == "csv":
            frame.to_csv(path, index=False)
        elif kind == "parquet":
            frame.to_parquet(path)
        elif kind == "npz":
            np.savez(path, t=t, x=x)
        else:
            np.save(path, np.column_stack([t, x]))
        if step == 40:
            with pytest.raises(DataError, match=r"300 different numbers .* become 48"):
                load(path, manifold="R^2")
        else:
            found = load(path, manifold="R^2")
            assert "300 different numbers of 16 digits and more become 235" in " ".join(
                found.warnings
            )


def test_long_decimals_that_floats_merge_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "x,y\n" + "".join(f"1000000000.00000000{k:05d},{k}\n" for k in range(1000, 1300))
    )
    with pytest.raises(DataError, match=r"300 different numbers .* become 1 "):
        load(path, manifold="R^2")


@pytest.mark.parametrize(
    ("space", "names", "right"),
    [
        ("S^2 x S^2", "end_lat end_lon start_lat start_lon", (2, 3, 0, 1)),
        ("S^2 x S^2", "lon2 lat2 lat1 lon1", (2, 3, 1, 0)),
        ("T^4", "psi_10 phi_10 psi_9 phi_9", (3, 2, 1, 0)),
    ],
)
def test_names_with_affixes_order_factors(tmp_path, space, names, right):
    """Whatever the order in the table: start before end, 1 before 2, 9 before 10."""
    values, names = RNG.uniform(0, 90, (4, 20)), np.array(names.split())
    degrees, order = (True if space == "T^4" else None), list(right)
    straight = load(table(tmp_path, names[order], *values[order]), manifold=space, degrees=degrees)
    found = load(table(tmp_path, names, *values), manifold=space, degrees=degrees)
    np.testing.assert_array_equal(found.train, straight.train)


N = 60
HOURS, SIXTY = RNG.integers(0, 24, N), RNG.integers(0, 60, N)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("RAh", "RAm", "DEd", "DEm"), "parts of one angle"),
        (("RAh", "RAm", "RAs", "DEd", "DEm", "DEs"), "parts of one angle|several columns"),
        (("lat", "lat_min", "lon", "lon_min"), "degrees and minutes of one angle"),
    ],
)
@pytest.mark.fault(42, "hours, minutes and seconds in columns of their own")
def test_parts_of_angles_are_refused(tmp_path, names, message):
    columns = [HOURS if name[-1] in "hd" or len(name) == 3 else SIXTY for name in names]
    with pytest.raises(DataError, match=message):
        load(table(tmp_path, names, *columns), manifold="S^2")


@pytest.mark.fault(42, "hemispheres in a column of text")
def test_hemispheres_in_a_column_of_their_own_are_refused(tmp_path):
    """Where a number should be negative and is not; with signs, or N and E alone, they are read."""
    ns, ew = np.where(np.arange(N) % 3, "N", "S"), np.full(N, "E")
    names = ("lat", "NS", "lon", "EW")
    with pytest.raises(DataError, match="column 'NS' says n, s beside 'lat'"):
        load(table(tmp_path, names, abs(LAT), ns, abs(LON), ew))
    with pytest.raises(DataError, match="column 'EW' says w beside 'lon'"):
        load(table(tmp_path, names, LAT, ns, abs(LON), np.full(N, "W")))
    signed = np.where(ns == "S", -abs(LAT), abs(LAT))
    assert len(load(table(tmp_path, names, signed, ns, abs(LON), ew)).values) == N


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Latitude_N", "Longitude_W"), "'Longitude_W' counts westward"),
        (("latN", "lonW"), "'lonW' counts westward"),
        (("lat_N_deg", "lon_W_deg"), "'lon_W_deg' counts westward"),
        (("lat_s", "lon_e"), "'lat_s' counts southward"),
        (("site_lat_N", "site_lon_W"), "'site_lon_W' counts westward"),
        (("lat_s", "lon_s"), None),
        (("Latitude_N", "Longitude_E"), None),
    ],
)
@pytest.mark.fault(42, "directions at the end of names")
def test_directions_at_the_end_of_names(tmp_path, names, message):
    path = table(tmp_path, names, abs(LAT), abs(LON))
    if message is None:
        assert load(path, manifold="S^2").coordinates.columns == names
        return
    with pytest.raises(DataError, match=message):
        load(path, manifold="S^2")


@pytest.mark.parametrize(
    "names",
    ["pmra pmdec", "delta_ra delta_dec", "dlat dlon", "lat_idx lon_idx", "n_lat n_lon",
     "v_lat v_lon", "lat_resolution lon_resolution"],
)  # fmt: skip
@pytest.mark.fault(42, "motions, differences and indices called like places")
def test_other_things_than_places_need_a_manifold(tmp_path, names):
    """Motions, differences, indices; with the manifold stated they are read, and that is said."""
    path = table(tmp_path, names.split(), abs(LAT), abs(LON) / 3)
    with pytest.raises(DataError, match="state manifold="):
        load(path)
    assert "by a part of the names" in " ".join(load(path, manifold="S^2").warnings)
    for places in ("station_lat station_lon", "start_lat start_lng", "Lat (deg) Lon (deg)"):
        words = places.replace(" Lon", "|Lon").split("|") if "(" in places else places.split()
        assert load(table(tmp_path, words, LAT, LON)).manifold.name == "S^2"


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("phi psi", "psi1 phi1", (1, 0)),
        ("northing easting", "x y", (1, 0)),
        ("x y", "y1 x1", (1, 0)),
        ("a b", "c d", (0, 1)),
    ],
)
@pytest.mark.fault(43, "a second table with other names of one kind")
def test_a_second_table_of_other_names(tmp_path, first, second, order):
    """Names of one kind are matched by their order in it, others by position; both are told."""
    space = {"manifold": "T^2", "degrees": True} if "phi" in first else {"manifold": "R^2"}
    one = load(table(tmp_path, first.split(), *PLANE.T, name="first.csv"), **space)
    two = load(table(tmp_path, second.split(), *PLANE.T, name="second.csv"), like=one)
    got = two.coordinates.to_points(two.values)
    np.testing.assert_allclose(got, one.coordinates.to_points(two.values[:, list(order)]))
    told = "by position" if order == (0, 1) else "by the order of their kind"
    assert told in " ".join(two.warnings)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x_km y_km", "x_m y_m"),
        ("x_km y_km", "y_m x_m"),
        ("p_hpa t", "p_pa t_c"),
        ("d_ft e", "d_m f"),
    ],
)
@pytest.mark.fault(43, "units at the end of names")
def test_units_at_the_end_of_names_are_compared(tmp_path, first, second):
    one = load(table(tmp_path, first.split(), *PLANE.T, name="first.csv"), manifold="R^2")
    with pytest.raises(DataError, match="states another unit than"):
        load(table(tmp_path, second.split(), *PLANE.T, name="second.csv"), like=one)


def test_one_frame_alone_is_told(tmp_path):
    for first, second in (("elat elon", "lat lon"), ("lat lon", "dec ra")):
        one = load(table(tmp_path, first.split(), LAT, LON, name="1.csv"), manifold="S^2")
        two = load(table(tmp_path, second.split(), LAT, LON, name="2.csv"), like=one)
        assert "taken to be in one frame" in " ".join(two.warnings)


@pytest.mark.parametrize(
    ("code", "times"),
    [(-999.25, 2), (-888.0, 2), (-32767.0, 2), (65535.0, 2), (361.0, 2), (-1.0, 20), (-9.0, 5)],
)
@pytest.mark.fault(53, "codes in few rows")
def test_rare_codes(tmp_path, code, times):
    """200 numbers above 1, a code in a few rows. Draws of heavy tails hold none, and whole numbers
    from −1 on are an ordinary scale."""
    x = 1.0 + 5.0 * abs(RNG.normal(size=200))
    x[:times] = code
    found = load(table(tmp_path, ("a", "b"), x, RNG.normal(size=200)), manifold="R^2")
    assert list(found.codes.values) == ["a"] and set(found.codes.values["a"]) == {code}
    scale = RNG.integers(-1, 6, 200)
    found = load(table(tmp_path, ("a", "b"), RNG.standard_cauchy(200), scale), manifold="R^2")
    assert found.codes.values == {}


@pytest.mark.fault(53, "rows of zeros on curved spaces")
def test_rows_of_zeros_are_told(tmp_path):
    """Angles, Euler angles and the quaternion of no rotation, as latitude and longitude 0."""
    angles = RNG.uniform(-60, 60, (3, 200))
    angles[:, :20] = 0.0
    q = RNG.normal(size=(200, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    q[:20] = [0.0, 0.0, 0.0, 1.0]
    for names, columns, space, said in (
        ("phi psi", angles[:2], "T^2", "phi = 0, psi = 0"),
        ("roll pitch yaw", angles, "SO(3)", "roll = 0, pitch = 0, yaw = 0"),
        ("qx qy qz qw", q.T, "SO(3)", "qw = 1, qx = 0, qy = 0, qz = 0"),
    ):
        degrees = None if names[0] == "q" else True
        path = table(tmp_path, names.split(), *columns)
        found = load(path, manifold=space, degrees=degrees)
        assert f"10 % of the rows have {said}" in " ".join(found.warnings)


def test_dependent_columns_are_told(tmp_path):
    """Shares that add up to one; a column twice. Columns that nearly depend are ordinary."""
    shares = RNG.dirichlet(np.ones(3), 60)
    found = load(table(tmp_path, ("p", "q", "r"), *shares.T), manifold="R^3")
    assert "'p', 'q', 'r' are linearly dependent" in " ".join(found.warnings)
    a = PLANE[:, 0]
    near = load(
        table(tmp_path, ("a", "b"), a, a + 1e-3 * PLANE[:, 1], name="b.csv"), manifold="R^2"
    )
    assert not near.warnings
    with pytest.raises(DataError, match="names 'a' twice"):
        load(tmp_path / "b.csv", manifold="R^2", columns="a,a")


def test_one_number_far_away_is_told(tmp_path):
    """One of 60 at 10⁹, with its row; heavy tails (Cauchy, log-normal) are ordinary."""
    x = PLANE.copy()
    x[7, 0] = 1e9
    found = load(table(tmp_path, ("a", "b"), *x.T), manifold="R^2")
    assert "column 'a', row 7: 1e+09 from the median" in " ".join(found.warnings)
    heavy = np.stack([RNG.standard_cauchy(400), np.exp(2 * RNG.normal(size=400))], axis=1)
    said = load(table(tmp_path, ("a", "b"), *heavy.T, name="b.csv"), manifold="R^2")
    assert not said.warnings


def test_rows_that_are_left_out_are_counted(tmp_path):
    x = PLANE.copy()
    x[:5, 0] = -99.0
    x[5, 1] = np.nan
    path = table(tmp_path, ("a", "b"), *x.T)
    found = load(path, manifold="R^2", drop=True, drop_value="-99")
    assert "6 of 60 rows are left out" in " ".join(found.warnings)
    said = load(
        table(tmp_path, ("a", "b"), *PLANE.T, name="b.csv"), manifold="R^2", drop_value="-98"
    )
    assert "no row is left out by drop_value" in " ".join(said.warnings)


def test_a_line_break_between_digits_is_a_fault_of_the_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x,y\n"1\n2",5\n3,4\n5,6\n7,8\n9,1\n')
    with pytest.raises(DataError, match="column 'x', row 0: not a finite number"):
        load(path, manifold="R^2")
