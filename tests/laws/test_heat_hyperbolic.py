"""The heat kernel of H^d against McKean's integral and the recursion in high precision, and the
laws it obeys."""

import json
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.radial import kolmogorov, panels

from scorefold.heat import HyperbolicProfile

TABLE = Path(__file__).parent.parent / "oracles" / "heat_so3_hyp.json"
DIMS = range(2, 9)
DTYPES = [np.float32, np.float64]


@partial(jax.jit, static_argnames="d")
def kernel(r, s, d):
    """log p, slope, slope by autodiff of log p: one compilation a dimension."""
    profile = HyperbolicProfile(d)

    def one(r, s):
        log_p, steep = jax.value_and_grad(profile.log_prob)(r, s)
        return log_p, profile.slope(r, s), -steep / r

    return jax.vmap(one)(r, s)


@partial(jax.jit, static_argnames="d")
def log_prob(r, s, d):
    return jax.vmap(HyperbolicProfile(d).log_prob)(r, s)


@partial(jax.jit, static_argnames=("d", "dtype"))
def draw(keys, s, d, dtype=np.float32):
    return jax.vmap(lambda key: HyperbolicProfile(d).sample(key, s, dtype))(keys)


def p(r, s, d):
    r = np.asarray(r)
    flat = jnp.asarray(r.ravel())
    return np.exp(np.asarray(log_prob(flat, jnp.full(flat.shape, s), d))).reshape(r.shape)


def density(r, s, d):
    return p(r, s, d) * 2 * np.pi ** (d / 2) / math.gamma(d / 2) * np.sinh(r) ** (d - 1)


def reach(s, d):
    return 0.5 * (d - 1) * s + (9 + np.sqrt(d)) * np.sqrt(s)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", DIMS)
def test_against_the_textbook(d, dtype):
    """mpmath; distances to 6, s from 1e-4 to 10; the score relative to √(d/s), its size under p_s
    at small s and below it at large s."""
    rows = [row[1:] for row in json.loads(TABLE.read_text()) if row[0] == d]
    r, s, log_p, steep = np.array(rows).T
    found, *slopes = kernel(jnp.asarray(r, dtype), jnp.asarray(s, dtype), d)
    assert found.dtype == slopes[0].dtype == dtype
    found = np.asarray(found, np.float64)
    small = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_array_less(np.abs(found - log_p), small * np.maximum(1, np.abs(log_p)))
    size = np.sqrt(d / s)
    for slope in slopes:
        error = np.abs(r * np.asarray(slope, np.float64) + steep)
        np.testing.assert_array_less(error, (1e-4 if dtype == np.float32 else 1e-10) * size)


def single_and_double(r, s, d):
    """(log p, slope) of points (r, s) that are numbers of float32, in both precisions."""
    r, s = (np.asarray(v, np.float32).ravel() for v in np.meshgrid(r, s))
    ours, exact = (
        [np.asarray(v, np.float64) for v in kernel(jnp.asarray(r, t), jnp.asarray(s, t), d)[:2]]
        for t in DTYPES
    )
    return ours, exact


@pytest.mark.parametrize("d", DIMS)
def test_single_precision_far_out(d):
    """Distances to 60 and s from 1e-6 to 40, against float64."""
    r = np.concatenate([[0.0], np.geomspace(1e-4, 60.0, 60)])
    ours, exact = single_and_double(r, np.geomspace(1e-6, 40.0, 40), d)
    np.testing.assert_array_less(np.abs(ours[0] - exact[0]), 4e-6 * np.maximum(1, np.abs(exact[0])))
    np.testing.assert_allclose(ours[1], exact[1], rtol=4e-6)


@pytest.mark.parametrize("d", [2, 4, 6, 8])
def test_beyond_the_table(d):
    """What HyperbolicProfile says of its error in float32 beyond r = 60 and s = 40."""
    for r, s in (([0.0, 1.0, 30.0], [50.0, 100.0, 300.0]), ([70.0, 200.0], [1.0, 10.0])):
        ours, exact = single_and_double(r, s, d)
        np.testing.assert_array_less(np.abs(ours[0] - exact[0]), 0.3 + 1e-3 * np.abs(exact[0]))
        np.testing.assert_allclose(ours[1], exact[1], rtol=0.1)


def test_three_dimensions_closed_form():
    """H³: (2πs)^{−3/2} (r/sinh r) e^{−s/2−r²/2s}, also far out, where sinh r overflows."""
    r = np.array([1e-6, 0.1, 2.0, 20.0, 200.0])
    found, slope, _ = kernel(jnp.asarray(r, np.float32), jnp.full(5, 0.7, np.float32), 3)
    log_sinh = r + np.log(-np.expm1(-2 * r) / 2)
    expected = -1.5 * np.log(2 * np.pi * 0.7) + np.log(r) - log_sinh - 0.35 - r * r / 1.4
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    curved = np.where(r > 1e-3, (1 / np.tanh(r) - 1 / r) / r, 1 / 3)
    np.testing.assert_allclose(slope, 1 / 0.7 + curved, rtol=1e-6)


@pytest.mark.parametrize("d", DIMS)
def test_mass_and_semigroup(d):
    """∫ p_s = 1 and ∫ p_s(x, y) p_t(y, x) dy = p_{s+t}(x, x)."""
    for s in (0.01, 0.5, 4.0):
        r, w = panels(0.0, reach(s, d), 40)
        mass = w * density(r, s, d)
        assert mass.sum() == pytest.approx(1, abs=1e-10)
        assert mass @ p(r, 2 * s, d) == pytest.approx(p(0.0, 3 * s, d), rel=1e-10)


