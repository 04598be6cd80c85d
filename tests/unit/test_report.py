"""Pictures: projections against closed forms, land against geography, densities against integrals,
pixels against known colours, and the page against hostile text."""

import base64
import dataclasses
import html.parser
import io
import json
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from scorefold import report
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.report.density import evaluate
from scorefold.report.maps import fibonacci
from scorefold.report.panels import new_figure
from scorefold.report.rotations import from_euler_angles


def _place(lat, lon):
    return np.asarray(Sphere(2).from_latlon([lat], [lon])[0], np.float64)


CITIES = {
    "Tokyo": (35.9, 139.5), "London": (51.8, -0.6), "Nairobi": (-1.29, 36.82),
    "Alice Springs": (-23.70, 133.88), "Denver": (39.74, -104.99), "Brasilia": (-15.79, -47.88),
    "Moscow": (55.76, 37.62), "Delhi": (28.61, 77.21), "Anadyr region": (66.5, -175.0),
    "South Pole": (-89.9, 12.0), "Antarctic plateau at 180°": (-87.0, 179.99),
}  # fmt: skip
SEAS = {
    "Gulf of Guinea": (0.0, 0.0), "North Pacific": (30.0, -150.0), "Tasman Sea": (-38.0, 160.0),
    "Bay of Bengal": (14.0, 88.0), "North Pole": (89.9, 0.0), "Caspian Sea": (42.0, 50.5),
    "Southern Ocean at 180°": (-60.0, 180.0), "Gulf of Mexico": (25.0, -90.0),
}  # fmt: skip


# -- land ----------------------------------------------------------------------------------------
def test_cities_are_on_land_and_seas_are_not():
    assert {k for k, p in CITIES.items() if not report.on_land(*p)} == set()
    assert {k for k, p in SEAS.items() if report.on_land(*p)} == set()


@pytest.mark.fault(20, "longitudes from 0 to 360 and from −180 to 180")
def test_longitudes_mean_the_same_from_0_to_360():
    lat, lon = np.array(list(CITIES.values()) + list(SEAS.values())).T
    np.testing.assert_array_equal(report.on_land(lat, lon % 360), report.on_land(lat, lon))


def test_raster_agrees_with_the_outlines():
    """The same parity at the same cell centres: equal, apart from ties of rounding."""
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, 720, 2000), rng.integers(0, 1440, 2000)
    lat, lon = 90 - (row + 0.5) / 4, -180 + (column + 0.5) / 4
    agree = report.land_raster()[row, column] == report.on_land(lat, lon)
    assert agree.mean() > 0.999


def test_land_covers_29_percent_of_the_earth():
    """148.9 of 510.1 million km² (CIA World Factbook): 29.2 %; the outlines lose small islands
    and lakes count as land, hence 1 % of tolerance."""
    lat = np.radians(90 - (np.arange(720) + 0.5) / 4)
    share = (report.land_raster().mean(1) @ np.cos(lat)) / np.cos(lat).sum()
    assert abs(share - 0.292) < 0.01


# -- projections ---------------------------------------------------------------------------------
def test_mollweide_of_known_points():
    """x = 2√2 λ/π on the equator; the poles at ±√2; y = √2/2 where θ = 30°, that is at
    sin φ = (π/3 + √3/2)/π."""
    sine = (math.pi / 3 + math.sqrt(3) / 2) / math.pi
    lat = [0.0, 0.0, 90.0, -90.0, math.degrees(math.asin(sine))]
    xyz = np.asarray(Sphere(2).from_latlon(lat, [90.0, -45.0, 0.0, 0.0, 60.0]))
    xy, visible = report.Mollweide().project(xyz)
    half = math.sqrt(2)
    x30 = 2 * half / math.pi * (math.pi / 3) * math.cos(math.pi / 6)
    expected = [[half, 0], [-half / 2, 0], [0, half], [0, -half], [x30, half / 2]]
    np.testing.assert_allclose(xy, expected, atol=1e-7)
    assert visible.all()


