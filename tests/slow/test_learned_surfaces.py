"""Manifolds learned from fits to noisy surfaces; geodesics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.data.laws.surfaces import RoundSphere, surfaces
from scorefold.learned_manifolds import (
    InducedMetric,
    InverseCovariance,
    LearnedManifold,
    geodesics,
    intrinsic_dimension,
    principal_angle,
    project_to_ridge,
    tangents,
)

NOISE = 0.02
FITTED = {}


def fitted(surface):
    """2000 noisy points in float32, 150 steps; 200 more for validation and for the tests."""
    if surface.name not in FITTED:
        x = surface.sample(jax.random.key(0), 2200, NOISE).astype(jnp.float32)
        model, _ = sf.fit(
            sf.KernelModel(sf.Euclidean(3)), x[:2000], val=x[2000:], key=jax.random.key(1),
            steps=150, progress=False,
        )  # fmt: skip
        FITTED[surface.name] = LearnedManifold.of(model.mixture_in_units()), x[2000:]
    return FITTED[surface.name]


def random_field(dtype="float64", n=30, d=3):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, d, d))
    full = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(d)
    return LearnedManifold.build(rng.normal(size=(n, d)).astype(dtype), full, bandwidth=0.7)


# -- what is learned ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("surface", "median"), list(zip(surfaces(), (3.0, 5.0, 6.0), strict=True)),
    ids=[s.name for s in surfaces()],
)  # fmt: skip
def test_tangents_dimension_and_ridge_of_noisy_surfaces(surface, median):
    """Against true normals at true points. Median angle (degrees): measured 2.0, 3.6 and 4.3 on
    three seeds within 0.3; the bounds leave half as much again. Dimension 2 at 95 % of points. The
    ridge is nearer the surface than the noise, 0.02, of which the points had as much."""
    learned, new = fitted(surface)
    clean = surface.project(new)
    frames = np.asarray(tangents(learned, clean, 3))
    angle = np.degrees(principal_angle(frames[:, 2:], np.asarray(surface.normals(clean))[:, None]))
    assert np.median(angle) < median
    dimension = intrinsic_dimension(learned, clean)
    assert dimension.dim == 2
    assert dimension.agreement >= 0.95
    assert dimension.mean == pytest.approx(2.0, abs=0.05)

    found = project_to_ridge(learned, new, 2)
    assert found.converged.all()
    before, after = (np.sqrt(np.mean(np.square(surface.distance(p)))) for p in (new, found.points))
    assert before == pytest.approx(NOISE, rel=0.2)
    assert after < NOISE
    assert surface.name == "double torus" or after < 0.6 * NOISE


def test_curves_on_the_learned_sphere_are_near_great_circles():
    """Length in R³ over the angle between the ends: within 3 % on average and 5 % each with the
    tangent planes held (κ = 100); the graph's path is longer than what it is relaxed to."""
    learned, _ = fitted(RoundSphere())
    ends = np.random.default_rng(5).normal(size=(2, 6, 3))
    ends = (ends / np.linalg.norm(ends, axis=-1, keepdims=True)).astype(np.float32)
    true = np.arccos((ends[0] * ends[1]).sum(-1))
    found = geodesics(
        InducedMetric(learned, 2, 100.0), *ends, segments=32, steps=1000, tolerance=1e-7
    )
    ratio = np.asarray(found.euclidean) / true
    assert abs(ratio.mean() - 1) < 0.03
    assert np.abs(ratio - 1).max() < 0.05
    assert (found.graph_length > found.length).all()
    # Cauchy–Schwarz: length² ≤ 2 energy, with equality at constant speed.
    assert (found.length**2 <= 2.00001 * found.energy).all()
    np.testing.assert_allclose(found.length**2, 2 * found.energy, rtol=0.02)


# -- closed forms ------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_geodesics_of_a_constant_metric_are_straight(dtype):
    """All Σ_i equal: Σ(x) = Σ everywhere, the geodesic is the segment at constant speed, its
    length the Mahalanobis distance, and two steps find it (the second sees that the first
    arrived). In the induced metric of a plane the length is Pythagoras' with κ across."""
    rng = np.random.default_rng(2)
    root = rng.normal(size=(3, 3))
    full = root @ root.T + 0.2 * np.eye(3)
    centres = rng.normal(size=(60, 3)).astype(dtype)
    learned = LearnedManifold.build(centres, np.broadcast_to(full, (60, 3, 3)))
    a, b = rng.normal(size=(2, 2, 3)).astype(dtype)
    found = geodesics(InverseCovariance(learned), a, b, segments=8)
    exact = np.sqrt(np.einsum("bi,ij,bj->b", b - a, np.linalg.inv(full), b - a))
    straight = a[:, None] + np.linspace(0, 1, 9)[None, :, None] * (b - a)[:, None]
    tolerance = 2e-4 if dtype == "float32" else 1e-10
    assert found.length.dtype == dtype
    np.testing.assert_allclose(found.length, exact, rtol=tolerance)
    np.testing.assert_allclose(found.energy, exact**2 / 2, rtol=tolerance)
    np.testing.assert_allclose(found.points, straight, atol=10 * tolerance)
    assert found.converged.all()
    assert (found.steps <= 3).all()

    plane = LearnedManifold.build(centres, np.broadcast_to(np.diag([1, 1, 0.01]), (60, 3, 3)))
    found = geodesics(InducedMetric(plane, 2, 9.0), a, b, segments=8)
    square = np.sum((b - a)[:, :2] ** 2, 1) + 9 * (b - a)[:, 2] ** 2
    np.testing.assert_allclose(found.length, np.sqrt(square), rtol=tolerance)
