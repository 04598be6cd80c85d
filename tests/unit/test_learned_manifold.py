"""Manifolds learned from local covariances, against true surfaces and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.data.laws.surfaces import DoubleTorus, RoundSphere, RoundTorus
from scorefold.learned_manifolds import (
    InducedMetric,
    InverseCovariance,
    LearnedManifold,
    geodesics,
    intrinsic_dimension,
    principal_angle,
    project_to_ridge,
    tangent_projector,
    tangents,
)


def random_field(dtype="float64", n=30, d=3):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, d, d))
    full = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(d)
    return LearnedManifold.build(rng.normal(size=(n, d)).astype(dtype), full, bandwidth=0.7)


# -- surfaces ----------------------------------------------------------------------------------
def test_projection_and_normals_of_sphere_and_torus_in_closed_form():
    """x/|x|; and for the torus the point of the tube towards x from the nearest point of the
    circle. Newton's method reaches both to rounding (float64)."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 3))
    x *= (rng.uniform(0.7, 1.4, 50) / np.linalg.norm(x, axis=1))[:, None]
    sphere = RoundSphere()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(sphere.project(x), unit, atol=1e-12)
    np.testing.assert_allclose(sphere.normals(sphere.project(x)), unit, atol=1e-12)

    turn, tube = rng.uniform(0, 2 * np.pi, (2, 50))
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
    out = np.cos(tube)[:, None] * ring + np.sin(tube)[:, None] * np.array([[0, 0, 1.0]])
    near = ring + rng.uniform(0.3, 0.5, (50, 1)) * out
    torus = RoundTorus()
    np.testing.assert_allclose(torus.project(near), ring + 0.4 * out, atol=1e-12)
    np.testing.assert_allclose(torus.normals(ring + 0.4 * out), out, atol=1e-12)


def test_projection_onto_the_double_torus_is_along_the_normal():
    """x − p is parallel to ∇F(p) and F(p) = 0, which only nearest points (near the surface)
    satisfy; the distance of p + tn is t. Genus 2: the Euler characteristic −2 by Gauss–Bonnet,
    ∫K dA = −4π, with K from the Hessian and the area from the shell (4 standard errors)."""
    surface = DoubleTorus()
    p = surface.sample(jax.random.key(0), 4000)
    n = surface.normals(p)
    assert np.abs(jax.vmap(surface.level)(p)).max() < 1e-12
    np.testing.assert_allclose(surface.distance(p + 0.05 * n), 0.05, rtol=1e-9)
    np.testing.assert_allclose(surface.project(p + 0.05 * n), p, atol=1e-9)

    def gauss(x):
        """gᵀ adj(H) g / |g|⁴ of a level set."""
        g, h = jax.grad(surface.level)(x), jax.hessian(surface.level)(x)
        adjugate = jnp.stack(
            [jnp.cross(h[1], h[2]), jnp.cross(h[2], h[0]), jnp.cross(h[0], h[1])], axis=1
        )
        return g @ adjugate @ g / jnp.sum(g * g) ** 2

    curvature = np.asarray(jax.vmap(gauss)(p))
    half = np.asarray(surface.half_sides)
    x = half * np.random.default_rng(0).uniform(-1, 1, (400_000, 3))
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(surface.level)))(jnp.asarray(x))
    shell = np.mean(np.abs(value) < 0.02 * np.linalg.norm(slope, axis=1))
    area = shell * np.prod(2 * half) / 0.04
    total = area * curvature.mean()
    error = np.hypot(area * curvature.std() / np.sqrt(4000), total * np.sqrt(1 / (shell * 400_000)))
    assert error < 2.0
    assert abs(total + 4 * np.pi) < 4 * error


def test_clouds_are_even():
    """On the sphere each coordinate is uniform on [−1, 1] (Archimedes); on the torus the angle of
    the tube has density (1 + (r/R) cos v)/2π. Kolmogorov–Smirnov, n = 4000, at 1e-4."""
    from scipy import stats

    x = np.asarray(RoundSphere().sample(jax.random.key(3), 4000))
    for k in range(3):
        assert stats.kstest(x[:, k], stats.uniform(-1, 2).cdf).pvalue > 1e-4
    y = np.asarray(RoundTorus().sample(jax.random.key(3), 4000))
    v = np.arctan2(y[:, 2], np.hypot(y[:, 0], y[:, 1]) - 1.0)
    law = lambda t: (t + np.pi + 0.4 * np.sin(t)) / (2 * np.pi)  # noqa: E731
    assert stats.kstest(v, law).pvalue > 1e-4


