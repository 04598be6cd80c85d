"""Divergence against closed forms, probes, and what a network's output becomes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.fields import (
    AmbientOutput,
    FrameOutput,
    KillingOutput,
    NetworkField,
    ScoreNetwork,
    divergence,
    hutchinson,
    probe,
)
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus
from scorefold.noising import Brownian, OrnsteinUhlenbeck

# These programs run for a moment: little is gained by optimising them.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

A = np.random.default_rng(0).normal(size=(3, 3))

# (manifold, f, Δf as a function of x): eigenfunctions, −Δf = λf, and two others with known Δ.
LAPLACIANS = [
    (Sphere(2), lambda x: jnp.sum(jnp.asarray(A[0], x.dtype) * x), lambda x, f: -2.0 * f),
    (Sphere(3), lambda x: x[0] * x[1], lambda x, f: -8.0 * f),
    (Torus(2), lambda x: jnp.sin(x[0] + 2.0 * x[1]), lambda x, f: -5.0 * f),
    (SO3(), lambda x: jnp.sum(jnp.asarray(A, x.dtype) * x), lambda x, f: -2.0 * f),
    (Hyperbolic(2), lambda x: x[0], lambda x, f: 2.0 * f),  # cosh of the distance to the origin
    (Euclidean(3), lambda x: jnp.sum(x * x), lambda x, f: jnp.full_like(f, 6.0)),
]
IDS = [case[0].name for case in LAPLACIANS]


def points(manifold, n, dtype):
    o = manifold.origin(dtype)
    keys = jax.random.split(jax.random.key(0), n)
    return jax.vmap(lambda k: manifold.exp(o, manifold.normal(k, o)))(keys)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("manifold", "f", "laplacian"), LAPLACIANS, ids=IDS)
def test_divergence_of_gradients_and_of_isometries(manifold, f, laplacian, dtype):
    def both(x):
        grad = divergence(lambda y: manifold.gradient(y, jax.grad(f)(y)), manifold, x)
        first, last = (
            divergence(lambda y, k=k: manifold.killing(y)[k], manifold, x) for k in (0, -1)
        )
        return grad, laplacian(x, f(x)), first, last

    div, exact, first, last = quick(jax.vmap(both))(points(manifold, 20, dtype))
    assert div.dtype == dtype
    atol = 2e-5 if dtype == jnp.float32 else 1e-12
    np.testing.assert_allclose(div, exact, rtol=10 * atol, atol=10 * atol)
    np.testing.assert_allclose(jnp.stack([first, last]), 0.0, atol=20 * atol)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_probes_are_tangent_and_unbiased(kind):
    # div of V = (Ax)_tangent on S^2 at one x, from 20000 probes, within 4 standard errors.
    m = Sphere(2)
    x = points(m, 1, jnp.float64)[0]
    field = lambda y: m.to_tangent(y, jnp.asarray(A) @ y)  # noqa: E731
    keys = jax.random.split(jax.random.key(1), 20000)
    each = np.asarray(jax.jit(jax.vmap(lambda k: hutchinson(field, m, x, k, kind)[1]))(keys))
    # div (Ax)_tangent = tr A − 3 xᵀAx on the unit sphere of R³.
    exact = np.trace(A) - 3.0 * np.asarray(x) @ A @ np.asarray(x)
    assert abs(each.mean() - exact) < 4 * each.std() / np.sqrt(len(each))
    e = np.asarray(jax.vmap(lambda k: probe(m, x, k, kind))(keys))
    np.testing.assert_allclose(e @ np.asarray(x), 0.0, atol=1e-13)
    # E εεᵀ is the projection to the tangent plane; entries have standard error below 0.01.
    np.testing.assert_allclose(e.T @ e / len(e), np.eye(3) - np.outer(x, x), atol=0.04)


@pytest.mark.parametrize("output", [AmbientOutput(), FrameOutput(), KillingOutput()])
@pytest.mark.parametrize("manifold", [Sphere(2), SO3()], ids=["S^2", "SO(3)"])
def test_outputs_are_tangent_and_span_the_tangent_space(manifold, output):
    x = points(manifold, 1, jnp.float64)[0]
    size = output.size(manifold)
    columns = jax.vmap(lambda c: output(manifold, x, c))(jnp.eye(size))
    residual = jax.vmap(lambda v: v - manifold.to_tangent(x, v))(columns)
    np.testing.assert_allclose(residual, 0.0, atol=1e-12)
    rank = np.linalg.matrix_rank(np.asarray(columns).reshape(size, -1), tol=1e-8)
    assert rank == manifold.dim


def test_field_is_baseline_plus_scaled_output():
    # Every weight zero but the last bias: the network is the constant c.
    noising = OrnsteinUhlenbeck(2, std=1.5)
    c = jnp.asarray([0.3, -0.7])
    field = NetworkField(noising.manifold, lambda h, s: c, AmbientOutput(), noising)
    x, s = jnp.asarray([1.0, 2.0]), 0.8
    # m = e^{-s/2σ²}, v = σ²(1 − e^{−s/σ²}), data of unit variance.
    m, v = np.exp(-s / 4.5), 2.25 * (1 - np.exp(-s / 2.25))
    exact = -np.asarray(x) / (m**2 + v) + m / np.sqrt(v * (m**2 + v)) * np.asarray(c)
    np.testing.assert_allclose(field(x, jnp.asarray(s)), exact, rtol=1e-12)


def test_low_precision_weights_answer_in_the_dtype_of_the_point():
    noising = Brownian(Sphere(2))
    make = lambda dtype: ScoreNetwork(3, 3, fourier=16, dtype=dtype, key=jax.random.key(0))  # noqa: E731
    fine, coarse = make(jnp.float64), make(jnp.float64)
    coarse = jax.tree.map(
        lambda a: a.astype(jnp.bfloat16) if isinstance(a, jax.Array) else a, coarse
    )
    x, s = points(noising.manifold, 1, jnp.float64)[0], jnp.asarray(0.1)
    values = [
        NetworkField(noising.manifold, n, AmbientOutput(), noising)(x, s) for n in (fine, coarse)
    ]
    assert values[1].dtype == jnp.float64
    # Output O(0.1) times scale(0.1) = 2.9; bfloat16 keeps 8 bits.
    np.testing.assert_allclose(values[1], values[0], atol=0.05)
    assert not np.array_equal(values[1], values[0])


def test_the_first_networks_can_be_built():
    # x ‖ u into 5 × 512 units with sine: 4·512 + 4·512² + 512·3 weights and 5·512 + 3 biases.
    n = ScoreNetwork(
        3, 3, width=512, depth=5, fourier=0, time_features=0, activation=jnp.sin,
        key=jax.random.key(0),
    )  # fmt: skip
    count = sum(a.size for a in jax.tree.leaves(n) if isinstance(a, jax.Array))
    assert count == 4 * 512 + 4 * 512**2 + 512 * 3 + 5 * 512 + 3
    h, s = jnp.asarray([0.6, 0.0, 0.8]), jnp.asarray(0.2)
    z = np.append(np.asarray(h), (np.log(0.2) + 3) / 4)
    for layer in n.layers[:-1]:
        z = np.sin(np.asarray(layer.weight) @ z + np.asarray(layer.bias))
    exact = np.asarray(n.layers[-1].weight) @ z + np.asarray(n.layers[-1].bias)
    np.testing.assert_allclose(n(h, s), exact, atol=1e-12)
