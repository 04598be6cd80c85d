"""The walk, its grids, the composition of steps and the checks at the edge of the samplers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.manifolds import Euclidean, Sphere, Torus
from scorefold.noising import Brownian, VarianceExploding
from scorefold.samplers import (
    Corrected,
    ForwardStep,
    GeodesicStep,
    LangevinCorrector,
    ReverseStep,
    denoise,
    density_mass,
    refined_grid,
    sample_reverse,
    uniform_grid,
    walk,
)


class NoScore(eqx.Module):
    """The score of the uniform law."""

    def __call__(self, x, s):
        return jnp.zeros_like(x)


def test_walk_is_the_loop_it_stands_for():
    """The kept path starts at x, ends at the result and is step(fold_in(key, k), …) by hand; the
    general step with zero drift is the forward step of Brownian motion."""
    sphere = Sphere(2)
    step = GeodesicStep(sphere, NoScore())
    x, key = sphere.origin(jnp.float64), jax.random.key(0)
    grid = uniform_grid(0.0, 0.3, 3, jnp.float64)
    path = walk(step, key, x, grid, keep=True)
    y = x
    for k in range(3):
        np.testing.assert_allclose(path[k], y, atol=1e-14)
        y = step(jax.random.fold_in(key, k), y, grid[k], grid[k + 1] - grid[k])
    np.testing.assert_allclose(path[3], y, atol=1e-14)
    np.testing.assert_array_equal(walk(step, key, x, grid), path[3])
    np.testing.assert_array_equal(walk(ForwardStep(Brownian(sphere)), key, x, grid), path[3])


@pytest.mark.fault(32, "the sampler's own walk on the sphere")
def test_ten_thousand_steps_stay_on_the_sphere():
    sphere = Sphere(2)
    grid = uniform_grid(0.0, 100.0, 10_000, jnp.float32)
    x = walk(ForwardStep(Brownian(sphere)), jax.random.key(1), sphere.origin(jnp.float32), grid)
    assert float(sphere.defect(x)) <= 1e-6
    assert float(sphere.dist(x, sphere.origin(jnp.float32))) > 0.1


def test_refined_grid_spaces_log_s_plus_s_evenly():
    grid = np.asarray(refined_grid(5.0, 1e-3, 200, jnp.float64))
    assert grid[0] == 5.0 and grid[-1] == 1e-3 and len(grid) == 201
    gaps = np.diff(np.log(grid) + grid)
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-3)
    upward = np.asarray(refined_grid(1e-3, 5.0, 200, jnp.float64))
    np.testing.assert_array_equal(upward, grid[::-1])
    with pytest.raises(ValueError, match="start, end > 0"):
        refined_grid(5.0, 0.0, 10)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        uniform_grid(0.0, 1.0, 0)
    with pytest.raises(ValueError, match="end must be a finite"):
        uniform_grid(0.0, float("nan"), 3)


def test_corrected_is_the_predictor_then_the_corrector_at_the_new_level():
    class Centre(eqx.Module):
        def __call__(self, x, s):
            return -x / (1.0 + s)

    noising = VarianceExploding(Euclidean(2))
    predictor = ReverseStep(noising, Centre())
    corrector = LangevinCorrector(noising.manifold, Centre(), size=0.2)
    x, s, ds = jnp.asarray([1.0, -2.0]), jnp.asarray(0.5), jnp.asarray(-0.1)
    key = jax.random.key(3)
    first, rest = jax.random.split(key)
    by_hand = predictor(first, x, s, ds)
    h = 0.2 * 0.4 / 1.4
    for k in range(2):
        z = jax.random.normal(jax.random.fold_in(rest, k), (2,), x.dtype)
        by_hand = by_hand + 0.5 * h * (-by_hand / 1.4) + np.sqrt(h) * z
    np.testing.assert_allclose(Corrected(predictor, corrector, 2)(key, x, s, ds), by_hand)
    with pytest.raises(ValueError, match="size must be positive"):
        LangevinCorrector(noising.manifold, Centre(), size=0.0)


def test_denoise_is_the_posterior_mean_on_flat_space():
    """x₀ ~ N(0, σ²I), x = x₀ + √s Z: E[x₀ | x] = σ²x/(σ² + s)."""
    noising = VarianceExploding(Euclidean(2))
    x, s, variance = jnp.asarray([1.0, -2.0]), jnp.asarray(0.3), 0.7
    mean = denoise(noising, lambda p, level: -p / (variance + level), x, s)
    np.testing.assert_allclose(mean, variance * x / (variance + s), rtol=1e-12)


def test_reverse_sampling_is_a_function_of_its_key_and_refuses_bad_levels():
    noising = Brownian(Sphere(2))
    draw = lambda key: sample_reverse(  # noqa: E731
        noising, NoScore(), key, 16, s_min=0.01, steps=5, dtype=jnp.float32
    )
    a, b, c = draw(jax.random.key(0)), draw(jax.random.key(0)), draw(jax.random.key(1))
    np.testing.assert_array_equal(a, b)
    assert a.dtype == jnp.float32 and float(jnp.abs(a - c).max()) > 0.1
    with pytest.raises(ValueError, match="s_max must be finite and above"):
        sample_reverse(noising, NoScore(), jax.random.key(0), 4, s_min=0.5, s_max=0.1)

    def diverges(x, s):
        return x / jnp.zeros_like(s)

    with pytest.raises(FloatingPointError, match="samples: 4 of 4 rows are not finite"):
        sample_reverse(noising, diverges, jax.random.key(0), 4, s_min=0.1, steps=2)


class Normal(eqx.Module):
    """N(0, σ²I) on R²."""

    sigma: float

    def log_prob(self, x):
        return -0.5 * jnp.sum((x / self.sigma) ** 2, axis=-1) - np.log(2 * np.pi * self.sigma**2)

    def sample(self, key, n):
        return self.sigma * jax.random.normal(key, (n, 2))


def test_normalisation_of_densities_with_known_mass():
    """A von Mises–Fisher density on S² (κ = 20: log(κ/4π sinh κ)), twice it on S¹'s analogue
    I₀, and half of a normal law on R² by importance sampling."""
    kappa = 20.0
    log_c = np.log(kappa / (4 * np.pi * np.sinh(kappa)))
    on_sphere = density_mass(lambda x: kappa * x[:, 2] + log_c, Sphere(2), n=2000)
    assert abs(on_sphere.value - 1) < 1e-12 and on_sphere.error < 1e-9
    log_c = -np.log(2 * np.pi * np.i0(3.0))
    on_circle = density_mass(lambda x: 3.0 * x[:, 0] + log_c + np.log(2.0), Sphere(1), n=64)
    assert abs(on_circle.value - 2) < 1e-12

    def wrapped(x):
        return jnp.sum(jnp.cos(x), axis=-1) - 2 * np.log(2 * np.pi * np.i0(1.0))

    on_torus = density_mass(wrapped, Torus(2), jax.random.key(0), n=4096)
    assert abs(on_torus.value - 1) < 4 * on_torus.error < 0.1

    target, proposal = Normal(1.0), Normal(1.3)
    half = density_mass(
        lambda x: target.log_prob(x) - np.log(2.0), Euclidean(2), jax.random.key(1),
        n=4096, proposal=proposal,
    )  # fmt: skip
    assert abs(half.value - 0.5) < 4 * half.error < 0.05
    with pytest.raises(ValueError, match="pass key="):
        density_mass(wrapped, Torus(2))
    with pytest.raises(ValueError, match="pass proposal="):
        density_mass(target.log_prob, Euclidean(2), jax.random.key(0))
