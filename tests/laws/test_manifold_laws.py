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
]
CASES = [pytest.param((m, t), id=f"{m.name}-{t}") for m in MANIFOLDS for t in ("float32", "float64")]
# Unoptimised code compiles several times faster, and rounds like the source.
COMPILE = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
N = 64


def near_origin(m, key, dtype):
    """A point at distance about 1 from the origin, on compact manifolds anywhere."""
    if m.compact:
        return m.uniform(key, dtype)
    o = m.origin(dtype)
    return m.exp(o, m.normal(key, o) / math.sqrt(m.dim))


@functools.cache
def observed(m, dtype_name):
    """Everything the laws speak about, at N random places, computed by one compiled function."""
    dtype = jnp.dtype(dtype_name)

    def one(key):
        keys = jax.random.split(key, 6)
        x, y, z = (near_origin(m, k, dtype) for k in keys[:3])
        a = jax.random.normal(keys[3], m.shape, dtype)
        u = m.normal(keys[4], x)
        v = m.normal(keys[5], x)
        v = v * (2.5 / (1.0 + m.norm(x, v)))  # shorter than the injectivity radius
        e = m.frame(x)

        def velocity(t):
            return jax.jvp(lambda r: m.exp(x, r * v), (t,), (jnp.ones_like(t),))

        t = jnp.asarray(0.7, dtype)
        one_ = jnp.ones_like(t)
        (p, dp), (_, ddp) = jax.jvp(velocity, (t,), (one_,))
        w, dw = jax.jvp(lambda r: m.transport(x, m.exp(x, r * v), u), (t,), (one_,))
        end = m.exp(x, v)
        jacobian = jax.vmap(lambda b: jax.jvp(lambda c: m.exp(x, c), (v,), (b,))[1])(e)
        still = jax.vmap(lambda b: jax.jvp(lambda c: m.exp(x, c), (0 * v,), (b,))[1])(e)
        back = jax.vmap(lambda b: jax.jvp(lambda c: m.log(x, m.exp(x, c)), (v,), (b,))[1])(e)
        killing, spin = jax.vmap(lambda b: jax.jvp(m.killing, (x,), (b,)), out_axes=(None, 0))(e)
        pair = jax.vmap(lambda f: m.components(x, f))
        return {
            "x": x,
            "y": y,
            "v": v,
            "e": e,
            "defects": jnp.stack([m.defect(q) for q in (x, end, p, m.project(a))]),
            "gram": pair(e),
            "tangent(e)": jax.vmap(lambda b: m.to_tangent(x, b))(e),
            "Pa": m.to_tangent(x, a),
            "PPa": m.to_tangent(x, m.to_tangent(x, a)),
            "a normal": m.components(x, a - m.to_tangent(x, a)),
            "project(x)": m.project(x),
            "project twice": m.project(m.project(a)) - m.project(a),
            "log exp": m.log(x, end),
            "exp log": m.exp(x, m.log(x, y)),
            "d(x,y)": m.dist(x, y),
            "d(y,x)": m.dist(y, x),
            "d(y,z)": m.dist(y, z),
            "d(x,z)": m.dist(x, z),
            "|log|": m.norm(x, m.log(x, y)),
            "d(x,end)": m.dist(x, end),
            "|v|": m.norm(x, v),
            "|v|^2": m.inner(x, v, v),
            "speed": m.norm(p, dp),
            "acceleration": m.components(p, ddp),
            "velocity": dp,
            "transported v": m.transport(x, p, v),
            "start": still,
            "covariant dw": m.components(p, dw),
            "|u|": m.norm(x, u),
            "|w|": m.norm(p, w),
            "w off tangent": w - m.to_tangent(p, w),
            "there": m.transport(y, x, m.transport(x, y, u)) - u,
            "jacobian": jax.vmap(lambda f: m.components(end, f))(jacobian),
            "exp_log_det": m.exp_log_det(x, v),
            "exp_log_det(0)": m.exp_log_det(x, 0 * v),
            "d(log exp)": back,
            "killing": pair(killing),
            "spin": jax.vmap(pair)(spin),
            "grad dist": m.gradient(y, jax.grad(m.dist, argnums=1)(x, y)),
            "-log/dist": -m.log(y, x) / m.dist(x, y),
            "embed": m.embed(x),
        }

    out = COMPILE(jax.vmap(one))(jax.random.split(jax.random.key(7), N))
    return {k: np.asarray(v, np.float64) for k, v in out.items()}


@pytest.fixture(params=CASES, scope="module")
def seen(request):
    m, dtype = request.param
    out = observed(m, dtype)
    # Coordinates of hyperbolic points grow like cosh r and their products cancel.
    size = np.maximum(1.0, np.abs(out["x"]).max()) if not m.compact else 1.0
    tol = (2e-6 if dtype == "float32" else 4e-15) * size**2
    return m, out, tol


def small(value, tol):
    worst = np.abs(value).max()
    assert worst <= tol, f"{worst:.3g} > {tol:.3g}"


def test_points_are_on_the_manifold(seen):
    m, o, tol = seen
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


def test_exp_and_log_are_inverse(seen):
    _, o, tol = seen
    small(o["log exp"] - o["v"], 5 * tol)
    small(o["exp log"] - o["y"], 5 * tol)
    small(o["d(log exp)"] - o["e"], 40 * tol)


def test_distance(seen):
    _, o, tol = seen
    small(o["d(x,y)"] - o["d(y,x)"], tol)
    small(o["d(x,y)"] - o["|log|"], 5 * tol)
    small(o["d(x,end)"] - o["|v|"], 5 * tol)
    assert np.all(o["d(x,z)"] <= o["d(x,y)"] + o["d(y,z)"] + tol)
    small(o["grad dist"] - o["-log/dist"], 20 * tol)


def test_exp_solves_the_geodesic_equation(seen):
    _, o, tol = seen
    small(o["acceleration"], 100 * tol)
    small(o["speed"] - o["|v|"], 20 * tol)
    small(o["start"] - o["e"], tol)


def test_transport_is_parallel(seen):
    _, o, tol = seen
    small(o["covariant dw"], 100 * tol)
    small(o["|w|"] - o["|u|"], 10 * tol)
    small(o["w off tangent"], 10 * tol)
    small(o["transported v"] - o["velocity"], 20 * tol)
    small(o["there"], 20 * tol)


def test_exp_log_det_is_the_determinant_of_the_jacobian(seen):
    _, o, tol = seen
    small(np.linalg.slogdet(o["jacobian"])[1] - o["exp_log_det"], 100 * tol)
    small(o["exp_log_det(0)"], 0.0)


def test_killing_fields_are_isometries_and_span(seen):
    m, o, tol = seen
    spin = o["spin"]  # ⟨∇_a K, b⟩ at [case, a, field, b]
    small(spin + np.swapaxes(spin, 1, 3), 10 * tol)
    smallest = np.linalg.svd(o["killing"], compute_uv=False)[:, m.dim - 1]
    assert smallest.min() > 0.2


def test_embedding_separates_points(seen):
    _, o, _ = seen
    gaps = np.linalg.norm(o["embed"][:, None] - o["embed"][None], axis=-1)
    assert gaps[np.triu_indices(N, 1)].min() > 1e-4