@pytest.mark.parametrize("d", [2, 3])
def test_semigroup_at_a_distance(d):
    """p_s ∗ p_t = p_{s+t} at distance b, in polar coordinates (a, φ) about one of the points."""
    s, t = 0.4, 0.9
    b = np.array([0.5, 2.0, 4.0])[:, None, None]
    a, wa = panels(0.0, reach(s, d), 12)
    phi, wp = panels(0.0, np.pi, 6)
    # sinh²(c/2) by the half-angle form of the law of cosines.
    half = (
        np.sinh((a[:, None] - b) / 2) ** 2 + np.sinh(a[:, None]) * np.sinh(b) * np.sin(phi / 2) ** 2
    )
    wp = wp * np.sin(phi) ** (d - 2)
    inner = p(2 * np.arcsinh(np.sqrt(half)), t, d) @ (wp / wp.sum())
    found = inner @ (wa * density(a, s, d))
    np.testing.assert_allclose(found, p(b.ravel(), s + t, d), rtol=1e-8)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.fault(28, "the heat equation on hyperbolic space")
def test_heat_equation(d):
    """∂_s p = ½(p'' + (d−1) coth r p'), by automatic differentiation in float64."""
    r, s = (jnp.asarray(v.ravel()) for v in np.meshgrid([0.2, 1.0, 3.0], [0.1, 0.8, 4.0]))
    profile = HyperbolicProfile(d)

    def value(r, s):
        return jnp.exp(profile.log_prob(r, s))

    def sides(r, s):
        first = jax.grad(value)(r, s)
        second = jax.grad(jax.grad(value))(r, s)
        return (
            jax.grad(value, argnums=1)(r, s),
            0.5 * (second + (d - 1) * first / jnp.tanh(r)),
            value(r, s) / s,
        )

    left, right, size = jax.jit(jax.vmap(sides))(r, s)
    np.testing.assert_array_less(np.abs(left - right), 1e-9 * size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [2, 5])
def test_coincident_points(d, dtype):
    """∂ log p = 0 and slope = −∂² log p at r = 0."""
    s = jnp.asarray([1e-4, 0.1, 1.0, 10.0], dtype)
    profile = HyperbolicProfile(d)

    def one(s):
        zero = jnp.zeros_like(s)
        first = jax.grad(profile.log_prob)
        return (
            first(zero, s),
            jax.grad(first)(zero, s),
            profile.slope(zero, s),
            jax.grad(profile.slope)(zero, s),
        )

    first, second, slope, bend = jax.jit(jax.vmap(one))(s)
    single = dtype == np.float32
    scale = 1 / np.sqrt(np.asarray(s))
    np.testing.assert_array_less(np.abs(first), (1e-6 if single else 1e-14) * scale)
    np.testing.assert_array_less(np.abs(bend), (1e-5 if single else 1e-13) * scale**3)
    np.testing.assert_allclose(slope, -second, rtol=1e-5 if single else 1e-12)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
@pytest.mark.fault(29, "distances drawn on hyperbolic space")
def test_distance_law(d):
    """Kolmogorov–Smirnov with 1e5 draws: √n D < 1.95 fails with probability 1e-3 by chance."""
    for s in (1e-3, 1e-2, 0.1, 0.5, 1.0, 3.0):
        keys = jax.random.split(jax.random.key(int(1000 * s)), 100_000)
        draws = np.asarray(draw(keys, jnp.float32(s), d), np.float64)
        r = np.linspace(1e-12, reach(s, d), 1001)
        assert kolmogorov(draws, r, density(r, s, d)) < 1.95, s


@pytest.mark.parametrize("d", [2, 3, 4, 8])
def test_moment(d):
    """E cosh ρ = e^{ds/2} within 4 standard errors, for s = 0.4/d, where cosh ρ has light tails."""
    s = 0.4 / d
    keys = jax.random.split(jax.random.key(d), 100_000)
    draws = np.asarray(draw(keys, jnp.float64(s), d, dtype=np.float64))
    assert draws.dtype == np.float64
    cosh = np.cosh(draws)
    error = cosh.std() / np.sqrt(len(draws))
    assert abs(cosh.mean() - np.exp(d * s / 2)) < 4 * error


@pytest.mark.parametrize("d", [4, 7])
def test_inverse_distribution_function(d):
    """The grid sampler at d ≥ 4 as a map from a uniform variable: error of F below 1e-5."""
    u = jnp.asarray(np.linspace(0.001, 0.999, 999))
    profile = HyperbolicProfile(d)
    for s in (1e-3, 0.3, 5.0):
        found = np.asarray(jax.jit(jax.vmap(profile._invert, (0, None)))(u, jnp.float64(s)))
        r = np.linspace(1e-12, reach(s, d), 4001)
        f = density(r, s, d)
        below = np.concatenate([[0.0], np.cumsum(0.5 * (f[1:] + f[:-1]) * np.diff(r))])
        np.testing.assert_allclose(np.interp(found, r, below), u, atol=1e-5)


@pytest.mark.parametrize("d", [1, 9])
def test_refused_dimension(d):
    with pytest.raises(ValueError, match=rf"2 <= d <= 8, got d={d}"):
        HyperbolicProfile(d)
