"""Heat kernels of R^d and of products against their factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product

SPACE = Product(Euclidean(2), SO3(), Hyperbolic(2))


def pair(dtype, s=0.5):
    x0, k = SPACE.origin(dtype), jax.random.key(3)
    draw = jax.jit(SPACE.heat.sample)
    x0 = draw(jax.random.key(4), x0, s)
    return draw(k, x0, s), x0


def test_euclidean_is_gaussian():
    """scipy's multivariate normal with covariance sI; score (x₀ − x)/s."""
    x, x0 = jnp.array([0.3, -1.2, 2.0]), jnp.array([1.0, 0.0, 0.5])
    heat = Euclidean(3).heat
    expected = stats.multivariate_normal(np.asarray(x0), 0.7 * np.eye(3)).logpdf(np.asarray(x))
    assert float(heat.log_prob(x, x0, 0.7)) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(heat.score(x, x0, 0.7), (x0 - x) / 0.7, rtol=1e-15)
    np.testing.assert_allclose(jax.grad(heat.log_prob)(x, x0, 0.7), (x0 - x) / 0.7, rtol=1e-13)


def test_euclidean_draws():
    """Mean x₀ and |x − x₀|²/s χ² with d degrees of freedom (Kolmogorov–Smirnov at 1e-3)."""
    heat = Euclidean(3).heat
    x0 = jnp.array([1.0, 0.0, 0.5], jnp.float32)
    keys = jax.random.split(jax.random.key(0), 50_000)
    x = np.asarray(jax.jit(jax.vmap(lambda k: heat.sample(k, x0, 0.3)))(keys), np.float64)
    assert np.all(np.abs(x.mean(0) - np.asarray(x0)) < 4 * np.sqrt(0.3 / 50_000))
    squares = np.sum((x - np.asarray(x0)) ** 2, axis=1) / 0.3
    assert stats.kstest(squares, stats.chi2(3).cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_product_of_densities(dtype):
    """log p and score are the factors' at the same s, and the score is the gradient."""
    x, x0 = pair(dtype)
    parts = list(zip(SPACE.factors, SPACE.split(x), SPACE.split(x0), strict=True))

    def along(c):
        return SPACE.heat.log_prob(SPACE.exp(x, SPACE.from_components(x, c)), x0, 0.5)

    @jax.jit
    def evaluate():
        log_p, score = SPACE.heat.log_prob(x, x0, 0.5), SPACE.heat.score(x, x0, 0.5)
        factors = [(m.heat.log_prob(a, b, 0.5), m.heat.score(a, b, 0.5)) for m, a, b in parts]
        return log_p, score, factors, jax.grad(along)(jnp.zeros(SPACE.dim, dtype))

    log_p, score, factors, slope = evaluate()
    assert x.dtype == log_p.dtype == score.dtype == dtype
    small = 1e-6 if dtype == np.float32 else 1e-13
    assert float(log_p) == pytest.approx(sum(float(value) for value, _ in factors), rel=small)
    for found, (_, expected) in zip(SPACE.split(score), factors, strict=True):
        np.testing.assert_allclose(found, expected, rtol=small, atol=small)
    atol = 2e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(slope, SPACE.components(x, score), rtol=0, atol=atol)


def test_product_draws():
    """Each factor moves by its own law and independently: E|Δ|² = ds, E(1 + 2cos ω)/3 = e^{−s},
    E cosh ρ = e^{s}, correlations 0, all within 4 standard errors."""
    s, n = 0.3, 50_000
    _, x0 = pair(np.float64)
    keys = jax.random.split(jax.random.key(1), n)

    @jax.jit
    @jax.vmap
    def distances(key):
        x = SPACE.heat.sample(key, x0, s)
        parts = zip(SPACE.factors, SPACE.split(x), SPACE.split(x0), strict=True)
        return jnp.stack([m.dist(a, b) for m, a, b in parts])

    flat, turn, far = np.asarray(distances(keys)).T
    moments = np.stack([flat**2, (1 + 2 * np.cos(turn)) / 3, np.cosh(far)])
    expected = [2 * s, np.exp(-s), np.exp(s)]
    error = moments.std(axis=1) / np.sqrt(n)
    np.testing.assert_array_less(np.abs(moments.mean(axis=1) - expected), 4 * error)
    correlation = np.corrcoef(moments)[np.triu_indices(3, 1)]
    np.testing.assert_array_less(np.abs(correlation), 4 / np.sqrt(n))
