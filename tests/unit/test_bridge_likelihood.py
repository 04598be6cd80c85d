"""Log densities of bridges by the probability flow.

Oracles: the laws of Gaussian bridges in closed form, those of spectral bridges as products of two
heat flows, and total mass 1 by quadrature on a circle, where the trapezium rule of a smooth
periodic density converges faster than any power.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import (
    BridgeMatching,
    GaussianBridge,
    NetworkBridge,
    SpectralBridge,
    brownian_reference,
)
from scorefold.bridges.ends_clock import EndsClock, ends_share
from scorefold.fields import NetworkSpec
from scorefold.manifolds import Euclidean, Sphere, Torus
from scorefold.noising import Constant, OrnsteinUhlenbeck

SMALL = NetworkSpec(width=16, depth=1, fourier=0, time_features=1)


def gaussian(reference, dtype=np.float64):
    covs = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[0.2, -0.1], [-0.1, 0.6]])
    means = np.array([-1.0, 0.0]), np.array([1.0, 2.0])
    args = (means[0], covs[0], means[1], covs[1])
    return GaussianBridge(reference, *(a.astype(dtype) for a in args))


@pytest.mark.parametrize("end", ["a", "b"])
def test_it_is_the_law_of_a_gaussian_bridge(end):
    """Tolerances of 1e-9 a step, a few dozen steps: 1e-7."""
    exact = gaussian(OrnsteinUhlenbeck(2, Constant(0.8), location=np.array([0.3, -0.2]), std=1.3))
    x = np.random.default_rng(0).normal(size=(20, 2))
    law = exact.law(0.0 if end == "a" else 1.0)
    for t in (0.0, 0.3, 1.0):
        found = exact.flow_log_prob(t, x, law.log_prob, end=end, rtol=1e-9, atol=1e-9)
        assert found.shape == (20,) and found.dtype == jnp.float64
        np.testing.assert_allclose(found, exact.law(t).log_prob(x), atol=1e-7)


def test_float32_and_random_probes():
    """float32: 1e-3, a hundred of the tolerances of 1e-5 a step. Random probes leave the mean of
    the divergence as it is: that of 4000 copies is within 4 of its standard errors, and 2e-3,
    twenty of the tolerances of 1e-4."""
    exact = gaussian(brownian_reference(Euclidean(2), 1.0), np.float32)
    x = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    law, want = exact.law(1.0).log_prob, exact.law(0.3).log_prob(x)
    found = exact.flow_log_prob(0.3, x, law)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, want, atol=1e-3)
    copies = np.repeat(x[:1], 4000, axis=0)
    probed = exact.flow_log_prob(
        0.3, copies, law, divergence="hutchinson", key=jax.random.key(0), rtol=1e-4, atol=1e-4
    )
    spread = float(jnp.std(probed))
    assert 1e-3 < spread < 0.7 * np.sqrt(2)
    assert abs(float(jnp.mean(probed)) - float(want[0])) < 4 * spread / np.sqrt(4000) + 2e-3


@pytest.mark.slow
def test_it_is_the_law_of_a_spectral_bridge_on_the_sphere():
    """The exact law is φ_s ψ_s from Legendre series with a tail below 1e-8."""
    exact = SpectralBridge(
        brownian_reference(Sphere(2), 0.8),
        lambda z: 3 * z,
        lambda z: -2 * z,
        centre=[0.0, 0.0, 1.0],
    )
    x = jax.vmap(Sphere(2).uniform)(jax.random.split(jax.random.key(0), 8))
    for end, at in (("a", 0.0), ("b", 1.0)):
        found = exact.flow_log_prob(
            0.4, x, lambda y, at=at: exact.log_prob(at, y), end=end, rtol=1e-8, atol=1e-8
        )
        np.testing.assert_allclose(found, exact.log_prob(0.4, x), atol=1e-6)


@pytest.mark.slow
def test_it_has_mass_one_whatever_the_networks_answer():
    """The density of a smooth flow with random networks on the circle, at 64 equal angles."""
    circle = Torus(1)
    bridge = BridgeMatching(brownian_reference(circle, 0.7), network=SMALL)
    angles = jnp.linspace(-np.pi, np.pi, 64, endpoint=False)[:, None]
    bridge = NetworkBridge(bridge.reference, *bridge.fields(jax.random.key(0), angles, angles))
    arrays, rest = eqx.partition(bridge, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    noise = [jax.random.normal(jax.random.key(k), a.shape, a.dtype) for k, a in enumerate(leaves)]
    mixed = [a + 0.4 * e for a, e in zip(leaves, noise, strict=True)]
    bridge = eqx.combine(jax.tree.unflatten(tree, mixed), rest)

    def law(x):
        return jnp.cos(x[:, 0]) - jnp.log(2 * jnp.pi * jax.scipy.special.i0(jnp.ones(())))

    values = bridge.flow_log_prob(0.0, angles, law)
    assert float(jnp.std(values - law(angles))) > 0.1  # the flow does move
    assert abs(2 * np.pi * float(jnp.mean(jnp.exp(values))) - 1.0) < 1e-3


def test_the_clock_is_undone():
    clock = EndsClock(0.7)
    for s in (0.0, 1e-4, 0.1, 0.35, 0.6999, 0.7):
        back, speed = clock.s(clock.tau(s, jnp.float64))
        np.testing.assert_allclose(back, s, atol=1e-14)
        assert speed > 0
    np.testing.assert_allclose(clock.s(jnp.asarray(0.3))[0], 0.7 * ends_share(0.3), rtol=1e-12)
    slope = (ends_share(0.3 + 1e-6) - ends_share(0.3 - 1e-6)) / 2e-6
    np.testing.assert_allclose(clock.s(jnp.asarray(0.3))[1], 0.7 * slope, rtol=1e-8)


def test_what_it_refuses():
    exact = gaussian(brownian_reference(Euclidean(2), 1.0))
    x, law = np.zeros((3, 2)), exact.law(1.0).log_prob
    with pytest.raises(ValueError, match="t must be in"):
        exact.flow_log_prob(1.2, x, law)
    with pytest.raises(ValueError, match="vmap"):
        exact.flow_log_prob(1.0, x, lambda y: jnp.zeros(()))
    with pytest.raises(ValueError, match="key"):
        exact.flow_log_prob(0.5, x, law, divergence="hutchinson")
    with pytest.raises(FloatingPointError, match="rows 1"):
        exact.flow_log_prob(
            1.0, np.array([[0.0, 0], [1, 0]]), lambda y: jnp.where(y[:, 0] > 0, jnp.nan, 0.0)
        )
