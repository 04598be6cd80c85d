"""Drifts on a grid: exact where they are linear, on the plane and on the globe, from files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import netcdf_file

from scorefold.bridges import fit_current, gridded_drift, load_gridded_drift
from scorefold.fitting import load, save
from scorefold.manifolds import Euclidean, Sphere, Torus

PLANE = Euclidean(2)


def plane_grid():
    """b = (1 + 2x − y + t, x + 3t), linear in everything, on uneven nodes."""
    x, y, t = np.array([-1.0, 0.0, 0.7, 2.0]), np.linspace(1.0, -1.0, 5), np.array([0.0, 1.0, 3.0])
    tt, xx, yy = np.meshgrid(t, x, y, indexing="ij")
    return (x, y), (1 + 2 * xx - yy + tt, xx + 3 * tt), t


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_fields_are_exact(dtype):
    axes, values, times = plane_grid()
    drift = gridded_drift(PLANE, axes, values, times=times)
    rng = np.random.default_rng(0)
    for x in rng.uniform([-1, -1], [2, 1], size=(20, 2)):
        t = float(rng.uniform(0, 3))
        found = drift(jnp.asarray(x, dtype), t)
        assert found.dtype == dtype
        expected = [1 + 2 * x[0] - x[1] + t, x[0] + 3 * t]
        np.testing.assert_allclose(found, expected, atol=1e-5 if dtype == np.float32 else 1e-12)
    # Beyond the ends as at the ends, in time too.
    edge = drift(jnp.asarray([2.0, 0.0]), 3.0)
    np.testing.assert_allclose(drift(jnp.asarray([9.0, 0.0]), 7.0), edge)


@pytest.mark.parametrize("east", [True, False])
def test_a_turning_globe(east):
    """cos(latitude) eastward is a rotation about the axis, whatever longitudes begin with; nodes
    every 5 degrees leave (5°)²/8 of the second derivative, .001."""
    lat = np.linspace(-90.0, 90.0, 37)
    lon = np.arange(0.0, 360.0, 5.0) if east else np.linspace(-180.0, 180.0, 73)
    speed = np.cos(np.radians(lat))[:, None] * np.ones(len(lon))
    drift = gridded_drift(Sphere(2), (lat, lon), (0.0 * speed, 0.8 * speed))
    assert drift.joined
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[0], x[1] = [np.cos(3.14), np.sin(3.14), 0.0], [np.cos(-0.02), np.sin(-0.02), 0.0]
    found = jax.vmap(lambda p: drift(p, 0.0))(jnp.asarray(x))
    np.testing.assert_allclose(found, np.cross([0.0, 0.0, 0.8], x), atol=1.5e-3)


@pytest.mark.parametrize("first", [170.0, 260.0, -100.0])
def test_a_part_of_the_globe_in_any_turn(first):
    """The field is the longitude of the node, over 1000; points are asked in [−180, 180]. Beyond
    an end it is that of the end."""
    lat, lon = np.linspace(10.0, 40.0, 4), first + np.linspace(0.0, 40.0, 41)
    field = np.ones((4, 1)) * lon / 1000.0
    drift = gridded_drift(Sphere(2), (lat, lon), (np.zeros_like(field), field))
    for ask, expected in ((first + 5.5, first + 5.5), (first + 45, first + 40), (first - 9, first)):
        x = Sphere(2).from_latlon(np.array([20.0]), np.array([(ask + 180.0) % 360.0 - 180.0]))[0]
        size = float(jnp.linalg.norm(drift(jnp.asarray(x), 0.0)))
        assert size == pytest.approx(abs(expected) / 1000.0, rel=1e-4)


def test_it_is_a_drift_that_can_be_saved(tmp_path):
    """Two snapshots carried by a uniform stream: no drift is learned, the speed is the grid's."""
    axes = (np.array([-5.0, 5.0]), np.array([-5.0, 5.0]))
    drift = gridded_drift(PLANE, axes, (np.ones((2, 2)), np.zeros((2, 2))))
    rows = np.random.default_rng(0).normal(size=(20, 2))
    law, _ = fit_current(
        PLANE, [0.0, 1.0], [rows, rows + np.array([1.0, 0.0])], key=jax.random.key(0), drift=drift,
        rate=1e-4, draws=0,
    )  # fmt: skip
    drawn = np.asarray(law.sample_paths(jax.random.key(1), rows, [0.5]))[:, 0]
    np.testing.assert_allclose(drawn, rows + np.array([0.5, 0.0]), atol=0.03)
    save(tmp_path / "law", law)
    again = load(tmp_path / "law").sample_at(jax.random.key(2), 0.5, 5)
    np.testing.assert_array_equal(again, law.sample_at(jax.random.key(2), 0.5, 5))


