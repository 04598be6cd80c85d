"""Mixtures of Gaussians: closed forms against autodiff, quadrature and the equations they solve."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.kernels import (
    Cholesky,
    Diagonal,
    GaussianMixture,
    LowRankDiagonal,
    NeighbourMixture,
    blockwise,
)


def mixture(n=12, d=2, dtype="float64", form="cholesky", size=0.5):
    rng = np.random.default_rng(3)
    as_jax = lambda a: jnp.asarray(a, dtype)  # noqa: E731
    centres = as_jax(1.5 * rng.normal(size=(n, d)))
    if form == "cholesky":
        lower = size * (np.tril(0.6 * rng.normal(size=(n, d, d))) + np.eye(d))
        covariances = jax.vmap(lambda a: Cholesky(a, 0.2))(as_jax(lower))
    elif form == "diagonal":
        covariances = jax.vmap(Diagonal)(as_jax(size * rng.uniform(0.3, 1.0, (n, d))))
    else:
        basis = as_jax(size * rng.normal(size=(n, d, 1)))
        variances = as_jax(size * rng.uniform(0.3, 1.0, (n, d)))
        covariances = jax.vmap(LowRankDiagonal)(basis, variances)
    weights = rng.uniform(0.5, 1.5, n)
    return GaussianMixture(as_jax(np.log(weights / weights.sum())), centres, covariances)


POINTS = np.random.default_rng(4).normal(size=(6, 2)) * 1.5


@pytest.mark.parametrize("form", ["cholesky", "low-rank"])
def test_derivatives_and_equations_of_the_heat_flow(form):
    """Oracle: automatic differentiation in float64. The score is the gradient, Δπ/π and the
    implicit loss are Laplacians, and with η = π_s the residuals of

        ∂_s log η = ½Δ log η + ½|∇ log η|²   (Hamilton–Jacobi, for U = −2γ log η)
        ∂_s η = ½Δη                           (Fokker–Planck)

    vanish, at s = 0 and above."""
    law = mixture(form=form)

    @jax.jit
    @jax.vmap
    def residuals(x, s):
        log_p = lambda y: law.log_prob(y, s)  # noqa: E731
        p = lambda y: jnp.exp(log_p(y))  # noqa: E731
        grad = jax.grad(log_p)(x)
        laplacian = jnp.trace(jax.hessian(log_p)(x))
        rate = jax.grad(lambda t: law.log_prob(x, t))(s)
        return [
            law.score(x, s) - grad,
            law.laplacian_ratio(x, s) - jnp.trace(jax.hessian(p)(x)) / p(x),
            law.implicit_score_matching(x, s) - (laplacian + 0.5 * grad @ grad),
            rate - 0.5 * (laplacian + grad @ grad),
            p(x) * rate - 0.5 * jnp.trace(jax.hessian(p)(x)),
        ]

    for s in (0.0, 0.1, 1.0):
        for residual in residuals(jnp.asarray(POINTS), jnp.full(len(POINTS), s)):
            np.testing.assert_allclose(residual, 0.0, atol=1e-10)


@pytest.mark.fault(41, "kernels in single against double precision")
def test_float32_agrees_with_float64():
    """Rounding: 1e-4 for sums of second derivatives of size up to 100."""
    x = POINTS
    single, double = mixture(dtype="float32"), mixture()

    @jax.jit
    def each(law, x):
        one = lambda y: (law.log_prob(y), law.score(y), law.implicit_score_matching(y))  # noqa: E731
        return jax.vmap(one)(x)

    for a, b in zip(each(single, jnp.asarray(x, "float32")), each(double, x), strict=True):
        assert a.dtype == "float32"
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_total_mass_is_one():
    """The trapezoid rule on a fine grid is exact to rounding for sums of Gaussians (its error is
    e^{−2π²σ²/h²}). The formula as printed on the slides of the source, det Γ (2π)^{−d/2}
    exp(−vᵀΓv), has mass (det Γ)^{1/2} 2^{−d/2} instead."""
    law = mixture()
    h = 0.04
    axis = np.arange(-9, 9, h)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
    mass = jnp.exp(jax.jit(lambda g: jax.lax.map(law.log_prob, g, batch_size=8192))(grid))
    np.testing.assert_allclose(mass.sum() * h * h, 1.0, atol=1e-10)
    gamma = np.linalg.inv(np.asarray(jax.tree.map(lambda a: a[0], law.covariances).dense()))
    v = np.asarray(grid)
    printed = np.linalg.det(gamma) / (2 * np.pi) * np.exp(-np.sum((v @ gamma) * v, axis=1))
    np.testing.assert_allclose(printed.sum() * h * h, np.sqrt(np.linalg.det(gamma)) / 2, rtol=1e-10)
    assert abs(np.sqrt(np.linalg.det(gamma)) / 2 - 1) > 0.1


def test_marginal_is_the_block_of_the_covariance():
    """P = [[2, 1.2], [1.2, 1]] as precision: the marginal variance of the first coordinate is
    (P⁻¹)₁₁ = 1/0.56 = 1.786; the block of the precision would give 1/2."""
    precision = np.array([[2.0, 1.2], [1.2, 1.0]])
    factor = jnp.asarray(np.linalg.cholesky(np.linalg.inv(precision)))
    one = GaussianMixture.equal(jnp.zeros((1, 2)), jax.vmap(Cholesky)(factor[None]))
    variance = np.asarray(jax.vmap(lambda c: c.dense())(one.marginal([0]).covariances))
    np.testing.assert_allclose(variance, [[[1 / 0.56]]], rtol=1e-12)
    draws = np.asarray(one.sample(jax.random.key(0), 20_000))[:, 0]
    # Standard error of a variance: 1.786·sqrt(2/20000) = 0.018.
    np.testing.assert_allclose(draws.var(), 1 / 0.56, atol=0.07)


@pytest.mark.parametrize("form", ["cholesky", "diagonal", "low-rank"])
def test_marginals_times_conditionals_are_the_joint_density(form):
    """log p(x) = log p(x_g) + log p(x_f | x_g), and ∫ over one coordinate by the trapezoid rule."""
    law = mixture(d=3, form=form)
    x = jnp.asarray([0.3, -0.8, 0.5])
    t = jnp.arange(-9, 9, 0.04)

    @jax.jit
    def compare(law, x, t):
        known = law.marginal([2, 0]).log_prob(x[jnp.array([2, 0])])
        rest = law.conditional([2, 0], x[jnp.array([2, 0])]).log_prob(x[1:2])
        line = jnp.stack([jnp.full_like(t, x[0]), t, jnp.full_like(t, x[2])], axis=1)
        slab = 0.04 * jnp.exp(jax.vmap(law.log_prob)(line)).sum()
        return known, rest, slab, law.log_prob(x)

    known, rest, slab, joint = compare(law, x, t)
    np.testing.assert_allclose(known + rest, joint, rtol=1e-12)
    np.testing.assert_allclose(slab, np.exp(known), rtol=1e-10)


def test_draws_have_the_moments_of_the_mixture():
    """E x = Σ w Z and Cov = Σ w (Σ_i + ZZᵀ) − mean meanᵀ. 40 000 draws of standard deviation
    about 2: standard errors are 0.01 for a mean and below 0.05 for a second moment."""
    law = mixture()
    w, z = np.exp(law.log_weights), np.asarray(law.centres)
    dense = np.asarray(jax.vmap(lambda c: c.dense())(law.covariances))
    mean = w @ z
    second = np.einsum("n,nij->ij", w, dense + z[:, :, None] * z[:, None, :])
    x = np.asarray(law.sample(jax.random.key(1), 40_000))
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), second - np.outer(mean, mean), atol=0.2)


@pytest.mark.parametrize("block", [5, 100])
def test_blocks_equal_the_whole(block):
    """12 kernels in blocks of 5, 5 and 2, and in one that is larger than all; gradients too."""

    @jax.jit
    @jax.vmap
    def both(x):
        part = lambda y: blockwise(law, y, block=block)  # noqa: E731
        return law.log_prob(x), law.score(x), part(x), jax.grad(lambda y: part(y)[0])(x)

    law = mixture()
    value, score, found, grad = both(POINTS)
    np.testing.assert_allclose(found[0], value, rtol=1e-13)
    np.testing.assert_allclose(found[1], score, rtol=1e-12)
    np.testing.assert_allclose(grad, score, rtol=1e-12)


def test_neighbours_bound_what_they_leave_out():
    """kept ≤ π ≤ kept/(1 − bound), exactly, at 250 points near and far from the data; with all
    kernels kept the bound is 0."""
    law = mixture(n=400, size=0.05)
    x = np.random.default_rng(5).normal(size=(200, 2)) * 2.5

    @jax.jit
    def compare(law, x):
        some = jax.vmap(NeighbourMixture(law, neighbours=40, block=128).evaluate)
        every = jax.vmap(NeighbourMixture(law, neighbours=400).evaluate)
        return some(x), every(x[:2]), jax.vmap(law.log_prob)(x), jax.vmap(law.score)(x[:2])

    found, everyone, exact, score = compare(law, jnp.concatenate([x, law.centres[:50]]))
    missing = -np.expm1(np.asarray(found.log_prob - exact))
    assert (missing >= -1e-12).all()
    assert (missing <= np.asarray(found.relative_error) + 1e-12).all()
    assert np.median(found.relative_error[200:]) < 0.2
    np.testing.assert_allclose(everyone.log_prob, exact[:2], rtol=1e-12)
    np.testing.assert_allclose(everyone.score, score, rtol=1e-10)
    assert not everyone.relative_error.any()


def test_one_kernel_has_the_known_optimum_of_implicit_score_matching():
    """N = 1: the mean over data of ½|ΓΔ|² − tr Γ, Δ = x − Z, is least at Γ = Σ⁻¹, Σ the second
    moment about Z; there twice the loss is −tr Σ⁻¹, and the gradient vanishes."""
    x = jnp.asarray(np.random.default_rng(6).normal(size=(50, 2)) @ np.array([[1, 0.5], [0, 0.4]]))
    sigma = np.asarray(x.T @ x) / 50
    centre = jnp.zeros((1, 2))

    @jax.jit
    @jax.value_and_grad
    def loss(factor):
        law = GaussianMixture.equal(centre, jax.vmap(Cholesky)(factor[None]))
        return jnp.mean(jax.vmap(law.implicit_score_matching)(x))

    value, slope = loss(jnp.asarray(np.linalg.cholesky(sigma)))
    np.testing.assert_allclose(2 * value, -np.trace(np.linalg.inv(sigma)), rtol=1e-12)
    np.testing.assert_allclose(np.tril(slope), 0.0, atol=1e-10 * abs(float(value)))


def test_leaving_out_renormalises():
    law = mixture()
    mask = jnp.arange(12) < 5
    rest = law.rows(jnp.arange(5, 12))
    each = jax.jit(lambda law: jax.vmap(law.log_prob)(POINTS))
    wanted = each(rest) - np.log(np.exp(rest.log_weights).sum())
    np.testing.assert_allclose(each(law.without(mask)), wanted, rtol=1e-12)


def test_errors_name_the_argument():
    law = mixture()
    with pytest.raises(ValueError, match="indices: needs different numbers from 0 to 1"):
        law.marginal([0, 2])
    with pytest.raises(ValueError, match="values: needs 1 numbers"):
        law.conditional([0], [1.0, 2.0])
    with pytest.raises(ValueError, match="leave at least one free"):
        law.conditional([0, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match="neighbours must lie between 1 and"):
        NeighbourMixture(law, neighbours=13)


def test_units():
    """The law of shift + scale·X: density divided by the product of the scales."""
    law = mixture()
    shift, scale = jnp.asarray([1.0, -2.0]), jnp.asarray([3.0, 0.5])
    x = jnp.asarray(POINTS)
    each = jax.jit(lambda law, x: jax.vmap(law.log_prob)(x))
    moved = each(law.rescaled(shift, scale), shift[None] + scale[None] * x)
    np.testing.assert_allclose(moved, each(law, x) - np.log(1.5), rtol=1e-12)
    assert eqx.tree_equal(law.at(None), law)
