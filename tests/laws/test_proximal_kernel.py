"""The kernel formula: on nodes, for Gaussians, for particles, its normalisers and its limit β → 0.

Oracles: closed forms of Gaussian integrals, SciPy's adaptive quadrature and minimiser, automatic
differentiation.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.proximal import (
    AbsoluteValue,
    ClosedForm,
    GaussianMoments,
    Laplace,
    MonteCarlo,
    Preconditioner,
    ProximalKernel,
    Quadratic,
    Smooth,
    gaussian_prox,
    kernel_formula,
    moreau_envelope,
    prox_particles,
    pushforward_log_prob,
)

A = np.array([[1.4, 0.5], [0.5, 0.9]])
M = np.array([[0.8, -0.3], [-0.3, 0.5]])
CENTRE = np.array([0.3, -0.6])
IDENTITY = Preconditioner()


class Quartic(eqx.Module):
    """¼|x|⁴ + ½x₁², smooth and convex."""

    def __call__(self, x):
        return 0.25 * jnp.sum(x * x) ** 2 + 0.5 * x[0] ** 2


def line(half, n):
    x = np.linspace(-half, half, n)
    return jnp.asarray(x[:, None]), jnp.full(n, math.log(x[1] - x[0]))


def moments(x, weight):
    mean = weight @ x
    return mean, (weight[:, None] * (x - mean)).T @ (x - mean)


def test_gaussian_under_a_quadratic_potential_on_nodes():
    """V = ax²/2, ρ₀ = N(m, s²): ρ_τ = N(m/(1 + aτ), s²/(1 + aτ)² + 2βτ/(1 + aτ)); a = 1.7, τ = 0.8,
    β = 0.6, m = 1.3, s = 0.9 gives mean 0.5508474576271186 and variance 0.5522120080436656."""
    nodes, log_w = line(12.0, 1001)
    x = nodes[:, 0]
    log_rho0 = -0.5 * (x - 1.3) ** 2 / 0.81 - 0.5 * math.log(2 * math.pi * 0.81)
    found = kernel_formula(0.85 * x**2, nodes, log_w, nodes, log_rho0 + log_w, tau=0.8, beta=0.6)
    mean, variance = moments(np.asarray(nodes), np.asarray(jnp.exp(found + log_w)))
    np.testing.assert_allclose(jnp.sum(jnp.exp(found + log_w)), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean, 0.5508474576271186, rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance[0, 0], 0.5522120080436656, rtol=0, atol=1e-12)
    exact = -0.5 * (x - 0.5508474576271186) ** 2 / 0.5522120080436656
    exact -= 0.5 * math.log(2 * math.pi * 0.5522120080436656)
    inside = np.abs(np.asarray(x)) < 8
    np.testing.assert_allclose(found[inside], exact[inside], rtol=1e-11, atol=1e-11)

    law = GaussianMoments(jnp.asarray([1.3]), jnp.asarray([[0.81]]))
    closed = gaussian_prox(Quadratic([[1.7]]), law, tau=0.8, beta=0.6)
    np.testing.assert_allclose(closed.mean, [0.5508474576271186], rtol=0, atol=1e-15)
    np.testing.assert_allclose(closed.covariance, [[0.5522120080436656]], rtol=0, atol=1e-15)


def test_matrix_form_on_nodes_of_the_plane():
    """N(m, Σ) under ½(x − c)ᵀA(x − c) with the metric M: the closed form against the kernel formula
    on 41² nodes. The metric enters by x = Lz, M = LLᵀ, where distances are ordinary."""
    L = np.linalg.cholesky(M)
    start = GaussianMoments(jnp.asarray([0.5, 0.2]), jnp.asarray([[0.5, -0.1], [-0.1, 0.3]]))
    potential, tau, beta = Quadratic(A, CENTRE), 0.6, 0.4
    exact = gaussian_prox(potential, start, tau=tau, beta=beta, preconditioner=Preconditioner(M))
    t = np.linspace(-8.0, 8.0, 41)
    z = np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2)
    x, cell = z @ L.T, (t[1] - t[0]) ** 2 * np.linalg.det(L)
    gap = x - np.asarray(start.mean)
    log_rho0 = -0.5 * np.sum(gap @ np.linalg.inv(start.covariance) * gap, 1)
    log_rho0 -= 0.5 * np.linalg.slogdet(2 * math.pi * np.asarray(start.covariance))[1]
    log_w = jnp.full(len(x), math.log(cell))
    V = 0.5 * np.sum((x - CENTRE) @ A * (x - CENTRE), 1)
    found = kernel_formula(
        jnp.asarray(V), jnp.asarray(z), log_w, jnp.asarray(z), jnp.asarray(log_rho0) + log_w,
        tau=tau, beta=beta,
    )  # fmt: skip
    mean, covariance = moments(x, np.exp(np.asarray(found + log_w)))
    np.testing.assert_allclose(mean, exact.mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(covariance, exact.covariance, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "potential, dtype, atol",
    [
        (Quadratic([[1.7]], [0.4]), jnp.float64, 1e-10),
        (AbsoluteValue(1.3), jnp.float64, 1e-10),
        (AbsoluteValue(1.3), jnp.float32, 5e-5),
    ],
)
def test_particles_have_a_density(potential, dtype, atol):
    """The particle form is the kernel formula for its particles, integrates to 1, and its score is
    the derivative of its log density."""
    k = ProximalKernel(potential, tau=0.5, beta=0.3)
    nodes, log_w = line(8.0, 1601)
    y = jnp.asarray([[-1.0], [0.3], [0.5], [2.0]], dtype)
    x = jnp.asarray([[-2.0], [0.1], [0.9]], dtype)
    found, score, automatic = particle_form(k, y, nodes.astype(dtype), x)
    assert found.dtype == score.dtype == dtype
    # The kink of |x| costs the trapezoid rule h²V'(0)/12β relative to the density there.
    kink = 5e-5 if isinstance(potential, AbsoluteValue) else 0.0
    mass = float(jnp.sum(jnp.exp(found.astype(jnp.float64) + log_w)))
    assert abs(mass - 1.0) <= atol + kink
    V = jax.vmap(potential)(nodes)
    sources = y.astype(jnp.float64)
    expected = kernel_formula(V, nodes, log_w, sources, jnp.full(4, -math.log(4.0)),
                              tau=0.5, beta=0.3)  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=10 * atol, atol=10 * atol + kink)
    np.testing.assert_allclose(score, automatic, rtol=0, atol=atol)


@eqx.filter_jit
def particle_form(k, y, nodes, x):
    """log ρ_τ at the nodes; its score at x by the attention form and by automatic derivative."""
    log_z = k.log_normalisers(y)
    log_prob = lambda p: k.log_prob(p, y, log_z)  # noqa: E731
    score = jax.vmap(lambda p: k.score(p, y, log_z))(x)
    return jax.vmap(log_prob)(nodes), score, jax.vmap(jax.grad(log_prob))(x)


def test_score_with_a_preconditioner():
    """∇ log ρ_τ by the attention form, and by automatic differentiation, M not diagonal."""
    k = ProximalKernel(Quadratic(A, CENTRE), tau=0.4, beta=0.3, preconditioner=Preconditioner(M))
    rng = np.random.default_rng(0)
    y, x = jnp.asarray(rng.normal(size=(7, 2))), jnp.asarray(rng.normal(size=(5, 2)))
    _, score, automatic = particle_form(k, y, x, x)
    np.testing.assert_allclose(score, automatic, rtol=0, atol=1e-12)


def test_normalisers_of_quadratics():
    """log Z = log ∫ e^{−φ/2β}, φ a quadratic with Hessian A + M⁻¹/τ: NumPy's own determinants;
    Laplace's method is exact, with Newton's proximal point too; 20,000 draws agree within 4
    standard errors."""
    tau, beta, y = 0.7, 0.35, np.array([1.2, -0.4])
    metric, quadratic, key = Preconditioner(M), Quadratic(A, CENTRE), jax.random.key(0)
    P = np.linalg.inv(M)
    H = A + P / tau
    p = np.linalg.solve(H, A @ CENTRE + P @ y / tau)
    phi = 0.5 * (p - CENTRE) @ A @ (p - CENTRE) + (p - y) @ P @ (p - y) / (2 * tau)
    exact = -phi / (2 * beta) + math.log(4 * math.pi * beta) - 0.5 * np.linalg.slogdet(H)[1]
    n = 20_000

    # Each is run once: little is gained by optimising.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def everything(point):
        smooth = Smooth(quadratic, newton=3)
        rest = tau, beta, metric
        return (
            (quadratic.prox(point, tau, metric), smooth.prox(point, tau, metric)),
            (ClosedForm()(key, quadratic, point, *rest), Laplace()(key, smooth, point, *rest)),
            quadratic.log_normaliser(point, 2 * tau, beta / 2, metric),
            MonteCarlo(n)(key, quadratic, point, *rest),
        )

    nearest, closed, twice, drawn = everything(jnp.asarray(y))
    np.testing.assert_allclose(nearest, [p, p], rtol=0, atol=1e-13)
    np.testing.assert_allclose(closed, exact, rtol=0, atol=1e-12)
    # Relative variance of e^{−V/2β} under N(y, 2βτM): E e^{−V/β}/(E e^{−V/2β})² − 1, by the same
    # closed form at β/2 and 2τ (2βτ stays).
    volume = 0.5 * np.linalg.slogdet(4 * math.pi * beta * tau * M)[1]
    relative = math.exp(float(twice) - volume - 2 * (exact - volume)) - 1
    assert abs(float(drawn) - exact) < 4 * math.sqrt(relative / n)


def test_normaliser_of_the_absolute_value():
    """Against SciPy's adaptive quadrature, on both sides of the threshold and for a small β."""
    from scipy.integrate import quad

    metric, V = Preconditioner(np.diag([0.6])), AbsoluteValue(1.3)
    closed = jax.jit(lambda p, beta: V.log_normaliser(p, 0.3, beta, metric), static_argnums=1)
    envelope = jax.jit(lambda p: moreau_envelope(V, p, 0.3, metric))
    for beta in (0.2, 0.02):
        for y in (-2.0, 0.0, 0.4, 3.0):
            low = float(envelope(jnp.asarray([y])))

            def integrand(z, y=y, beta=beta, low=low):
                return math.exp(-(1.3 * abs(z) + (z - y) ** 2 / 0.36 - low) / (2 * beta))

            mass = sum(
                quad(integrand, a, b, epsabs=0, epsrel=1e-12)[0]
                for a, b in ((-6.0, 0.0), (0.0, max(y, 0.5)), (max(y, 0.5), 6.0))
            )
            found = closed(jnp.asarray([y]), beta)
            exact = math.log(mass) - low / (2 * beta)
            np.testing.assert_allclose(found, exact, rtol=0, atol=1e-10)


