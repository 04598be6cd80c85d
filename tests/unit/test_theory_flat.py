"""Experiments on theorems, walks and targets: against closed forms and against the library's own
draws."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import dawsn
from scipy.stats import kstest, norm, rice

from scorefold.bench.theory import circle_in_plane as circle
from scorefold.bench.theory import (
    flat_total_variation,
    manifold_hypothesis,
    target_variance,
    targets,
    weak_walk,
)
from scorefold.bench.theory import normals_on_line as line
from scorefold.bench.theory.ends import last_order, last_rate, limit
from scorefold.bench.theory.quadrature import trapezoid_cdf
from scorefold.manifolds import SO3, Sphere
from scorefold.noising import Langevin, OrnsteinUhlenbeck
from scorefold.noising.geodesic import geodesic_walk
from scorefold.samplers import ReverseStep, sample_reverse, uniform_grid, walk

KEY = jax.random.key(0)
X = np.linspace(-8.0, 8.0, 2001)


def test_orders_and_limits():
    x = [0.4, 0.2, 0.1, 0.05]
    assert abs(last_order(x, [3.0 * a**1.5 for a in x]) - 1.5) < 1e-12
    assert abs(last_rate(x, [3.0 * math.exp(-2.0 * a) for a in x]) - 2.0) < 1e-12
    assert abs(limit(x, [1.0 + 2.0 * a for a in x]) - 1.0) < 1e-12


# -- R ---------------------------------------------------------------------------------------------
def test_the_walk_to_one_normal_law_is_normal():
    """Its score is linear: mean and variance follow from step to step."""
    data = line.TwoNormals((1.0, 1.0), (0.5, 0.5), 1)
    size, steps = 0.3, 20
    found = line.walk_law(data, "reference", 2.0, 0.1, X, (size, 0.0, 0.0, 0.0))
    mean, variance = 0.0, 1.0
    for s in np.linspace(4.0, 0.0, steps + 1)[:-1]:
        centre, spread = math.exp(-0.5 * (s + 0.2)), -math.expm1(-s - 0.2)
        # x + ds (x/2 + score), ds = 0.2
        mean += 0.2 * (0.5 * mean - (mean - centre) / spread + size)
        variance = (1.0 + 0.2 * (0.5 - 1.0 / spread)) ** 2 * variance + 0.2
    assert np.abs(found - norm.pdf(X, mean, math.sqrt(variance))).max() < 1e-9


def test_the_law_of_the_walk_is_that_of_draws():
    """20,000 draws of the library's step."""
    data = line.LAWS["two normal laws"]
    process = OrnsteinUhlenbeck(1)
    arrays = [jnp.asarray(a) for a in (data.centres, data.weights)]
    step = ReverseStep(process, lambda x, s: line.noised(*arrays, s).score(x))
    grid = uniform_grid(2.0, 0.0, 10)

    @jax.jit
    @jax.vmap
    def draw(key):
        start, path = jax.random.split(key)
        return walk(step, path, jax.random.normal(start, (1,)), grid)[0]

    x = np.asarray(draw(jax.random.split(KEY, 20_000)))
    cdf = trapezoid_cdf(X, line.walk_law(data, "reference", 1.0, 0.1, X))
    assert abs(cdf[-1] - 1.0) < 1e-5
    assert kstest(x, lambda t: np.interp(t, X, cdf)).pvalue > 1e-3


@pytest.mark.parametrize("name", ["two normal laws", "standardised"])
def test_the_reversal_forgets_as_fast_as_the_noising(name):
    """½ e^{−2kT} |a_k| E|He_k − a_k|/k!, and of normal laws ½|m| E|x − m| in closed form."""
    data = line.LAWS[name]
    p, q = (line.walk_law(data, b, 2.0, 0.02, X) for b in ("reference", "exact"))
    want = flat_total_variation.start_error(data) * math.exp(-4.0 * data.order)
    assert abs(flat_total_variation.total_variation(p, q) / want - 1.0) < 0.15
    one = line.TwoNormals((1.0, 1.0), (0.5, 0.5), 1)
    m, v = math.exp(-0.1), -math.expm1(-0.2)
    closed = 0.5 * m * math.sqrt(2.0 * v / math.pi)
    assert abs(flat_total_variation.start_error(one) / closed - 1.0) < 1e-4


