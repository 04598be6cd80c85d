"""Velocities as arrows: where they end, on two globes, on a patch near the pole, on the plane."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.quiver import Quiver

from scorefold.manifolds import Euclidean, Product, Sphere
from scorefold.report import against_time, arrows, patch_of

RNG = np.random.default_rng(0)


def quivers(figure):
    return [q for axes in figure.axes for q in axes.collections if isinstance(q, Quiver)]


def test_a_patch_near_the_pole_is_a_map_of_its_own():
    """Eastward velocities at 78° north: on the map all are at right angles to the direction of the
    pole, which lies north of the middle by what is left to 90°."""
    m = Sphere(2)
    x = np.asarray(m.from_latlon(78 + 2 * RNG.normal(size=50), 30 + 10 * RNG.normal(size=50)))
    figure = arrows(m, x, np.cross([0.0, 0.0, 0.02], x))
    (found,) = quivers(figure)
    tips = x * np.cos(1e-3) + np.cross([0.0, 0.0, 1.0], x) * 1e-3
    toward = patch_of(np.concatenate([x, tips])).project(np.array([[0.0, 0.0, 1.0]]))[0] - found.XY
    across = np.sum(toward * np.stack([found.U, found.V], axis=1), axis=1)
    size = np.linalg.norm(toward, axis=1) * np.hypot(found.U, found.V)
    assert np.abs(across / size).max() < 0.15  # areas are kept, angles near the middle only
    plt.close(figure)


@pytest.mark.parametrize("size", [1e-1, 1e-4, 1e-7])
def test_patches_of_any_size_keep_their_shape(size):
    """Points on a circle of radius r around the middle are drawn on a circle of radius 2 sin(r/2):
    areas are those on the sphere."""
    m, turn = Sphere(2), np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    middle = np.array([1.0, 0.0, 0.0])
    x = np.stack([np.full(40, np.cos(size)), np.sin(size) * np.cos(turn),
                  np.sin(size) * np.sin(turn)], axis=1)  # fmt: skip
    figure = arrows(m, x, np.cross(middle, x))
    (found,) = quivers(figure)
    np.testing.assert_allclose(np.hypot(*found.XY.T), np.degrees(2 * np.sin(size / 2)), rtol=1e-6)
    plt.close(figure)


def test_globes_and_planes():
    x = RNG.normal(size=(60, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    figure = arrows(Sphere(2), x, np.cross([0.0, 0.0, 1.0], x), earth=True)
    assert len(quivers(figure)) == 2
    plt.close(figure)
    y = RNG.normal(size=(30, 2))
    figure = arrows(Euclidean(2), y, np.tile([2.0, 0.0], (30, 1)), title="a stream")
    (found,) = quivers(figure)
    # A fifth of the standard deviation for a speed of 2.
    np.testing.assert_allclose(found.U, 0.2 * np.sqrt(y.var(axis=0).sum()), rtol=1e-5)
    np.testing.assert_allclose(found.V, 0.0, atol=1e-6)
    assert "a stream: a long arrow is a speed of 2 per unit" in figure.get_suptitle()
    plt.close(figure)


@pytest.mark.parametrize(
    ("m", "shapes", "message"),
    [
        (Euclidean(2), ((4, 2), (3, 2)), "points, velocities: must have shape"),
        (Euclidean(1), ((4, 1), (4, 1)), "no picture of arrows in one dimension"),
        (Product(Sphere(2), Euclidean(1)), ((4, 4), (4, 4)), "no picture of paths"),
    ],
)
def test_what_has_no_picture(m, shapes, message):
    with pytest.raises(ValueError, match=message):
        arrows(m, *(np.ones(shape) for shape in shapes))


def test_a_number_against_time():
    figure = against_time([0, 1, 2], [5.0, 4.0, 3.0], seen=([0, 2], [5, 3]), label="members")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "members" and axes.get_ylim()[0] == 0.0
    plt.close(figure)
