"""Draws of one of very many numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from scorefold._choice import Choice


def drawn(log_w, n, key=0):
    choice = Choice.of(log_w)
    return np.asarray(jax.jit(jax.vmap(choice.draw))(jax.random.split(jax.random.key(key), n)))


@pytest.mark.parametrize("n", [1, 2, 3, 17, 100])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_frequencies_are_the_weights(n, dtype):
    """Pearson's χ² of 20,000 draws, below its 1 − 10⁻⁶ quantile; what has weight 0 is not drawn."""
    log_w = jnp.asarray(np.random.default_rng(n).normal(size=n), dtype).at[n // 2].set(-jnp.inf)
    log_w = log_w if n > 1 else jnp.zeros(1, dtype)
    p = np.asarray(jax.nn.softmax(log_w.astype(jnp.float64)))
    count = np.bincount(drawn(log_w, 20_000), minlength=n)
    assert count.sum() == 20_000 and len(count) == n and not count[p == 0].any()
    some = p > 0
    statistic = np.sum((count[some] - 20_000 * p[some]) ** 2 / (20_000 * p[some]))
    assert statistic <= chi2.ppf(1 - 1e-6, max(some.sum() - 1, 1))


def test_draws_at_once_have_the_same_law():
    """Pearson's χ² of 20,000 draws at once, below its 1 − 10⁻⁶ quantile. A weight of e^{−100} of
    the largest, and of 0, is not drawn."""
    log_w = jnp.asarray([0.3, -1.0, -jnp.inf, 0.0, -100.0, 0.9, -2.0], jnp.float32)
    found = np.asarray(Choice.of(log_w).draws(jax.random.key(3), 20_000))
    p = np.asarray(jax.nn.softmax(log_w.astype(jnp.float64)))
    count = np.bincount(found, minlength=len(p))
    some = p > 1e-9
    assert count[some].sum() == 20_000
    statistic = np.sum((count[some] - 20_000 * p[some]) ** 2 / (20_000 * p[some]))
    assert statistic <= chi2.ppf(1 - 1e-6, some.sum() - 1)


def test_a_million_weights_in_single_precision():
    """Of 10⁶ equal weights and one that is as heavy as all: half of the draws are the heavy one,
    and the others are spread evenly. Tolerances: 5 standard deviations of 10⁵ draws, in halves and
    in tenths."""
    n = 10**6
    heavy = jnp.zeros(n + 1, jnp.float32).at[n // 3].set(jnp.log(jnp.float32(n)))
    found = drawn(heavy, 10**5)
    assert abs(np.mean(found == n // 3) - 0.5) < 5 * 0.5 / np.sqrt(10**5)
    rest = np.bincount((found[found != n // 3]) * 10 // (n + 1), minlength=10)
    assert abs(rest / rest.sum() - 0.1).max() < 5 * np.sqrt(0.09 / rest.sum())
