"""Credible regions against laws whose regions are known, and their maps against winding numbers."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

import scorefold as sf
from scorefold.models import PointwiseModel, Units
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.mixture import FittedMixture
from scorefold.regions import (
    calibrated_region,
    contours,
    credible_region,
    feature_collection,
)
from scorefold.regions.calibration import level_of
from scorefold.regions.contours import _level_set
from scorefold.regions.geojson import polygons
from scorefold.regions.shares import Held
from scorefold.regions.surfaces import surface

KEY = jax.random.key(0)
SPHERE = sf.Sphere(2)
KAPPA = 20.0


def one_law(description, centre, deviations, dtype=np.float64):
    axes, variances = np.eye(description.manifold.dim), np.square(deviations)
    laws = Component(*(jnp.asarray(a, dtype)[None] for a in (centre, axes, variances)))
    return FittedMixture(description, laws, jnp.zeros(1, dtype))


def vmf(lat, lon, dtype=np.float64):
    centre = SPHERE.from_latlon([lat], [lon])[0]
    return one_law(sf.VonMisesFisherMixture(SPHERE, 1), centre, np.full(2, KAPPA**-0.5), dtype)


def sharp(lat, deviation=200.0**-0.5):
    description = sf.VonMisesFisherMixture(SPHERE, 1)
    return one_law(description, SPHERE.from_latlon([lat], [0.0])[0], np.full(2, deviation))


def cap(mass):
    """⟨μ, x⟩ and log p at the edge of the cap of a mass: t is exponential on [−1, 1]."""
    t = 1.0 + math.log1p(-mass * -math.expm1(-2.0 * KAPPA)) / KAPPA
    peak = math.log(KAPPA / (2.0 * math.pi * -math.expm1(-2.0 * KAPPA)))
    return t, peak + KAPPA * (t - 1.0)


class UniformLaw(PointwiseModel):
    manifold: sf.Manifold
    units: Units = Units()

    def log_density(self, x):
        return jnp.asarray(-self.manifold.log_volume, x.dtype)

    def draw(self, key):
        return self.manifold.uniform(key)


class StandardNormal(PointwiseModel):
    manifold: sf.Manifold
    units: Units = Units()

    def log_density(self, x):
        return -0.5 * (x @ x + x.size * math.log(2.0 * math.pi))

    def draw(self, key):
        return jax.random.normal(key, self.manifold.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_a_cap_of_a_von_mises_fisher_law(mass, dtype):
    """Level and area within four standard errors of the closed form; the errors are those of 40
    repetitions (a standard deviation of 40 has a relative error of 0.11)."""
    model = vmf(30.0, 50.0, dtype)
    t, level = cap(mass)
    area = 2.0 * math.pi * (1.0 - t)
    found = credible_region(model, mass, key=KEY, n=20_000)
    assert found.draws.dtype == dtype
    assert abs(found.level - level) < 4.0 * found.level_error
    assert abs(found.area - area) < 4.0 * found.area_error
    every = [
        credible_region(model, mass, key=KEY, draws=d)
        for d in np.asarray(found.draws).reshape(40, 500, 3)
    ]
    for value, error in (("level", "level_error"), ("area", "area_error")):
        spread = np.std([getattr(one, value) for one in every], ddof=1)
        stated = np.mean([getattr(one, error) for one in every])
        assert abs(stated / spread - 1.0) < 0.5
    inside = found.contains(np.asarray(model.sample(jax.random.key(1), 1000)))
    assert inside.dtype == bool and inside.shape == (1000,)


@pytest.mark.parametrize("d", [1, 6])
def test_normal_laws_on_flat_space(d):
    """The region is a ball whose squared radius is a quantile of χ²_d."""
    for mass in (0.5, 0.9):
        found = credible_region(StandardNormal(sf.Euclidean(d)), mass, key=KEY, n=10_000)
        square = chi2.ppf(mass, d)
        level = -0.5 * (square + d * math.log(2.0 * math.pi))
        area = math.pi ** (d / 2) / math.gamma(d / 2 + 1) * square ** (d / 2)
        assert abs(found.level - level) < 4.0 * found.level_error
        assert abs(found.area - area) < 4.0 * found.area_error
        assert found.area_error < 0.1 * area


@pytest.mark.parametrize("manifold", [SPHERE, sf.Torus(2)], ids=str)
def test_a_uniform_law_has_a_share_of_the_volume(manifold):
    """And a plateau, which is said: the set {p ≥ c} is everything."""
    with pytest.warns(sf.ScorefoldWarning, match="100 % of the draws"):
        found = credible_region(UniformLaw(manifold), 0.7, key=KEY, n=200)
    np.testing.assert_allclose(found.area, 0.7 * manifold.volume, rtol=1e-5)
    assert bool(found.contains(found.draws).all())


def test_coverage_is_that_of_the_law():
    """Fresh draws are inside as often as they should be; those of a wider law are not."""
    model = vmf(0.0, 0.0)
    region = credible_region(model, 0.9, key=KEY, n=5000)
    fresh = region.coverage(model.sample(jax.random.key(2), 4000))
    assert fresh.n == 4000 and abs(fresh.z) < 4.0
    np.testing.assert_allclose(fresh.standard_error, math.sqrt(0.09 * (1 / 4000 + 1 / 5000)))
    assert region.coverage(UniformLaw(SPHERE).sample(KEY, 500)).z < -50.0


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_a_level_of_held_out_points_holds_its_share(mass):
    """Over 400 sets of 200 numbers of a law whose distribution function is known, the shares above
    the level scatter as the stated error says (a deviation of 400 has a relative error of .035; 4
    of them), about m (4 standard errors of the mean, and 1/200)."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(400):
        level, _, error = level_of(Held(rng.exponential(size=200), None, None), mass)
        shares.append(math.exp(-level))
    np.testing.assert_allclose(error, math.sqrt(mass * (1 - mass) / 200))
    spread = np.std(shares, ddof=1)
    assert abs(spread / error - 1.0) < 0.15
    assert abs(np.mean(shares) - mass) < 1 / 200 + 4 * spread / math.sqrt(400)


