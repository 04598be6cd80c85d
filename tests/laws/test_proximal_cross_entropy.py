"""π = WProx(WProx⁻¹(π)) for the cross-entropy, on mixtures whose heat flow is closed form."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.proximal import (
    LogKernel,
    PeriodicBox,
    Spectral,
    cross_entropy_prox,
    fokker_planck_residual,
    gaussian_mixture,
    hjb_residual,
    inverse_cross_entropy_prox,
    round_trip,
    wasserstein_prox,
)

MIXTURE = dict(
    means=[[-2.0], [0.5], [2.5]],
    covariances=[[[0.09]], [[0.25]], [[0.16]]],
    weights=[0.3, 0.45, 0.25],
)
PLANE = dict(
    means=[[-1.5, 0.0], [1.2, 0.8], [0.2, -1.0]],
    covariances=[[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.15], [-0.15, 0.4]], [[0.05, 0], [0, 0.6]]],
    weights=[0.3, 0.5, 0.2],
)
# KL(N(0, s) ‖ G_s * π) and KL(WProx(N(0, s)) ‖ π).
CONTRACTION = {0.1: (1.418825, 1.132975), 1.0: (0.416171, 0.147490), 4.0: (0.0766507, 0.0074117)}
BOX = PeriodicBox((-25.0,), (50.0,), (640,))


def on_grid(dtype=jnp.float64):
    x = BOX.points(dtype)
    mixture = gaussian_mixture(**MIXTURE)
    return x, jax.jit(lambda s: jax.vmap(lambda p: mixture.log_prob(p, s))(x))


def heat_1d(x, variance):
    return -0.5 * x * x / variance - 0.5 * math.log(2 * math.pi * variance)


def quadrature_kl(s):
    """The two divergences by the integral formula itself: dense kernel, no walls, no logs."""
    half = 8.0 + 6.0 * math.sqrt(s)
    x = np.linspace(-half, half, 1201)
    h = x[1] - x[0]
    means, variances = np.ravel(MIXTURE["means"]), np.ravel(MIXTURE["covariances"])

    def density(extra):
        parts = [heat_1d(x - m, v + extra) for m, v in zip(means, variances, strict=True)]
        return np.exp(parts).T @ np.asarray(MIXTURE["weights"])

    target, blurred, start = density(0.0), density(s), np.exp(heat_1d(x, s))
    kernel = np.exp(heat_1d(x[:, None] - x[None, :], s))
    end = target * (kernel @ (start / blurred)) * h

    def kl(p, q):
        seen = p > 1e-300
        return h * np.sum(p[seen] * np.log(p[seen] / q[seen]))

    return kl(start, blurred), kl(end, target)


@pytest.mark.parametrize("calculus", [LogKernel, Spectral])
def test_identity_and_contraction(calculus):
    """From the closed-form G_s * π the operator returns π; from a wrong start it contracts the
    divergence, by the amounts a dense quadrature finds."""
    x, log_flow = on_grid()
    c, inside = calculus(BOX), np.abs(np.asarray(x[:, 0])) < 8
    wrong = {s: jnp.asarray(heat_1d(np.asarray(x[:, 0]), s)) for s in CONTRACTION}

    @jax.jit
    def all_of_it(s, wrong):
        target, blurred = log_flow(0.0), log_flow(s)
        end = cross_entropy_prox(c, target, wrong, s)
        return (
            inverse_cross_entropy_prox(c, target, s), blurred,
            cross_entropy_prox(c, target, blurred, s), round_trip(c, target, s), target,
            BOX.kl(wrong, blurred), BOX.kl(end, target),
        )  # fmt: skip

    for s, printed in CONTRACTION.items():
        inverse, blurred, there, back, target, before, after = all_of_it(jnp.asarray(s), wrong[s])
        density = lambda log_p: np.exp(np.asarray(log_p))[inside]  # noqa: E731
        np.testing.assert_allclose(density(inverse), density(blurred), rtol=0, atol=1e-10)
        np.testing.assert_allclose(density(there), density(target), rtol=0, atol=1e-10)
        np.testing.assert_allclose(density(back), density(target), rtol=0, atol=1e-13)
        if calculus is LogKernel:
            # In logs, where the density is e^{−100}.
            np.testing.assert_allclose(
                np.asarray(there)[inside], np.asarray(target)[inside], rtol=0, atol=1e-10
            )
            assert float(after) < float(before)
            np.testing.assert_allclose((before, after), printed, rtol=0, atol=1e-6)
            np.testing.assert_allclose((before, after), quadrature_kl(s), rtol=0, atol=1e-9)


def test_the_potential_of_the_cross_entropy():
    """V = −2γ log π: any τ and γ with 2γτ = s give the same operator."""
    x, log_flow = on_grid()
    target, start = log_flow(0.0), jnp.asarray(heat_1d(np.asarray(x[:, 0]), 1.0))
    expected = cross_entropy_prox(LogKernel(BOX), target, start, 1.0)
    for gamma, tau in ((0.5, 1.0), (2.0, 0.25)):
        found = wasserstein_prox(LogKernel(BOX), -2.0 * gamma * target, start, tau=tau, gamma=gamma)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10)


def test_round_trip_in_two_dimensions_and_single_precision():
    mixture = gaussian_mixture(**PLANE)
    box = PeriodicBox((-8.0, -8.0), (16.0, 16.0), (64, 64))
    log_flow = jax.jit(jax.vmap(jax.vmap(mixture.log_prob, (0, None)), (0, None)))
    for dtype, atol in ((jnp.float64, 1e-12), (jnp.float32, 2e-5)):
        target = log_flow(box.points(dtype), jnp.asarray(0.0, dtype))
        blurred = log_flow(box.points(dtype), jnp.asarray(0.5, dtype))
        there = cross_entropy_prox(LogKernel(box), target, blurred, 0.5)
        assert there.dtype == dtype
        # The narrowest component has standard deviation 0.22 on a spacing of 0.25: e^{−2π²·0.8}.
        resolved = 1e-6 if dtype == jnp.float64 else atol
        np.testing.assert_allclose(jnp.exp(there), jnp.exp(target), rtol=0, atol=resolved)
        back = round_trip(LogKernel(box), target, 0.5)
        np.testing.assert_allclose(jnp.exp(back), jnp.exp(target), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype, bound", [(jnp.float64, 1e-10), (jnp.float32, 2e-4)])
def test_mixtures_solve_both_equations(dtype, bound):
    """U = −2γ log(G_{2γ(τ−t)} * π) and ρ = G_{2γ(τ−t)} * π, full covariances, by automatic
    differentiation, relative to the size of the terms; at t = 0, 0.5 and τ."""
    mixture, gamma, tau = gaussian_mixture(**PLANE), 0.35, 0.9

    def U(x, t):
        return -2.0 * gamma * mixture.log_prob(x, 2.0 * gamma * (tau - t))

    def rho(x, t):
        return jnp.exp(mixture.log_prob(x, 2.0 * gamma * (tau - t)))

    # Long to compile and short to run: little is gained by optimising.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    @jax.vmap
    def residuals(x, t):
        size = 1.0 + jnp.sum(jax.grad(U)(x, t) ** 2)
        return (
            hjb_residual(U, x, t, gamma=gamma) / size,
            fokker_planck_residual(rho, U, x, t, gamma=gamma),
            # A U that is wrong by t must be seen.
            hjb_residual(lambda y, r: U(y, r) + r, x, t, gamma=gamma),
        )

    x = jnp.asarray(np.random.default_rng(0).normal(size=(90, 2)) * 1.5, dtype)
    t = jnp.asarray(np.tile([0.0, 0.5, tau - 1e-6], 30), dtype)
    hjb, fokker_planck, wrong = residuals(x, t)
    assert hjb.dtype == dtype
    assert float(jnp.max(jnp.abs(hjb))) <= bound
    assert float(jnp.max(jnp.abs(fokker_planck))) <= bound
    np.testing.assert_allclose(wrong, -1.0, rtol=0, atol=100 * bound)


def test_mixture_density_score_and_draws():
    """Against SciPy's normal law; moments of 20,000 draws within 4 standard errors."""
    from scipy.stats import multivariate_normal

    mixture, s = gaussian_mixture(**PLANE), 0.2
    x = np.random.default_rng(1).normal(size=(20, 2))
    parts = [
        w * multivariate_normal(m, np.asarray(c) + s * np.eye(2)).pdf(x)
        for w, m, c in zip(*(PLANE[k] for k in ("weights", "means", "covariances")), strict=True)
    ]
    found = jax.jit(jax.vmap(lambda p: mixture.log_prob(p, s)))(jnp.asarray(x))
    np.testing.assert_allclose(found, np.log(np.sum(parts, 0)), rtol=0, atol=1e-12)
    scores = jax.jit(jax.vmap(lambda p: mixture.score(p, s)))(jnp.asarray(x))
    pull = [
        -np.linalg.solve(np.asarray(c) + s * np.eye(2), (x - m).T).T
        for m, c in zip(PLANE["means"], PLANE["covariances"], strict=True)
    ]
    by_hand = np.einsum("kn,knd->nd", np.asarray(parts) / np.sum(parts, 0), np.asarray(pull))
    np.testing.assert_allclose(scores, by_hand, rtol=0, atol=1e-12)

    n = 20_000
    keys = jax.random.split(jax.random.key(0), n)
    draws = np.asarray(jax.jit(jax.vmap(lambda k: mixture.at(s).sample(k, 1)[0]))(keys))
    w, m = np.asarray(PLANE["weights"]), np.asarray(PLANE["means"])
    mean = w @ m
    second = np.einsum(
        "k,kij->ij", w, np.asarray(PLANE["covariances"]) + s * np.eye(2)
    ) + np.einsum("k,ki,kj->ij", w, m, m)
    products = draws[:, :, None] * draws[:, None, :]
    assert np.all(np.abs(draws.mean(0) - mean) < 4 * draws.std(0) / math.sqrt(n))
    assert np.all(np.abs(products.mean(0) - second) < 4 * products.std(0) / math.sqrt(n))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(weights=[1.0, 1.0, -1.0]), "weights must be 3 positive"),
        (dict(covariances=np.zeros((3, 1, 1))), r"covariances\[0\] is not positive definite"),
        (dict(covariances=np.eye(2)), r"covariances must have shape \(3, 1, 1\)"),
        (dict(means=[1.0, 2.0, 3.0]), r"means must be finite, shape \(K, d\)"),
    ],
)
def test_bad_mixtures_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture(**(MIXTURE | change))
