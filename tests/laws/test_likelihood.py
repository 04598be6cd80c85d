"""The probability flow with the exact score of a heat-kernel mixture gives its exact density."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.mixture import MixtureReference, mixture
from projective_plane import ProjectivePlane

from scorefold._types import constant
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.noising import Brownian, OrnsteinUhlenbeck, VarianceExploding
from scorefold.samplers import density_mass, log_prob_ode, sample_ode, solve_log_prob

S_MIN = 0.1

# (noising, s_max). On compact spaces what is left of the mixture at s_max is e^{−λ₁ s_max / 2},
# at most 1e-8 here; Brownian motion elsewhere is compared with the mixture's own law at s_max.
CASES = {
    "S2": (lambda: Brownian(Sphere(2)), 20.0),
    "S3": (lambda: Brownian(Sphere(3)), 14.0),
    "T2": (lambda: Brownian(Torus(2)), 40.0),
    "SO3": (lambda: Brownian(SO3()), 20.0),
    "RP2": (lambda: Brownian(ProjectivePlane()), 8.0),
    "S2xT1": (lambda: Brownian(Product(Sphere(2), Torus(1))), 40.0),
    "R2-OU": (lambda: OrnsteinUhlenbeck(Euclidean(2)), 40.0),
    "R2-VE": (lambda: VarianceExploding(Euclidean(2)), 5.0),
    "H2-VE": (lambda: VarianceExploding(Hyperbolic(2)), 2.0),
}


SLOW = ("S2", "S3", "SO3", "RP2", "S2xT1", "H2-VE")
RUNS = [(case, jnp.float64) for case in CASES if case not in SLOW]
RUNS += [pytest.param(case, jnp.float64, marks=pytest.mark.slow) for case in SLOW]
RUNS += [(case, jnp.float32) for case in ("S2", "R2-OU")]
RUNS += [pytest.param(case, jnp.float32, marks=pytest.mark.slow) for case in ("T2", "H2-VE")]


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=lambda v: getattr(v, "__name__", v))
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


class Swirl(eqx.Module):
    """A smooth field on S², not a gradient. Whatever the field, its flow carries the reference to
    a normalised law, so mass and draws can be checked without any heat kernel."""

    def __call__(self, x, s):
        a = constant([[1.0, -2.0, 0.5], [1.5, 0.2, -1.0], [0.0, 1.0, -1.5]], x)
        b = constant([0.5, -1.0, 1.5], x)
        u = jnp.exp(-s) * (a @ x + b)
        return u - jnp.sum(u * x) * x


NOISING = Brownian(Sphere(2))
OPTIONS = {"s_min": S_MIN, "rtol": 1e-5, "atol": 1e-5}


def test_hutchinson_is_unbiased():
    """The mean over 512 independent probes at two points is within 4 standard errors of the exact
    value; one probe alone is far off."""
    x = jnp.asarray([[0.6, 0.0, 0.8], [-0.6, 0.8, 0.0]])
    exact = np.asarray(log_prob_ode(NOISING, Swirl(), jnp.repeat(x, 512, axis=0), **OPTIONS))
    drawn = log_prob_ode(
        NOISING, Swirl(), jnp.repeat(x, 512, axis=0), divergence="hutchinson",
        key=jax.random.key(6), **OPTIONS,
    )  # fmt: skip
    drawn, exact = np.asarray(drawn).reshape(2, 512), exact.reshape(2, 512)[:, 0]
    error = drawn.std(axis=1, ddof=1) / np.sqrt(512)
    assert np.all(np.abs(drawn.mean(axis=1) - exact) < 4 * error)
    assert drawn.std(axis=1).min() > 0.1
    with pytest.raises(ValueError, match="key="):
        log_prob_ode(NOISING, Swirl(), x, divergence="hutchinson", **OPTIONS)


@pytest.mark.fault(31, "the integral of a flow's density")
def test_mass_draws_and_neighbours():
    """1024 quadrature nodes: ∫ exp(log_prob) = 1 to 1e-4, and the draws of the flow have the mean
    ∫ x exp(log_prob) within 4 standard errors. A point gets the same density in other company to
    ten tolerances of a step. Evaluations: one at the
    start, one a step of 36, one more in the first step."""
    log_prob = lambda x: log_prob_ode(NOISING, Swirl(), x, **OPTIONS)  # noqa: E731
    assert abs(density_mass(log_prob, Sphere(2), n=1024).value - 1.0) < 1e-4

    x = jax.vmap(Sphere(2).uniform)(jax.random.split(jax.random.key(1), 1024))
    together = solve_log_prob(NOISING, Swirl(), x, **OPTIONS)
    again = solve_log_prob(NOISING, Swirl(), x, **OPTIONS)
    apart = solve_log_prob(NOISING, Swirl(), x[:50], chunk=32, **OPTIONS)
    np.testing.assert_array_equal(together.log_prob, again.log_prob)
    np.testing.assert_allclose(together.log_prob[:50], apart.log_prob, atol=1e-4)
    assert set(np.asarray(apart.nfe)) == {38}

    drawn = np.asarray(sample_ode(NOISING, Swirl(), jax.random.key(2), 1024, s_min=S_MIN))
    # Importance weights of the uniform points: their error joins that of the draws.
    weighted = np.exp(np.asarray(together.log_prob))[:, None] * 4 * np.pi * np.asarray(x)
    spread = np.sqrt(drawn.var(axis=0) + weighted.var(axis=0)) / np.sqrt(1024)
    assert np.all(np.abs(drawn.mean(axis=0) - weighted.mean(axis=0)) < 4 * spread)
    assert np.abs(drawn.mean(axis=0)).max() > 5 * spread.max()
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 1e-12


class Broken(eqx.Module):
    """Not a number on one side of the sphere."""

    def __call__(self, x, s):
        return jnp.where(x[0] > 0.5, jnp.nan, 0.0).astype(x.dtype) * x


@pytest.mark.fault(31, "a solver that reaches its limit")
def test_refusals_name_cause_rows_and_remedy():
    x = np.tile(np.asarray([1.0, 0.0, 0.0]), (4, 1))
    with pytest.raises(RuntimeError, match=r"row 0 .*max_steps=3.*loosen"):
        log_prob_ode(NOISING, Swirl(), x, max_steps=3, **OPTIONS)
    x[2, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"x: 1 of 4 rows .*rows 2"):
        log_prob_ode(NOISING, Swirl(), x, s_min=S_MIN)
    with pytest.raises(ValueError, match="s_min must be a positive"):
        log_prob_ode(NOISING, Swirl(), x, s_min=0.0)
    with pytest.raises(ValueError, match="s_max must be finite and above"):
        log_prob_ode(NOISING, Swirl(), x, s_min=0.1, s_max=0.1)
    with pytest.raises(ValueError, match="does not end in"):
        log_prob_ode(NOISING, Swirl(), x[:, :2], s_min=S_MIN)
    with pytest.raises(ValueError, match="no points"):
        log_prob_ode(NOISING, Swirl(), x[:0], s_min=S_MIN)
    y = np.asarray([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(FloatingPointError, match=r"x: 1 of 3 rows .*without a finite.*rows 1"):
        log_prob_ode(NOISING, Broken(), y, s_min=S_MIN)
