"""The public edge of the manifolds: readers against scipy and closed forms, and refused data."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from scorefold.manifolds import (
    SO3,
    Euclidean,
    Hyperbolic,
    PointsError,
    Product,
    Sphere,
    Torus,
    check_points,
    manifold_from_name,
)

RNG = np.random.default_rng(11)
ROTATIONS = Rotation.random(50, rng=RNG)


@pytest.mark.fault(22, "both signs of quaternions")
def test_rotations_agree_with_scipy():
    m, want = SO3(), ROTATIONS.as_matrix()
    q = ROTATIONS.as_quat()
    np.testing.assert_allclose(m.from_quaternion(-3 * q, order="xyzw"), want, atol=1e-14)
    np.testing.assert_allclose(m.from_quaternion(np.roll(q, 1, -1), order="wxyz"), want, atol=1e-14)
    np.testing.assert_allclose(
        m.from_rotation_vector(ROTATIONS.as_rotvec(), degrees=False), want, atol=1e-14
    )
    np.testing.assert_allclose(m.from_matrix(want.reshape(-1, 9)), want, atol=1e-14)
    for read, write in (
        (m.from_euler, m.to_euler),
        (m.from_rotation_vector, m.to_rotation_vector),
    ):
        np.testing.assert_allclose(read(write(want, degrees=True), degrees=True), want, atol=1e-13)
    axis, angle = m.to_axis_angle(want, degrees=True)
    np.testing.assert_allclose(m.from_axis_angle(2 * axis, angle, degrees=True), want, atol=1e-13)


def test_bunge_angles_are_the_product_of_three_turns():
    def turn(axis, t):
        return Rotation.from_rotvec(t * np.eye(3)[axis]).as_matrix()

    got = SO3().from_euler([0.3, 1.1, -0.7], degrees=False)
    np.testing.assert_allclose(got, turn(2, 0.3) @ turn(0, 1.1) @ turn(2, -0.7), atol=1e-14)


def test_so3_distance_and_log_agree_with_scipy():
    angles = np.array([1e-7, 1e-4, 1.0, 3.0, math.pi - 1e-4, math.pi - 1e-7])
    axes = RNG.normal(size=(6, 3))
    w = axes / np.linalg.norm(axes, axis=1, keepdims=True) * angles[:, None]
    x = jnp.asarray(ROTATIONS.as_matrix()[:6])
    y = jnp.asarray((ROTATIONS[:6] * Rotation.from_rotvec(w)).as_matrix())
    m = SO3()
    np.testing.assert_allclose(jax.vmap(m.dist)(x, y), angles, atol=1e-14)
    body = jax.vmap(lambda p, q: m.components(p, m.log(p, q)))(x, y)
    np.testing.assert_allclose(body, w, atol=1e-13)


@pytest.mark.parametrize("angle", [1e-6, 1e-4, 1e-2, 1.0, 3.1])
def test_sphere_distance_in_float32_against_float64(angle):
    # Oracle: atan2(|x×y|, x·y) in float64 of the same float32 inputs.
    x = RNG.normal(size=(50, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    t = np.cross(x, RNG.normal(size=(50, 3)))
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    x, y = np.float32(x), np.float32(np.cos(angle) * x + np.sin(angle) * t)
    a, b = np.float64(x), np.float64(y)
    want = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), np.sum(a * b, 1))
    np.testing.assert_allclose(jax.vmap(Sphere(2).dist)(x, y), want, rtol=2e-6)


def test_hyperbolic_distance_agrees_with_the_poincare_formula():
    m = Hyperbolic(3)
    p, q = RNG.uniform(-0.55, 0.55, size=(2, 40, 3))

    def n(v):
        return np.sum(v * v, -1)

    want = np.arccosh(1 + 2 * n(p - q) / ((1 - n(p)) * (1 - n(q))))
    x, y = m.from_poincare(p), m.from_poincare(q)
    np.testing.assert_allclose(jax.vmap(m.dist)(x, y), want, rtol=1e-12)
    np.testing.assert_allclose(m.to_poincare(x), p, atol=1e-15)


@pytest.mark.fault(23, "angles of many turns")
def test_torus_wraps_exactly():
    # Oracle: math.remainder, exact in float64.
    turns = np.array([0.0, 3.0, -4.0, 1e6, -1e6, 1e30])
    got = np.asarray(jax.vmap(Torus(1).project)(jnp.asarray(turns)[:, None])[:, 0])
    want = np.array([math.remainder(t, 2 * math.pi) for t in turns])
    np.testing.assert_allclose(got, want, atol=1e-15)
    edge = Torus(1).project(jnp.full((1,), math.pi, jnp.float32))
    assert float(edge[0]) == -float(np.float32(math.pi))


@pytest.mark.fault(18, "latitude and longitude in both units")
def test_readers_of_angles():
    got = Torus(2).from_angles([[370.0, -190.0], [180.0, 0.0]], degrees=True)
    want = np.radians([[10.0, 170.0], [-180.0, 0.0]])
    np.testing.assert_allclose(got, want, atol=1e-14)
    s = Sphere(2)
    np.testing.assert_allclose(
        s.from_latlon([10, 90], [350, 0]), s.from_latlon([10, 90], [-10, 123]), atol=1e-15
    )


REFUSED = [
    (Sphere(2), [[1, 0, 0], [0, 0, 0.0]], "row 1 the zero vector"),
    (Sphere(2), [[1, 0, 0], [0, 1.001, 0]], "row 1 off S\\^2"),
    (Sphere(2), [[1, 0, 0], [0, np.nan, 1]], "row 1 not finite"),
    (Sphere(2), [[45.0, 9.0]], "from_latlon"),
    (Sphere(2), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], "transpose"),
    (Sphere(2), np.zeros((0, 3)), "empty"),
    (Sphere(2), [["a", "b", "c"]], "text|dtype"),
    (Sphere(2), pd.DataFrame({"x": [1, "a"], "y": [0, 0], "z": [0, 0]}), "text"),
    (Sphere(2), np.eye(3, dtype=complex), "complex"),
    (Torus(1), [[90.0], [1.0]], "degrees"),
    (SO3(), [np.diag([1.0, 1, -1])], "reflection"),
    (SO3(), [np.diag([1.0, 1, 1.01])], "row 0 off"),
    (Hyperbolic(2), [[-1.0, 0, 0]], "wrong sheet"),
    (Product(Torus(1), Sphere(1)), [[0.0, 0.0, 0.0]], "factor 1 \\(S\\^1\\): row 0 the zero"),
]


@pytest.mark.parametrize(("m", "x", "message"), REFUSED)
@pytest.mark.fault(17, "points off each manifold, vectors of length 0")
@pytest.mark.fault(22, "reflections, sheared matrices")
@pytest.mark.fault(23, "the wrong sheet, the outside of the ball")
def test_refused_points_say_why(m, x, message):
    with pytest.raises(PointsError, match=message):
        check_points(m, x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SO3().from_quaternion([[1, 0, 0, 0], [0, 0, 0, 0]], order="wxyz"), "row 1"),
        (lambda: SO3().from_quaternion([1, 0, 0, 0], order="scalar"), "wxyz"),
        (lambda: SO3().from_euler([180, 0, 0], degrees=False), "degrees=True"),
        (lambda: Hyperbolic(2).from_poincare([[0, 0], [0.8, 0.7]]), "row 1 outside"),
        (lambda: Sphere(2).from_latlon([120, 10], [10, 20]), "swapped"),
        (lambda: Euclidean(2).from_columns(a=[1, 2], b=[1, np.inf]), "b: row 1"),
        (lambda: manifold_from_name("SO(4)"), 'Nearest: "SO\\(3\\)"'),
        (lambda: manifold_from_name("S^2 x (T^1"), "parentheses"),
    ],
)
@pytest.mark.fault(19, "latitudes beyond 90°, degrees read as radians")
def test_refused_readings_say_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.fault(17, "points that are off by rounding")
def test_accepted_points():
    s = Sphere(2)
    exact = np.float32([[1, 0, 0], [0.6, 0.8, 0]])
    got = check_points(s, exact)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, exact)
    np.testing.assert_allclose(check_points(s, exact * (1 + 1e-6)), exact, atol=1e-7)
    assert check_points(s, pd.DataFrame({"x": [1], "y": [0], "z": [0]})).dtype == jnp.float64
    assert check_points(s, [0, 1, 0]).shape == (3,)
    np.testing.assert_allclose(check_points(Torus(1), [[6.0]]), [[6.0 - 2 * math.pi]])


@pytest.mark.parametrize("name", ["R^3", "S^2", "T^7", "SO(3)", "H^2", "S^2 x (T^2 x SO(3))"])
def test_names_are_read_back(name):
    assert manifold_from_name(name).name == name


def test_uniform_law():
    # Areas in closed form: the cap x₀ > ½ of S² is 1/4; angles of rotations have density
    # (1 − cos ω)/π. 4 standard errors of a proportion of 20,000 draws.
    n = 20_000
    x = jax.vmap(lambda k: Sphere(2).uniform(k))(jax.random.split(jax.random.key(1), n))
    r = jax.vmap(lambda k: SO3().uniform(k))(jax.random.split(jax.random.key(2), n))
    below = np.arccos((np.trace(r, axis1=1, axis2=2) - 1) / 2) < 2.0
    for seen, p in ((x[:, 0] > 0.5, 0.25), (below, (2.0 - math.sin(2.0)) / math.pi)):
        assert abs(np.mean(seen) - p) < 4 * math.sqrt(p * (1 - p) / n)