def test_a_calibrated_region_holds_its_share_of_the_data():
    """Data of κ = 20 under a model of κ = 200 about another point: the model's own region holds far
    less of them than 0.9, the calibrated one as much, within four standard errors."""
    data, model = vmf(0.0, 0.0), sharp(5.0)
    draws, fresh = model.sample(KEY, 2000), np.asarray(data.sample(jax.random.key(7), 800))
    own = credible_region(model, 0.9, key=KEY, draws=draws)
    assert own.coverage(fresh).value < 0.45
    found = calibrated_region(model, data.sample(KEY, 200), 0.9, key=KEY, draws=draws)
    covered = found.coverage(fresh)
    np.testing.assert_allclose(found.mass_error, math.sqrt(0.09 / 200))
    np.testing.assert_allclose(covered.standard_error, math.sqrt(0.09 * (1 / 800 + 1 / 200)))
    assert abs(covered.z) < 4.0 and found.held_out == 200


@pytest.mark.parametrize("kappa", [5.0, 20.0, 100.0, 1000.0])
def test_the_area_of_a_calibrated_region_is_that_of_its_set(kappa):
    """Of a cap about a pole, under models that are too broad, right, and far too sure (at κ = 1000
    no draw of the model comes to the edge): area = 2π(1 − t), t from the level by the closed form,
    within four standard errors, which are below a tenth of it."""
    model, data = sharp(90.0, kappa**-0.5), vmf(90.0, 0.0)
    found = calibrated_region(model, data.sample(KEY, 400), 0.9, key=KEY, n=10_000)
    peak = math.log(kappa / (2.0 * math.pi * -math.expm1(-2.0 * kappa)))
    area = 2.0 * math.pi * -(found.level - peak) / kappa
    assert abs(found.area - area) < 4.0 * found.area_error < 0.4 * area
    assert found.set_error == found.area_error