def test_newton_finds_the_proximal_point():
    """Against SciPy's BFGS. The derivative is the implicit function's, (I + τM∇²V)⁻¹. log Z by
    Laplace's method tends to the integral with an error O(β)."""
    from scipy.optimize import minimize

    metric, tau, V = Preconditioner(M), 0.8, Smooth(Quartic())
    y = jnp.asarray([2.5, -1.5])
    # Each is run once: little is gained by optimising.
    quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    phi = quickly(jax.value_and_grad(lambda z: V(z) + metric.squared(z - y) / (2 * tau)))

    @quickly
    def newton(p):
        prox = lambda q: V.prox(q, tau, metric)  # noqa: E731
        z = prox(p)
        return z, jax.jacobian(prox)(p), jax.hessian(V)(z)

    @quickly
    def laplace(p):
        return [Laplace()(jax.random.key(0), V, p, tau, beta, metric) for beta in (0.2, 0.1)]

    best = minimize(
        lambda z: tuple(map(np.asarray, phi(jnp.asarray(z)))), np.asarray(y), jac=True, tol=1e-12
    )
    z, slope, curvature = newton(y)
    np.testing.assert_allclose(z, best.x, rtol=0, atol=1e-7)
    np.testing.assert_allclose(phi(z)[1], 0.0, rtol=0, atol=1e-12)
    by_hand = np.linalg.inv(np.eye(2) + tau * M @ np.asarray(curvature))
    np.testing.assert_allclose(slope, by_hand, rtol=0, atol=1e-12)

    t = np.linspace(-4.0, 4.0, 161)
    grid = jnp.asarray(np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2))
    heights = np.asarray(jax.vmap(lambda g: phi(g)[0])(grid)) - float(phi(z)[0])
    errors = []
    for beta, found in zip((0.2, 0.1), laplace(y), strict=True):
        exact = math.log(np.sum(np.exp(-heights / (2 * beta))) * (t[1] - t[0]) ** 2)
        exact -= float(phi(z)[0]) / (2 * beta)
        errors.append(abs(float(found) - exact))
    assert errors[0] < 0.05
    assert 1.7 < errors[0] / errors[1] < 2.3


