"""Nearest neighbours against all distances computed by ``manifold.dist`` in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.manifolds import (
    SO3,
    Euclidean,
    Hyperbolic,
    Manifold,
    Product,
    Sphere,
    Torus,
    nearest,
    pairwise,
)

SPACES = [
    Euclidean(3),
    Sphere(2),
    Sphere(5),
    Torus(1),
    Torus(3),
    SO3(),
    Hyperbolic(2),
    Product(Sphere(2), Euclidean(1)),
    Product(SO3(), Torus(1), Hyperbolic(2)),
]


def draws(manifold: Manifold, seed: int, n: int, scale: float = 1.5) -> np.ndarray:
    """Endpoints of normal steps of size ``scale`` from the origin."""
    o = manifold.origin(jnp.float64)
    z = np.random.default_rng(seed).normal(scale=scale, size=(n, manifold.dim))
    steps = jax.vmap(lambda c: manifold.exp(o, manifold.from_components(o, c)))
    return np.asarray(jax.jit(steps)(z))


@pytest.mark.parametrize("manifold", SPACES, ids=lambda m: m.name)
def test_against_all_distances(manifold):
    x, q = draws(manifold, 0, 300), draws(manifold, 1, 40)
    pairs = jax.vmap(jax.vmap(manifold.dist, (None, 0)), (0, None))
    every = jax.jit(pairs, compiler_options={"xla_backend_optimization_level": 0})
    truth = np.array(every(jnp.asarray(q), jnp.asarray(x)))
    np.testing.assert_allclose(pairwise(manifold, q, x), truth, rtol=1e-9, atol=1e-14)
    index, distance = nearest(manifold, x, q, 7)
    np.testing.assert_array_equal(index, np.argsort(truth, axis=1)[:, :7])
    np.testing.assert_allclose(distance, np.sort(truth, axis=1)[:, :7], rtol=1e-9, atol=1e-14)
    # Without itself: the diagonal taken out.
    own = np.array(every(jnp.asarray(x[:40]), jnp.asarray(x)))[:, :40]
    np.fill_diagonal(own, np.inf)
    index, distance = nearest(manifold, jnp.asarray(x[:40]), x[:40], 39, exclude_self=True)
    np.testing.assert_array_equal(index, np.argsort(own, axis=1)[:, :39])
    np.testing.assert_allclose(distance, np.sort(own, axis=1)[:, :39], rtol=1e-9)


def test_far_hyperbolic_points_and_large_products():
    """Where flat coordinates shorten distances 20-fold and where hundreds of rounds of asking
    would be needed, the answer is still that of all distances."""
    for manifold, scale in ((Hyperbolic(3), 3.0), (Product(Sphere(2), Sphere(2)), 3.0)):
        x, q = draws(manifold, 2, 1500, scale), draws(manifold, 3, 20, scale)
        truth = pairwise(manifold, q, x)
        index, _ = nearest(manifold, x, q, 5)
        np.testing.assert_array_equal(index, np.argsort(truth, axis=1)[:, :5])


def test_equal_points():
    """Copies are neighbours at distance exactly 0, in the order of rows; only the row itself is
    left out. Angles of a torus are equal when they differ by whole turns."""
    x = np.array([[0.1, 0.0], [3.0, 0.0], [0.1, 0.0], [0.1 - 2 * np.pi, 0.0]])
    index, distance = nearest(Torus(2), x[:3], x[:3], 2, exclude_self=True)
    np.testing.assert_array_equal(index[[0, 2]], [[2, 1], [0, 1]])
    np.testing.assert_array_equal(distance[[0, 2], 0], 0.0)
    index, distance = nearest(Torus(2), x[:3], x[3:], 3)
    np.testing.assert_array_equal(index, [[0, 2, 1]])
    np.testing.assert_allclose(distance, [[0.0, 0.0, 2.9]], atol=1e-15)
    for manifold in (Sphere(2), SO3(), Hyperbolic(2)):
        one = draws(manifold, 5, 1).astype(np.float32)
        copies = np.repeat(one, 30, axis=0)
        index, distance = nearest(manifold, copies, copies, 29, exclude_self=True)
        np.testing.assert_array_equal(index[:, 0], [1, *[0] * 29])
        assert distance.max() == 0.0


@pytest.mark.fault(26, "neighbours among half-turns")
def test_rotations_by_half_a_turn():
    """Frobenius distance and angle are in the same order up to π, where quaternions are not."""
    turn = SO3().from_rotation_vector([[np.pi, 0, 0], [3.0, 0, 0], [0, 0, 0.5]], degrees=False)
    index, distance = nearest(SO3(), turn, np.eye(3), 3)
    np.testing.assert_array_equal(index, [[2, 1, 0]])
    np.testing.assert_allclose(distance, [[0.5, 3.0, np.pi]], rtol=1e-12)


def test_a_geometry_does_not_derive_from_another():
    """What the other states would be believed of it: the volume of the sphere of an ellipsoid."""
    with pytest.raises(TypeError, match="Taxi: derive it from Manifold, and hold a Product"):

        class Taxi(Product):
            def dist(self, x, y):
                return jnp.sum(jnp.abs(x - y))


def test_refusals():
    x = np.zeros((4, 2))
    for k, own in ((0, False), (5, False), (4, True)):
        with pytest.raises(ValueError, match="k: must be from 1 to"):
            nearest(Euclidean(2), x, x, k, exclude_self=own)
    with pytest.raises(ValueError, match="exclude_self: needs query i"):
        nearest(Euclidean(2), x, x[:2], 1, exclude_self=True)
    with pytest.raises(ValueError, match=r"queries: has shape \(4, 3\)"):
        nearest(Euclidean(2), x, np.zeros((4, 3)), 1)
    with pytest.raises(ValueError, match="points: row 1 not finite"):
        nearest(Euclidean(2), [[0.0, 0], [np.nan, 0]], x, 1)
