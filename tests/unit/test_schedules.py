"""Clocks: s' = β, the inverse, the ends, and refusal of bad parameters."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.noising import Constant, Cosine, Linear, LogLinear

ENDS = [
    (Constant(2.5), 0.0, 2.5),
    (Linear(0.001, 10.0), 0.0, 5.0005),
    (Linear(6.0, 1.0), 0.0, 3.5),
    (LogLinear(1e-4, 9.0), 1e-4, 9.0),
    (Cosine(10.0), 0.0, 10.0),
]


@pytest.mark.parametrize(("clock", "first", "last"), ENDS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_speed_inverse_and_ends(clock, first, last, dtype):
    rtol = 2e-4 if dtype == jnp.float32 else 1e-9
    t = jnp.linspace(0.001, 0.999, 41, dtype=dtype)
    s = jax.vmap(clock.s)(t)
    assert s.dtype == dtype
    np.testing.assert_allclose(jax.vmap(clock.beta)(t), jax.vmap(jax.grad(clock.s))(t), rtol=rtol)
    np.testing.assert_allclose(jax.vmap(clock.t)(s), t, rtol=rtol)
    np.testing.assert_allclose(clock.s(jnp.zeros((), dtype)), first, atol=1e-12, rtol=rtol)
    np.testing.assert_allclose(clock.s(jnp.ones((), dtype)), last, rtol=rtol)
    assert clock.total == pytest.approx(last, rel=1e-9)


def test_the_cosine_clock_keeps_its_digits_in_float32():
    # −2 log cos(αt) with Python's floats.
    alpha = math.acos(math.exp(-5.0))
    for t in (1e-3, 1e-2, 0.5):
        exact = -2.0 * math.log1p(math.cos(alpha * t) - 1.0)
        assert float(Cosine(10.0).s(jnp.float32(t))) == pytest.approx(exact, rel=1e-5)


def test_total_is_a_number_inside_jit():
    assert float(jax.jit(lambda x: x * Linear().total)(1.0)) == pytest.approx(5.0005, rel=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(0.0),
        lambda: Constant(float("nan")),
        lambda: Linear(-0.1, 1.0),
        lambda: Linear(0.1, float("inf")),
        lambda: Linear("slow", 1.0),
        lambda: LogLinear(1.0, 0.5),
        lambda: LogLinear(0.0, 1.0),
        lambda: Cosine(-1.0),
        lambda: Cosine(40.0),
    ],
)
@pytest.mark.fault(36, "clocks with zero, negative, infinite and missing ends")
def test_bad_parameters_are_refused_at_construction(make):
    with pytest.raises((ValueError, TypeError), match=r"value|beta_|s_min|s_max"):
        make()