@pytest.mark.parametrize("potential", [Quadratic([[1.7]], [0.4]), AbsoluteValue(1.3)])
def test_small_viscosity_gives_the_euclidean_prox(potential):
    """The mean of K(· | y) tends to prox(y) and its spread to 0 with β: soft thresholding for λ|x|,
    (y + aτc)/(1 + aτ) for quadratics. Both are computed on nodes, y on both sides of the kink; at
    y outside the threshold the mean is prox(y) up to e^{−O(1/β)}, at the kink O(β)."""
    tau, y = 0.5, np.array([-2.0, 0.0, 0.2, 1.5])
    shrunk = np.sign(y) * np.maximum(np.abs(y) - 0.65, 0.0)
    exact = shrunk if isinstance(potential, AbsoluteValue) else (y + 0.85 * 0.4) / 1.85
    image = prox_particles(potential, jnp.asarray(y[:, None]), tau)[:, 0]
    np.testing.assert_allclose(image, exact, rtol=0, atol=1e-15)
    nodes, log_w = line(4.0, 4001)
    V = jax.vmap(potential)(nodes)
    for beta in (0.02, 0.01, 0.005):
        for source, target in zip(y, exact, strict=True):
            log_k = kernel_formula(V, nodes, log_w, jnp.asarray([[source]]), jnp.zeros(1),
                                   tau=tau, beta=beta)  # fmt: skip
            mean, variance = moments(np.asarray(nodes), np.exp(np.asarray(log_k + log_w)))
            assert abs(mean[0] - target) < 2 * beta
            assert variance[0, 0] < 2 * beta * tau * 1.01


