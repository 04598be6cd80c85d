"""Synthetic targets: densities integrate to one, samples follow them, scores are gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.data import DataError, HeatMixture, load, target
from scorefold.manifolds import SO3, Euclidean, Sphere

KEY = jax.random.key(0)
PLANE = ("gaussians-8", "swissroll", "moons", "spirals", "checkerboard", "pinwheel")


@pytest.mark.parametrize("name", PLANE)
def test_plane_density_integrates_to_one_and_counts_the_samples(name):
    """Oracle: a midpoint sum over a fine grid, and the share of 4000 samples in each quarter of
    the plane, whose standard error is at most 0.008."""
    law = target(name).make(KEY)
    edges = np.linspace(-6, 6, 241)
    middle = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    mass = np.exp(law.log_prob(grid)) * (edges[1] - edges[0]) ** 2
    np.testing.assert_allclose(mass.sum(), 1.0, atol=1e-3)
    x = np.asarray(law.sample(jax.random.key(1), 4000))
    for sx in (-1, 1):
        for sy in (-1, 1):
            inside = (sx * grid[..., 0] > 0) & (sy * grid[..., 1] > 0)
            counted = ((sx * x[:, 0] > 0) & (sy * x[:, 1] > 0)).mean()
            np.testing.assert_allclose(counted, mass[inside].sum(), atol=4 * 0.008)


@pytest.mark.parametrize("name", ["pinwheel", "swissroll"])
def test_mean_log_density_of_samples_is_minus_the_entropy(name):
    """∫ p log p by quadrature against the mean over 4000 samples; log p has standard deviation
    of about 1, so four standard errors are 0.07."""
    law = target(name).make(KEY)
    middle = np.linspace(-6, 6, 240, endpoint=False) + 0.025
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    log_p = np.asarray(law.log_prob(grid))
    entropy = -(np.exp(log_p) * log_p).sum() * 0.05**2
    drawn = law.log_prob(law.sample(jax.random.key(2), 4000)).mean()
    np.testing.assert_allclose(drawn, -entropy, atol=0.07)


def test_checkerboard_is_uniform_on_half_the_board():
    law = target("checkerboard").make(KEY)
    x = np.array([[-3.9, -3.9], [-1.9, -3.9], [3.9, 3.9], [4.1, 4.1]])
    np.testing.assert_allclose(law.log_prob(x), [-np.log(32), -np.inf, -np.log(32), -np.inf])


def test_plane_mixture_equals_the_gaussian_mixture_at_every_noise_level():
    """Oracle: scipy.stats.multivariate_normal with variance s + extra."""
    from scipy.stats import multivariate_normal

    centres, s, w = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([0.3, 0.8]), np.array([1.0, 3.0])
    law = HeatMixture(Euclidean(2), centres, s, w)
    x = np.random.default_rng(0).normal(size=(5, 2))
    for extra in (0.0, 0.7):
        parts = [multivariate_normal(c, v + extra).pdf(x) for c, v in zip(centres, s, strict=True)]
        p = w / 4 @ np.array(parts)
        np.testing.assert_allclose(law.log_prob(x, extra), np.log(p), rtol=1e-12)
        pulls = [-(x - c) / (v + extra) for c, v in zip(centres, s, strict=True)]
        score = sum((k * q)[:, None] * g for k, q, g in zip(w / 4, parts, pulls, strict=True))
        np.testing.assert_allclose(law.score(x, extra), score / p[:, None], rtol=1e-10, atol=1e-12)
    single = law.log_prob(x[0].astype(np.float32))
    assert single.shape == () and single.dtype == jnp.float32


def test_sphere_mixture_integrates_to_one_and_its_score_is_the_gradient():
    """Oracle: product quadrature on the sphere (Gauss in z, equal angles), and differences."""
    law = HeatMixture(Sphere(2), np.eye(3), [0.05, 0.1, 0.2], [1.0, 2.0, 3.0])
    z, weight = np.polynomial.legendre.leggauss(40)
    angle = 2 * np.pi * np.arange(80) / 80
    r = np.sqrt(1 - z**2)[:, None]
    x = np.stack(
        [r * np.cos(angle), r * np.sin(angle), np.broadcast_to(z[:, None], (40, 80))], axis=-1
    )
    # Central differences along two tangent directions; their error is of order h² = 1e-8.
    point, h = x[10, 7], 1e-4
    directions = np.linalg.svd(point[None])[2][1:]
    ends = np.stack([point + h * directions, point - h * directions]) / np.sqrt(1 + h * h)
    log_p = np.asarray(law.log_prob(np.concatenate([x.reshape(-1, 3), ends.reshape(-1, 3)])))
    up, down = log_p[-4:].reshape(2, 2)
    slopes = directions @ np.asarray(law.score(point))
    np.testing.assert_allclose(slopes, (up - down) / (2 * np.arctan(h)), atol=1e-6)
    mass = np.exp(log_p[:-4]).reshape(40, 80) * weight[:, None] * (2 * np.pi / 80)
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=1e-6)
    # E x = Σ w_k e^{−s_k} c_k: the first eigenvalue of −Δ is 2, the generator is ½Δ.
    mean = (mass[..., None] * x).sum(axis=(0, 1))
    expected = np.array([1.0, 2.0, 3.0]) / 6 * np.exp(-np.array([0.05, 0.1, 0.2]))
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


@pytest.mark.slow
def test_rotation_mixture_has_the_published_optimum():
    """Separated modes: mean log p = −log M − 3/2·(1 + log 2π s) averaged over the s_k, since each
    heat kernel is a Gaussian of variance s to O(s). The published log-likelihoods of the best
    models on M = 16 are 0.89 ± 0.03 (De Bortoli et al. 2022, table 4): our convention is theirs."""
    law = target("so3-mixture-16").make(jax.random.key(3))
    assert law.manifold == SO3() and law.centres.shape == (16, 3, 3)
    np.testing.assert_allclose(law.s, 1 / 200, rtol=0.5)
    mean = float(law.log_prob(law.sample(jax.random.key(4), 2000)).mean())
    gaussian = -np.log(16) - 1.5 * (1 + np.log(2 * np.pi * np.asarray(law.s))).mean()
    # Overlap of modes only raises the density; 2000 draws of standard deviation 1.2: 0.11.
    np.testing.assert_allclose(mean, gaussian, atol=0.13)
    np.testing.assert_allclose(mean, 0.89, atol=0.15)


def test_torus_target_is_the_wrapped_normal():
    """mean log p = −d/2·(1 + log(2π·0.04)) exactly; standard error sqrt(d/2/4000) = 0.035."""
    data = load("torus-10", n=4000, seed=5)
    assert data.manifold.name == "T^10" and data.law.s.tolist() == [0.04]
    found = float(data.law.log_prob(data.train).mean())
    np.testing.assert_allclose(found, -5 * (1 + np.log(2 * np.pi * 0.04)), atol=0.16)


def test_hyperbolic_target_has_its_modes_at_the_published_centres():
    """E x₀ under the heat kernel of H² is e^{s} times that of the centre (Δx₀ = 2x₀); the centres
    have x₀ = (1 + 0.16)/(1 − 0.16). Standard deviation of x₀ is about 0.4: error of 4000, 0.025."""
    law = target("hyperbolic-mixture").make(KEY)
    x = np.asarray(law.sample(jax.random.key(6), 4000))
    np.testing.assert_allclose(x[:, 0].mean(), np.exp(0.04) * 1.16 / 0.84, atol=0.03)
    np.testing.assert_allclose(x[:, 1:].mean(axis=0), 0.0, atol=4 * 0.9 / np.sqrt(4000))


def test_loading_is_a_function_of_the_seed():
    a, b, c = (load("moons", n=100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.train, b.train)
    assert not np.array_equal(a.train, c.train)
    assert [len(a.train), len(a.val), len(a.test)] == [80, 10, 10]
    assert list(a.to_units(a.test).columns) == ["x0", "x1"]


def test_bad_mixtures_are_refused():
    with pytest.raises(DataError, match="s: row 1 not a positive"):
        HeatMixture(Euclidean(1), [[0.0], [1.0]], [1.0, 0.0])
    with pytest.raises(DataError, match="weights: has shape"):
        HeatMixture(Euclidean(1), [[0.0], [1.0]], 1.0, [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="centres"):
        HeatMixture(Sphere(2), [[0.0, 0.0, 0.0]], 1.0)
    with pytest.raises(DataError, match="end in"):
        HeatMixture(Euclidean(2), [[0.0, 0.0]], 1.0).log_prob(np.zeros((4, 3)))
    with pytest.raises(DataError, match="no published split"):
        load("moons", protocol="published")