def test_derivative_of_the_tangent_projector():
    """Central differences in float64, and finite where the leading eigenvalues are equal (which
    automatic differentiation of eigenvectors is not)."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    change = rng.normal(size=(4, 4))
    change = jnp.asarray(change + change.T)
    for values in ([3.0, 2.0, 0.5, 0.2], [2.0, 2.0, 0.5, 0.5]):
        matrix = jnp.asarray((basis * np.array(values)) @ basis.T)
        f = lambda t, m=matrix: tangent_projector(m + t * change, 2)  # noqa: E731
        up, down = f(1e-5), f(-1e-5)
        slope = jax.jvp(f, (0.0,), (1.0,))[1]
        for exact, plus, minus in zip(slope, up, down, strict=True):
            np.testing.assert_allclose(exact, (plus - minus) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_the_field_is_a_softmax_average_and_its_inverse_the_metric():
    """Direct sums in NumPy; the density is SciPy's; far away the nearest kernel decides, and the
    faded metric exceeds the other by α/((1 + α)K) = the factor written out."""
    from scipy import stats

    field = random_field()
    x = np.array([0.3, -0.2, 0.5])
    z, full = np.asarray(field.centres), np.asarray(field.covariances)
    weights = np.exp(-np.sum((x - z) ** 2, 1) / (2 * 0.7**2))
    mean = np.einsum("n,nij->ij", weights / weights.sum(), full)
    np.testing.assert_allclose(field.covariance(jnp.asarray(x)), mean, rtol=1e-12)
    np.testing.assert_allclose(field.metric(jnp.asarray(x)), np.linalg.inv(mean), rtol=1e-10)
    density = np.mean(
        [stats.multivariate_normal(m, c).pdf(x) for m, c in zip(z, full, strict=True)]
    )
    np.testing.assert_allclose(field.log_prob(jnp.asarray(x)), np.log(density), rtol=1e-12)

    among = [np.log(np.exp(-np.sum((c - z) ** 2, 1) / (2 * 0.7**2)).sum()) for c in z]
    k = weights.sum() / np.exp(np.median(among))
    faded = InverseCovariance(field, 0.3, 0.1).tensor(jnp.asarray(x))
    whole = np.linalg.inv(mean + 0.3 * np.eye(3)) * (k + 0.1) / (1.1 * k)
    np.testing.assert_allclose(faded, whole, rtol=1e-10)

    far = jnp.full(3, 1e3)
    nearest = np.argmin(np.sum((np.full(3, 1e3) - z) ** 2, 1))
    np.testing.assert_allclose(field.covariance(far), full[nearest], rtol=1e-9)
    metric = InducedMetric(random_field("float32"), 2, fade=0.1)
    slope = jax.grad(lambda y: jnp.sum(metric.tensor(y)))(far.astype(jnp.float32))
    assert np.isfinite(slope).all()


def test_the_ridge_is_where_the_density_is_flat_across():
    """Nᵀ∇log p = 0 by automatic differentiation of the density, against its size at the start; on
    one Gaussian kernel the ridge is the affine subspace through its mean (closed form)."""
    z = np.stack([np.linspace(-1, 1, 21), 0.3 * np.linspace(-1, 1, 21) ** 2], 1)
    slope = np.stack([np.ones(21), 0.6 * z[:, 0]], 1)
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    full = 0.01 * slope[:, :, None] * slope[:, None] + 4e-4 * np.eye(2)
    curve = LearnedManifold.build(z, full)
    start = jnp.asarray(z[3:18] + 0.05 * np.stack([-slope[3:18, 1], slope[3:18, 0]], 1))
    found = project_to_ridge(curve, start, 1, tolerance=1e-9, steps=300)
    assert found.converged.all()
    across = np.asarray(tangents(curve, found.points, 2))[:, 1]
    pull = jax.vmap(jax.grad(curve.log_prob))
    assert np.abs(np.sum(across * pull(found.points), 1)).max() < 1e-6
    assert np.linalg.norm(pull(start), axis=1).min() > 1.0

    one = LearnedManifold.build(np.zeros((2, 2)), np.stack([np.diag([4.0, 1.0])] * 2), bandwidth=1)
    flat = project_to_ridge(one, np.array([[1.5, 0.7]]), 1)
    np.testing.assert_allclose(flat.points, [[1.5, 0.0]], atol=1e-12)


def test_angles_and_dimensions_in_closed_form():
    """A plane turned by θ about a line in it has angle θ, also where cos θ = 1 to rounding; equal
    subspaces in other bases 0. Of eigenvalues (4, 2, 1/2) the largest gap is after the second,
    participation is 6.5²/20.25; without a gap of ``least_gap`` the dimension is D."""
    for angle in (1e-9, 0.3, np.pi / 2):
        a = np.array([[1.0, 0, 0], [0, 1, 0]])
        b = np.array([[1.0, 0, 0], [0, np.cos(angle), np.sin(angle)]])
        assert principal_angle(a, b) == pytest.approx(angle, rel=1e-9)
    turned = np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0]])
    assert principal_angle(a, turned) < 1e-12
    field = LearnedManifold.build(np.eye(3), np.stack([np.diag([0.5, 4.0, 2.0])] * 3))
    at = np.zeros((4, 3))
    found = intrinsic_dimension(field, at)
    assert (found.dim, found.agreement, found.std) == (2, 1.0, 0.0)
    np.testing.assert_allclose(found.participation, 6.5**2 / 20.25, rtol=1e-12)
    assert intrinsic_dimension(field, at, by="participation").dim == 2
    assert intrinsic_dimension(field, at, least_gap=5.0).dim == 3


def test_a_swiss_roll_in_six_dimensions_has_three():
    """(x, y, 2x + .1n₁, x + y + .1n₂, x − 2y + .1n₃, n₄) with a roll blurred by 0.2 in its plane:
    the plane's two lifted directions and the sixth axis stand out of the noise 0.1, so the
    dimension is 3 and the subspace their span. Covariances of 20 neighbours, in place of learned
    ones (``benchmarks/manifold_learning.py`` has those); measured: median 4.0°, 86 %."""
    from scorefold.manifolds import nearest

    rng = np.random.default_rng(0)
    t = rng.uniform(1.5 * np.pi, 4.5 * np.pi, 2000)
    roll = (t / 5)[:, None] * np.stack([np.cos(t), np.sin(t)], 1) + 0.2 * rng.normal(size=(2000, 2))
    noise = rng.normal(size=(2000, 4))
    lifted = roll @ np.array([[2.0, 0], [1, 1], [1, -2]]).T + 0.1 * noise[:, :3]
    x = np.concatenate([roll, lifted, noise[:, 3:]], 1)
    near = x[nearest(sf.Euclidean(6), x, x, 20)[0]]
    away = near - near.mean(1, keepdims=True)
    learned = LearnedManifold.build(near.mean(1), np.einsum("nki,nkj->nij", away, away) / 20)
    plane = np.array([[1, 0, 2, 1, 1, 0], [0, 1, 0, 1, -2, 0], [0, 0, 0, 0, 0, 1.0]])
    truth = np.broadcast_to(np.linalg.qr(plane.T)[0].T, (200, 3, 6))
    assert np.degrees(np.median(principal_angle(tangents(learned, x[:200], 3), truth))) < 6.0
    found = intrinsic_dimension(learned, x[:200])
    assert found.dim == 3
    assert found.agreement > 0.75


def test_errors_name_the_rows_and_the_fix():
    z = np.arange(6.0).reshape(3, 2)
    bad = np.stack([np.eye(2), np.diag([1.0, 0.0]), np.eye(2)])
    with pytest.raises(ValueError, match=r"covariances: 1 of 3 rows.*positive definite.*rows 1"):
        LearnedManifold.build(z, bad)
    with pytest.raises(ValueError, match=r"bandwidth: must be positive.*state one"):
        LearnedManifold.build(np.zeros((3, 2)), np.stack([np.eye(2)] * 3))
    far = np.concatenate([z, z + 1e3])
    split = LearnedManifold.build(far, np.stack([np.eye(2)] * 6))
    with pytest.raises(ValueError, match=r"no path in the graph of 2 neighbours joins rows 0"):
        geodesics(InverseCovariance(split), far[:1], far[-1:], neighbours=2)
    with pytest.raises(ValueError, match="dim: must be from 1 to 1"):
        project_to_ridge(split, z, 2)
    with pytest.raises(ValueError, match="dim: must be from 1 to 1"):
        InducedMetric(split, 2)
