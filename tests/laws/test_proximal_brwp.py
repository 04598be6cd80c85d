"""Sampling by backward regularised Wasserstein proximal steps, against its own closed forms.

For V = ax²/2 and a Gaussian ensemble, with v_τ = s²/(1 + aτ)² + 2βτ/(1 + aτ),

    m ↦ m(1 − ηa + ηβ(1 − 1/(1 + aτ))/v_τ),    s ↦ |1 − ηa + ηβ/v_τ|·s,

and the limit has variance (β/a)(1 − a²τ²) at every step η.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.proximal import (
    AbsoluteValue,
    GaussianMoments,
    Laplace,
    MonteCarlo,
    Preconditioner,
    ProximalKernel,
    ProximalStep,
    Quadratic,
    gaussian_brwp_step,
    gaussian_stationary,
    sample_brwp,
)

a, BETA = 1.7, 0.6
LINE = Quadratic([[a]])
A = np.array([[1.4, 0.5], [0.5, 0.9]])
M = np.array([[0.8, -0.3], [-0.3, 0.5]])
CENTRE = np.array([0.3, -0.6])


def quantiles(n, mean, std, dtype=jnp.float64):
    """n points that stand for N(mean, std²) better than draws do."""
    from scipy.stats import norm

    return jnp.asarray(norm(mean, std).ppf((np.arange(n) + 0.5) / n)[:, None], dtype)


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.3])
def test_gaussian_iteration(tau):
    m, s = 1.3, 0.9
    for step in (0.1, 0.4):
        later = s**2 / (1 + a * tau) ** 2 + 2 * BETA * tau / (1 + a * tau)
        mean = m * (1 - step * a + step * BETA * (1 - 1 / (1 + a * tau)) / later)
        std = abs(1 - step * a + step * BETA / later) * s
        law = GaussianMoments(jnp.asarray([m]), jnp.asarray([[s**2]]))
        found = gaussian_brwp_step(LINE, law, step, tau=tau, beta=BETA)
        np.testing.assert_allclose(found.mean, [mean], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.covariance, [[std**2]], rtol=0, atol=1e-12)


def test_limit_of_the_gaussian_iteration():
    """(β/a)(1 − a²τ²) = 0.350391…, 0.342741…, 0.261141…: the closed form, and the end of 150 steps
    whatever their size. The target has 0.352941…"""
    tabulated = {0.05: 0.350391, 0.1: 0.342741, 0.3: 0.261141}
    for tau, printed in tabulated.items():
        limit = gaussian_stationary(LINE, tau=tau, beta=BETA)
        exact = BETA / a * (1 - (a * tau) ** 2)
        assert abs(exact - printed) < 5e-7
        np.testing.assert_allclose(limit.covariance, [[exact]], rtol=0, atol=1e-12)
        for step in (0.3, 0.6):
            law = last_of_150(jnp.asarray(step), jnp.asarray(tau))
            np.testing.assert_allclose(law.mean, [0.0], rtol=0, atol=1e-12)
            np.testing.assert_allclose(law.covariance, [[exact]], rtol=0, atol=1e-12)


@jax.jit
def last_of_150(step, tau):
    """The recursion at the top of this file, on arrays."""

    def advance(_, law):
        m, v = law.mean[0], law.covariance[0, 0]
        later = v / (1 + a * tau) ** 2 + 2 * BETA * tau / (1 + a * tau)
        mean = m * (1 - step * a + step * BETA * (1 - 1 / (1 + a * tau)) / later)
        variance = (1 - step * a + step * BETA / later) ** 2 * v
        return GaussianMoments(mean[None], variance[None, None])

    start = GaussianMoments(jnp.asarray([1.3]), jnp.asarray([[0.81]]))
    return jax.lax.fori_loop(0, 150, advance, start)


def test_limit_with_a_preconditioner():
    """β(A⁻¹ − τ²MAM) is a fixed point for every step, and WProx of it is the target N(c, βA⁻¹)."""
    tau, metric, potential = 0.4, Preconditioner(M), Quadratic(A, CENTRE)
    limit = gaussian_stationary(potential, tau=tau, beta=BETA, preconditioner=metric)
    exact = BETA * (np.linalg.inv(A) - tau**2 * M @ A @ M)
    np.testing.assert_allclose(limit.covariance, exact, rtol=0, atol=1e-13)
    for step in (0.1, 0.7):
        after = gaussian_brwp_step(
            potential, limit, step, tau=tau, beta=BETA, preconditioner=metric
        )
        np.testing.assert_allclose(after.mean, CENTRE, rtol=0, atol=1e-13)
        np.testing.assert_allclose(after.covariance, exact, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_particles_follow_the_gaussian(dtype):
    """400 particles at the quantiles of N(1.3, 0.9²) follow mean and variance of the closed form
    within 1 % of them (N = 400: the ends of a finite ensemble), and end at (β/a)(1 − a²τ²)."""
    tau, step = 0.1, 0.3
    kernel = ProximalKernel(LINE, tau=tau, beta=BETA)
    start = quantiles(400, 1.3, 0.9, dtype)
    path = np.asarray(sample_brwp(kernel, start, step=step, steps=60, keep=True))
    assert path.dtype == dtype and path.shape == (61, 400, 1)
    np.testing.assert_array_equal(path[0], start)
    law = GaussianMoments(jnp.asarray([1.3]), jnp.asarray([[np.var(path[0], dtype=np.float64)]]))
    for k in range(1, 7):
        law = gaussian_brwp_step(LINE, law, step, tau=tau, beta=BETA)
        np.testing.assert_allclose(path[k].mean(), law.mean[0], rtol=0, atol=0.01)
        np.testing.assert_allclose(path[k].var(), law.covariance[0, 0], rtol=0.01)
    # The same limit from other steps and from draws, as the closed form says.
    draws = 0.9 * jax.random.normal(jax.random.key(0), (400, 1), dtype)
    last = np.asarray(sample_brwp(kernel, draws, step=step, steps=60, keep=True))[-1]
    for end in (path[-1], last):
        np.testing.assert_allclose(end.mean(), 0.0, atol=0.005)
        np.testing.assert_allclose(end.var(), 0.342741, rtol=0.01)


@pytest.mark.parametrize("drift", ["gradient", "prox"])
@pytest.mark.parametrize("weighted", ["closed", "laplace"])
def test_one_step_by_hand(drift, weighted):
    """Five particles, double loop in NumPy, V = λ|x|: −½ηλ·sign(x_i), of either sign and 0 at 0,
    in the one form, −(η/2τ)(x_i − S(x_i)) with the soft threshold S in the other."""
    lam, tau, beta, step = 1.3, 0.2, 0.35, 0.15
    x = np.array([[-1.1, 0.4], [0.2, -0.9], [1.5, 0.0], [-0.05, 2.0], [-2.0, -1.0]])
    threshold = lambda y: np.sign(y) * np.maximum(np.abs(y) - tau * lam, 0.0)  # noqa: E731
    normaliser = None if weighted == "closed" else Laplace()
    kernel = ProximalKernel(AbsoluteValue(lam), tau=tau, beta=beta, normaliser=normaliser)
    if weighted == "closed":
        # ∫ by the trapezoid rule on a fine grid of the line, coordinate by coordinate.
        t = np.linspace(-8.0, 8.0, 200_001)
        height = lambda y: np.exp(-(lam * np.abs(t) + (t - y) ** 2 / (2 * tau)) / (2 * beta))  # noqa: E731
        log_z = np.array([sum(math.log(height(c).sum()) for c in row) for row in x])
    else:
        p = threshold(x)
        log_z = -np.sum(lam * np.abs(p) + (p - x) ** 2 / (2 * tau), 1) / (2 * beta)
    expected = np.empty_like(x)
    for i in range(5):
        w = np.array([
            math.exp(-np.sum((x[i] - x[j]) ** 2) / (4 * beta * tau) - log_z[j]) for j in range(5)
        ])  # fmt: skip
        mean = (w / w.sum()) @ x
        down = lam * np.sign(x[i]) if drift == "gradient" else (x[i] - threshold(x[i])) / tau
        expected[i] = x[i] - 0.5 * step * down + step / (2 * tau) * (x[i] - mean)
    found = sample_brwp(kernel, x, step=step, steps=1, drift=drift)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=1e-7 if weighted == "closed" else 1e-13
    )
    # A single particle is its own mean: nothing but the slope is left, towards 0 from both sides.
    for start in (2.0, -2.0):
        alone = sample_brwp(kernel, np.array([[start, start]]), step=step, steps=1, drift=drift)
        np.testing.assert_allclose(alone, start - np.sign(start) * 0.5 * step * lam, atol=1e-14)


def test_the_proximal_operator_of_the_limit_is_the_target():
    """Where the ensemble rests, ∇V + β∇log ρ_τ = 0: WProx(ensemble) is the Gibbs law. For λ|x| that
    is the Laplace law of scale β/λ, within 0.02 nats over three scales either way (300
    particles). At the kink itself the sum of kernels is too smooth: 0.1 nats."""
    lam, beta, tau = 1.3, 0.5, 0.05
    kernel = ProximalKernel(AbsoluteValue(lam), tau=tau, beta=beta)
    ensemble = sample_brwp(kernel, quantiles(300, 0.0, 0.5), step=0.03, steps=150)
    log_z = kernel.log_normalisers(ensemble)
    x = jnp.linspace(-3 * beta / lam, 3 * beta / lam, 25)
    found = jax.jit(jax.vmap(lambda p: kernel.log_prob(p, ensemble, log_z)))(x[:, None])
    exact = -lam * jnp.abs(x) / beta - math.log(2 * beta / lam)
    allowed = jnp.where(jnp.abs(x) < 0.05, 0.15, 0.02)
    assert bool(jnp.all(jnp.abs(found - exact) < allowed))


def test_preconditioning_is_a_change_of_coordinates():
    """x = Lz, M = LLᵀ: PRWP with M for V(x) is BRWP for z ↦ V(Lz), particle by particle; with
    M = A⁻¹ and quadratic V the target looks round."""
    L = np.linalg.cholesky(M)
    options = dict(tau=0.3, beta=0.5)
    x = np.random.default_rng(0).normal(size=(30, 2))
    inside = Quadratic(L.T @ A @ L, np.linalg.solve(L, CENTRE))
    for drift in ("gradient", "prox"):
        outer = ProximalKernel(Quadratic(A, CENTRE), preconditioner=Preconditioner(M), **options)
        found = sample_brwp(outer, x, step=0.3, steps=20, drift=drift)
        plain = sample_brwp(ProximalKernel(inside, **options), np.linalg.solve(L, x.T).T,
                            step=0.3, steps=20, drift=drift)  # fmt: skip
        np.testing.assert_allclose(found, np.asarray(plain) @ L.T, rtol=0, atol=1e-10)


def test_monte_carlo_normalisers_lead_to_the_same_limit():
    """25 draws a step: the variance of 200 particles, averaged over the last 40 of 100 steps, is
    the limit within 4 %; equal keys give equal points, other keys others."""
    kernel = ProximalKernel(LINE, tau=0.1, beta=BETA, normaliser=MonteCarlo(25))
    run = lambda k: sample_brwp(  # noqa: E731
        kernel, quantiles(200, 0.5, 0.6), step=0.2, steps=100, key=jax.random.key(k), keep=True
    )
    path = np.asarray(run(0))
    np.testing.assert_allclose(path[-40:].var(axis=(1, 2)).mean(), 0.342741, rtol=0.04)
    np.testing.assert_array_equal(path, run(0))
    assert np.abs(path - run(1)).max() > 1e-3


def test_bad_arguments_are_named():
    kernel = ProximalKernel(LINE, tau=0.1, beta=BETA)
    good = dict(step=0.1, steps=3)
    with pytest.raises(ValueError, match=r"tau=0\.6 is too large .* below 1/a = 0\.588235"):
        gaussian_stationary(LINE, tau=0.6, beta=BETA)
    with pytest.raises(ValueError, match=r"tau=0\.6 is too large"):
        sample_brwp(ProximalKernel(LINE, tau=0.6, beta=BETA), np.zeros((2, 1)), **good)
    with pytest.raises(ValueError, match="row 1 not finite"):
        sample_brwp(kernel, np.array([[0.0], [np.nan]]), **good)
    with pytest.raises(ValueError, match=r"particles must have shape \(n, d\)"):
        sample_brwp(kernel, np.zeros(3), **good)
    with pytest.raises(ValueError, match="preconditioner is for dimension 2, the points have 1"):
        other = ProximalKernel(AbsoluteValue(), tau=1.0, beta=1.0, preconditioner=Preconditioner(M))
        sample_brwp(other, np.zeros((2, 1)), **good)
    with pytest.raises(ValueError, match="its preconditioner must be diagonal"):
        sample_brwp(other, np.zeros((2, 2)), **good)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        sample_brwp(kernel, np.zeros((2, 1)), step=0.1, steps=0)
    with pytest.raises(ValueError, match="step must be a positive"):
        sample_brwp(kernel, np.zeros((2, 1)), step=-0.1, steps=1)
    with pytest.raises((ValueError, TypeError), match="drift"):
        ProximalStep(kernel, drift="backward")
    with pytest.raises(ValueError, match="normaliser draws points: pass key="):
        drawn = ProximalKernel(LINE, tau=0.1, beta=BETA, normaliser=MonteCarlo())
        sample_brwp(drawn, np.zeros((2, 1)), **good)
    with pytest.raises(FloatingPointError, match="take a smaller step"):
        steep = ProximalKernel(LINE, tau=0.1, beta=BETA)
        sample_brwp(steep, np.array([[1.0], [2.0]]), step=1e9, steps=60)