def test_globe_of_known_points():
    """Seen from (0°N, 90°E): India right way round, east to the right, north up."""
    globe = report.Globe(lat=0.0, lon=90.0)
    xyz = np.asarray(Sphere(2).from_latlon([0.0, 0.0, 30.0, 0.0], [90.0, 120.0, 90.0, -90.0]))
    xy, visible = globe.project(xyz)
    np.testing.assert_allclose(xy, [[0, 0], [0.5, 0], [0, 0.5], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(visible, [True, True, True, False])
    np.testing.assert_allclose(globe.opposite().axes3()[2], [0, -1, 0], atol=1e-12)


@pytest.mark.parametrize(
    "chart",
    [
        report.Mollweide(), report.Mollweide(centre=150.0), report.Globe(40.0, -100.0),
        report.PoincareDisk(), report.TorusChart(), report.Plane((-2.0, 2.0, -1.0, 1.0)),
        report.Patch(85.0, 20.0, 30.0), report.Patch(-17.0, 180.0, 0.02),
    ],
)  # fmt: skip
def test_lift_inverts_project_and_area_is_its_jacobian(chart):
    """project(lift(xy)) = xy, and |∂lift/∂xy| (central differences, in the metric of the
    manifold) = area."""
    left, right, bottom, top = chart.extent
    rng = np.random.default_rng(1)
    xy = rng.uniform([left, bottom], [right, top], (400, 2)) * 0.97
    xy = xy[chart.inside(xy / 0.95)]
    np.testing.assert_allclose(chart.project(chart.lift(xy))[0], xy, atol=1e-6)
    h = 1e-4 * (right - left)
    du, dv = ((chart.lift(xy + e) - chart.lift(xy - e)) / (2 * h) for e in h * np.eye(2))
    metric = np.ones(du.shape[1])
    if isinstance(chart, report.PoincareDisk):
        metric[0] = -1.0
    a, b, c = ((metric * p * q).sum(-1) for p, q in [(du, du), (dv, dv), (du, dv)])
    np.testing.assert_allclose(np.sqrt(a * b - c**2), chart.area(xy), rtol=3e-3)


@pytest.mark.parametrize(
    ("lat", "lon", "reach"), [(42.0, 13.0, 3.0), (-80.0, 179.5, 8.0), (0.0, 0.0, 20.0)]
)
def test_a_patch_says_where_its_lines_are(lat, lon, reach):
    """Ticks stand where circles of latitude and longitude that they name cross the lower and the
    left edge."""
    patch, figure = report.Patch(lat, lon, reach), new_figure(3.0, 3.0)
    axes = figure.subplots()
    patch.decorate(axes, filled=False)
    across = list(zip(axes.get_xticks(), axes.get_xticklabels(), strict=True))
    up = list(zip(axes.get_yticks(), axes.get_yticklabels(), strict=True))
    assert len(across) > 1 and len(up) > 1
    sign = {"W": -1, "S": -1}
    value = lambda text: float(text.rstrip("EWNS°")) * sign.get(text[-1], 1)  # noqa: E731
    for place, label in across:
        x, y, _ = patch.lift(np.array([[place, -reach]]))[0]
        off = math.degrees(math.atan2(y, x)) - value(label.get_text())
        assert abs((off + 180) % 360 - 180) < 0.02 * reach
    for place, label in up:
        z = patch.lift(np.array([[-reach, place]]))[0, 2]
        assert abs(math.degrees(math.asin(z)) - value(label.get_text())) < 0.02 * reach


def test_points_near_each_other_have_a_map_of_their_own():
    """Within half a radian of their middle, all but one in a hundred; those are counted. It turns
    with the points."""
    rng = np.random.default_rng(0)
    local = rng.normal(size=(300, 3)) * 0.05 + np.asarray(_place(-17.0, 179.0))
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    patch = report.patch_of(local)
    assert patch.outside == 0 and abs(patch.lat + 17) < 1 and abs(patch.lon - 179) < 1
    far = np.concatenate([local, np.asarray([_place(40.0, 20.0)] * 2)])
    found = report.patch_of(far)
    assert (found.outside, found.total) == (2, 302) and found.reach == pytest.approx(patch.reach)
    assert report.patch_of(np.concatenate([local, -local[:30]])) is None
    assert report.patch_of(np.zeros((0, 3))) is None and report.patch_of(fibonacci(99)) is None
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = report.patch_of(local @ turn.T)
    assert abs((turned.lon - patch.lon) % 360 - 90) < 1e-9
    assert turned.reach == pytest.approx(patch.reach)
    figure = report.picture(Sphere(2), data=far)
    assert any("2 of 302 points lie outside" in text.get_text() for text in figure.axes[0].texts)
    one = report.patch_of(local[:1])
    assert one.outside == 0 and one.project(local[:1])[1].all()


def test_poincare_disk_radius_is_half_tanh():
    r = np.array([0.5, 1.0, 3.0])
    xy, _ = report.PoincareDisk().project(np.stack([np.cosh(r), np.sinh(r), 0 * r], -1))
    np.testing.assert_allclose(xy[:, 0], np.tanh(r / 2), rtol=1e-12)


def test_best_centre_faces_the_points():
    xyz = np.asarray(Sphere(2).from_latlon([10.0, -20.0, 5.0, -60.0], [70.0, 60.0, 65.0, -120.0]))
    lat, lon = report.best_centre(xyz, np.array([1.0, 1.0, 1.0, 0.2]))
    assert abs(lat) < 15 and 50 < lon < 80
    # An even lattice: the second moments are those of the uniform law, 1/3 on the diagonal.
    np.testing.assert_allclose(fibonacci(1000).T @ fibonacci(1000) / 1000, np.eye(3) / 3, atol=1e-3)


def test_euler_angles_agree_with_scipy():
    rotation = Rotation.random(50, random_state=np.random.RandomState(0))
    angles = report.euler_angles(rotation.as_matrix())
    np.testing.assert_allclose(angles, rotation.as_euler("ZYX"), atol=1e-12)
    np.testing.assert_allclose(from_euler_angles(angles), rotation.as_matrix(), atol=1e-12)


# -- densities -----------------------------------------------------------------------------------
def _fisher(mean, kappa):
    """von Mises–Fisher on S²: log p = log(κ/(4π sinh κ)) + κ⟨m, x⟩, normalised in closed form."""
    log_sinh = kappa + math.log1p(-math.exp(-2 * kappa)) - math.log(2)
    constant = math.log(kappa / (4 * math.pi)) - log_sinh
    return lambda x: constant + kappa * (x @ jnp.asarray(mean, x.dtype))


def _wrapped(x):
    """Two independent von Mises angles, κ = 4; I₀(4) = 11.301921952136330."""
    return 4 * jnp.cos(x).sum(-1) - 2 * math.log(2 * math.pi * 11.301921952136330)


def _radial(x):
    """On H² with cosh r = x₀: p = e^{−3(cosh r − 1)}·3/2π, since ∫ 2π sinh r e^{−3(cosh r −1)} dr
    = 2π/3."""
    return -3 * (x[..., 0] - 1) + math.log(3 / (2 * math.pi))


def _normal(x):
    return -0.5 * (x**2).sum(-1) - math.log(2 * math.pi)


@pytest.mark.parametrize(
    ("chart", "log_prob"),
    [
        (report.Mollweide(), _fisher([0.6, 0.0, 0.8], 5.0)),
        (report.Patch(50.0, 10.0, 28.0), _fisher(_place(50.0, 10.0), 200.0)),
        (report.TorusChart(), _wrapped),
        (report.PoincareDisk(), _radial),
        (report.Plane((-6.0, 6.0, -6.0, 6.0)), _normal),
    ],
)
def test_drawn_densities_have_mass_one(chart, log_prob):
    """Mid-point rule on 150 columns: the edge of the Mollweide ellipse dominates its error (half a
    pixel more or less along it), which is 1.0e-3 there and below 1e-4 elsewhere."""
    assert abs(report.density_raster(chart, log_prob, pixels=150).mass() - 1) < 2e-3


def test_two_globes_share_the_mass():
    """A density round (0, 1, 0) with κ = 20 has 1 − e^{−20} of its mass on the globe that faces it
    (∫ of e^{κ cos θ} over cos θ > 0), and e^{−20} on the other."""
    globe = report.Globe(0.0, 90.0)
    log_prob = _fisher([0.0, 1.0, 0.0], 20.0)
    near, far = (report.density_raster(g, log_prob) for g in (globe, globe.opposite()))
    assert abs(near.mass() - 1) < 1e-3 and far.mass() < 1e-6


def test_histograms_estimate_the_density():
    """20000 wrapped normals: cell counts are binomial, so the estimates lie within 5 standard
    errors of the exact density averaged over the cell (±1 % for its curvature)."""
    rng = np.random.default_rng(0)
    points = rng.vonmises(0.0, 4.0, (20000, 2))
    raster = report.histogram_raster(report.TorusChart(), points, bins=40)
    exact = report.density_raster(report.TorusChart(), _wrapped, pixels=40)
    assert abs(raster.mass() - 1) < 1e-12
    p, estimate = np.exp(exact.log_density), np.exp(raster.log_density)
    cell = (2 * math.pi / 40) ** 2
    error = np.sqrt(p / (20000 * cell)) * 5 + 0.02 * p + 5 / (20000 * cell)
    assert (np.abs(estimate - p) < error).all()


def test_marginals_on_so3_of_a_known_law():
    """p ∝ 1 + ⟨a, R e_x⟩ makes the direction R e_x = (cos θ cos φ, cos θ sin φ, −sin θ) have
    density (1 + ⟨a, u⟩)/4π: with a = (½, 0, −½) φ has (1 + π/8 cos φ)/2π, θ has
    ½ cos θ (1 + ½ sin θ) and ψ is uniform."""
    a = jnp.array([0.5, 0.0, -0.5])

    def log_prob(r):
        return jnp.log1p(r[:, :, 0] @ a) - math.log(8 * math.pi**2)

    (phi, p_phi), (theta, p_theta), (_, p_psi) = report.euler_marginals(log_prob, around=32)
    np.testing.assert_allclose(p_phi, (1 + math.pi / 8 * np.cos(phi)) / (2 * math.pi), rtol=3e-3)
    np.testing.assert_allclose(p_theta, np.cos(theta) * (1 + np.sin(theta) / 2) / 2, rtol=3e-3)
    np.testing.assert_allclose(p_psi, 1 / (2 * math.pi), rtol=3e-3)


def test_batches_do_not_change_values_and_wrong_shapes_are_refused():
    x = np.random.default_rng(0).normal(size=(1000, 2))
    np.testing.assert_allclose(evaluate(_normal, x, batch=300), np.asarray(_normal(x)), rtol=1e-12)
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        evaluate(lambda p: jnp.sum(p), x)


# -- pictures ------------------------------------------------------------------------------------
def _pixels(figure):
    return np.asarray(Image.open(io.BytesIO(report.to_png(figure, dpi=60))).convert("RGB"))


def _at(figure, axes, xy):
    """The colour at a place in data coordinates."""
    image = _pixels(figure).astype(int)
    x, y = axes.transData.transform(xy) * 60 / figure.dpi
    return image[round(image.shape[0] - y), round(x)]


def test_colours_of_a_globe():
    """Yellow (the top of cividis) at the mode, dark blue (its bottom) far from it, white outside
    the disk."""
    figure = report.globes(log_prob=_fisher([1.0, 0.0, 0.0], 50.0), centre=(0.0, 0.0), earth=False,
                           pixels=60)  # fmt: skip
    top, bottom = (np.array(matplotlib.colormaps["cividis"](v)[:3]) * 255 for v in (1.0, 0.0))
    near, far = figure.axes[:2]
    assert np.abs(_at(figure, near, (0.04, 0.04)) - top).max() < 25
    assert np.abs(_at(figure, far, (0.1, 0.1)) - bottom).max() < 25
    assert (_at(figure, near, (0.97, 0.97)) == 255).all()


def test_land_is_darker_than_sea_where_it_should_be():
    figure = report.globes(data=np.array([[0.0, 0.0, 1.0]]), centre=(0.0, 20.0), hemispheres=1,
                           earth=True)  # fmt: skip
    globe = report.Globe(0.0, 20.0)
    xyz = np.asarray(Sphere(2).from_latlon([17.0, 10.0, -22.0], [10.0, -25.0, 25.0]))
    sahara, atlantic, kalahari = globe.project(xyz)[0]
    shades = [_at(figure, figure.axes[0], p)[0] for p in (sahara, atlantic, kalahari)]
    assert shades[0] < 230 and shades[2] < 230 and shades[1] > 240


def _points(manifold, n=30):
    if isinstance(manifold, Hyperbolic | Euclidean):
        steps = 0.5 * jax.random.normal(jax.random.key(0), (n, manifold.dim))
        origin = manifold.origin(steps.dtype)
        return jax.vmap(lambda c: manifold.exp(origin, manifold.from_components(origin, c)))(steps)
    return jax.vmap(manifold.uniform)(jax.random.split(jax.random.key(0), n))


@pytest.mark.parametrize(
    ("manifold", "panels"),
    [
        (Sphere(1), 1), (Sphere(2), 2), (Torus(4), 6), (SO3(), 12), (Hyperbolic(2), 2),
        (Euclidean(1), 1), (Euclidean(2), 2), (Euclidean(3), 4), (Sphere(3), 6),
    ],
)  # fmt: skip
def test_pictures_show_each_point(manifold, panels):
    """Data and samples have their panels, and every panel shows every one of the 30 points."""
    points = np.asarray(_points(manifold))
    figure = report.picture(manifold, data=points, samples=points)
    assert len(figure.axes) == panels
    scatters = [c for axes in figure.axes for c in axes.collections if len(c.get_offsets()) > 1]
    if manifold.dim == 1:
        counts = [s.get_data().values for s in figure.axes[0].patches if hasattr(s, "get_data")]
        assert len(counts) == 4 and all(np.isclose(c.sum(), counts[0].sum()) for c in counts)
    else:
        assert len(scatters) == (6 if manifold == SO3() else panels)
        # limits_of leaves out 0.1 % of the values at either end of an axis, so one point at most.
        assert min(len(s.get_offsets()) for s in scatters) >= 29


def test_products_show_each_factor():
    manifold = Product(Torus(2), Euclidean(1))
    points = np.concatenate([_points(Torus(2)), _points(Euclidean(1))], axis=-1)
    figure = report.picture(manifold, samples=points, title="Both")
    assert [part.get_suptitle() for part in figure.subfigs] == ["factor 1: T^2", "factor 2: R^1"]
    shown = figure.subfigs[0].axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(shown, np.degrees(points[:, :2]), atol=1e-9)


def test_nothing_is_clipped_or_overlaps():
    """Every title and axis label lies inside the figure, and no two of them overlap."""
    points = np.asarray(_points(Torus(2)))
    figure = report.picture(
        Torus(2), log_prob=_wrapped, data={"train": points, "test": points[:9]},
        samples=np.random.default_rng(0).vonmises(0, 4, (2000, 2)), title="Title",
    )  # fmt: skip
    figure.draw_without_rendering()
    texts = [figure._suptitle, figure.legends[0]]
    texts += [t for a in figure.axes for t in (a.title, a.xaxis.label, a.yaxis.label)]
    texts = [t for t in texts if not hasattr(t, "get_text") or t.get_text()]
    boxes = [t.get_window_extent() for t in texts]
    assert len(boxes) > 8
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"samples must have shape \(n, 3\), got \(5, 2\)"):
        report.picture(Sphere(2), samples=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="a density alone cannot be drawn"):
        report.picture(Torus(3), log_prob=lambda x: x.sum(-1))
    with pytest.raises(ValueError, match=r"trajectory must have shape .* got \(5, 3\)"):
        report.film(Sphere(2), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="times must have 2 values"):
        report.film(Torus(2), np.zeros((2, 5, 2)), times=[0.0])
    with pytest.raises(ValueError, match="hemispheres"):
        report.globes(data=np.zeros((1, 3)), hemispheres=3)
    bad = np.zeros((4, 2))
    bad[1] = np.nan
    figure = report.picture(Torus(2), samples=bad)
    assert "1 not finite" in figure.axes[0].get_title() and "n = 3" in figure.axes[0].get_title()


def test_bars_of_euler_angles_are_not_cut():
    """Rows share their axes; the second set, of one rotation, has bars of 1/(bin width):
    72/2π = 11.46 for φ and ψ, and 72/π = 22.92 for θ. Even rotations come first."""
    sets = {"even": Rotation.random(500, random_state=0).as_matrix(), "one": np.eye(3)[None]}
    axes = report.picture(SO3(), samples=sets).axes
    for k, height in enumerate((72 / (2 * math.pi), 72 / math.pi, 72 / (2 * math.pi))):
        assert axes[k].get_ylim()[1] > height
        assert axes[3 + k].get_ylim() == axes[k].get_ylim()


def test_films_run_from_first_to_last_frame():
    path = np.zeros((11, 4, 2)) + np.linspace(-1, 1, 11)[:, None, None]
    figure = report.film(Torus(2), path, times=np.linspace(1, 0, 11), frames=3)
    assert [axes.get_title() for axes in figure.axes] == ["t = 1", "t = 0.5", "t = 0"]
    shown = [axes.collections[0].get_offsets()[0, 0] for axes in figure.axes]
    np.testing.assert_allclose(shown, np.degrees([-1, 0, 1]), atol=1e-12)


def test_curves_mark_the_best_validation_and_smooth_without_bias():
    history = SimpleNamespace(
        step=np.arange(1, 101), loss=np.where(np.arange(100) == 7, np.nan, 2.0),
        val_step=np.array([0, 50, 100]), val_nll=np.array([3.0, 1.25, 2.0]),
    )  # fmt: skip
    figure = report.training_curves(history)
    assert "best: 1.250 at step 50" in [t.get_text() for t in figure.axes[1].get_legend().texts]
    assert "1 not finite" in [t.get_text() for t in figure.axes[0].get_legend().texts]
    np.testing.assert_allclose(report.smooth(history.loss, 10.0), 2.0, rtol=1e-12)
    # After v = 0, 1 with a = 1/2: (½·0 + 1)/(½ + 1).
    np.testing.assert_allclose(report.smooth(np.array([0.0, 1.0]), 2.0), [0, 2 / 3])


@pytest.mark.slow
def test_ellipses_of_kernels_lie_at_two_standard_deviations():
    """On R² the curve is {z + 2 Σ^½ c, |c| = 1}, so (y − z)ᵀ Σ⁻¹ (y − z) = 4 along it; on S² the
    same holds of log_z y in the frame at z. The picture has one curve a kernel and a map beside
    two panels, and is drawn for T⁷ without a map."""
    from scorefold.kernels import WrappedMixture
    from scorefold.noising import UniformReference

    rng = np.random.default_rng(0)
    for manifold in (Euclidean(2), Sphere(2), Torus(7)):
        d = manifold.dim
        tangent = jnp.asarray(rng.normal(0, 0.5, (6, d)))
        origin = manifold.origin(tangent.dtype)
        frame = lambda v, m=manifold, o=origin: m.exp(o, m.from_components(o, v))  # noqa: E731
        z = jax.vmap(frame)(tangent)
        a = rng.normal(0, 0.1, (6, d, d))
        sigma = jnp.asarray(a @ np.swapaxes(a, 1, 2) + 1e-4 * np.eye(d))
        log_w = jnp.full(6, -np.log(6.0))
        u = UniformReference(Torus(7))
        mixture = WrappedMixture.from_covariances(manifold, z, sigma, log_w, u, jnp.asarray(-4.0))
        figure = report.kernel_shapes(mixture, heaviest=4)
        assert len(figure.axes) == (3 if d == 2 else 2)
        if d > 2:
            continue
        curves = report.kernel_ellipses(mixture, np.array([2, 5]), 2.0)
        for k, curve in zip((2, 5), curves, strict=True):
            v = jax.vmap(lambda y, m=manifold, c=z[k]: m.components(c, m.log(c, y)))(curve)
            square = jnp.einsum("ni,ij,nj->n", v, jnp.linalg.inv(sigma[k]), v)
            np.testing.assert_allclose(square, 4.0, rtol=1e-8)


# -- reports -------------------------------------------------------------------------------------
class _Reader(html.parser.HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


EVIL = "<script>alert('x')</script>\"><img src=x onerror=1>"


@pytest.fixture
def page(tmp_path):
    from matplotlib.figure import Figure

    @dataclasses.dataclass
    class Audit:
        def to_dict(self):
            return {"rows": 827, EVIL: EVIL}

    path = report.write_report(
        tmp_path / "deep" / "run", title=EVIL,
        metrics={"model": EVIL, "test_nll": -1.234567, "n_test": np.int64(12345), "val_nll": None,
                 "normalisation": float("nan"), "versions": {"jax": "0.10", EVIL: "1"}},
        figures={EVIL: Figure((2, 1)), "../../up": Figure((2, 1)), "Up!": Figure((2, 1)),
                 "up": Figure((2, 1))},
        notes=[EVIL], audit=Audit(), command=f"scorefold fit {EVIL}",
        tables={EVIL: [["measure", "value"], [EVIL, "0.1 ± 0.02"]]},
    )  # fmt: skip
    return path, path.read_text()


@pytest.mark.fault(58, "names with markup in a report")
def test_reports_escape_what_comes_from_outside(page):
    reader = _Reader()
    reader.feed(page[1])
    tags = [tag for tag, _ in reader.tags]
    assert "script" not in tags and tags.count("img") == 4
    assert not any(name.startswith("on") for _, given in reader.tags for name in given)
    assert reader.texts.count(EVIL) >= 6  # shown as it was written, and only shown


def test_reports_hold_their_pictures_and_load_nothing(page):
    path, text = page
    reader = _Reader()
    reader.feed(text)
    sources = [given["src"] for tag, given in reader.tags if tag == "img"]
    images = [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources]
    assert all(Image.open(io.BytesIO(i)).size == (260, 130) for i in images)
    assert not re.search(r"(?:https?:)?//[a-z]|url\(|@import|<link", text.split("base64")[0])
    files = sorted(p.name for p in path.parent.iterdir())
    expected = ["report.html", "script-alert-x-script-img-src-x-onerror-1.png", "up-2.png",
                "up-3.png", "up.png"]  # fmt: skip
    assert files == expected
    assert (path.parent / "up.png").read_bytes() == images[1]


def test_report_tables_show_numbers_as_measured(page):
    text = page[1]
    for line in ["test NLL (nats)</th><td>-1.2346<", "test points</th><td>12,345<",
                 "validation NLL (nats)</th><td>–<", "(should be 1)</th><td>nan<",
                 '<th scope="col">value</th>', "<td>0.1 ± 0.02</td>",
                 "versions, jax</th><td>0.10<", "rows</th><td>827<"]:  # fmt: skip
        assert line in text


def test_importing_the_room_does_not_import_matplotlib():
    code = "import sys, json, scorefold.report; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded.isdisjoint({"matplotlib", "scipy.interpolate", "pandas"})


def test_the_smaller_set_lies_above():
    """Twenty held-out points among two hundred samples are drawn last, whatever their order."""
    points = np.asarray(_points(Sphere(2), 220))
    figure = report.globes(
        samples={"many": points[:200]}, data={"few": points[200:]}, centre=(0.0, 0.0), hemispheres=1
    )
    found = {c.get_label().split(",")[0]: c.get_zorder() for c in figure.axes[0].collections}
    assert found["few"] > found["many"]
