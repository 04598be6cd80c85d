"""Matrix units of accelerators round float32 factors, unless a product says otherwise: those of
points, tangent vectors and densities all do. Programs are read, not run, so that no GPU is needed;
``tests/gpu`` measures the same on one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

import scorefold as sf
from scorefold.kernels import EsagFamily, HeatFamily, WrappedFamily, WrappedMixture, plain_law
from scorefold.kernels.wrapped.background import density_at

MANIFOLDS = [
    sf.Euclidean(3),
    sf.Sphere(1),
    sf.Sphere(2),
    sf.Sphere(5),
    sf.Torus(3),
    sf.SO3(),
    sf.Hyperbolic(2),
    sf.Hyperbolic(3),
    sf.Hyperbolic(4),
    sf.Product(sf.Sphere(2), sf.SO3()),
]
EXACT = jax.lax.Precision.HIGHEST


def products(function, *args):
    """Shapes of the factors of all products that may be rounded."""
    found = []

    def look(program):
        for equation in program.eqns:
            if equation.primitive.name == "dot_general":
                precision = equation.params["precision"]
                factors = [v.aval for v in equation.invars]
                if precision not in (EXACT, (EXACT, EXACT)) and min(f.size for f in factors):
                    found.append(tuple(str(f) for f in factors))
            for inner in jaxprs_in_params(equation.params):
                look(inner)

    look(jax.make_jaxpr(function)(*args).jaxpr)
    return found


def test_a_rounded_product_is_seen():
    a = jnp.ones((3, 3), jnp.float32)
    inside = jax.jit(lambda a: jax.lax.map(lambda row: a @ row, a))
    assert products(inside, a) == [("float32[3,3]", "float32[3]")]
    assert products(lambda a: jnp.matmul(a, a, precision="highest"), a) == []


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
def test_geometry_and_heat_kernels(m):
    x = m.origin(jnp.float32)
    c, s = jnp.ones((m.dim,), jnp.float32), jnp.asarray(0.3, jnp.float32)

    def geometry(x, c):
        v = m.from_components(x, c)
        y = m.exp(x, v)
        slope = jax.grad(lambda z: m.dist(x, z) ** 2)(y)
        return (
            m.log(x, y), m.transport(x, y, v), m.components(x, v), m.project(y), m.frame(y),
            m.inner(x, v, v), m.exp_log_det(x, v), m.embed(x), m.gradient(y, slope),
        )  # fmt: skip

    def heat(x, s):
        key = jax.random.key(0)
        return m.heat.log_prob(x, x, s), m.heat.score(x, x, s), m.heat.sample(key, x, s)

    assert products(geometry, x, c) == []
    assert products(heat, x, s) == []


FAMILIES = [
    *[(m, WrappedFamily()) for m in MANIFOLDS if m.name in ("R^3", "S^2", "T^3", "SO(3)", "H^2")],
    *[(m, HeatFamily()) for m in MANIFOLDS if m.name in ("S^5", "H^4")],
    (sf.Sphere(2), EsagFamily()),
]


@pytest.mark.parametrize(
    ("m", "family"), FAMILIES, ids=[f"{m.name}-{type(f).__name__}" for m, f in FAMILIES]
)
def test_kernels(m, family):
    """Density, score at a level, and draws of a mixture of kernels."""
    one = lambda *shape: jnp.ones(shape, jnp.float32)  # noqa: E731
    centres = jnp.broadcast_to(m.origin(jnp.float32)[None], (2, *m.shape))
    axes = jnp.broadcast_to(jnp.eye(m.dim, dtype=jnp.float32)[None], (2, m.dim, m.dim))
    parts = centres, axes, 0.1 * one(2, m.dim), jnp.log(0.5 * one(2))
    mixture = WrappedMixture(m, plain_law(m, centres), *parts, -3.0 * one(), family)

    def all_of_it(x, s):
        draw = mixture.sample(jax.random.key(0))
        level = density_at(mixture.background, x, s)
        return mixture.log_prob(x), mixture.log_prob(x, s), mixture.score(x, s), draw, level

    assert products(all_of_it, centres[0], 0.02 * one()) == []


def test_what_a_network_sees():
    """Phases of high frequency are products too; those with weights may be rounded."""
    network = sf.NetworkSpec(width=8, depth=1, fourier=4).build(
        3, 3, dtype=jnp.float32, key=jax.random.key(0)
    )
    h = jnp.asarray(np.ones(3), jnp.float32)
    rounded = products(network, h, jnp.asarray(0.1, jnp.float32))
    assert ("float32[4,3]", "float32[3]") not in rounded and len(rounded) == 2
