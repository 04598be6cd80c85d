"""Noising processes: moments, reference laws, and walks against exact draws.

Statistical tests have fixed keys and allow 4 standard errors, or a Kolmogorov-Smirnov p-value of
1e-3.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.noising import (
    Brownian,
    Constant,
    HeatReference,
    Langevin,
    OrnsteinUhlenbeck,
    RandomWalk,
    UniformReference,
    VarianceExploding,
    WrappedNormal,
)

# These programs run for a moment: little is gained by optimising them.
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def draws(noising, x0, s, n, seed=0):
    keys = jax.random.split(jax.random.key(seed), n)
    return quick(jax.vmap(lambda k: noising.sample(k, x0, s)))(keys)


def distances(noising, start, end, s, n, seed=0):
    """Distances to ``end`` of draws that began at ``start``."""
    keys = jax.random.split(jax.random.key(seed), n)
    one = lambda k: noising.manifold.dist(end, noising.sample(k, start, s))  # noqa: E731
    return np.asarray(quick(jax.vmap(one))(keys))


def within(values, mean):
    values = np.asarray(values)
    return abs(values.mean() - mean) < 4 * values.std() / np.sqrt(len(values))


def test_ornstein_uhlenbeck_transition():
    # Oracle: the moments, written out, and scipy's normal density.
    mu, sigma, s = np.array([1.0, -2.0]), 1.4, 0.9
    n = OrnsteinUhlenbeck(2, location=mu, std=sigma)
    x0, x = np.array([0.5, 1.0]), np.array([0.2, -0.3])
    mean = mu + np.exp(-s / (2 * sigma**2)) * (x0 - mu)
    v = sigma**2 * (1 - np.exp(-s / sigma**2))
    exact = stats.multivariate_normal(mean, v * np.eye(2)).logpdf(x)
    assert float(n.log_prob(jnp.asarray(x), jnp.asarray(x0), s)) == pytest.approx(exact, abs=1e-12)
    np.testing.assert_allclose(
        n.score(jnp.asarray(x), jnp.asarray(x0), s), -(x - mean) / v, rtol=1e-12
    )
    y = np.asarray(draws(n, jnp.asarray(x0), s, 20000))
    assert within(y[:, 0], mean[0])
    assert within((y[:, 1] - mean[1]) ** 2, v)
    np.testing.assert_allclose(n.drift(jnp.asarray(x)), -(x - mu) / (2 * sigma**2), rtol=1e-12)
    # The reference is invariant: b = ½∇log p_ref.
    np.testing.assert_allclose(
        0.5 * n.reference.score(jnp.asarray(x)), n.drift(jnp.asarray(x)), rtol=1e-10
    )


def test_baselines_are_the_score_of_one_normal_blob():
    # Data N(0, τ²): the noised law is N(0, m²τ² + v), and N(0, τ² + s) without drift.
    x, tau, s = jnp.asarray([0.4, -1.0]), 0.7, 1.3
    m2, v = np.exp(-s), 1 - np.exp(-s)
    ou, ve = OrnsteinUhlenbeck(2, data_std=tau), VarianceExploding(Euclidean(2), data_std=tau)
    level = jnp.asarray(s)
    np.testing.assert_allclose(ou.baseline(x, level), -x / (m2 * tau**2 + v), rtol=1e-12)
    np.testing.assert_allclose(ve.baseline(x, level), -x / (tau**2 + s), rtol=1e-12)
    end = ve.schedule.total + tau**2
    exact = stats.multivariate_normal(np.zeros(2), end * np.eye(2)).logpdf(np.asarray(x))
    assert float(ve.reference.log_prob(x)) == pytest.approx(exact, abs=1e-7)


def test_wrapped_normal_on_the_hyperbolic_plane():
    # With r the distance to the location: mass ∫ p(r) 2π sinh r dr = 1, r Rayleigh,
    # ∂_r log p = −r/σ² − (coth r − 1/r).
    m, sigma = Hyperbolic(2), 0.8
    mu = jnp.asarray([np.cosh(0.9), np.sinh(0.9), 0.0])
    law = WrappedNormal(m, location=np.asarray(mu), std=sigma)
    e = m.frame(mu)
    at = jax.jit(lambda r: m.exp(mu, r * (0.6 * e[0] + 0.8 * e[1])))
    log_prob = jax.jit(lambda r: law.log_prob(at(r)))
    mass = quad(lambda r: 2 * np.pi * np.sinh(r) * np.exp(float(log_prob(r))), 1e-9, 8.0)[0]
    assert mass == pytest.approx(1.0, abs=1e-6)
    radius = quick(jax.vmap(lambda k: m.dist(mu, law.sample(k, jnp.float64))))
    r = np.asarray(radius(jax.random.split(jax.random.key(2), 2000)))
    assert stats.kstest(r, stats.rayleigh(scale=sigma).cdf).pvalue > 1e-3
    x = at(1.5)
    outward = -m.log(x, mu) / 1.5
    slope = -1.5 / sigma**2 - (1 / np.tanh(1.5) - 1 / 1.5)
    score = jax.jit(lambda p: law.score(p))
    np.testing.assert_allclose(score(x), slope * outward, atol=1e-9)
    np.testing.assert_allclose(score(mu), jnp.zeros(3), atol=1e-6)


def test_mixture_reference():
    # Density, score and draws of an even mixture of two normal laws.
    c = np.array([[1.0], [-2.0]])
    law = HeatReference(Euclidean(1), 0.5, c)
    x = jnp.asarray([0.3])
    p = stats.norm(c[:, 0], np.sqrt(0.5)).pdf(0.3)
    assert float(law.log_prob(x)) == pytest.approx(np.log(p.mean()), abs=1e-12)
    exact = np.sum(p * (c[:, 0] - 0.3) / 0.5) / p.sum()
    np.testing.assert_allclose(law.score(x), [exact], rtol=1e-12)
    y = quick(jax.vmap(lambda k: law.sample(k, jnp.float64)))(
        jax.random.split(jax.random.key(0), 20000)
    )
    assert within(y[:, 0], -0.5)
    assert within((y[:, 0] + 0.5) ** 2, 0.5 + 2.25)


def test_walk_has_the_moments_of_its_steps():
    # One step turns cos dist to the start by the factor E cos(√ds R), R Rayleigh, and steps are
    # independent of direction: E cos = (E cos(√ds R))^N. At s = 2.5, N = 5 exact Brownian motion
    # has e^{-s} = 0.082, the walk 0.063: the walk's own law is what is simulated.
    m, s, steps = Sphere(2), 2.5, 5
    factor = quad(lambda r: np.cos(np.sqrt(s / steps) * r) * r * np.exp(-r * r / 2), 0, 12)[0]
    o = m.origin(jnp.float64)
    y = draws(RandomWalk(Brownian(m), steps), o, s, 40000)
    assert within(y @ o, factor**steps)
    assert not within(y @ o, np.exp(-s))


@pytest.mark.parametrize(
    "noising",
    [
        Brownian(Sphere(2)),
        Brownian(Torus(2)),
        Brownian(SO3()),
        VarianceExploding(Hyperbolic(2)),
        VarianceExploding(Euclidean(2)),
        OrnsteinUhlenbeck(2),
    ],
    ids=lambda n: n.manifold.name,
)
def test_walk_agrees_with_the_exact_law(noising):
    # Distances to the start after s = 0.5; the bias of 200 steps, s²/1200 relative on S^2, is far
    # below what 2000 draws resolve (0.04 in the distribution function).
    m = noising.manifold
    x0 = m.exp(m.origin(jnp.float64), 0.5 * m.frame(m.origin(jnp.float64))[0])
    pair = [noising, RandomWalk(noising, 200)]
    laws = [distances(n, x0, x0, 0.5, 2000, seed) for seed, n in enumerate(pair)]
    assert stats.ks_2samp(*laws).pvalue > 1e-3


@pytest.mark.parametrize(
    "manifold", [Hyperbolic(2), pytest.param(Sphere(2), marks=pytest.mark.slow)], ids=["H^2", "S^2"]
)
def test_langevin_forgets_its_start_and_keeps_its_reference(manifold):
    noising = Langevin(manifold, std=0.5, steps=60)
    o = manifold.origin(jnp.float64)
    start = manifold.exp(o, 0.8 * manifold.frame(o)[0])
    # Slowest rate at least 1/σ² = 4: e^{−4·3/2} of the start is left. Distances to the origin
    # against draws of the reference; the walk's bias is of order ds = 0.05 relative to r².
    r = distances(noising, start, o, 3.0, 1000)
    keys = jax.random.split(jax.random.key(9), 1000)
    one = lambda k: manifold.dist(o, noising.reference.sample(k, jnp.float64))  # noqa: E731
    ref = np.asarray(quick(jax.vmap(one))(keys))
    assert stats.ks_2samp(r, ref).pvalue > 1e-3


def test_langevin_has_no_transition_and_says_so():
    n, x = Langevin(Euclidean(2)), jnp.zeros(2)
    for call in (n.score, n.log_prob):
        with pytest.raises(NotImplementedError, match=r"Implicit.*Sliced.*Consecutive"):
            call(x, x, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Brownian(Hyperbolic(2)), "no limit law"),
        (lambda: UniformReference(Euclidean(2)), "infinite volume"),
        (lambda: WrappedNormal(Product(Torus(1), Euclidean(1))), "not one to one"),
        (lambda: WrappedNormal(Euclidean(1), std=-1.0), "std"),
        (lambda: OrnsteinUhlenbeck(Sphere(2)), "flat space|OrnsteinUhlenbeck"),
        (lambda: OrnsteinUhlenbeck(2, data_std=0.0), "data_std"),
        (lambda: VarianceExploding(Hyperbolic(2), centres=np.ones((4, 3))), "centres"),
        (lambda: VarianceExploding(Euclidean(2), centres=np.ones(2)), r"\(K, 2\)"),
        (lambda: Langevin(Euclidean(2), Constant(), steps=0), "steps"),
        (lambda: RandomWalk(Brownian(Sphere(2)), 2.5), "steps|int"),
    ],
)
@pytest.mark.fault(36, "processes on spaces that they cannot be on")
def test_bad_settings_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
