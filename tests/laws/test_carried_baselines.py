"""Likelihoods relative to a law that the noising carries along: laws of the law, and of the sum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from scorefold.fields import divergence
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus
from scorefold.noising import (
    Brownian,
    Langevin,
    MixtureBrownian,
    OrnsteinUhlenbeck,
    TorusBrownian,
    VarianceExploding,
    WrappedNormal,
)
from scorefold.samplers import ProbabilityFlow, solve_log_prob
from scorefold.samplers.clocks import PowerClock
from scorefold.samplers.flow import probability_flow


def points(m, n, seed, spread=0.6):
    """Around the origin."""
    o, keys = m.origin(jnp.float64), jax.random.split(jax.random.key(seed), n)

    def one(key):
        step = spread * jax.random.normal(key, (m.dim,), jnp.float64)
        return m.exp(o, m.from_components(o, step))

    return jax.vmap(one)(keys)


def clusters(m):
    return MixtureBrownian(
        m, centres=np.asarray(points(m, 3, 5, 1.5)), variances=np.array([0.01, 0.1, 0.4]),
        weights=np.array([0.5, 0.3, 0.2]),
    )  # fmt: skip


NOISINGS = {
    "VE, R2": VarianceExploding(Euclidean(2), data_std=0.7),
    "VE, H2": VarianceExploding(
        Hyperbolic(2), data_std=0.5, centres=np.asarray(points(Hyperbolic(2), 3, 4))
    ),
    "VE, S2": VarianceExploding(Sphere(2), data_std=0.5),
    "T2": TorusBrownian(Torus(2), mean=np.array([0.5, 3.0]), variance=np.array([0.05, 0.8])),
    "mixture, S2": clusters(Sphere(2)),
    "mixture, SO3": clusters(SO3()),
    "mixture, T2": clusters(Torus(2)),
}


@pytest.mark.parametrize("name", NOISINGS)
def test_the_baseline_is_carried_along(name):
    """∇ log q_s is the baseline, and ∂_s log q = ½(div ∇log q + |∇log q|²),
    for noise levels before and after each series takes over, 1e-3 to 3."""
    noising = NOISINGS[name]
    m = noising.manifold

    def missed(x, s):
        log_q = lambda y, level: noising.carried(level, y.dtype).log_prob(y)  # noqa: E731
        score = noising.baseline(x, s)
        slope = m.gradient(x, jax.grad(log_q)(x, s)) - score
        square = m.inner(x, score, score)
        right = 0.5 * (divergence(lambda y: noising.baseline(y, s), m, x) + square)
        return jnp.max(jnp.abs(slope)), jax.grad(log_q, 1)(x, s) - right, 1.0 + square

    x = points(m, 6, 1)
    every = jax.jit(jax.vmap(jax.vmap(missed, (0, None)), (None, 0)))
    slope, rate, size = every(x, jnp.asarray([1e-3, 0.05, 0.3, 1.0, 3.0]))
    np.testing.assert_allclose(slope / jnp.sqrt(size), 0.0, atol=2e-6)
    np.testing.assert_allclose(rate / size, 0.0, atol=2e-5)


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 0.01), (3.0, 0.9), (-2.0, 1.2), (1.0, 9.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wrapped_normal_laws_have_their_density(mean, variance, dtype):
    """Against the heat kernel of the circle."""
    m = Torus(1)
    noising = TorusBrownian(m, mean=np.array([mean]), variance=np.array([variance]))
    x = np.linspace(-3.1, 3.1, 25, dtype=dtype)[:, None]
    s = jnp.asarray(0.05, dtype)
    found = jax.vmap(noising.carried(s, dtype).log_prob)(x)
    exact = jax.vmap(lambda y: m.heat.log_prob(y, jnp.array([mean]), variance + 0.05))(
        x.astype(np.float64)
    )
    assert found.dtype == dtype
    # Far images: log p is −(x − μ)²/2v there, 500 and more.
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=2e-6 if dtype == np.float32 else 1e-7)


class Moved(eqx.Module):
    """The baseline and a smooth field beside it, of the size of noise at s."""

    noising: eqx.Module
    size: float

    def __call__(self, x, s):
        m = self.noising.manifold
        ambient = jnp.sin(2.0 * jnp.flip(x)).reshape(x.shape)
        field = m.to_tangent(x, ambient) / jnp.sqrt(s)
        return self.noising.baseline(x, s) + jnp.asarray(self.size, x.dtype) * field


@pytest.mark.parametrize("name", NOISINGS)
def test_a_model_that_is_the_law_has_its_density(name):
    """Without an excess nothing is left to integrate: log q_{s_min} to rounding, at the loosest
    tolerance, but for what of q is left at the end."""
    noising = NOISINGS[name]
    x = points(noising.manifold, 5, 2, 0.4)
    found = solve_log_prob(noising, noising.baseline, x, s_min=0.01, rtol=1e-3, atol=1e-3)
    exact = jax.vmap(noising.carried(jnp.asarray(0.01), jnp.float64).log_prob)(x)
    end = noising.schedule.total
    # e^{−λ s/2}: what compact spaces have forgotten of their start; flat ones of the blob's width.
    left = np.exp(-0.5 * end * (noising.manifold.spectral_gap if noising.manifold.compact else 1.0))
    np.testing.assert_allclose(found.log_prob, exact, atol=30 * left + 1e-9)
    assert int(found.nfe[0]) == 26


@pytest.mark.parametrize("name", ["VE, R2", "VE, H2", "T2", "mixture, S2"])
def test_any_law_gives_the_same_density(name):
    """As the plain flow has it by the adaptive solver at 1e-9."""
    noising = NOISINGS[name]
    x = points(noising.manifold, 6, 3, 0.4)
    score = Moved(noising, 0.3)
    plain = solve_log_prob(
        noising, score, x, s_min=0.02, rtol=1e-9, atol=1e-9, solver="adaptive", max_steps=4000
    ).log_prob
    found = solve_log_prob(noising, score, x, s_min=0.02).log_prob
    np.testing.assert_allclose(found, plain, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_the_law_the_plain_flow_is_taken(dtype):
    """A normal law of deviation 2 beside one of a tenth: log q is −1,800 at 6. Both flows are the
    same motion; the one that errs less, by its own estimate, is kept. Closed form: N(0, 4 + s)."""
    noising = VarianceExploding(Euclidean(1), data_std=0.1)
    score = lambda x, s: -x / (4.0 + s)  # noqa: E731
    x = np.array([[0.0], [2.0], [4.0], [6.0]], dtype)
    end = noising.schedule.total
    reference = WrappedNormal(Euclidean(1), None, float(np.sqrt(4.0 + end)))
    found = solve_log_prob(noising, score, x, s_min=1e-3, reference=reference)
    exact = norm(0.0, np.sqrt(4.001)).logpdf(x[:, 0].astype(np.float64))
    np.testing.assert_allclose(found.log_prob, exact, atol=1e-5)
    assert float(found.nfe.max()) == 2 * 38


class Other(VarianceExploding):
    """With another baseline and another drift than those of the law."""

    def baseline(self, x, s):
        return jnp.zeros_like(x)

    def drift(self, x):
        return -0.1 * x


def test_a_class_of_its_own_has_its_own_density():
    """Whatever a class makes of baseline and drift, q is a law that Brownian motion carries, and
    the excess is counted from its flow: as the plain flow at 1e-9."""
    noising = Other(Euclidean(1))
    score = lambda x, s: -x / (4.0 + s)  # noqa: E731
    x = np.array([[0.0], [0.5], [2.0]])
    plain = solve_log_prob(
        noising, score, x, s_min=1e-3, rtol=1e-9, atol=1e-9, solver="adaptive", max_steps=4000
    ).log_prob
    found = solve_log_prob(noising, score, x[:2], s_min=1e-3)
    np.testing.assert_allclose(found.log_prob, plain[:2], atol=1e-3)
    assert int(found.nfe[0]) == 38  # the relative flow's own


@pytest.mark.parametrize(
    "noising", [Brownian(Sphere(2)), Langevin(Sphere(2)), OrnsteinUhlenbeck(2)]
)
def test_others_take_the_plain_flow(noising):
    flow = probability_flow(noising, noising.baseline, PowerClock())
    assert type(flow) is ProbabilityFlow and flow.plain is flow
