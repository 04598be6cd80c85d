"""The experiment on geometric ergodicity, against closed forms."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from scorefold.bench.theory import ergodicity, orders
from scorefold.bench.theory.ergodicity import BLOB, PAIR, POINT, measure
from scorefold.manifolds import Torus

SIZE = (300, 50)
LIMITS = {
    "S^2": 0.75,  # ½·3·E|cos θ|
    "SO(3)": 9.0 * math.sqrt(3.0) / (4.0 * math.pi),  # ½·3·E|1 + 2cos ω|
    "T^2": 8.0 / math.pi**2,  # ½·2·E|cos x + cos y|
}


def test_rates_and_orders_of_known_curves():
    x = np.array([1.0, 2.0, 4.0])
    assert orders.rate(x, 3.0 * np.exp(-0.7 * x)) == pytest.approx(0.7)
    assert orders.order(x, 3.0 * x**1.5) == pytest.approx(1.5)
    with pytest.raises(ValueError, match=r"^λ: was not measured\.$"):
        orders.known({"λ": None}, "λ")


@pytest.mark.parametrize("space", LIMITS)
def test_spectral_gap_and_first_eigenspace(space):
    """TV → e^{−λ₁s/2} · ½E|Φ|, Φ the kernel of the projection to the first eigenspace."""
    found = measure(space, POINT, *SIZE).values
    gap = ergodicity.SPACES[space].spectral_gap
    assert found["λ"] == pytest.approx(gap, abs=5e-4) and found["λ, expected"] == gap
    assert found["limit"] == pytest.approx(LIMITS[space], rel=1e-3)
    blob = measure(space, BLOB, *SIZE).values  # the same curve, half a unit later
    assert blob["limit"] == pytest.approx(LIMITS[space] * math.exp(-0.25 * gap), rel=1e-3)
    assert found["constant"] < found["constant, bound"]


def test_what_the_pair_does_not_see():
    found = measure("S^2", PAIR, *SIZE)
    assert found.values["λ"] == pytest.approx(6.0, abs=5e-3)
    assert found.values["fails from"] is None and "fails from" in found.missing


def test_constant_of_the_theorem():
    """C = 4π p_{t=1}(x|x) = Σ (2l + 1) e^{−l(l+1)}, and C^{1/2} e^{λ₁/2}."""
    c = sum((2 * l + 1) * math.exp(-l * (l + 1)) for l in range(10))
    found = measure("S^2", POINT, *SIZE).values
    assert found["constant, bound"] == pytest.approx(math.sqrt(c) * math.e, rel=1e-9)


def test_total_variation_against_the_theta_function():
    def gap(x):
        return abs(sum(2 * math.exp(-0.15 * k * k) * math.cos(k * x) for k in range(1, 30)))

    oracle = integrate.quad(gap, 0.0, math.pi, limit=400)[0] / (2.0 * math.pi)
    rule = ergodicity.quadrature(Torus(1), 2500)
    one, s = jnp.asarray([1.0, 0.0]), jnp.asarray([0.3])
    found, back = ergodicity.decay(Torus(1), rule, jnp.asarray(0.0), one, s)
    assert float(found[0]) == pytest.approx(oracle, abs=1e-5)
    assert float(back[0]) == pytest.approx(1.0 + gap(0.0), rel=1e-9)


def test_crossing_of_known_curves():
    s = np.linspace(0.1, 4.0, 40)
    assert ergodicity.crossing(s, np.exp(-s), 2.0, 2.0) == pytest.approx(2.0)
    assert ergodicity.crossing(s, np.exp(-2.0 * s), 0.1, 2.0) is None


def test_figure_and_sentence_come_from_numbers_alone():
    found = {("S^2", start): measure("S^2", start, *SIZE) for start in (POINT, BLOB, PAIR)}
    assert "λ = 2.0000 on S^2" in ergodicity.sentence(found)
    assert len(ergodicity.figure(found).axes) == 2
    names = [(space, start) for space, start, _ in ergodicity.cells("quick")]
    assert len(names) == len(set(names)) == 14
