"""Draws against a density, by isometries: no more false alarms than are stated, and what is wrong
is found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.metrics import draws_against_density

SPACES = [
    Euclidean(2), Torus(2), Sphere(2),
    *(pytest.param(m, marks=pytest.mark.slow)
      for m in (SO3(), Torus(20), Hyperbolic(2), Product(Sphere(2), Euclidean(1)))),
]  # fmt: skip


def heat(m, n, key, tau=0.3):
    """Draws of the heat kernel at the origin, and its log p of a batch."""
    o = m.origin(jnp.float32)
    draws = jax.jit(jax.vmap(lambda k: m.heat.sample(k, o, jnp.float32(tau))))(
        jax.random.split(key, n)
    )
    return draws, jax.jit(jax.vmap(lambda x: m.heat.log_prob(x, o, jnp.float32(0.3))))


@pytest.mark.parametrize("m", SPACES, ids=str)
def test_draws_of_the_density_pass(m):
    """Of 4 sets of 400 draws none has p < 10⁻³: by chance one such test in 250 has."""
    for k in range(4):
        draws, log_prob = heat(m, 400, jax.random.key(k))
        found = draws_against_density(m, log_prob, draws, jax.random.key(100 + k))
        assert found.p_value > 1e-3 and found.n == 300 and found.tests > 0


@pytest.mark.parametrize("m", SPACES[:3], ids=str)
@pytest.mark.parametrize("tau", [0.2, 0.42])
def test_draws_that_are_too_narrow_or_too_wide_do_not(m, tau):
    draws, log_prob = heat(m, 2000, jax.random.key(0), tau)
    assert draws_against_density(m, log_prob, draws, jax.random.key(1)).p_value < 1e-3


def test_a_lost_mode_and_a_shift():
    m, rng = Euclidean(1), np.random.default_rng(0)

    def log_prob(x):
        return np.logaddexp(-0.5 * (x[:, 0] - 2) ** 2, -0.5 * (x[:, 0] + 2) ** 2)

    both = np.where(rng.random(2000) < 0.5, 2.0, -2.0) + rng.normal(size=2000)
    for draws, right in ((both, True), (2 + rng.normal(size=2000), False), (both + 0.2, False)):
        rows = draws[:, None].astype(np.float32)
        found = draws_against_density(m, log_prob, rows, jax.random.key(0))
        assert (found.p_value > 1e-3) == right, found


@pytest.mark.parametrize("n", [400, 1000])
def test_edges_are_no_alarm(n):
    """A bounded support, where draws near an edge are rare; draws beyond it are none of p."""
    m = Euclidean(1)

    def log_prob(x):
        inside = (np.asarray(x)[:, 0] >= 0) & (np.asarray(x)[:, 0] <= 1)
        return np.where(inside, 0.0, -np.inf)

    for k in range(12):
        rows = np.random.default_rng(k).random((n, 1)).astype(np.float32)
        assert draws_against_density(m, log_prob, rows, jax.random.key(k)).p_value > 1e-3
    assert draws_against_density(m, log_prob, 1.2 * rows, jax.random.key(0)).p_value == 0.0


def test_a_few_draws_far_away_hide_nothing():
    m, rng = Euclidean(1), np.random.default_rng(0)
    rows = 0.7 * rng.normal(size=(1000, 1))
    rows[:3] = [[1e4], [-1e5], [3e4]]
    found = draws_against_density(m, lambda x: -0.5 * x[:, 0] ** 2, rows, jax.random.key(0))
    assert found.p_value < 1e-3


def test_what_is_refused():
    m, rows = Euclidean(1), np.zeros((100, 1), np.float32)
    with pytest.raises(ValueError, match="80 or more"):
        draws_against_density(m, lambda x: x[:, 0], rows[:70], jax.random.key(0))
    with pytest.raises(ValueError, match="is no number at 100 of 100"):
        draws_against_density(m, lambda x: np.nan * x[:, 0], rows, jax.random.key(0))
