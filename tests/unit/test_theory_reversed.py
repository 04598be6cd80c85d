"""The experiment on Theorem 2: the quadrature against the library's kernel, walk and sampler."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bench.theory import reversed_circle as circle
from scorefold.bench.theory import reversed_sphere as sphere
from scorefold.bench.theory import reversed_walk
from scorefold.bench.theory.reversed_sweeps import overshoot
from scorefold.bench.theory.reversed_walk import ADVERSE, HORIZON, ROTATION, STEP
from scorefold.data import HeatMixture
from scorefold.noising import Brownian
from scorefold.samplers import ReverseStep, uniform_grid, walk


def walked(horizon, steps, size=0.0, adverse=True):
    law, at = circle.data_law(), jnp.asarray(horizon)
    start = circle.coefficients(law, at)
    return circle._walk(law, start, at, jnp.asarray(steps), jnp.asarray(size), jnp.asarray(adverse))


def test_one_step_is_the_transition_by_the_heat_kernel():
    law, s, y = circle.data_law(), 0.2, circle.nodes()[:, None]

    @jax.jit
    def matrix(score):
        ends = jax.vmap(circle.CIRCLE.exp)(y, s * score)
        kernel = jax.vmap(jax.vmap(circle.CIRCLE.heat.log_prob, (None, 0, None)), (0, None, None))
        return jnp.exp(kernel(y, ends, s)) * (2.0 * math.pi / circle.NODES)

    oracle = matrix(law.score(y, s)) @ jnp.exp(law.log_prob(y, s))
    np.testing.assert_allclose(circle.density(walked(s, 1)), oracle, atol=1e-10)


def test_the_law_of_the_library_s_walk():
    """Means of e^{−ikY} of 10,000 walks of 8 steps with a wrong score, against the quadrature."""
    law, n, T = circle.data_law(), 10_000, 2.0

    def wrong(x, s):
        return law.score(x, s) + 0.5

    step = ReverseStep(Brownian(circle.CIRCLE), wrong)
    later = HeatMixture(circle.CIRCLE, law.centres, law.s + T, law.weights)
    first, second = jax.random.split(jax.random.key(0))
    grid = uniform_grid(T, 0.0, 8, jnp.float64)
    run = jax.jit(jax.vmap(lambda k, x: walk(step, k, x, grid)))
    ends = run(jax.random.split(second, n), later.sample(first, n))
    found = np.exp(-1j * np.arange(1, 4) * np.asarray(ends)).mean(axis=0)
    exact = np.asarray(walked(T, 8, 0.5, adverse=False))[1:4]
    assert np.abs(found - exact).max() < 4.5 / math.sqrt(n)


def test_small_steps_lead_to_the_reversed_diffusion():
    """From p_T to p₀; and the closed form from the uniform law by extrapolation in γ."""
    law, T = circle.data_law(), 1.0
    few, many = (walked(T, n) for n in (200, 400))
    exact = circle.coefficients(law, jnp.asarray(0.0))
    np.testing.assert_allclose(2.0 * many - few, exact, atol=2e-5)
    uniform, at = jnp.zeros_like(exact).at[0].set(1.0), jnp.asarray(T)
    few, many = (
        circle._walk(law, uniform, at, jnp.asarray(n), jnp.asarray(0.0), jnp.asarray(True))
        for n in (200, 400)
    )
    np.testing.assert_allclose(2.0 * many - few, circle.reversal(law, at), atol=2e-5)


def test_distance_on_the_circle():
    """A narrow law turned by 0.3 has moved by 0.3; a law is nowhere from itself."""
    c = jnp.exp(-0.01 * jnp.arange(circle.MODES + 1.0) ** 2).astype(complex)
    turned = c * jnp.asarray(np.exp(-0.3j * np.arange(circle.MODES + 1)))
    assert circle.distance(c, turned) == pytest.approx(0.3, rel=1e-5)
    assert circle.distance(c, c) == 0.0


def test_errors_of_the_score_are_bounded_by_one_and_push():
    law = circle.data_law()
    field = circle.adverse_field(law, jnp.asarray(0.5))
    assert float(jnp.abs(field).max()) <= 1.0
    sine = [-float(walked(1.0, 100, size)[1].imag) for size in (0.0, 0.1)]
    rotated = -float(walked(1.0, 100, 0.1, adverse=False)[1].imag)
    assert sine[1] - sine[0] > abs(rotated - sine[0]) > 0.0


def test_the_way_back_forgets_as_fast_as_the_way_there():
    """W₁ ∝ e^{−λ₁T}: e^{−λ₁T/2} of p_T − uniform, and as much again by the reversal."""
    law = circle.data_law()
    ratio = circle.reversal_error(law, 9.0) / circle.reversal_error(law, 10.0)
    assert ratio == pytest.approx(math.e, rel=1e-3)
    assert sphere.reversal_error(5.0) / sphere.reversal_error(6.0) == pytest.approx(
        math.e**2, rel=1e-3
    )


def test_the_angle_on_the_sphere():
    """E cos θ = Σ ±w e^{−s}: the first eigenvalue of −½Δ is 1."""
    exact = 0.6 * math.exp(-0.15) - 0.4 * math.exp(-0.3)
    assert np.cos(sphere.quantiles(20_000)).mean() == pytest.approx(exact, abs=1e-5)
    assert sphere.distance(sphere.quantiles(1000) + 0.0) == 0.0


def test_draws_on_the_sphere_reach_the_floor():
    """40 steps of the walk leave γ ≈ 0.006 of W₁ beside the noise of 2000 draws."""
    n, floor = 2000, sphere.floor(jax.random.key(1), 2000)
    assert 0.005 < floor < 0.04
    near, far = (sphere.walk_error(jax.random.key(0), n, 0.2, 32, size=size) for size in (0.0, 3.0))
    assert near < 2.5 * floor and far > 4.0 * floor


def test_overshoot_of_a_bound():
    t = np.array([1.0, 2.0, 4.0])
    assert overshoot(np.ones(3), np.exp(t)) == pytest.approx(math.exp(3.0))
    assert overshoot(2.0 * t, t) == pytest.approx(1.0)


def test_figure_and_sentence_come_from_numbers_alone():
    found = {
        ("S^1", swept): reversed_walk.measure("S^1", swept, "quick") for swept in (HORIZON, STEP)
    }
    said = reversed_walk.sentence(found)
    assert "a = 1.000 on S^1" in said and "its order is 1.0" in said
    assert len(reversed_walk.figure(found).axes) == 4
    names = {(space, swept) for space, swept, _ in reversed_walk.cells("quick")}
    assert names == {("S^1", s) for s in (HORIZON, ADVERSE, ROTATION, STEP)} | {
        ("S^2", s) for s in (HORIZON, ADVERSE, STEP)
    }
