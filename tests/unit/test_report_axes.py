"""Pictures say what the table says: its names, units and ranges; and names are text."""

import jax.numpy as jnp
import numpy as np
import pytest

from scorefold import report
from scorefold.data.columns.coordinates import Coordinates, Part
from scorefold.manifolds import SO3, Euclidean, Product, Sphere, Torus
from scorefold.report._text import plain, visible
from scorefold.runs.axes import axes_of, on_earth

NASTY = ["m$\\frac{$.csv", "_hidden", "a\x1b[31mb", "<img onerror='x'>\"&", "x\u202ey", "\udcff",
         "$$", "density", "data", "東京", "%s{}", "a\nb", "", "n" * 300]  # fmt: skip


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_are_text(name, tmp_path):
    """Any name of a set, an end, a column, a frame or a title is drawn and written as it is."""
    x = np.random.default_rng(0).normal(size=(30, 2))
    plane, axes = Euclidean(2), report.Axes((name, "y"))
    figures = {
        name: report.picture(plane, samples={name: x}, data={name + "'": x}, axes=axes, title=name),
        "paths": report.trajectories(plane, x[:, None] + np.zeros((1, 3, 1)), ends=(name, "b")),
        "film": report.film(plane, x[None], titles=[name], axes=axes),
    }
    path = report.write_report(
        tmp_path, title=name, metrics={name: name, "command": name}, figures=figures, notes=[name],
        tables={name: [(name, name), (name, name)]},
    )  # fmt: skip
    page = path.read_text()
    assert "<img onerror" not in page and "\x1b" not in page and "\u202e" not in page
    assert figures[name].axes[0].get_xlabel() == plain(name)


def test_plain_text():
    assert visible("a\x00\x1b\n\u2028") == "a\\x00\\x1b\\n\\u2028"
    assert plain("$a$") == r"\$a\$" and plain("_a") == " _a" and len(plain("n" * 999)) <= 81


def test_angles_in_the_units_and_range_of_the_table():
    """T² read in degrees from 0 to 360 and in radians from −π to π: where a point is, the limits,
    the labels, the mass of the density; and back."""
    point = np.array([[-0.5, 1.0]])
    degrees = report.Axes(("phi", "psi"), ("degrees",) * 2, (True, False))
    radians = report.Axes(("phi", "psi"), ("radians",) * 2)
    for axes, place, extent, label in (
        (degrees, np.degrees([[2 * np.pi - 0.5, 1.0]]), (0, 360, -180, 180), "phi (°)"),
        (radians, point, (-np.pi, np.pi, -np.pi, np.pi), "phi (rad)"),
    ):
        chart = report.TorusChart(axes=axes)
        assert chart.extent == pytest.approx(extent)
        assert chart.project(point)[0] == pytest.approx(place)
        assert chart.lift(chart.project(point)[0]) == pytest.approx(point)
        uniform = report.density_raster(chart, lambda x: jnp.full(len(x), -2 * np.log(2 * np.pi)))
        assert uniform.mass() == pytest.approx(1.0)
        assert report.picture(Torus(2), data=point, axes=axes).axes[0].get_xlabel() == label


def test_flat_columns_have_their_own_numbers():
    """An origin that was subtracted is added on the axes, and taken off again for the density."""
    axes = report.Axes(("easting", "northing"), origin=(5e5, 5.4e6))
    x = np.random.default_rng(0).normal(size=(50, 2))
    (view,) = report.views_of(Euclidean(2), [x], axes=axes)
    left, right, bottom, top = view.extent
    assert left < 5e5 < right and bottom < 5.4e6 < top and right - left < 20
    assert view.labels == ("easting", "northing")
    assert view.lift(view.project(x)[0]) == pytest.approx(x, abs=1e-8)


def test_euler_angles_of_the_table():
    """ZXZ in degrees: three histograms over 0…360, 0…180, −180…180 with the table's names."""
    so3 = SO3()
    angles = np.array([[350.0, 40.0, -170.0], [10.0, 90.0, 20.0], [200.0, 140.0, 100.0]])
    turns = (True, False, False)
    part = Part(so3, "euler", (0, 1, 2), ("degrees",) * 3, turns, (0.0,) * 3)
    found = Coordinates(so3, ("phi1", "Phi", "phi2"), (part,))
    axes = axes_of(found)
    assert axes.convention == "ZXZ"
    figure = report.picture(so3, data=np.asarray(found.to_points(angles)), axes=axes)
    for panel, name, (low, high) in zip(
        figure.axes, ("phi1", "Phi", "phi2"), ((0, 360), (0, 180), (-180, 180)), strict=False
    ):
        assert panel.get_xlabel() == f"{name} (°)" and panel.get_xlim() == (low, high)
        heights, edges, _ = panel.patches[0].get_data()
        column = ("phi1", "Phi", "phi2").index(name)
        filled = np.flatnonzero(heights)
        inside = [edges[k] <= a <= edges[k + 1] + 1e-9 for k in filled for a in angles[:, column]]
        assert len(filled) == 3 and sum(inside) == 3
    uniform = report.euler_marginals(
        lambda x: jnp.full(len(x), -np.log(8 * np.pi**2)), around=24, convention="ZXZ"
    )
    assert uniform[1][1] == pytest.approx(np.sin(uniform[1][0]) / 2, abs=3e-3)
    assert uniform[0][1] == pytest.approx(np.full(24, 0.5 / np.pi), abs=2e-3)


def test_factors_have_their_columns():
    space = Product(Sphere(2), Euclidean(1))
    parts = (
        Part(Sphere(2), "latlon", (1, 0), ("degrees",) * 2, (False, False), (0.0, 0.0)),
        Part(Euclidean(1), "flat", (2,), ("none",), (False,), (0.0,)),
    )
    x = np.array([[1.0, 0, 0, 5.0], [0, 1.0, 0, 6.0], [0, 0, 1.0, 7.0]])
    axes = axes_of(Coordinates(space, ("lon", "lat", "depth"), parts))
    figure = report.picture(space, data=x, axes=axes)
    assert "depth" in [panel.get_xlabel() for panel in figure.axes]


def test_coastlines_only_on_the_earth():
    moon = np.array([[0.0, 0.0, 1.0]])
    lines = {e: len(report.globes(data=moon, earth=e).axes[0].lines) for e in (True, False)}
    assert lines[True] == lines[False] + 1
    assert len(report.globes(data=moon).axes[0].lines) == lines[False]
    assert on_earth(None, "airports", "fire") and not on_earth(None, "moon.csv")
    assert not on_earth(None, "airports", "moon.csv")
    assert on_earth(True, "moon.csv") and not on_earth(False, "airports")
