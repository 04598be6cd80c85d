"""What the metrics state about themselves: their laws on fresh data, and where they are metrics.

Random keys are fixed. Shares are compared within 4 binomial standard errors, widened by √2 where
the training points are random too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from projective_plane import ProjectivePlane
from scipy.spatial.transform import Rotation

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus, pairwise
from scorefold.metrics import (
    copying,
    energy_distance,
    nearest_ratio,
    sliced_wasserstein,
    transport_distance,
)

KEY = jax.random.key(0)


def uniform(manifold, seed, n):
    """Without JAX, so that nothing is compiled: angles, normal vectors made unit, rotations."""
    rng = np.random.default_rng(seed)
    if isinstance(manifold, Torus):
        return rng.uniform(-np.pi, np.pi, (n, manifold.dim))
    if isinstance(manifold, SO3):
        return Rotation.random(n, random_state=seed).as_matrix()
    x = rng.normal(size=(n, manifold.dim + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def draws(manifold, seed, n, scale=1.0, shift=0.0):
    """Endpoints of normal steps from the origin, moved along the first direction."""
    o = manifold.origin(jnp.float64)
    z = np.random.default_rng(seed).normal(scale=scale, size=(n, manifold.dim))
    z[:, 0] += shift
    steps = jax.jit(jax.vmap(lambda c: manifold.exp(o, manifold.from_components(o, c))))
    return np.asarray(steps(z))


@pytest.mark.parametrize(
    "manifold", [Torus(1), Torus(3), Sphere(2), SO3(), ProjectivePlane()], ids=lambda m: m.name
)
def test_nearest_ratio_of_uniform_data_is_the_null(manifold):
    """3^{−d}: exact on the flat torus but for the 4000 points being finitely many, and on curved
    spaces but for curvature within 0.2 rad."""
    x, t, p = (uniform(manifold, seed, 4000) for seed in (0, 1, 2))
    found = nearest_ratio(manifold, x, t, p)
    null = 3.0**-manifold.dim
    error = np.sqrt(null * (1 - null) / 4000)
    assert found.null == pytest.approx(null, rel=1e-12)
    assert abs(found.value - null) < 4 * np.sqrt(2) * error
    assert abs(found.fresh - null) < 4 * np.sqrt(2) * error
    assert found.standard_error == pytest.approx(np.sqrt(found.value * (1 - found.value) / 4000))
    assert abs(found.z) < 4 and found.verdict == "consistent with fresh data"
    half = nearest_ratio(manifold, x, t, ratio=0.5)
    assert abs(half.value - 0.5**manifold.dim) < 4 * np.sqrt(2) * 0.5 / np.sqrt(4000)


@pytest.mark.parametrize("manifold", [Torus(2), Sphere(2)], ids=lambda m: m.name)
def test_copying_of_fresh_data_is_standard_normal(manifold):
    """80 independent triples of sets of 200: z has mean 0 within 4/√80 and standard deviation 1
    within 4/√160."""
    z = []
    every = uniform(manifold, 7, 80 * 600).reshape(80, 3, 200, *manifold.shape)
    for k, (x, t, p) in enumerate(every):
        z.append(copying(manifold, x, t, p, key=jax.random.key(k), cells=3).z)
    assert abs(np.mean(z)) < 4 / np.sqrt(80)
    assert abs(np.std(z) - 1) < 4 / np.sqrt(160)


def test_p_values_of_equal_laws_are_uniform():
    """150 pairs of sets of 15: the share with p ≤ 0.2 within 4 binomial standard errors, and the
    laws of the two quantiles reported: 5 % of values exceed ``null_95``."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(150):
        x, y = rng.normal(size=(2, 15, 1))
        found.append(energy_distance(Euclidean(1), x, y, key=KEY, permutations=99))
    p = np.array([f.p_value for f in found])
    assert abs(np.mean(p <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 150)
    above = np.mean([f.value > f.null_95 for f in found])
    assert abs(above - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 150)


def test_where_the_distance_is_of_negative_type():
    """aᵀDa ≤ 0 for all a of sum 0 on R³, H², S² and T¹; on T², SO(3), RP² some aᵀDa > 0,
    and the energy distance is refused. On S² aᵀDa = 0 for even a of sum 0: blind to them."""
    for manifold, negative in (
        (Euclidean(3), True),
        (Hyperbolic(2), True),
        (Sphere(2), True),
        (Torus(1), True),
        (Torus(2), False),
        (SO3(), False),
        (ProjectivePlane(), False),
    ):
        x = draws(manifold, 0, 300, scale=2.0)
        d = pairwise(manifold, x, x)
        centred = d - d.mean(0) - d.mean(1)[:, None] + d.mean()
        top = np.linalg.eigvalsh(centred)[-1]
        assert (top < 1e-10) if negative else (top > 1.0), manifold.name
        if not negative:
            with pytest.raises(ValueError, match="not of negative type"):
                energy_distance(manifold, x, x, key=KEY)
    x = draws(Sphere(2), 1, 50)
    even = np.concatenate([x, -x])
    a = np.tile(np.random.default_rng(0).normal(size=50), 2)
    a -= a.mean()
    assert abs(a @ pairwise(Sphere(2), even, even) @ a) < 1e-9


@pytest.mark.parametrize(
    "manifold", [Sphere(2), SO3(), Torus(3), ProjectivePlane()], ids=lambda m: m.name
)
def test_slices_do_not_lengthen(manifold):
    """SW₁ ≤ W₁ with the geodesic distance, for pairs of points (all slices of one pair would
    have to be parallel to it for equality) and for sets; different laws are told apart."""
    x, y = draws(manifold, 0, 80, 0.5), draws(manifold, 1, 80, 0.5, shift=1.0)
    found = sliced_wasserstein(manifold, x, y, key=KEY)
    assert 0.1 < found.value / transport_distance(manifold, x, y, 1) <= 1
    assert found.value > 2 * found.null_95 and found.p_value == 0.005
    for k in range(5):
        pair = sliced_wasserstein(
            manifold, x[k], np.stack([y[k], y[k]]), key=jax.random.key(k), permutations=1
        )
        assert pair.value <= float(pairwise(manifold, x[k], y[k])[0, 0])
