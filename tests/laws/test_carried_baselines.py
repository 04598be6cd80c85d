"""Likelihoods relative to a law that the noising carries along: laws of the law, and of the sum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.fields import divergence
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus
from scorefold.noising import (
    Brownian,
    Langevin,
    MixtureBrownian,
    OrnsteinUhlenbeck,
    RandomWalk,
    TorusBrownian,
    VarianceExploding,
)
from scorefold.samplers import solve_log_prob
from scorefold.samplers.adaptive_flow import solve_adaptively
from scorefold.samplers.chunks import Limits, probe_keys
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
    "OU": OrnsteinUhlenbeck(2, location=np.array([0.3, -0.2]), std=1.3, data_std=0.7),
    "OU, walked": RandomWalk(OrnsteinUhlenbeck(2, std=0.8, data_std=1.2), 3),
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
    """∇ log q_s is the baseline, and ∂_s log q = −div b − ⟨b, ∇log q⟩ + ½(div ∇log q + |∇log q|²),
    for noise levels before and after each series takes over, 1e-3 to 3."""
    noising = NOISINGS[name]
    m = noising.manifold
    assert noising.carries_baseline

    def missed(x, s):
        log_q = noising.baseline_log_prob
        score = noising.baseline(x, s)
        slope = m.gradient(x, jax.grad(log_q)(x, s)) - score
        square = m.inner(x, score, score)
        right = 0.5 * (divergence(lambda y: noising.baseline(y, s), m, x) + square)
        right = right - divergence(noising.drift, m, x) - m.inner(x, noising.drift(x), score)
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
    found = jax.vmap(noising.baseline_log_prob, (0, None))(x, s)
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
    exact = jax.vmap(noising.baseline_log_prob, (0, None))(x, jnp.asarray(0.01))
    end = noising.schedule.total
    # e^{−λ s/2}: what compact spaces have forgotten of their start; flat ones of the blob's width.
    left = np.exp(-0.5 * end * (noising.manifold.spectral_gap if noising.manifold.compact else 1.0))
    np.testing.assert_allclose(found.log_prob, exact, atol=30 * left + 1e-9)
    assert int(found.nfe[0]) == 26


@pytest.mark.parametrize("name", ["OU", "VE, H2", "T2", "mixture, S2"])
def test_any_law_gives_the_same_density(name):
    """As the plain flow has it: both by the adaptive solver at 1e-9, and the relative one on a
    grid."""
    noising = NOISINGS[name]
    x, ends = points(noising.manifold, 6, 3, 0.4), (0.02, noising.schedule.total)
    score = Moved(noising, 0.3)
    plain = _plain(noising, score, x, *ends)
    for solver, rtol, atol in (("adaptive", 1e-9, 2e-6), ("multistep", 1e-5, 1e-3)):
        found = solve_log_prob(
            noising, score, x, s_min=ends[0], rtol=rtol, atol=rtol, solver=solver
        ).log_prob
        np.testing.assert_allclose(found, plain, atol=atol)


def _plain(noising, score, x, start, end):
    from scorefold.samplers import ProbabilityFlow

    flow = ProbabilityFlow(noising, score, PowerClock())
    found = solve_adaptively(flow, x, start, end, Limits(1e-9, 1e-9, 4000))
    return jax.vmap(noising.reference.log_prob)(found.end) + found.total


def test_probes_agree_in_the_mean():
    """Hutchinson's estimate of the excess: the mean of 2,000 probes at one point within four
    standard errors of the exact integral."""
    noising = NOISINGS["T2"]
    flow = probability_flow(noising, Moved(noising, 0.3), PowerClock())
    x = jnp.repeat(points(noising.manifold, 1, 3, 0.4), 2000, axis=0)
    limits, keys = Limits(1e-6, 1e-6, 4000), probe_keys(jax.random.key(0), 2000)
    exact = solve_adaptively(flow, x[:1], 0.02, 1.0, limits).total[0]
    drawn = solve_adaptively(flow, x, 0.02, 1.0, limits, probe_keys=keys).total
    error = float(jnp.std(drawn)) / np.sqrt(2000)
    assert float(jnp.mean(drawn)) == pytest.approx(float(exact), abs=4 * error + 1e-5)


@pytest.mark.parametrize("noising", [Brownian(Sphere(2)), Langevin(Sphere(2))])
def test_other_baselines_are_no_such_laws(noising):
    assert not noising.carries_baseline
    with pytest.raises(NotImplementedError, match="not the score of a law that it carries along"):
        noising.baseline_log_prob(noising.manifold.origin(), jnp.asarray(0.1))
