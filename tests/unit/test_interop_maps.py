"""Maps: GeoDataFrames, grids of xarray, HEALPix pixels, out and in."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from optional import package

import scorefold as sf
from scorefold.data import HeatMixture
from scorefold.interop.geopandas import from_geopandas, to_geopandas
from scorefold.interop.healpix import from_healpix, to_healpix
from scorefold.interop.xarray import from_xarray, to_xarray

SPHERE = sf.Sphere(2)
LAW = HeatMixture(SPHERE, SPHERE.from_latlon([20.0, -70.0], [179.0, 40.0]), [0.1, 0.05])
"""Two hills, one across the meridian of 180°."""


def unit(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def refused(match, function, *arguments, **more):
    with pytest.raises(ValueError, match=match) as error:
        function(*arguments, **more)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


# -- GeoPandas -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def geopandas():
    return package("geopandas")


def test_points_of_a_frame_come_back(geopandas):
    """In the order of rows, whatever the index; to two roundings of float64."""
    x = unit(100)
    data = pd.DataFrame({"depth": np.arange(100)}, index=[f"q{i}" for i in range(100)])
    frame = to_geopandas(x, data)
    assert frame.crs.to_epsg() == 4326 and list(frame.index[:2]) == ["q0", "q1"]
    np.testing.assert_array_equal(frame["depth"], np.arange(100))
    np.testing.assert_allclose(from_geopandas(frame), x, atol=4e-16)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_allclose(from_geopandas(frame.iloc[order].geometry), x[order], atol=4e-16)
    # Another frame in degrees, and back from metres.
    np.testing.assert_allclose(from_geopandas(frame.set_crs(4269, allow_override=True)), x,
                               atol=4e-16)  # fmt: skip
    inside = frame[np.abs(frame.geometry.y) < 80.0]
    metres = inside.to_crs("EPSG:3857").to_crs("EPSG:4326")
    np.testing.assert_allclose(from_geopandas(metres), from_geopandas(inside), atol=1e-12)


def test_frames_that_are_no_points(geopandas):
    from shapely.geometry import LineString, MultiPoint, Point

    good = to_geopandas(unit(4))
    geometry = list(good.geometry)

    def frame(shapes, crs="EPSG:4326", **more):
        return geopandas.GeoDataFrame(geometry=shapes, crs=crs, **more)

    refused(r"has no CRS: frame\.set_crs\('EPSG:4326'\)", from_geopandas, frame(geometry, None))
    refused(r"projected, and x and y are no angles: frame\.to_crs", from_geopandas,
            frame([Point(5e5, 6e6)], "EPSG:32633"))  # fmt: skip
    refused("not in degrees from Greenwich", from_geopandas, frame(geometry, "EPSG:4807"))
    bad = frame([geometry[0], None, Point(), geometry[1]], index=list("abcd"))
    refused(r"2 of 4 rows have no geometry \(rows 1, 2, index 'b', 'c'\)", from_geopandas, bad)
    refused(r"1 of 2 rows are no points \(LineString\) \(rows 1\)", from_geopandas,
            frame([geometry[0], LineString([(0, 0), (1, 1)])]))  # fmt: skip
    refused(r"frame\.explode\(\)", from_geopandas, frame([MultiPoint([(0, 0), (1, 1)])]))
    refused(r"not finite \(rows 1\)", from_geopandas, frame([geometry[0], Point(np.inf, 1.0)]))
    refused("frame: lat: row 0 .*swapped", from_geopandas, frame([Point(10.0, 120.0)]))
    refused("is empty", from_geopandas, good.iloc[:0])
    refused("data: 3 rows for 4 points", to_geopandas, unit(4), pd.DataFrame({"a": [1, 2, 3]}))
    with pytest.raises(TypeError, match="a GeoDataFrame or GeoSeries, got DataFrame"):
        from_geopandas(pd.DataFrame({"lat": [1.0]}))
    with pytest.warns(sf.ScorefoldWarning, match="heights of 1 points are left out"):
        from_geopandas(frame([Point(1.0, 2.0, 3.0)]))


# -- grids -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def xarray():
    return package("xarray")


def test_a_density_on_a_grid(xarray):
    """Areas are those of the cells and sum to 4π; the mass is that of the law to h²/(12 s), as of
    pixels below; what comes in again is the same numbers, and a law of these cells."""
    found = to_xarray(LAW, 10.0)
    assert found["density"].dims == ("lat", "lon") and found["density"].shape == (18, 36)
    assert found["density"].attrs["units"] == "sr-1" and found["lat"].attrs["units"] == (
        "degrees_north"
    )
    assert float(found["cell_area"].sum()) == pytest.approx(4 * math.pi, rel=1e-12)
    top = found["cell_area"].isel(lat=-1).values
    np.testing.assert_allclose(top, math.radians(10) * (1 - math.sin(math.radians(80))), rtol=1e-9)
    at = SPHERE.from_latlon([25.0], [175.0])
    value = float(found["density"].sel(lat=25.0, lon=175.0, method="nearest"))
    assert value == pytest.approx(math.exp(LAW.log_prob(at)[0]), rel=1e-9)
    mass = float((found["density"] * found["cell_area"]).sum())
    assert mass == found.attrs["mass"] == pytest.approx(1.0, abs=0.02)
    law = from_xarray(found)
    assert law.mass == pytest.approx(mass, rel=1e-12)
    lat, lon = found["lat"].values, found["lon"].values
    centres = SPHERE.from_latlon(np.repeat(lat, 36), np.tile(lon, 18))
    np.testing.assert_allclose(
        np.exp(law.log_prob(centres)) * law.mass, found["density"].values.ravel(), rtol=1e-12
    )


def test_grids_in_any_order(xarray):
    """Longitude first, latitude from north to south, longitudes from 0 to 360, no bounds, per
    square degree: one law."""
    found = to_xarray(LAW, 10.0)
    law = from_xarray(found)
    turned = found["density"].assign_coords(lon=found["lon"] % 360).sortby("lon")
    turned = turned.sortby("lat", ascending=False).transpose("lon", "lat")
    turned = turned.rename(lat="latitude", lon="longitude") * (math.pi / 180) ** 2
    turned["latitude"].attrs.clear()
    turned["longitude"].attrs.clear()
    turned.attrs = {"units": "degree-2"}
    other = from_xarray(turned)
    x = unit(500)
    np.testing.assert_allclose(other.log_prob(x), law.log_prob(x), rtol=1e-9)
    part = from_xarray(uniform_part(xarray))
    inside, outside = SPHERE.from_latlon([30.0, 59.9, 30.0, -10.0], [120.0, 100.1, 99.0, 120.0])[
        jnp.asarray([[0, 1], [2, 3]])
    ]
    expected = uniform_part(xarray).values[0, 0]
    np.testing.assert_allclose(np.exp(part.log_prob(inside)), expected, rtol=1e-9)
    assert np.isneginf(part.log_prob(outside)).all()


def uniform_part(xarray):
    """Uniform on 0° to 60° north, 100° to 160° east."""
    area = math.sin(math.radians(60)) * math.radians(60)
    lat, lon = np.arange(5.0, 60.0, 10.0), np.arange(105.0, 160.0, 10.0)
    return xarray.DataArray(np.full((6, 6), 1.0 / area), {"lat": lat, "lon": lon}, ("lat", "lon"),
                            attrs={"units": "sr-1"})  # fmt: skip


def test_grids_that_are_no_densities(xarray):
    good = to_xarray(LAW, 10.0)
    array = good["density"]
    for units, said in (("", "has no units"), ("km-2", "has units 'km-2'"), ("1", "has units '1'")):
        refused(said, from_xarray, array.assign_attrs(units=units))
    refused("has no 'p', but density, cell_area", from_xarray, good, "p")
    refused(
        "36 of 648 values are not finite", from_xarray, array.where(array["lat"] != array["lat"][3])
    )
    refused("1 of 648 values are negative.*exp", from_xarray,
            array.where(array > array.min(), -1.0))  # fmt: skip
    refused("is 0 everywhere", from_xarray, array.copy(data=0.0 * array))
    swapped = array.rename(lat="lon", lon="lat")
    swapped["lat"].attrs.clear(), swapped["lon"].attrs.clear()
    refused("beyond ±90: are latitude and longitude exchanged", from_xarray, swapped)
    refused("none of its dimensions.*is latitude: rename", from_xarray,
            array.rename(lat="y", lon="x").drop_vars(["x", "y"]))  # fmt: skip
    refused(r"its dimension 'lat' has no values: assign_coords\(lat=…\), latitudes", from_xarray,
            array.drop_vars(["lat", "lon"]))  # fmt: skip
    refused("has the dimension 'time' beside", from_xarray, array.expand_dims(time=[0]))
    twice = xarray.concat([array, array.isel(lon=[0]).assign_coords(lon=[185.0])], "lon")
    twice["lon"].attrs.pop("bounds")
    refused("goes round more than once", from_xarray, twice.assign_attrs(units="sr-1"))
    refused("is in 'radian'; degrees", from_xarray,
            array.assign_coords(lat=array["lat"].assign_attrs(units="radian")))  # fmt: skip
    with pytest.warns(sf.ScorefoldWarning, match="sums to 2 in the place of 1"):
        from_xarray((array * (2.0 / good.attrs["mass"])).assign_attrs(units="sr-1"))
    refused("step: degrees that divide 180", to_xarray, LAW, 7.0)
    refused(r"is of S\^2, not of R\^1", to_xarray, HeatMixture(sf.Euclidean(1), [[0.0]], 1.0))
    with pytest.warns(sf.ScorefoldWarning, match="a smaller step"):
        to_xarray(HeatMixture(SPHERE, [[0.0, 0.0, 1.0]], 1e-4), 10.0)


def test_grids_through_netcdf(xarray, tmp_path):
    """To the digit."""
    package("h5netcdf")
    found = to_xarray(LAW, 10.0)
    found.to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["density"], found["density"])
        x = unit(50)
        np.testing.assert_array_equal(from_xarray(back).log_prob(x), from_xarray(found).log_prob(x))


# -- pixels ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def healpix():
    return package("astropy_healpix")


@pytest.mark.parametrize("nest", [True, False])
def test_pixels_hold_the_mass_and_come_back(healpix, nest):
    """A pixel of width h misses h²/24 · |Δp| of a density, of which Σ is 2/s at most for a hill
    of variance s in two dimensions: h²/(12 s) of the mass, here .027. The law of the pixels has the
    same values at their centres."""
    found = to_healpix(LAW, 8, nest=nest)
    assert found.shape == (768,) and found.dtype == np.float64
    pixel = 4 * math.pi / 768
    assert float(found.sum()) * pixel == pytest.approx(1.0, abs=pixel / (12 * 0.05))
    law = from_healpix(found, nest=nest)
    order = "nested" if nest else "ring"
    centres = np.stack(healpix.healpix_to_xyz(np.arange(768), 8, order=order), axis=-1)
    np.testing.assert_allclose(np.exp(law.log_prob(centres)) * law.mass, found, rtol=1e-12)
    shares = from_healpix(found * pixel, nest=nest, per="pixel")
    np.testing.assert_allclose(shares.density, law.density, rtol=1e-12)
    north = from_healpix(np.eye(12)[0] * 12 / (4 * math.pi), nest=True)
    assert np.isfinite(north.log_prob(SPHERE.from_latlon([80.0], [45.0]))).all()


def test_draws_of_pixels_fill_them(healpix):
    """χ² of 20,000 draws in the 4 children of each of 12 pixels, of equal shares."""
    values = np.arange(1.0, 13.0)
    law = from_healpix(values / values.sum(), nest=True, per="pixel")
    x = law.sample(jax.random.key(0), 20_000)
    assert np.abs(np.linalg.norm(x, axis=1) - 1.0).max() < 4e-16
    child = np.asarray(healpix.xyz_to_healpix(*x.T, 2, order="nested"))
    expected = np.repeat(values / values.sum() / 4.0, 4) * 20_000
    chi = float(((np.bincount(child, minlength=48) - expected) ** 2 / expected).sum())
    assert abs(chi - 47.0) < 4.0 * math.sqrt(2 * 47.0)


def test_maps_that_are_no_densities(healpix):
    flat = np.full(192, 1.0 / (4 * math.pi))
    refused(r"a map has 12·nside² pixels", from_healpix, flat[:191], nest=False)
    refused("has 12·nside² pixels", from_healpix, np.ones(12 * 9), nest=False)
    unseen = flat.copy()
    unseen[5] = -1.6375e30
    refused("1 of 192 values are negative", from_healpix, unseen, nest=False)
    refused("1 pixels are masked", from_healpix, np.ma.masked_less(unseen, 0.0), nest=False)
    refused("per='pixel'", from_healpix, np.full(192, 1 / 192), nest=False)
    refused('must be "steradian" or "pixel"', from_healpix, flat, nest=False, per="degree")
    refused("nside: a power of two", to_healpix, LAW, 3, nest=False)
    with pytest.raises(TypeError, match="nest"):
        to_healpix(LAW, 4)
