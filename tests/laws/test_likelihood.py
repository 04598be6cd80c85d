"""The probability flow with the exact score of a heat-kernel mixture gives its exact density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.noising import Brownian, Linear, OrnsteinUhlenbeck, VarianceExploding
from scorefold.samplers import log_prob_ode, normalisation, sample_ode, solve_log_prob
from tests.oracles.mixture import MixtureReference, mixture

S_MIN = 0.1

# (noising, s_max). On compact spaces what is left of the mixture at s_max is e^{−λ₁ s_max / 2},
# at most 1e-8 here; Brownian motion elsewhere is compared with the mixture's own law at s_max.
CASES = {
    "S2": (lambda: Brownian(Sphere(2)), 20.0),
    "S3": (lambda: Brownian(Sphere(3)), 14.0),
    "T2": (lambda: Brownian(Torus(2)), 40.0),
    "SO3": (lambda: Brownian(SO3()), 20.0),
    "S2xT1": (lambda: Brownian(Product((Sphere(2), Torus(1)))), 40.0),
    "R2-OU": (lambda: OrnsteinUhlenbeck(Euclidean(2)), 40.0),
    "R2-VE": (lambda: VarianceExploding(Euclidean(2)), 5.0),
    "H2-VE": (lambda: VarianceExploding(Hyperbolic(2)), 2.0),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("case", CASES)
def test_density_of_a_heat_kernel_mixture(case, dtype):
    make, s_max = CASES[case]
    law = mixture(make())
    reference = MixtureReference(law, s_max) if case.endswith("VE") else None
    keys = jax.random.split(jax.random.key(3), 8)
    s_min = jnp.asarray(S_MIN, dtype)
    x = jax.vmap(lambda k: law.sample(k, S_MIN, dtype))(keys)
    exact = jax.vmap(law.log_prob, (0, None))(x, s_min)
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-8
    found = log_prob_ode(
        law.noising, law, x, s_min=S_MIN, s_max=s_max, reference=reference,
        rtol=tolerance, atol=tolerance,
    )  # fmt: skip
    assert found.dtype == dtype
    np.testing.assert_allclose(found, exact, atol=1e-3 if dtype == jnp.float32 else 1e-6, rtol=0)


@pytest.fixture(scope="module")
def sphere():
    return mixture(Brownian(Sphere(2), Linear(beta_1=40.0)))


def test_hutchinson_is_unbiased(sphere):
    """Mean over 512 independent probes at two points within 4 standard errors of the exact
    value; one probe alone is far off."""
    x = jax.vmap(lambda k: sphere.sample(k, S_MIN, jnp.float32))(
        jax.random.split(jax.random.key(5), 2)
    )
    exact = np.asarray(jax.vmap(sphere.log_prob, (0, None))(x, jnp.float32(S_MIN)))
    many = jnp.repeat(x, 512, axis=0)
    options = {"s_min": S_MIN, "rtol": 1e-4, "atol": 1e-4, "divergence": "hutchinson"}
    drawn = log_prob_ode(sphere.noising, sphere, many, key=jax.random.key(6), **options)
    drawn = np.asarray(drawn, np.float64).reshape(2, 512)
    error = drawn.std(axis=1, ddof=1) / np.sqrt(512)
    assert np.all(np.abs(drawn.mean(axis=1) - exact) < 4 * error + 1e-3)
    assert drawn.std(axis=1).min() > 0.05
    with pytest.raises(ValueError, match="key="):
        log_prob_ode(sphere.noising, sphere, x, **options)


def test_mass_is_one_and_neighbours_do_not_matter(sphere):
    """∫ exp(log_prob) = 1 by 512 quadrature nodes; a point solved with the nodes, in a chunk of
    other points or alone gets the same density to ten times the tolerance of a step, and the
    evaluations are reported as the solver counts them, six to a step and one at the start."""
    options = {"s_min": S_MIN, "rtol": 1e-4, "atol": 1e-4}
    log_prob = lambda x: log_prob_ode(sphere.noising, sphere, x, **options)  # noqa: E731
    mass = normalisation(log_prob, Sphere(2), n=512, dtype=jnp.float32)
    assert abs(mass.value - 1.0) < 1e-3

    x = jax.vmap(lambda k: Sphere(2).uniform(k, jnp.float32))(
        jax.random.split(jax.random.key(1), 300)
    )
    together = solve_log_prob(sphere.noising, sphere, x, **options)
    apart = solve_log_prob(sphere.noising, sphere, x, chunk=64, **options)
    np.testing.assert_allclose(together.log_prob, apart.log_prob, atol=1e-3)
    assert set(np.asarray(apart.nfe) % 6) == {1}
    again = solve_log_prob(sphere.noising, sphere, x, **options)
    np.testing.assert_array_equal(together.log_prob, again.log_prob)


def test_draws_of_the_flow_have_the_mean_of_the_mixture(sphere):
    """E x = e^{−s} Σ w_k c_k on S² (the first eigenfunctions), within 4 standard errors."""
    x = np.asarray(
        sample_ode(
            sphere.noising, sphere, jax.random.key(2), 1024, s_min=S_MIN, dtype=jnp.float32
        )
    )
    exact = np.exp(-S_MIN) * np.asarray(sphere.weights) @ np.asarray(sphere.centres)
    error = x.std(axis=0, ddof=1) / np.sqrt(len(x))
    assert np.all(np.abs(x.mean(axis=0) - exact) < 4 * error)
    assert np.abs(np.linalg.norm(x, axis=1) - 1).max() < 1e-6


def test_refusals_name_cause_rows_and_remedy(sphere):
    x = np.tile(np.asarray([1.0, 0.0, 0.0]), (4, 1))
    noising = sphere.noising
    with pytest.raises(RuntimeError, match=r"rows 0 to 3 .*max_steps=3.*[Ll]oosen|loosen"):
        log_prob_ode(noising, sphere, x, s_min=S_MIN, max_steps=3)
    x[2, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"x: 1 of 4 rows .*rows 2"):
        log_prob_ode(noising, sphere, x, s_min=S_MIN)
    with pytest.raises(ValueError, match="s_min must be a positive"):
        log_prob_ode(noising, sphere, x, s_min=0.0)
    with pytest.raises(ValueError, match="s_max must be finite and above"):
        log_prob_ode(noising, sphere, x, s_min=0.1, s_max=0.1)
    with pytest.raises(ValueError, match="does not end in"):
        log_prob_ode(noising, sphere, x[:, :2], s_min=S_MIN)
    with pytest.raises(ValueError, match="no points"):
        log_prob_ode(noising, sphere, x[:0], s_min=S_MIN)

    def broken(p, s):
        return jnp.where(p[0] > 0.5, jnp.nan, 1.0).astype(p.dtype) * jnp.zeros_like(p)

    y = np.asarray([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(FloatingPointError, match=r"x: 1 of 3 rows .*without a finite.*rows 1"):
        log_prob_ode(noising, broken, y, s_min=S_MIN)
