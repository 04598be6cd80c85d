"""Laws of the noise level: one integral, whichever law draws s."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from scorefold.losses import Importance, Likelihood, LogUniform, Uniform, Variance
from scorefold.manifolds import Sphere
from scorefold.noising import Brownian, Linear

S_MIN, S_MAX = 1e-3, 4.0
CLOCK = Linear(0.001, 10.0)


def loss(s):
    return (1.0 + 0.5 * np.sin(3.0 * np.log(s))) / (s * (1.0 + s) ** 2)


@pytest.mark.parametrize("law", [LogUniform, Uniform, Importance])
@pytest.mark.parametrize("weighting", [Likelihood(), Variance()])
def test_every_law_estimates_the_same_integral(law, weighting):
    # Oracle: adaptive quadrature in log s. 200 stratified batches of 64; 4 standard errors.
    noising = Brownian(Sphere(2), CLOCK)

    def integrand(u):
        s = np.exp(u)
        beta = np.sqrt(0.001**2 + 2 * (10.0 - 0.001) * s)
        weight = 1.0 if isinstance(weighting, Likelihood) else (1 - np.exp(-s)) / beta
        return s * weight * loss(s)

    length = np.log(S_MAX / S_MIN)
    exact = quad(integrand, np.log(S_MIN), np.log(S_MAX), limit=200, epsrel=1e-9)[0] / length

    def draw(k):
        return law(weighting).batch(noising, k, 64, jnp.float64, s_min=S_MIN, s_max=S_MAX)

    s, weight = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 200))
    means = np.mean(np.asarray(weight) * loss(np.asarray(s)), axis=1)
    assert float(s.min()) > S_MIN * 0.999 and float(s.max()) < S_MAX * 1.001
    assert abs(means.mean() - exact) < 4 * means.std() / np.sqrt(len(means))
    assert means.std() < 0.5 * exact


def test_levels_are_stratified():
    s, _ = LogUniform().batch(
        Brownian(Sphere(2)), jax.random.key(0), 32, jnp.float32, s_min=S_MIN, s_max=S_MAX
    )
    place = 32 * np.log(np.asarray(s) / S_MIN) / np.log(S_MAX / S_MIN)
    assert np.floor(place).astype(int).tolist() == list(range(32))
    assert s.dtype == jnp.float32


def test_importance_floor_is_checked():
    with pytest.raises(ValueError, match="floor"):
        Importance(floor=0.0)