# -- a circle in the plane -----------------------------------------------------------------------
@pytest.mark.parametrize("kappa", [0.0, 2.0])
def test_the_score_of_a_noised_circle(kappa):
    """Against the gradient of a sum over 4096 points of the circle."""
    phi = 2 * math.pi * np.arange(4096) / 4096
    points = jnp.asarray(np.stack([np.cos(phi), np.sin(phi)], -1))

    def log_p(y, s):
        m, v = jnp.exp(-0.5 * s), -jnp.expm1(-s)
        square = jnp.sum((y[None] - m * points) ** 2, axis=1)
        return jax.nn.logsumexp(kappa * points[:, 0] - 0.5 * square / v)

    score, s = circle.NoisedCircle(kappa), jnp.asarray(0.05)
    for y in ([0.0, 0.0], [1.0, 0.3], [-0.4, 0.1], [2.0, -2.0]):
        y = jnp.asarray(y)
        assert np.allclose(score(y, s), jax.grad(log_p)(y, s), rtol=1e-9, atol=1e-9)


def test_the_radii_of_the_walk_are_those_of_draws():
    """The law of Rice at the start; 20,000 draws of the library's sampler at the end, with a wrong
    score."""
    r = np.linspace(0.0, 5.0, 11)
    m, v = circle.moments(0.5)
    want = rice.pdf(r, m / math.sqrt(v), scale=math.sqrt(v))
    assert np.allclose(circle.radial_density(r, 0.5), want, atol=1e-14)
    early, error = 0.01, 0.02
    levels, gamma = circle.levels_of(2.0, early, 0.1)
    assert 0.08 < gamma <= 0.1
    score = circle.NoisedCircle(0.0, error)
    x = sample_reverse(
        circle.PROCESS, score, KEY, 20_000, s_min=early, s_max=4.0, steps=len(levels) - 1
    )
    radii = np.linspace(0.0, 2.0, 2001)
    cdf = trapezoid_cdf(radii, circle.walk_radii("reference", levels, radii, error))
    assert abs(cdf[-1] - 1.0) < 1e-6
    seen = np.linalg.norm(np.asarray(x), axis=1)
    assert kstest(seen, lambda t: np.interp(t, radii, cdf)).pvalue > 1e-3


def test_what_stopping_costs():
    """√(2ε/π), and ε/2 once denoised; distance/ε off the circle; W₁ of a law and itself moved."""
    early = 1e-4
    found = manifold_hypothesis.stopping(early)
    assert abs(found["stopped"] / math.sqrt(2 * early / math.pi) - 1.0) < 1e-3
    assert abs(found["denoised"] / (0.5 * early) - 1.0) < 1e-2
    assert abs(found["rms score"] * math.sqrt(early) - 1.0) < 1e-3
    assert abs(found["score at 0.1"] * early / 0.1 - 1.0) < 1e-2
    r = np.linspace(0.0, 2.0, 4001)
    p, q = norm.pdf(r, 1.0, 0.05), norm.pdf(r, 1.02, 0.05)
    assert abs(manifold_hypothesis.distance(r, p, q) - 0.02) < 1e-6


# -- the geodesic random walk ----------------------------------------------------------------------
def test_a_step_multiplies_eigenfunctions():
    """E cos √γχ_d in closed form: e^{−l²γ/2}, 1 − √(2γ) D(√(γ/2)), (1 − γ) e^{−γ/2}."""
    steps = np.array([0.5, 0.1, 0.01])
    circle_, sphere, three, rotations = (
        weak_walk.multipliers(m, tuple(steps)) for m in (Sphere(1), Sphere(2), Sphere(3), SO3())
    )
    degrees = np.arange(1, 5)
    assert np.allclose(circle_, np.exp(-0.5 * steps[:, None] * degrees**2), atol=1e-12)
    want = 1.0 - np.sqrt(2 * steps) * dawsn(np.sqrt(steps / 2))
    assert np.allclose(sphere[:, 0], want, atol=1e-12)
    want = (1.0 - steps) * np.exp(-0.5 * steps)
    assert np.allclose(three[:, 0], want, atol=1e-12)
    assert np.allclose(rotations[:, 0], (1.0 + 2.0 * want) / 3.0, atol=1e-12)


def test_the_walk_with_a_drift():
    """40,000 draws of the library's walk; the stationary height of a heat kernel at s = ½ is
    e^{−1/2}; order one."""
    found = weak_walk.drifted((0.2, 0.1, 0.05))
    assert abs(found.values["mean height, stationary"] - math.exp(-0.5)) < 1e-12
    assert abs(found.values["order of γ, stationary"] - 1.0) < 0.1
    process = Langevin(Sphere(2), std=math.sqrt(0.5))
    start = jnp.asarray([0.0, 1.0, 0.0])

    @jax.jit
    @jax.vmap
    def height(key):
        return geodesic_walk(process.manifold, process.drift, key, start, 1.0, 5)[0]

    h = np.asarray(height(jax.random.split(KEY, 40_000)))
    assert abs(h.mean() - found.more["means"][0]) < 4.0 * h.std() / 200.0
    # The two means differ by more than the draws can hide.
    assert found.more["errors"][0] > 0.005