def test_the_operator_without_viscosity_minimises_its_objective():
    """q = N(m', Σ') minimises ∫ V q + W₂(ρ₀, q)²/2τ among Gaussians at β = 0: the derivative of the
    objective (Bures–Wasserstein distance, written out) vanishes there, and only there."""
    tau, potential = 0.6, Quadratic(A, CENTRE)
    start = GaussianMoments(jnp.asarray([0.5, 0.2]), jnp.asarray([[0.5, 0.2], [0.2, 0.4]]))
    best = gaussian_prox(potential, start, tau=tau, beta=0.0)
    values, vectors = np.linalg.eigh(np.asarray(start.covariance))
    root = jnp.asarray(vectors * np.sqrt(values) @ vectors.T)

    def objective(mean, factor):
        covariance = factor @ factor.T
        energy = potential(mean) + 0.5 * jnp.trace(potential.matrix @ covariance)
        cross = jnp.sum(jnp.sqrt(jnp.linalg.eigvalsh(root @ covariance @ root)))
        bures = jnp.trace(start.covariance) + jnp.trace(covariance) - 2 * cross
        return energy + (jnp.sum((mean - start.mean) ** 2) + bures) / (2 * tau)

    factor = jnp.linalg.cholesky(best.covariance)
    slope = jax.jit(jax.grad(objective, (0, 1)))
    for part in slope(best.mean, factor):
        np.testing.assert_allclose(part, 0.0, rtol=0, atol=1e-12)
    assert float(jnp.max(jnp.abs(slope(best.mean, 1.05 * factor)[1]))) > 0.01


def test_density_without_viscosity():
    """log ρ₀(x + τM∇V) + log det(I + τM∇²V) is the Gaussian closed form at β = 0."""
    tau, potential, metric = 0.6, Quadratic(A, CENTRE), Preconditioner(M)
    start = GaussianMoments(jnp.asarray([0.5, 0.2]), jnp.asarray([[0.5, 0.2], [0.2, 0.4]]))
    end = gaussian_prox(potential, start, tau=tau, beta=0.0, preconditioner=metric)

    def log_normal(x, law):
        return jax.scipy.stats.multivariate_normal.logpdf(x, law.mean, law.covariance)

    for x in jnp.asarray([[0.0, 0.0], [1.0, -2.0]]):
        found = pushforward_log_prob(potential, lambda p: log_normal(p, start), x, tau, metric)
        np.testing.assert_allclose(found, log_normal(x, end), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Quadratic([[1.0, 2.0], [0.0, 1.0]]), r"matrix is not symmetric \(rows \[0, 1\]\)"),
        (lambda: Quadratic(-np.eye(2)), "matrix is not positive definite"),
        (lambda: Quadratic(np.ones((2, 3))), "matrix must be a square matrix"),
        (lambda: Quadratic([[np.nan]]), r"matrix: rows \[0\] are not finite"),
        (lambda: Quadratic(np.eye(2), np.zeros(3)), "centre must be 2 finite"),
        (lambda: Preconditioner(np.diag([1.0, 0.0])), "preconditioner is not positive definite"),
        (lambda: AbsoluteValue(-1.0), "weight must be a positive"),
        (lambda: Smooth(Quartic(), newton=0), "newton must be at least 1"),
        (lambda: MonteCarlo(0), "draws must be at least 1"),
        (lambda: ProximalKernel(Quartic(), tau=0.0, beta=1.0), "tau must be a positive"),
        (lambda: ProximalKernel(Quartic(), tau=1.0, beta=-1.0), "beta must be a positive"),
        (lambda: prox_particles(AbsoluteValue(), jnp.zeros((2, 2)), 1.0, Preconditioner(M)),
         "must be diagonal"),
        (lambda: ProximalKernel(AbsoluteValue(), tau=1.0, beta=1.0, normaliser=MonteCarlo())
         .log_normalisers(jnp.zeros((2, 1))), "pass key="),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_closed_form_for_functions():
    with pytest.raises(NotImplementedError, match="Laplace"):
        Smooth(Quartic()).log_normaliser(jnp.zeros(2), 1.0, 1.0, IDENTITY)