def test_files(tmp_path):
    axes, values, times = plane_grid()
    np.savez(tmp_path / "field.npz", x=axes[0], y=axes[1], u=values[0], v=values[1], t=times)
    with netcdf_file(tmp_path / "field.nc", "w") as file:
        for name, nodes in (("t", times), ("x", axes[0]), ("y", axes[1])):
            file.createDimension(name, len(nodes))
            file.createVariable(name, "d", (name,))[:] = nodes
        for name, component in (("u", values[0]), ("v", values[1])):
            file.createVariable(name, "d", ("y", "t", "x"))[:] = component.transpose(2, 0, 1)
    names = {"axes": ("x", "y"), "values": ("u", "v"), "times": "t"}
    x = jnp.asarray([0.3, 0.2])
    known = gridded_drift(PLANE, axes, values, times=times)(x, 0.4)
    for name in ("field.npz", "field.nc"):
        found = load_gridded_drift(tmp_path / name, PLANE, **names)
        np.testing.assert_allclose(found(x, 0.4), known)
        half = load_gridded_drift(tmp_path / name, PLANE, **names, scale=0.5)
        np.testing.assert_allclose(half(x, 0.4), 0.5 * known)
        with pytest.raises(ValueError, match=r"field.*has no 'w', but"):
            load_gridded_drift(tmp_path / name, PLANE, **{**names, "values": ("u", "w")})
    (tmp_path / "text.nc").write_text("x,y,u,v")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "field.npz").read_bytes()[:200])
    for name, message in (("text.nc", "is neither"), ("cut.npz", "cut.npz"), ("no.nc", "missing")):
        with pytest.raises(ValueError, match=message):
            load_gridded_drift(tmp_path / name, PLANE, **names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifold": Torus(2)}, "manifold: grids are of R"),
        ({"axes": (np.arange(4.0),)}, "axes, values: R.2 needs 2"),
        ({"axes": (np.array([0.0, 1.0, 1.0, 2.0]), np.arange(5.0))}, r"axes\[0\]: nodes must"),
        ({"axes": (np.arange(3.0), np.arange(5.0))}, "values: the grid has 3 × 3 × 5 nodes"),
        ({"axes": (np.zeros((4, 1)), np.arange(5.0))}, r"axes.0.: nodes must be a row"),
        ({"values": (np.zeros((3, 4, 5)), np.zeros((3, 4)))}, "values: components have shapes"),
        ({"values": "land"}, "values: 1 nodes are not finite .land.*fill=0.0"),
        ({"manifold": Sphere(2), "axes": (np.arange(4.0) * 50, np.arange(5.0))}, "latitudes"),
    ],
)
def test_bad_grids_are_one_line(change, message):
    axes, values, times = plane_grid()
    given = {"manifold": PLANE, "axes": axes, "values": values, **change}
    if isinstance(given["values"], str):
        given["values"] = (values[0].copy(), values[1])
        given["values"][0][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=message):
        gridded_drift(given["manifold"], given["axes"], given["values"], times=times)
    if "land" in message:
        filled = gridded_drift(PLANE, axes, given["values"], times=times, fill=0.0)
        assert np.isfinite(filled.values).all()
