"""Regions as frames, finer maps, and healpy as an oracle of pixels."""

import math

import jax
import numpy as np
import pytest
from optional import package

import scorefold as sf
from scorefold.data import HeatMixture
from scorefold.interop.geopandas import regions_to_geopandas
from scorefold.interop.healpix import from_healpix, to_healpix
from scorefold.interop.xarray import to_xarray
from scorefold.regions import credible_region

SPHERE = sf.Sphere(2)
LAW = HeatMixture(SPHERE, SPHERE.from_latlon([20.0, -70.0], [100.0, 40.0]), [0.1, 0.05])


def test_regions_of_a_frame():
    """The polygons hold the area that the region states: ∮ −sin φ dλ of each ring."""
    geopandas = package("geopandas")
    x = np.asarray(LAW.sample(jax.random.key(0), 300))
    model, _ = sf.fit(sf.KernelModel(SPHERE), x, key=jax.random.key(0), steps=50, progress=False)
    region = credible_region(model, 0.5, key=jax.random.key(0), n=20_000)
    frame = regions_to_geopandas([region], resolution=64)
    assert isinstance(frame, geopandas.GeoDataFrame) and frame.crs.to_epsg() == 4326
    area = 0.0
    for polygon in frame.geometry[0].geoms:
        for ring in (polygon.exterior, *polygon.interiors):
            lon, lat = np.radians(np.asarray(ring.coords)).T
            area -= float(np.sum(np.diff(lon) * np.sin(0.5 * (lat[1:] + lat[:-1]))))
    assert list(frame["mass"]) == [0.5]
    assert float(frame["area"][0]) == pytest.approx(area, rel=0.03)


def test_masses_converge():
    """The mass that a map misses falls with the square of the width of its cells."""
    package("xarray"), package("astropy_healpix")
    grids = [abs(to_xarray(LAW, step).attrs["mass"] - 1.0) for step in (12.0, 6.0, 3.0)]
    pixels = [
        abs(to_healpix(LAW, n, nest=True).sum() * math.pi / (3 * n**2) - 1.0) for n in (8, 16, 32)
    ]
    for found in (grids, pixels):
        assert found[1] < found[0] / 2.5 + 1e-9 and found[2] < found[1] / 2.5 + 1e-9


@pytest.mark.parametrize("nest", [True, False])
def test_pixels_are_those_of_healpy(nest):
    """Values at healpy's own centres, and its map of the draws."""
    healpy = package("healpy")
    package("astropy_healpix")
    found = to_healpix(LAW, 16, nest=nest)
    centres = np.stack(healpy.pix2vec(16, np.arange(3072), nest=nest), axis=-1)
    np.testing.assert_allclose(found, np.exp(LAW.log_prob(centres)), rtol=1e-9)
    x = from_healpix(found, nest=nest).sample(jax.random.key(0), 50_000)
    count = np.bincount(healpy.vec2pix(16, *x.T, nest=nest), minlength=3072)
    expected = 50_000 * found / found.sum()
    many = expected > 5.0
    chi = float(((count[many] - expected[many]) ** 2 / expected[many]).sum())
    assert abs(chi - many.sum()) < 4.0 * math.sqrt(2.0 * many.sum())
