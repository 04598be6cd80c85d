"""The orders that the steps declare, measured against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.mixture import mixture

from scorefold.manifolds import Euclidean, Sphere
from scorefold.noising import Brownian, OrnsteinUhlenbeck
from scorefold.samplers import (
    FlowStep,
    ForwardStep,
    HeunFlowStep,
    LangevinCorrector,
    ProbabilityFlow,
    ReverseStep,
    refined_grid,
    sample_reverse,
    uniform_grid,
    walk,
)


def slope(steps, errors):
    """Order of convergence: minus the slope of log error against log steps."""
    return -np.polyfit(np.log(steps), np.log(np.abs(errors)), 1)[0]


def step_factor(h):
    """E cos r for one geodesic step of variance h on S²: r = √h ρ, ρ of density ρ e^{−ρ²/2}.

    cos θ is an eigenfunction whatever the radial law, so N steps give the factor to the N."""
    rho, w = np.polynomial.legendre.leggauss(200)
    rho, w = 6 * (rho + 1), 6 * w
    return np.sum(w * np.cos(np.sqrt(h) * rho) * rho * np.exp(-(rho**2) / 2))


def test_geodesic_walk_on_the_sphere_has_the_bias_of_its_steps():
    """s = 1, 20 000 walks: E cos θ is (one-step factor)^N within 4 standard errors, which for
    N = 2 is more than 4 standard errors below e^{−s}; the exact factor has relative bias
    −s²/6N to leading order, so weak order 1."""
    noising = Brownian(Sphere(2))
    north = noising.manifold.origin(jnp.float64)
    bias = {}
    for n in (2, 8):
        grid = uniform_grid(0.0, 1.0, n, jnp.float64)
        run = jax.jit(jax.vmap(lambda k, g=grid: walk(ForwardStep(noising), k, north, g)))
        cosine = np.asarray(run(jax.random.split(jax.random.key(n), 20_000)))[:, 0]
        error = cosine.std() / np.sqrt(len(cosine))
        assert abs(cosine.mean() - step_factor(1.0 / n) ** n) < 4 * error
        bias[n] = (cosine.mean() - np.exp(-1.0)) / error
    assert bias[2] < -4
    steps = np.asarray([64, 128, 256])
    relative = np.asarray([step_factor(1.0 / n) ** n * np.e - 1 for n in steps])
    np.testing.assert_allclose(relative, -1 / (6 * steps), rtol=0.02)
    assert abs(slope(steps, relative) - 1) < 0.02


def test_forward_walk_on_flat_space_contracts_by_its_exact_factor():
    """Euler–Maruyama for dX = −½X ds + dB: with one key the noise cancels, and two walks differ
    by (1 − ds/2)^N exactly; the limit is e^{−s/2}, order 1."""
    noising = OrnsteinUhlenbeck(Euclidean(2))
    x, y = jnp.asarray([1.0, 2.0]), jnp.asarray([-3.0, 0.5])
    errors, steps = [], np.asarray([8, 16, 32])
    for n in steps:
        grid = uniform_grid(0.0, 2.0, int(n), jnp.float64)
        a, b = (walk(ForwardStep(noising), jax.random.key(0), p, grid) for p in (x, y))
        np.testing.assert_allclose(a - b, (1 - 1 / n) ** n * (x - y), rtol=1e-12)
        errors.append(float((a - b)[0] / (x - y)[0]) - np.exp(-1.0))
    assert abs(slope(steps, errors) - 1) < 0.1


class GaussianScore(eqx.Module):
    """Score of N(0, σ²) data noised by OrnsteinUhlenbeck: variance v(s) = 1 + (σ² − 1)e^{−s}."""

    variance: float = 0.25

    def __call__(self, x, s):
        return -x / (1.0 + (self.variance - 1.0) * jnp.exp(-s))


def test_reverse_walk_of_a_gaussian_has_order_one():
    """Two reverse walks with one key differ by Π(1 + (½ − 1/v)·ds); exactly, from s = b to a,
    by e^{(b−a)/2}·(e^a + σ² − 1)/(e^b + σ² − 1). On a refined grid the error halves with N."""
    noising, score = OrnsteinUhlenbeck(Euclidean(1)), GaussianScore()
    top, end = 3.0, 0.05
    exact = np.exp((top - end) / 2) * (np.exp(end) - 0.75) / (np.exp(top) - 0.75)
    errors, steps = [], np.asarray([64, 128, 256])
    for n in steps:
        grid = refined_grid(top, end, int(n), jnp.float64)
        a, b = (
            walk(ReverseStep(noising, score), jax.random.key(0), jnp.asarray([p]), grid)
            for p in (1.0, 0.0)
        )
        errors.append(float((a - b)[0]) - exact)
    assert abs(slope(steps, errors) - 1) < 0.15


@pytest.mark.parametrize(("make", "order"), [(FlowStep, 1), (HeunFlowStep, 2)])
def test_probability_flow_steps_have_their_order(make, order):
    """Flat Gaussian: the flow carries x to x·√(v(end)/v(start)); both steps on uniform grids."""
    noising, score = OrnsteinUhlenbeck(Euclidean(1)), GaussianScore()
    exact = np.sqrt((1 - 0.75 * np.exp(-0.05)) / (1 - 0.75 * np.exp(-2.0)))
    steps = np.asarray([64, 128, 256])
    errors = [
        float(
            walk(
                make(ProbabilityFlow(noising, score)),
                jax.random.key(0),
                jnp.ones(1),
                uniform_grid(2.0, 0.05, int(n), jnp.float64),
            )[0]
        )
        - exact
        for n in steps
    ]
    assert abs(slope(steps, errors) - order) < 0.2


def zonal(x, s):
    """2e^{−s}·∇(axis·x) on S²: a smooth, time-dependent field along meridians."""
    axis = jnp.zeros_like(x).at[0].set(1.0)
    return 2.0 * jnp.exp(-s) * (axis - x[0] * x)


@pytest.mark.parametrize(("make", "order"), [(FlowStep, 1), (HeunFlowStep, 2)])
def test_flow_steps_keep_their_order_on_the_sphere(make, order):
    """dx/ds = −e^{−s}∇(axis·x): the angle θ obeys θ' = e^{−s} sin θ, so
    tan(θ/2) = tan(θ₀/2)·exp(e^{−s₀} − e^{−s})."""
    noising = Brownian(Sphere(2))
    start, end = 0.0, 1.5
    x = jnp.asarray([np.cos(0.7), np.sin(0.7), 0.0])
    half = np.tan(0.35) * np.exp(np.exp(-start) - np.exp(-end))
    exact = np.cos(2 * np.arctan(half))
    steps = np.asarray([32, 64, 128])
    errors = [
        float(
            walk(
                make(ProbabilityFlow(noising, zonal)),
                jax.random.key(0),
                x,
                uniform_grid(start, end, int(n), jnp.float64),
            )[0]
        )
        - exact
        for n in steps
    ]
    assert abs(slope(steps, errors) - order) < 0.15


def test_reverse_walk_reproduces_a_mixture_on_the_sphere():
    """E x = e^{−s} Σ w_k c_k at s_min (first eigenfunctions): 2000 draws, 50 steps and one
    Langevin correction after each. Tolerance 4 standard errors plus 0.01 for the bias of the
    steps."""
    law = mixture(Brownian(Sphere(2)))
    x = sample_reverse(
        law.noising, law, jax.random.key(1), 2000, s_min=0.1, steps=50, corrector_steps=1,
        dtype=jnp.float32,
    )  # fmt: skip
    x = np.asarray(x, np.float64)
    exact = np.exp(-0.1) * np.asarray(law.weights) @ np.asarray(law.centres)
    error = 4 * x.std(axis=0) / np.sqrt(len(x)) + 0.01
    assert np.all(np.abs(x.mean(axis=0) - exact) < error)
    assert np.abs(exact).max() > 8 * error.max()


def test_langevin_corrector_leaves_its_law_in_place():
    """Flat N(0, v): the chain x ← (1 − h/2v)x + √h Z is stationary at v/(1 − h/4v). 40 000 points
    start there and stay for 20 steps: variance within 4 standard errors (v√(2/n)); started at
    v/2 they arrive at the same law."""
    noising, level = OrnsteinUhlenbeck(Euclidean(1)), 0.5
    corrector = LangevinCorrector(noising.manifold, GaussianScore(), size=0.3)
    h = 0.3 * level / (1 + level)
    v = 1 - 0.75 * np.exp(-level)
    stationary = v / (1 - h / (4 * v))

    def stay(key, x):
        at = jnp.full(41, level)
        return walk(corrector, key, x, at)

    n = 40_000
    z = jax.random.normal(jax.random.key(0), (n, 1))
    for first in (stationary, v / 2):
        x = jax.jit(jax.vmap(stay))(jax.random.split(jax.random.key(1), n), np.sqrt(first) * z)
        found = float(jnp.var(x))
        assert abs(found - stationary) < 4 * stationary * np.sqrt(2 / n)
