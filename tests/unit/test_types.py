"""Sums of few and of many terms, and lengths: values and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold._types import safe_norm, sum_last


@pytest.mark.parametrize("terms", [1, 3, 6, 7, 20])
def test_a_sum_and_its_derivatives_are_those_of_numpy(terms):
    x = np.random.default_rng(terms).normal(size=(5, terms)).astype(np.float32)
    np.testing.assert_allclose(sum_last(jnp.asarray(x)), x.sum(-1), rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda a: jnp.sum(sum_last(a) ** 2))(jnp.asarray(x))
    want = np.broadcast_to(2.0 * x.sum(-1, keepdims=True), x.shape)
    np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-5)
    _, ahead = jax.jvp(sum_last, (jnp.asarray(x),), (jnp.ones_like(x),))
    np.testing.assert_allclose(ahead, np.full(5, terms), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (6,), (7,), (3, 3)])
def test_a_length_neither_overflows_nor_has_a_slope_at_zero(shape):
    v = jnp.full(shape, 1e30)
    np.testing.assert_allclose(safe_norm(v), 1e30 * np.sqrt(v.size), rtol=1e-6)
    np.testing.assert_array_equal(jax.grad(safe_norm)(jnp.zeros(shape)), np.zeros(shape))
    w = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    unit = jax.grad(safe_norm)(jnp.asarray(w))
    np.testing.assert_allclose(unit, w / np.linalg.norm(w), rtol=1e-5, atol=1e-6)
