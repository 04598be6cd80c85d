"""The heat kernel of SO(3) against sums over characters in high precision, and its laws."""

import json
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.radial import kolmogorov, panels

from scorefold.heat import SO3Profile

TABLE = Path(__file__).parent.parent / "oracles" / "heat_so3_hyp.json"
PROFILE = SO3Profile()
DTYPES = [np.float32, np.float64]


@jax.jit
def log_prob(r, s):
    return jnp.vectorize(PROFILE.log_prob)(r, s)


@jax.jit
def slope(r, s):
    return jnp.vectorize(PROFILE.slope)(r, s)


@jax.jit
def slope_by_autodiff(r, s):
    return -jax.vmap(jax.grad(PROFILE.log_prob))(r, s) / r


@partial(jax.jit, static_argnames="dtype")
def draw(keys, s, dtype=np.float32):
    return jax.vmap(lambda key: PROFILE.sample(key, s, dtype))(keys)


def area(r):
    """Area of the sphere of radius r: the volume 8π² times (1 − cos r)/π."""
    return 8 * np.pi * (1 - np.cos(r))


def density(r, s):
    return np.exp(np.asarray(log_prob(jnp.asarray(r), jnp.full(r.shape, s)))) * area(r)


def score_size(s):
    """√E|∇ log p_s|², by quadrature."""
    r, w = panels(0.0, min(np.pi, 9 * np.sqrt(s)), 40)
    steep = r * np.asarray(slope(jnp.asarray(r), jnp.full(r.shape, s)))
    return np.sqrt(np.sum(w * density(r, s) * steep**2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.fault(28, "density on SO(3) against sums of characters")
def test_against_characters(dtype):
    """mpmath, 60 digits; distances to 3.1 rad, s from 1e-4 to 10, both sides of the switch."""
    rows = [row[1:] for row in json.loads(TABLE.read_text()) if row[0] == "SO(3)"]
    r, s, log_p, steep = np.array(rows).T
    sizes = {v: score_size(v) for v in np.unique(s)}
    size = np.array([sizes[v] for v in s])
    args = jnp.asarray(r, dtype), jnp.asarray(s, dtype)
    found = np.asarray(log_prob(*args))
    assert found.dtype == dtype
    small = 2e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_array_less(np.abs(found - log_p), small * np.maximum(1, np.abs(log_p)))
    small = 1e-4 if dtype == np.float32 else 1e-10
    for method in (slope, slope_by_autodiff):
        error = np.abs(r * np.asarray(method(*args), np.float64) + steep)
        np.testing.assert_array_less(error, small * size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_range(dtype):
    """p is even about ω = 0 and about ω = π: the slope is 0 at π, and −∂² log p at 0."""
    s = jnp.asarray([1e-4, 1e-2, 0.3, 1.4, 1.6, 5.0], dtype)
    pi = np.asarray(np.pi, dtype)

    def one(s):
        zero, end = jnp.zeros_like(s), jnp.asarray(pi)
        first, bend = jax.grad(PROFILE.log_prob), jax.grad(PROFILE.slope)
        at_zero = first(zero, s), PROFILE.slope(zero, s), jax.grad(first)(zero, s), bend(zero, s)
        return at_zero, (first(end, s), end * PROFILE.slope(end, s), bend(end, s))

    (first, slope, second, bend), at_pi = jax.jit(jax.vmap(one))(s)
    tiny = np.finfo(dtype).eps
    np.testing.assert_array_less(np.abs(first), tiny)
    np.testing.assert_array_less(np.abs(bend), tiny)
    np.testing.assert_allclose(slope, -second, rtol=2e-5 if dtype == np.float32 else 1e-12)
    # fl(π) misses π by sin(fl(π)), and the score changes by at most π²/s² a radian.
    s = np.asarray(s, np.float64)
    miss = abs(math.sin(float(pi)))
    bound = 2 * np.pi**2 / s**2 * miss + 16 * np.finfo(dtype).eps * (1 + 1 / s)
    first, score, bend = at_pi
    np.testing.assert_array_less(np.abs(first), bound)
    np.testing.assert_array_less(np.abs(score), bound)
    # ∂ slope = −(log p)''/π there, and (log p)'' = π²/s² − 3/s + ¼ of the two nearest images.
    images = s < 0.5
    expected = -(np.pi**2 / s**2 - 3 / s + 0.25) / np.pi
    rtol = 1e-3 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(bend[images], expected[images], rtol=rtol)


def test_mass():
    for s in (1e-3, 0.05, 0.7, 1.49, 1.51, 6.0):
        r, w = panels(0.0, min(np.pi, 9 * np.sqrt(s)), 30)
        assert np.sum(w * density(r, s)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("s", "t"), [(0.2, 0.3), (0.6, 1.1)])
def test_semigroup(s, t):
    """p_s ∗ p_t = p_{s+t} at rotation angles b; the integration variable is a rotation by a about
    an axis at angle θ to that of the argument."""
    b = np.array([0.0, 0.4, 1.5, 3.0])[:, None, None]
    a, wa = panels(0.0, np.pi, 20)
    c, wc = panels(-1.0, 1.0, 20)
    half = np.cos(a[:, None] / 2) * np.cos(b / 2) + np.sin(a[:, None] / 2) * np.sin(b / 2) * c
    turn = 2 * np.arccos(np.minimum(np.abs(half), 1))
    inner = np.exp(np.asarray(log_prob(jnp.asarray(turn), jnp.full(turn.shape, t)))) @ wc / 2
    found = inner @ (wa * density(a, s))
    expected = np.exp(np.asarray(log_prob(jnp.asarray(b.ravel()), jnp.full(4, s + t))))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.fault(28, "the heat equation on SO(3)")
def test_heat_equation():
    """∂_s p = ½(p'' + cot(ω/2) p'), by automatic differentiation in float64."""
    r, s = (jnp.asarray(v.ravel()) for v in np.meshgrid([0.2, 1.0, 2.5, 3.1], [0.1, 0.6, 1.4, 2.0]))

    def p(r, s):
        return jnp.exp(PROFILE.log_prob(r, s))

    def sides(r, s):
        first = jax.grad(p)(r, s)
        second = jax.grad(jax.grad(p))(r, s)
        return jax.grad(p, argnums=1)(r, s), 0.5 * (second + first / jnp.tan(r / 2))

    left, right = jax.jit(jax.vmap(sides))(r, s)
    np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("s", [1e-3, 1e-2, 0.1, 0.5, 1.0, 2.9, 3.1, 8.0])
@pytest.mark.fault(29, "angles drawn on SO(3)")
def test_angle_law(s):
    """Kolmogorov–Smirnov with 1e5 draws: √n D < 1.95 fails with probability 1e-3 by chance;
    moments E χ_l/(2l+1) = e^{−l(l+1)s/2} within 4 standard errors."""
    keys = jax.random.split(jax.random.key(int(1000 * s)), 100_000)
    draws = np.asarray(draw(keys, jnp.float32(s)), np.float64)
    r = np.linspace(0.0, min(np.pi, 9 * np.sqrt(s)), 20_001)
    assert kolmogorov(draws, r, density(r, s)) < 1.95
    half = np.maximum(draws / 2, 1e-9)
    for l in (1, 2, 4):
        character = np.sin((2 * l + 1) * half) / np.sin(half) / (2 * l + 1)
        error = character.std() / np.sqrt(len(draws))
        assert abs(character.mean() - np.exp(-l * (l + 1) * s / 2)) < 4 * error


def test_draws_keep_the_dtype():
    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = np.asarray(draw(keys, jnp.float64(0.5), dtype=np.float64))
    trace = (1 + 2 * np.cos(draws)) / 3
    assert draws.dtype == np.float64
    assert abs(trace.mean() - np.exp(-0.5)) < 4 * trace.std() / np.sqrt(len(draws))