def test_weights_and_groups_of_points():
    """A weight of 2 is a row twice, in the level and the share; rows that are there five times have
    the error of a fifth as many, if their groups say so."""
    model = vmf(0.0, 0.0)
    points = np.asarray(model.sample(KEY, 400))
    w = np.where(np.arange(400) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(points, w.astype(int), axis=0)
    draws = model.sample(jax.random.key(1), 2000)
    one = calibrated_region(model, points, 0.8, key=KEY, draws=draws, weights=w)
    two = calibrated_region(model, twice, 0.8, key=KEY, draws=draws)
    assert one.level == two.level
    np.testing.assert_allclose(one.coverage(points, weights=w).value, two.coverage(twice).value)

    region = credible_region(model, 0.8, key=KEY, draws=draws)
    copies, label = np.repeat(points, 5, axis=0), np.repeat(np.arange(400), 5)
    share = region.coverage(copies, groups=label)
    alone = region.coverage(points)
    assert share.value == alone.value and share.n == 2000
    own = math.sqrt(share.standard_error**2 - region.mass_error**2)
    # The residuals' square about m in the place of m(1 − m): within 4 standard errors of it.
    np.testing.assert_allclose(own, math.sqrt(0.16 / 400), rtol=0.15)
    by_two = calibrated_region(model, copies, 0.8, key=KEY, draws=draws, groups=label)
    np.testing.assert_allclose(by_two.mass_error, math.sqrt(0.16 / 400), rtol=0.15)


def test_mistakes_about_held_out_points_are_named():
    model = vmf(0.0, 0.0)
    points = np.asarray(model.sample(KEY, 60))
    with pytest.raises(ValueError, match=r"held_out: 50 points are needed for .*9, got 40"):
        calibrated_region(model, points[:40], 0.9, key=KEY)
    with pytest.raises(ValueError, match="groups: one label for each of 60 points is needed"):
        calibrated_region(model, points, 0.9, key=KEY, groups=np.arange(3))
    with pytest.raises(ValueError, match="groups: all points are of one group"):
        calibrated_region(model, points, 0.9, key=KEY, groups=np.zeros(60))
    with pytest.raises(ValueError, match="weights: 1 of 60 weights are negative"):
        calibrated_region(model, points, 0.9, key=KEY, weights=np.r_[-1.0, np.ones(59)])
    with pytest.raises(ValueError, match=r"got 40; they can set one from 0.12 to 0.88"):
        calibrated_region(model, points[:40], 0.9, key=KEY)
    few = np.r_[np.ones(3), np.zeros(57)]
    with pytest.raises(ValueError, match="worth 3 by their weights; 50 are needed"):
        calibrated_region(model, points, 0.9, key=KEY, weights=few)
    for labels in ([None] * 30 + ["x"] * 30, [math.nan] * 30 + [1.0] * 30):
        with pytest.raises(ValueError, match=r"groups: (labels of one kind|rows .* have no label)"):
            calibrated_region(model, points, 0.5, key=KEY, groups=np.asarray(labels))
    near = np.argsort(np.argsort(np.asarray(model.log_prob(points)))) // 30  # two whole groups
    with pytest.warns(sf.ScorefoldWarning, match="are worth .* independent ones"):
        calibrated_region(model, points, 0.5, key=KEY, groups=near)
    ties = np.repeat(points[:6], 10, axis=0)
    with pytest.warns(sf.ScorefoldWarning, match="17 % of the held-out points have the log p of"):
        calibrated_region(model, ties, 0.5, key=KEY)


def holds(rings, x, y):
    """Whether a polygon (an exterior, then holes) holds points: the parity of edges to the east."""
    inside = np.zeros(len(x), bool)
    for ring in map(np.asarray, rings):
        (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
        for a, b, c, e in zip(x0, y0, x1, y1, strict=True):
            if b != e:
                inside ^= ((b > y) != (e > y)) & (a + (y - b) / (e - b) * (c - a) > x)
    return inside


def sphere_area(ring):
    """Of a ring on the map, with its sign, by Archimedes' cylinder."""
    lon, z = np.radians(ring[:, 0]), np.sin(np.radians(ring[:, 1]))
    return 0.5 * float(np.sum(lon * np.roll(z, -1) - np.roll(lon, -1) * z))


def towards(lat, lon):
    return np.asarray(SPHERE.from_latlon([lat], [lon]), np.float64)[0]


REGIONS = {
    "cap": (lambda x: x @ towards(10, 20) - 0.8, [1], 0.4 * math.pi),
    "cap on the date line": (lambda x: x @ towards(10, 180) - 0.8, [1, 1], 0.4 * math.pi),
    "north cap": (lambda x: x[:, 2] - 0.8, [1], 0.4 * math.pi),
    "cap around the north pole": (lambda x: x @ towards(80, -60) - 0.8, [1], 0.4 * math.pi),
    "cap around the south pole": (lambda x: x @ towards(-80, 60) - 0.8, [1], 0.4 * math.pi),
    "band": (lambda x: 0.3 - np.abs(x[:, 2]), [1], 1.2 * math.pi),
    "tilted band": (lambda x: 0.3 - np.abs(x @ towards(40, 10)), [1], 1.2 * math.pi),
    "two polar caps": (lambda x: np.abs(x[:, 2]) - 0.7, [1, 1], 1.2 * math.pi),
    "all but a cap": (lambda x: 0.9 - x @ towards(10, 20), [2], 3.8 * math.pi),
    "all but a polar cap": (lambda x: 0.9 - x @ towards(85, 20), [1], 3.8 * math.pi),
    "all but caps on the date line": (
        lambda x: np.minimum(0.9 - x @ towards(40, 180), 0.9 - x @ towards(-40, 178)), [1],
        3.6 * math.pi,
    ),
    "ring on the date line": (
        lambda x: np.minimum(x @ towards(5, 175) - 0.7, 0.9 - x @ towards(5, 175)), [1, 1],
        0.4 * math.pi,
    ),
    "ring with an island": (
        lambda x: np.where(
            x @ towards(5, 15) > 0.95, x @ towards(5, 15) - 0.99,
            np.minimum(x @ towards(5, 15) - 0.7, 0.9 - x @ towards(5, 15)),
        ),
        [2, 1], 0.42 * math.pi,
    ),
    "everything": (lambda x: np.ones(len(x)), [1], 4.0 * math.pi),
    "nothing": (lambda x: -np.ones(len(x)), [], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", REGIONS)
def test_polygons_hold_the_points_of_their_region(name):
    """RFC 7946 on regions around poles, across the meridian of 180°, with holes and islands: points
    of the map are in exactly one polygon where they are in the region and in none elsewhere (0.01
    from the edge), exteriors are anticlockwise and holes clockwise, areas are those of caps."""
    inside, rings, area = REGIONS[name]
    net = surface(SPHERE, 32, np.zeros((2, 3)))
    found = _level_set(net, inside(net.points), inside)
    assert abs(found.area - area) < 4e-3
    north = int(np.argmax(net.points[:, 2]))
    shapes = polygons(found.curves, bool(found.inside[north]))
    assert sorted(map(len, shapes)) == sorted(rings)
    for exterior, *holes in shapes:
        assert sphere_area(exterior) > 0 and all(sphere_area(hole) < 0 for hole in holes)
    every = [ring for shape in shapes for ring in shape]
    assert all(len(r) >= 3 and (np.abs(r) <= [180.0, 90.0]).all() for r in every)
    assert abs(sum(map(sphere_area, every)) - area) < 4e-3
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x = x[np.abs(inside(x)) > 0.01]
    lat, lon = SPHERE.to_latlon(x).T
    count = sum((holds(shape, lon, lat).astype(int) for shape in shapes), np.zeros(len(x), int))
    np.testing.assert_array_equal(count, inside(x) > 0)


def test_no_edge_crosses_the_map():
    """The steps of a ring are short, but along the border."""
    for inside, _, _ in REGIONS.values():
        net = surface(SPHERE, 32, np.zeros((2, 3)))
        found = _level_set(net, inside(net.points), inside)
        for shape in polygons(found.curves, bool(found.inside[np.argmax(net.points[:, 2])])):
            for ring in shape:
                step = np.abs(np.diff(ring, axis=0, append=ring[:1]))
                on_border = (np.abs(ring) == [180.0, 90.0]).any(axis=1)
                far = (step > 6.0).any(axis=1)
                assert on_border[far].all() and np.roll(on_border, -1)[far].all()


@pytest.mark.parametrize(("lat", "lon"), [(0.0, 179.0), (-89.0, 10.0)], ids=["date line", "pole"])
def test_geojson_of_a_model(lat, lon):
    """Two masses at once: coordinates are the cap's, the centre is inside, JSON is plain."""
    model = vmf(lat, lon)
    draws = model.sample(KEY, 5000)
    regions = [credible_region(model, m, key=KEY, draws=draws) for m in (0.5, 0.9)]
    found = json.loads(json.dumps(feature_collection(regions, 64), allow_nan=False))
    assert found["type"] == "FeatureCollection"
    for feature, region in zip(found["features"], regions, strict=True):
        assert feature["properties"]["mass"] == region.mass
        assert feature["geometry"]["type"] == "MultiPolygon"
        shapes = feature["geometry"]["coordinates"]
        assert all(ring[0] == ring[-1] for shape in shapes for ring in shape)
        inside = [holds([np.array(r)[:-1] for r in s], np.array([lon]), np.array([lat]))[0]
                  for s in shapes]  # fmt: skip
        assert sum(inside) == 1
        area = sum(sphere_area(np.array(ring)[:-1]) for shape in shapes for ring in shape)
        assert abs(area - region.area) < 4.0 * region.area_error
    one = regions[0].to_geojson(64)
    assert one == feature_collection(regions[:1], 64)["features"][0]
    own = regions[0].contours(64)
    edge, level = cap(0.5)
    wanted = edge + (regions[0].level - level) / KAPPA
    np.testing.assert_allclose(own.curves[0] @ towards(lat, lon), wanted, atol=1e-6)


def test_curves_of_a_torus_and_a_plane():
    """On T² a narrow normal law at the seam: an ellipse of known area, one closed curve. On R² a
    circle, in a box that grows beyond the draws that set it."""
    law = one_law(sf.WrappedNormalMixture(sf.Torus(2), 1), [np.pi - 0.01, 0.5], [0.3, 0.1])
    region = credible_region(law, 0.8, key=KEY, n=5000)
    found = region.contours(256)
    square = -2.0 * (region.level + math.log(2.0 * math.pi * 0.03))
    np.testing.assert_allclose(found.area, math.pi * 0.03 * square, rtol=2e-3)
    (curve,) = found.curves
    gap = np.remainder(curve - [np.pi - 0.01, 0.5] + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(np.sum((gap / [0.3, 0.1]) ** 2, axis=1), square, rtol=1e-3)
    plane = StandardNormal(sf.Euclidean(2))
    draws = 0.3 * np.asarray(plane.sample(KEY, 2000))
    region = credible_region(plane, 0.9, key=KEY, draws=plane.sample(KEY, 2000))
    small = type(region)(plane, 0.9, region.level, region.level_error, region.log_area,
                         region.area_spread, draws, region.mass_error)  # fmt: skip
    for one in (region, small):
        found = one.contours(64)
        radius = math.sqrt(-2.0 * (region.level + math.log(2.0 * math.pi)))
        (curve,) = found.curves
        np.testing.assert_allclose(np.linalg.norm(curve, axis=1), radius, rtol=1e-4)
        np.testing.assert_allclose(found.area, math.pi * radius**2, rtol=5e-3)


def test_what_triangles_miss_is_said():
    narrow = one_law(sf.VonMisesFisherMixture(SPHERE, 1), towards(33, 47), [0.01, 0.01])
    region = credible_region(narrow, 0.5, key=KEY, n=1000)
    with pytest.warns(sf.ScorefoldWarning, match=r"area of 0, .* Raise resolution \(now 8\)"):
        assert region.contours(8).curves == []


def test_mistakes_are_named():
    model = vmf(0.0, 0.0)
    for mass in (0.0, 1.0, -0.5, math.nan, 90.0):
        with pytest.raises(ValueError, match=r"mass: one share between 0 and 1"):
            credible_region(model, mass, key=KEY)
    with pytest.raises(ValueError, match=r"n: 2000 draws are needed for a mass of 0.99, got 500"):
        credible_region(model, 0.99, key=KEY, n=500)
    with pytest.raises(ValueError, match=r"draws: 200 draws are needed"):
        credible_region(model, 0.9, key=KEY, draws=np.eye(3))
    region = credible_region(model, 0.9, key=KEY, n=400)
    with pytest.raises(ValueError, match="x: is empty"):
        region.coverage(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="resolution: a whole number from 2"):
        region.contours(1)
    other = credible_region(vmf(0.0, 1.0), 0.9, key=KEY, n=400)
    with pytest.raises(ValueError, match="regions of one model"):
        contours([region, other])
    line = credible_region(StandardNormal(sf.Euclidean(3)), 0.9, key=KEY, n=400)
    with pytest.raises(ValueError, match=r"contours are drawn on S\^2, T\^2 and R\^2, not on R\^3"):
        line.contours()
    with pytest.raises(ValueError, match=r"GeoJSON is written on S\^2, not on R\^3"):
        line.to_geojson()


def test_under_transformations():
    """``contains`` compiles; a region keeps its model."""
    region = credible_region(vmf(0.0, 0.0), 0.5, key=KEY, n=400)
    x = jnp.asarray(region.draws[:7])
    np.testing.assert_array_equal(jax.jit(region.contains)(x), region.contains(x))


@pytest.mark.parametrize("mass", [0.02, 0.5, 0.9])
def test_the_error_of_a_set_is_that_of_its_area(mass):
    """Of a normal law on the plane: {log p ≥ c} is a disc of area −2π(c + log 2π), and deviations
    of ``area`` from it over ``set_error`` have the deviation 1, ±.3 in 60 keys of 1000 draws."""
    plane = sf.Euclidean(2)
    law = StandardNormal(plane)
    off = []
    for k in range(60):
        r = credible_region(law, mass, key=jax.random.key(k), n=1000)
        off.append((r.area + 2 * np.pi * (r.level + np.log(2 * np.pi))) / r.set_error)
    assert 0.4 < np.std(off) < 1.3
