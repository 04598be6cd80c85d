"""Coincident points, cut loci, zero and huge tangent vectors: values, gradients, drift."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from projective_plane import ProjectivePlane

from scorefold.fields import divergence
from scorefold.manifolds import SO3, Hyperbolic, Product, Sphere, Torus

MANIFOLDS = [Sphere(1), Sphere(2), Torus(3), SO3(), Hyperbolic(2), Product(Torus(2), Sphere(2)),
             ProjectivePlane()]  # fmt: skip
CASES = [
    pytest.param((m, t), id=f"{m.name}-{t}") for m in MANIFOLDS for t in ("float32", "float64")
]
COMPILE = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
LENGTHS = [0.0, 1e-30, 1e-7, 1.0, math.pi - 1e-7, math.pi, 2 * math.pi, 1e6]


@functools.cache
def observed(m, dtype_name):
    dtype = jnp.dtype(dtype_name)
    rng = np.random.default_rng(3)
    c = jnp.asarray(rng.normal(size=m.dim), dtype)
    e = rng.normal(size=m.dim)
    e = jnp.asarray(e / np.linalg.norm(e), dtype)
    a = jnp.asarray(rng.normal(size=m.shape), dtype)

    def one(length):
        x = m.exp(m.origin(dtype), m.from_components(m.origin(dtype), c))
        v = m.from_components(x, length * e)
        y = jnp.where(length == 0, x, m.exp(x, v))

        def numbers(x, y, v):
            return jnp.stack(
                [
                    m.dist(x, y),
                    jnp.sum(a * m.log(x, y)),
                    jnp.sum(a * m.transport(x, y, v)),
                    jnp.sum(a * m.exp(x, v)),
                    m.exp_log_det(x, v),
                    m.norm(x, v),
                ]
            )

        return {
            "dist": m.dist(x, y),
            "log": m.log(x, y),
            "|log|": m.norm(x, m.log(x, y)),
            "returns": m.dist(m.exp(x, m.log(x, y)), y),
            "defect": m.defect(y),
            "numbers": numbers(x, y, v),
            "gradients": jax.jacrev(numbers, argnums=(0, 1, 2))(x, y, v),
        }

    run, lengths = COMPILE(jax.vmap(one)), jnp.asarray(LENGTHS, dtype)
    out = {**run(lengths), "log again": run(lengths[::-1])["log"][::-1]}
    return jax.tree.map(lambda v: np.asarray(v, np.float64), out)


@pytest.fixture(params=CASES, scope="module")
def seen(request):
    m, dtype = request.param
    return m, observed(m, dtype), 1e-5 if dtype == "float32" else 1e-12


@pytest.mark.fault(25, "values and derivatives at lengths from 0 to 1e6, in both precisions")
def test_everything_is_finite(seen):
    _, o, _ = seen
    assert all(np.isfinite(v).all() for v in jax.tree.leaves(o))


def test_gradient_of_the_distance_is_zero_at_coincidence(seen):
    _, o, _ = seen
    assert o["dist"][0] == 0.0
    assert not np.any(o["log"][0])
    dx, dy, dv = (g[0] for g in o["gradients"])
    assert not np.any(dx[0]) and not np.any(dy[0]) and not np.any(dv[5])


@pytest.mark.fault(27, "tangent vectors of length 0 to 1e6")
def test_ends_of_any_length_are_on_the_manifold(seen):
    _, o, tol = seen
    assert o["defect"].max() <= tol


@pytest.mark.fault(26, "log at and near the cut locus twice, in other company: the same bits")
def test_ties_are_broken_the_same_way_every_time(seen):
    _, o, _ = seen
    np.testing.assert_array_equal(o["log again"], o["log"])


@pytest.mark.fault(26, "log of points within 1e-7 of the cut locus, and on it")
def test_log_is_the_shortest_way_even_at_the_cut_locus(seen):
    m, o, tol = seen
    known = slice(0, 7) if not m.compact else slice(0, None)
    scale = 1.0 if m.compact else math.cosh(2 * math.pi + 2)
    np.testing.assert_allclose(o["|log|"][known], o["dist"][known], atol=scale * tol)
    assert o["returns"][known].max() <= scale * tol
    assert o["dist"].max() <= m.diameter + tol


def test_short_distances_keep_their_relative_accuracy(seen):
    # A point stored in float32 moves by 6e-8, so 1e-7 itself is not resolved there.
    _, o, tol = seen
    assert abs(o["dist"][3] - 1.0) <= tol
    if tol < 1e-6:
        assert abs(o["dist"][2] / 1e-7 - 1) < 1e-7


WALKERS, STEPS = 8, 10_000


@pytest.mark.parametrize(
    ("m", "d"),
    [(Hyperbolic(2), 2), (Hyperbolic(3), 3), (Product(Sphere(2), Hyperbolic(2)), 2)],
    ids=["H^2", "H^3", "S^2 x H^2"],
)
def test_products_of_vectors_far_out_on_hyperbolic_spaces(m, d):
    """Coordinates grow like e^r/2 and are rounded to 2⁻²⁴ of that: products of vectors, transport
    to a point at distance ½ and the divergence are to lose no more than some roundings of cosh r.
    Products of coordinates as they stand lose e^{2r}: 8 of a unit at r = 11 in float32.

    The field is Σ sin(b_i·h(x)) K_i(x) / cosh r, h the log of x at the origin, K_i the generators
    of isometries; the same points in float64 are the other side."""
    rng = np.random.default_rng(5)
    ways = rng.normal(size=(16, m.dim))
    ways[:, -d:] /= np.linalg.norm(ways[:, -d:], axis=1, keepdims=True)
    waves = rng.normal(size=(len(m.killing(m.origin())), m.embed(m.origin()).size))

    def field(x):
        h = m.embed(x)
        mix = jnp.sin(jnp.asarray(waves, h.dtype) @ h) / jnp.cosh(jnp.linalg.norm(h[-d:]))
        return jnp.tensordot(mix, m.killing(x), axes=1)

    def measured(x):
        frame = m.frame(x)
        gram = jax.vmap(lambda a: jax.vmap(lambda b: m.inner(x, a, b))(frame))(frame)
        y = m.project(m.exp(x, 0.5 * frame[-1]))
        moved = jax.vmap(lambda e: m.components(y, m.transport(x, y, e)))(frame)
        return jnp.stack([gram, moved @ moved.T]), divergence(field, m, x)

    run = COMPILE(jax.vmap(measured))
    for r in (2.0, 5.0, 8.0, 11.0):
        o, c = m.origin(jnp.float32), jnp.asarray(r * ways, jnp.float32)
        x = jax.vmap(lambda c, o=o: m.project(m.exp(o, m.from_components(o, c))))(c)
        gram, div = map(np.asarray, run(x))
        _, exact = map(np.asarray, run(jax.vmap(m.project)(x.astype(jnp.float64))))
        allowed = 40 * 2.0**-24 * np.cosh(r)
        assert np.abs(gram - np.eye(m.dim)).max() < allowed, r
        assert np.abs(div - exact).max() < allowed * max(1.0, np.abs(exact).max()), r


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
@pytest.mark.fault(32, "a walk on each manifold")
def test_ten_thousand_steps_do_not_leave_the_manifold(m):
    start = jnp.tile(m.origin(jnp.float32)[None], (WALKERS,) + (1,) * len(m.shape))

    def body(x, k):
        # Steps of fixed length in directions that no symmetry closes up.
        i = jnp.arange(WALKERS, dtype=jnp.float32)[:, None] + 1.0
        c = 0.05 * jnp.sin(k * 0.61 * i + jnp.arange(m.dim, dtype=jnp.float32)[None, :] * 2.3)
        return jax.vmap(lambda p, b: m.exp(p, m.from_components(p, b)))(x, c), None

    walk = COMPILE(lambda x: jax.lax.scan(body, x, jnp.arange(STEPS, dtype=jnp.float32))[0])
    end = walk(start)
    assert float(jnp.max(jax.vmap(m.defect)(end))) <= 1e-5
    assert float(jnp.min(jax.vmap(m.dist)(start, end))) > 1e-3
