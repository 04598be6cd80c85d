"""The laws of a Riemannian manifold, written once and checked on every geometry in both precisions.

Everything is derived from the definition: geodesics have no tangential acceleration, parallel
fields no tangential derivative, exp_log_det is the determinant of the Jacobian of exp.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from projective_plane import ProjectivePlane

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus

MANIFOLDS = [
    Sphere(1),
    Sphere(2),
    Sphere(5),
    Torus(1),
    Torus(3),
    SO3(),
    Hyperbolic(2),
    Hyperbolic(3),
    Euclidean(3),
    Product(Sphere(2), Product(Torus(2), SO3())),
    Product(Sphere(2), Hyperbolic(2)),
    ProjectivePlane(),
]
CASES = [
    pytest.param((m, t), id=f"{m.name}-{t}") for m in MANIFOLDS for t in ("float32", "float64")
]
# Unoptimised code compiles several times faster, and rounds like the source.
COMPILE = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
N = 64


def places(m, dtype, count):
    """``count`` rows of standard normal tangent components and of an ambient array."""
    rng = np.random.default_rng(7)
    c = jnp.asarray(rng.normal(size=(N, count, m.dim)), dtype)
    return c, jnp.asarray(rng.normal(size=(N, *m.shape)), dtype)


def around(m, x, c):
    """A point about 1 away from x (about 2 on compact manifolds)."""
    reach = min(2.0 if m.compact else 1.0, 0.8 * m.injectivity_radius) / math.sqrt(m.dim)
    return m.exp(x, m.from_components(x, reach * c))


def step(m, x, c):
    """A tangent vector shorter than the injectivity radius."""
    v = m.from_components(x, c)
    return v * (min(2.5, 0.95 * m.injectivity_radius) / (1.0 + m.norm(x, v)))


def host(out):
    return {k: np.asarray(v, np.float64) for k, v in out.items()}


@functools.cache
def values(m, dtype_name):
    """What the laws without derivatives speak about, at N random places, compiled once."""

    def one(c, a):
        x = around(m, m.origin(a.dtype), c[0])
        y, z = around(m, x, c[1]), around(m, x, c[2])
        u, v = m.from_components(x, c[3]), step(m, x, c[4])
        e, end, pa = m.frame(x), m.exp(x, v), m.to_tangent(x, a)
        w = m.transport(x, end, u)
        on = m.project(a)
        ahead, volume = m.normal_coordinates(x, end)
        here, still = m.normal_coordinates(x, x)
        return {
            "x": x,
            "y": y,
            "v": v,
            "e": e,
            "defects": jnp.stack([m.defect(q) for q in (x, end, on)]),
            "gram": jax.vmap(lambda f: m.components(x, f))(e),
            "tangent(e)": jax.vmap(lambda b: m.to_tangent(x, b))(e),
            "Pa": pa,
            "PPa": m.to_tangent(x, pa),
            "a normal": m.to_tangent(x, a - pa),
            "project(x)": m.project(x),
            "project twice": m.project(on) - on,
            "log exp": m.log(x, end),
            "exp log": m.exp(x, m.log(x, y)),
            "embed(exp log)": m.embed(m.exp(x, m.log(x, y))),
            "embed(y)": m.embed(y),
            "d(x,y)": m.dist(x, y),
            "d(y,x)": m.dist(y, x),
            "d(y,z)": m.dist(y, z),
            "d(x,z)": m.dist(x, z),
            "|log|": m.norm(x, m.log(x, y)),
            "d(x,end)": m.dist(x, end),
            "|v|": m.norm(x, v),
            "|v|^2": m.inner(x, v, v),
            "|u|": m.norm(x, u),
            "|w|": m.norm(end, w),
            "w off tangent": w - m.to_tangent(end, w),
            "there and back": m.transport(end, x, w) - u,
            "exp_log_det(0)": m.exp_log_det(x, 0 * v),
            "embed": m.embed(x),
            "normal coordinates": jnp.stack(ahead) - m.components(x, v),
            "their volume": volume - m.exp_log_det(x, v),
            "of x itself": jnp.stack([*here, still]),
        }

    return host(COMPILE(jax.vmap(one))(*places(m, jnp.dtype(dtype_name), 5)))


@functools.cache
def derivatives(m, dtype_name):
    """What the laws with derivatives speak about."""

    def one(c, a):
        x = around(m, m.origin(a.dtype), c[0])
        y, u, v = around(m, x, c[1]), m.from_components(x, c[3]), step(m, x, c[4])
        e = m.frame(x)
        t = jnp.asarray(0.7, a.dtype)

        def geodesic(r):
            return m.exp(x, r * v)

        def velocity(r):
            return jax.jvp(geodesic, (r,), (jnp.ones_like(r),))

        (p, dp), (_, ddp) = jax.jvp(velocity, (t,), (jnp.ones_like(t),))
        w, dw = jax.jvp(lambda r: m.transport(x, geodesic(r), u), (t,), (jnp.ones_like(t),))

        def change(q, field, b, rate):
            """Components of the covariant derivative of a field along b."""
            return jax.vmap(lambda f: m.covariant(q, field, b, rate, f))(m.frame(q))

        def along(function, at):
            return jax.vmap(lambda b: jax.jvp(function, (at,), (b,))[1])(e)

        def pair(q, fields):
            return jax.vmap(lambda f: m.components(q, f))(fields)

        end = m.exp(x, v)
        return {
            "x": x,
            "e": e,
            "|v|": m.norm(x, v),
            "speed": m.norm(p, dp),
            "acceleration": change(p, dp, dp, ddp),
            "velocity": dp,
            "transported v": m.transport(x, p, v),
            "start": along(lambda b: m.exp(x, b), 0 * v),
            "covariant dw": change(p, w, dp, dw),
            "jacobian": pair(end, along(lambda b: m.exp(x, b), v)),
            "exp_log_det": m.exp_log_det(x, v),
            "d(log exp)": along(lambda b: m.log(x, m.exp(x, b)), v),
            "d(normal exp)": along(lambda b: jnp.stack(m.normal_coordinates(x, m.exp(x, b))[0]), v),
            "killing": pair(x, m.killing(x)),
            "spin": jax.vmap(
                lambda b, rates: jax.vmap(lambda k, r: change(x, k, b, r))(m.killing(x), rates)
            )(e, along(m.killing, x)),
            "grad dist": m.gradient(y, jax.grad(m.dist, argnums=1)(x, y)),
            "-log/dist": -m.log(y, x) / m.dist(x, y),
        }

    return host(COMPILE(jax.vmap(one))(*places(m, jnp.dtype(dtype_name), 5)))


def tolerance(m, dtype, x):
    # Coordinates of hyperbolic points grow like cosh r and their products cancel.
    size = np.maximum(1.0, np.abs(x).max()) if not m.compact else 1.0
    return (2e-6 if dtype == "float32" else 4e-15) * size**2


@pytest.fixture(params=CASES, scope="module")
def seen(request):
    m, dtype = request.param
    out = values(m, dtype)
    return m, out, tolerance(m, dtype, out["x"])


@pytest.fixture(params=[pytest.param(m, id=m.name) for m in MANIFOLDS], scope="module")
def moved(request):
    out = derivatives(request.param, "float64")
    return request.param, out, tolerance(request.param, "float64", out["x"])


def small(value, tol):
    worst = np.abs(value).max()
    assert worst <= tol, f"{worst:.3g} > {tol:.3g}"


def test_points_are_on_the_manifold(seen):
    _, o, tol = seen
    small(o["defects"], tol)
    small(o["project(x)"] - o["x"], tol)
    small(o["project twice"], tol)


def test_frame_is_orthonormal_and_tangent(seen):
    m, o, tol = seen
    small(o["gram"] - np.eye(m.dim), 2 * tol)
    small(o["tangent(e)"] - o["e"], 5 * tol)
    small(o["|v|^2"] - o["|v|"] ** 2, 10 * tol)


def test_to_tangent_is_the_orthogonal_projection(seen):
    _, o, tol = seen
    small(o["PPa"] - o["Pa"], 10 * tol)
    small(o["a normal"], 10 * tol)


@pytest.mark.fault(25, "exp after log and log after exp on each manifold")
def test_exp_and_log_are_inverse(seen):
    m, o, tol = seen
    small(o["log exp"] - o["v"], 5 * tol)
    # Where one point is several arrays (±x on RP²), exp may give another one.
    small(o["embed(exp log)"] - o["embed(y)"], 5 * tol)
    if m != ProjectivePlane():
        small(o["exp log"] - o["y"], 5 * tol)


def test_distance(seen):
    _, o, tol = seen
    small(o["d(x,y)"] - o["d(y,x)"], tol)
    small(o["d(x,y)"] - o["|log|"], 5 * tol)
    small(o["d(x,end)"] - o["|v|"], 5 * tol)
    assert np.all(o["d(x,z)"] <= o["d(x,y)"] + o["d(y,z)"] + tol)


def test_transport_is_isometric_and_reversible(seen):
    _, o, tol = seen
    small(o["|w|"] - o["|u|"], 10 * tol)
    small(o["w off tangent"], 10 * tol)
    small(o["there and back"], 20 * tol)
    small(o["exp_log_det(0)"], 0.0)


def test_normal_coordinates_are_components_of_log(seen):
    _, o, tol = seen
    small(o["normal coordinates"], 10 * tol)
    small(o["their volume"], 20 * tol)
    small(o["of x itself"], tol)


def test_embedding_separates_points(seen):
    _, o, _ = seen
    gaps = np.linalg.norm(o["embed"][:, None] - o["embed"][None], axis=-1)
    assert gaps[np.triu_indices(N, 1)].min() > 1e-4


def test_exp_solves_the_geodesic_equation(moved):
    _, o, tol = moved
    small(o["acceleration"], 100 * tol)
    small(o["speed"] - o["|v|"], 20 * tol)
    small(o["start"] - o["e"], tol)


def test_transport_is_parallel(moved):
    _, o, tol = moved
    small(o["covariant dw"], 100 * tol)
    small(o["transported v"] - o["velocity"], 20 * tol)


def test_exp_log_det_is_the_determinant_of_the_jacobian(moved):
    _, o, tol = moved
    small(np.linalg.slogdet(o["jacobian"])[1] - o["exp_log_det"], 100 * tol)


def test_derivatives_of_log_and_distance(moved):
    m, o, tol = moved
    small(o["d(log exp)"] - o["e"], 40 * tol)
    small(o["d(normal exp)"] - np.eye(m.dim), 40 * tol)
    small(o["grad dist"] - o["-log/dist"], 20 * tol)


def test_killing_fields_are_isometries_and_span(moved):
    m, o, tol = moved
    spin = o["spin"]  # ⟨∇_a K, b⟩ at [case, a, field, b]
    small(spin + np.swapaxes(spin, 1, 3), 10 * tol)
    smallest = np.linalg.svd(o["killing"], compute_uv=False)[:, m.dim - 1]
    assert smallest.min() > 0.2


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
def test_second_derivatives(m):
    """Of project, exp, log, dist and transport along two directions, by differentiating twice,
    against differences of the first derivatives over 2·10⁻⁵: their error is h²/6 of a third
    derivative and 10⁻¹⁶/h of rounding, below 10⁻⁸ of what these are here. What is differentiated
    once is wrong in silence where a rule for a derivative cannot be differentiated."""
    c, a = places(m, jnp.float64, 5)
    h = 1e-5

    def one(c, a):
        x = around(m, m.origin(a.dtype), c[0])
        y, v = around(m, x, 0.7 * c[1]), step(m, x, 0.5 * c[2])
        p, q = m.from_components(y, c[3]), m.from_components(y, c[4])
        # exp is asked at x, the others at y.
        px, qx = m.from_components(x, c[3]), m.from_components(x, c[4])
        maps = {
            "project": (lambda z: m.project(z), y + 0.1 * a, a, q),
            "exp": (lambda z: m.exp(x, z), v, px, qx),
            "log": (lambda z: m.log(x, m.project(z)), y, p, q),
            "dist": (lambda z: m.dist(x, m.project(z)), y, p, q),
            "transport": (lambda z: m.transport(x, m.project(z), px), y, p, q),
        }
        out = {}
        for name, (f, z, p, q) in maps.items():
            first = lambda z, f=f, p=p: jax.jvp(f, (z,), (p,))[1]  # noqa: E731
            twice = jax.jvp(first, (z,), (q,))[1]
            apart = (first(z + h * q) - first(z - h * q)) / (2 * h)
            out[name], out[f"{name}, differences"] = twice, apart
        return out

    found = host(COMPILE(jax.vmap(one))(c[:16], a[:16]))
    for name in ("project", "exp", "log", "dist", "transport"):
        got, want = found[name], found[f"{name}, differences"]
        size = 1.0 + np.abs(want).max()
        np.testing.assert_allclose(got, want, atol=1e-6 * size, err_msg=name)