# -- targets ---------------------------------------------------------------------------------------
def test_varadhan_on_the_circle():
    """Against the wrapped normal law summed here."""
    found = targets.errors("S^1", 200)[targets.VARADHAN]
    s = 1.0
    turns = 2 * math.pi * np.arange(-8, 9)

    def p(r):
        return np.exp(-((r + turns) ** 2) / (2 * s)).sum()

    def score(r):
        return -((r + turns) / s * np.exp(-((r + turns) ** 2) / (2 * s))).sum() / p(r)

    wrong = quad(lambda r: p(r) * (score(r) + r / s) ** 2, 0, math.pi, epsabs=1e-12)[0]
    size = quad(lambda r: p(r) * score(r) ** 2, 0, math.pi, epsabs=1e-12)[0]
    k = targets.TIMES.index(s)
    assert abs(found.rms[k] / math.sqrt(wrong / size) - 1.0) < 1e-9
    assert found.rms[targets.TIMES.index(0.1)] < 1e-9


def test_varadhan_and_series_on_the_sphere():
    """Ric·s/6, and no mean square where the series has a zero."""
    found = targets.errors("S^2", 200)
    assert abs(found[targets.VARADHAN].rms[0] / 0.0125 - 1 / 6) < 2e-3
    few = found[targets.truncated(5)]
    assert (np.isinf(few.rms) == (few.lost > 0)).all()
    early, late = (targets.TIMES.index(s) for s in (0.05, 0.8))
    assert np.isinf(few.rms[early]) and few.cut[early] <= 1.0
    assert few.rms[late] == few.cut[late] < 1e-5


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_projected_normal_law(d):
    """∫ ρ^d e^{−|ρu − x₀|²/2s} dρ by quadrature, and its slope by differences."""
    s, theta = 0.3, np.array([0.0, 0.4, 1.2, 2.5])

    def direct(t):
        c = math.cos(t)
        return math.log(quad(lambda r: r**d * math.exp((r * c - (r * r + 1) / 2) / s), 0, 12)[0])

    log_p, slope = target_variance.projected_normal(d, theta, s)
    want = np.array([direct(t) for t in theta])
    assert np.allclose(log_p - log_p[0], want - want[0], atol=1e-8)
    h = 1e-4
    numeric = [(direct(t - h) - direct(t + h)) / (2 * h) for t in theta]
    assert np.allclose(slope, numeric, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("method", target_variance.METHODS)
def test_coefficients_of_targets(method, d):
    """a, and b − J, at s → 0, as derived."""
    a, b = target_variance.expected(method, d)
    steps = (0.01, 0.005)
    found = [target_variance.on_sphere(method, d, s) for s in steps]
    assert abs(limit(steps, [m.bias for m in found]) - a) < 1e-3
    below = limit(steps, [m.variance - d / s for m, s in zip(found, steps, strict=True)])
    assert abs(below - (b - target_variance.fisher(d))) < 5e-3


def test_coefficient_of_the_torus():
    assert abs(target_variance.on_torus(0.01).bias - 0.5) < 0.02


# -- what is written and drawn ---------------------------------------------------------------------
def test_sentences_and_figures():
    """Each experiment at its smallest, from values that JSON can hold."""
    flat = {("centred", "walk"): flat_total_variation.measure("centred", (0.4, 0.2), (1.0, 2.0))}
    uniform = manifold_hypothesis.uniform((0.1, 0.05), (0.4, 0.2))
    mises = manifold_hypothesis.mises((0.1, 0.05), 200, 0.4)
    circles = {manifold_hypothesis.UNIFORM: uniform, manifold_hypothesis.MISES: mises}
    walks = {(d, m): make() for d, m, make in weak_walk.cells("quick")}
    biases = {(d, m): make() for d, m, make in targets.cells("quick")}
    coefficients = {(d, m): make() for d, m, make in target_variance.cells("quick")}
    for module, found in (
        (flat_total_variation, flat), (manifold_hypothesis, circles), (weak_walk, walks),
        (targets, biases), (target_variance, coefficients),
    ):  # fmt: skip
        assert module.sentence(found).endswith(".")
        module.figure(found).canvas.draw()
        for m in found.values():
            values = dataclasses.asdict(m)["values"]
            assert all(v is None or type(v) is float for v in values.values()), values
            assert set(m.missing) == {k for k, v in values.items() if v is None}
