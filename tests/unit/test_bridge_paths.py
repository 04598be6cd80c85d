"""Energy of the flow of a bridge, and the divergence between two bridges."""

import jax
import numpy as np
import pytest

import scorefold as sf
from scorefold.bridges import GaussianBridge, brownian_reference
from scorefold.metrics import bridge_divergence, flow_energy


def gaussian(m1, v1, variance=0.8):
    reference = brownian_reference(sf.Euclidean(1), variance)
    return GaussianBridge(reference, [0.0], [[1.0]], [m1], [[v1]])


def test_energy_of_a_flow_and_its_least():
    """Oracle: for normal laws p_t = N(m, v) on the line the flow is m′ + (v′/2v)(x − m), so
    E|v_t|² = m′² + v′²/4v, integrated from the exact laws; W₂² = (m₁ − m₀)² + (σ₁ − σ₀)². 4000
    paths: 4 standard errors, and 2 % for the walk. W₂² of 1500 points: 4 times 3 %."""
    bridge = gaussian(2.0, 2.25)
    keys = jax.random.split(jax.random.key(0), 3)
    a = jax.random.normal(keys[0], (4000, 1))
    b = 2.0 + 1.5 * jax.random.normal(keys[1], (4000, 1))
    t = np.linspace(0.0, 1.0, 401)
    v = np.array([float(bridge.law(s).cov[0, 0]) for s in t])
    slope = np.gradient(v, t, edge_order=2)
    want = 4.0 + np.trapezoid(slope**2 / (4.0 * v), t)
    found = flow_energy(bridge, a, b, key=keys[2], steps=60, at_most=1500)
    assert bridge.flow_energy() == pytest.approx(want, rel=1e-4)
    assert abs(found.value - want) < 4 * found.standard_error + 0.02 * want
    assert found.transport == pytest.approx(4.25, rel=0.12)
    assert found.ratio == pytest.approx(want / 4.25, rel=0.15)


def test_divergence_of_bridges_is_that_of_their_couplings():
    """Oracle: both processes are the pinned reference between their ends, so KL(P | Q) is that of
    X₁ given X₀, in closed form for normal laws: the KL of the couplings, whose first laws agree."""
    exact, other = gaussian(1.0, 1.5), gaussian(0.6, 1.0)
    want = exact.coupling().kl(other.coupling())
    a = jax.random.normal(jax.random.key(0), (4000, 1))
    found = bridge_divergence(exact, other, a, key=jax.random.key(1), steps=100)
    assert abs(found.value - want) < 4 * found.standard_error + 0.02 * want
    same = bridge_divergence(exact, exact, a[:10], key=jax.random.key(1), steps=10)
    assert same.value == 0.0
    with pytest.raises(ValueError, match="bridges of one reference process"):
        bridge_divergence(exact, gaussian(1.0, 1.0, 0.5), a, key=jax.random.key(1))
