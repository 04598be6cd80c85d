"""Families of kernels: normal laws on the torus at every level, heat kernels, ESAG laws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from projective_plane import ProjectivePlane

import scorefold as sf
from scorefold.data import HeatMixture
from scorefold.kernels import EsagFamily, HeatFamily, WrappedMixture, plain_law, truncated_log_prob
from scorefold.kernels.wrapped.families import _moment
from scorefold.kernels.wrapped.lattice import lattice_normal

TILTED = np.array([[0.3, 0.1], [0.1, 0.06]])


def mixture(manifold, centres, covariances, family=None, share=1e-30, dtype=jnp.float64):
    centres = jnp.asarray(centres, dtype)
    n = len(centres)
    return WrappedMixture.from_covariances(
        manifold, centres, jnp.asarray(covariances, dtype),
        jnp.log(jnp.asarray(np.arange(1, n + 1) / sum(range(n + 1)), dtype)),
        plain_law(manifold, centres), jnp.asarray(math.log(share), dtype), family,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_torus_follows_the_heat_flow(dtype):
    """Oracle: the density of the data on a grid of 128², its Fourier coefficients multiplied by
    e^{−|n|²s/2}: exact to the aliasing of a normal law of standard deviation 0.15, e^{−41}."""
    torus, size = sf.Torus(2), 128
    law = mixture(torus, [[3.0, -1.0], [0.5, 3.1]], np.stack([TILTED, TILTED[::-1, ::-1]]),
                  dtype=dtype)  # fmt: skip
    t = 2.0 * math.pi * np.arange(size) / size - math.pi
    grid = np.stack(np.meshgrid(t, t, indexing="ij"), -1)
    start = np.zeros((size, size))
    for weight, z, cov in ((1 / 3, [3.0, -1.0], TILTED), (2 / 3, [0.5, 3.1], TILTED[::-1, ::-1])):
        for i in range(-2, 3):
            for j in range(-2, 3):
                there = np.asarray(z) + 2.0 * math.pi * np.array([i, j])
                start += weight * scipy.stats.multivariate_normal(there, cov).pdf(grid)
    n = np.fft.fftfreq(size, 1.0 / size)
    square = n[:, None] ** 2 + n[None, :] ** 2
    rows = np.array([[125, 44], [70, 126], [80, 2], [3, 5], [90, 31]])
    x = jnp.asarray(grid[rows[:, 0], rows[:, 1]], dtype)
    ask = jax.jit(lambda x, s: jax.vmap(lambda p: (law.log_prob(p, s), law.score(p, s)))(x))
    tolerance = 2e-5 if dtype == jnp.float32 else 1e-9
    for s in (0.0, 0.2, 4.9, 5.1, 30.0):
        waves = np.fft.fft2(start) * np.exp(-0.5 * square * s)
        p = np.real(np.fft.ifft2(waves))
        slope = [np.real(np.fft.ifft2(waves * 1j * f)) for f in (n[:, None], n[None, :])]
        # Where p is below 1e-6 of its size the transform has no digits.
        keep = np.flatnonzero(p[rows[:, 0], rows[:, 1]] > 1e-6)
        at = (rows[keep, 0], rows[keep, 1])
        assert len(keep) >= 2
        log_p, score = (a[keep] for a in ask(x, jnp.asarray(s, dtype)))
        np.testing.assert_allclose(log_p, np.log(p[at]), atol=tolerance, rtol=tolerance)
        want = np.stack([d[at] / p[at] for d in slope], -1)
        np.testing.assert_allclose(score, want, atol=tolerance * max(1.0, np.abs(want).max()))


def test_more_angles_than_can_be_summed_are_refused():
    with pytest.raises(ValueError, match="at most 3"):
        lattice_normal(jnp.zeros(4), jnp.eye(4), jnp.ones(4), jnp.asarray(0.1))


CURVED = [sf.Torus(2), *(pytest.param(m, marks=pytest.mark.slow)
                         for m in (sf.Sphere(2), sf.SO3(), ProjectivePlane()))]  # fmt: skip


@pytest.mark.parametrize("manifold", CURVED, ids=lambda m: m.name)
def test_heat_kernels_are_the_heat_mixture_at_every_level(manifold):
    """Oracle: the closed form of a mixture of heat kernels, wide ones too."""
    tau = np.array([0.02, 0.7])
    centres = jnp.stack([manifold.uniform(k) for k in jax.random.split(jax.random.key(0), 2)])
    covariances = tau[:, None, None] * np.eye(manifold.dim)
    law = mixture(manifold, centres, covariances, HeatFamily())
    oracle = HeatMixture(manifold, centres, tau, weights=[1.0, 2.0])
    x = jnp.stack([manifold.uniform(k) for k in jax.random.split(jax.random.key(1), 6)])
    ask = jax.jit(lambda x, s: jax.vmap(lambda p: (law.log_prob(p, s), law.score(p, s)))(x))
    for s in (0.0, 0.05, 2.0):
        got, score = ask(x, s)
        np.testing.assert_allclose(got, oracle.log_prob(x, s), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(score, oracle.score(x, s), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(law.log_prob(x[0]), oracle.log_prob(x[0], 0.0), rtol=1e-9)


def test_draws_of_heat_kernels():
    """E ⟨x, z⟩ = e^{−τ} on S² (the mode of degree 1). ⟨x, z⟩ has variance below 1/3, so the mean of
    20000 draws is within 4 √(1/60000) = 0.016 of it but for one key in 16000."""
    sphere, tau = sf.Sphere(2), 0.7
    z = jnp.asarray([[0.0, 0.6, 0.8]])
    law = mixture(sphere, z, tau * np.eye(2)[None], HeatFamily())
    draws = jax.jit(jax.vmap(law.sample))(jax.random.split(jax.random.key(0), 20_000))
    assert abs(float(jnp.mean(draws @ z[0])) - math.exp(-tau)) < 0.016


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_moment_of_a_cut_normal_law(dtype):
    """Oracle: SciPy's quadrature of ∫ r² φ(r − a) dr, scaled by φ(a) where a < 0."""
    ask = jax.jit(jax.vmap(jax.value_and_grad(_moment)))
    a = np.array([-300.0, -40.0, -8.0, -2.1, -1.9, -0.5, 0.0, 3.0, 60.0])
    value, slope = ask(jnp.asarray(a, dtype))
    for one, got, tilt in zip(a, np.asarray(value), np.asarray(slope), strict=True):
        low, high = (0.0, 60.0 / (1.0 - one)) if one < 0 else (max(0.0, one - 12), one + 12)
        weight = lambda r, a=one: r * a - 0.5 * r * r if a < 0 else -0.5 * (r - a) ** 2  # noqa: E731
        f = lambda r, p: r**p * math.exp(weight(r))  # noqa: B023, E731
        moments = [
            scipy.integrate.quad(f, low, high, args=(p,), epsabs=0, epsrel=1e-12)[0] for p in (2, 3)
        ]
        shift = -0.5 * one * one if one < 0 else 0.0
        want = math.log(moments[0]) + shift - 0.5 * math.log(2.0 * math.pi)
        tolerance = 1e-5 if dtype == jnp.float32 else 1e-10
        assert got == pytest.approx(want, rel=tolerance, abs=tolerance)
        # d/da log ∫ r² φ(r − a) = ⟨r⟩ − a.
        assert tilt == pytest.approx(moments[1] / moments[0] - one, rel=50 * tolerance, abs=1e-4)


def _rule(size):
    z, w = np.polynomial.legendre.leggauss(size)
    lon = np.linspace(-math.pi, math.pi, 2 * size, endpoint=False)
    r = np.sqrt(1 - z**2)
    x = [np.outer(r, np.cos(lon)), np.outer(r, np.sin(lon)), np.outer(z, np.ones_like(lon))]
    return np.stack(x, -1).reshape(-1, 3), np.repeat(w, 2 * size) * math.pi / size


def test_esag_has_mass_one_however_wide_and_its_draws_its_mean():
    """Gauss–Legendre quadrature of analytic functions. The mean of 20000 draws, each coordinate
    with variance below 1, is within 4/√20000 = 0.028 of that of the density."""
    sphere = sf.Sphere(2)
    z = sphere.from_latlon([30.0], [50.0])
    x, w = _rule(60)
    for variances in ([2.0, 0.3], [0.2, 0.05]):
        angle = np.array([[0.8, 0.6], [-0.6, 0.8]])
        law = mixture(sphere, z, (angle.T * variances @ angle)[None], EsagFamily())
        p = np.exp(np.asarray(jax.jit(jax.vmap(law.log_prob))(jnp.asarray(x))))
        assert abs(np.sum(w * p) - 1.0) < 1e-10
        draws = jax.jit(jax.vmap(law.sample))(jax.random.split(jax.random.key(0), 20_000))
        np.testing.assert_allclose(np.mean(draws, 0), (w * p) @ x, atol=0.028)
        # The spread along the two axes against quadrature: squares of coordinates in [0, 1].
        np.testing.assert_allclose(np.mean(np.square(draws), 0), (w * p) @ x**2, atol=0.028)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.slow)])
def test_narrow_esag_laws_are_wrapped_normal(dtype):
    """Both are N(0, Σ) up to O(Σ) relative: within 3 standard deviations of a kernel with
    variances 4e-6 and 1e-6 log densities differ by less than 1e-4. Antipodes are finite."""
    sphere, cov = sf.Sphere(2), np.diag([4e-6, 1e-6])
    z = sphere.from_latlon([30.0], [50.0])
    laws = [mixture(sphere, z, cov[None], f, 1e-3, dtype) for f in (None, EsagFamily())]
    x = jax.jit(jax.vmap(laws[0].sample))(jax.random.split(jax.random.key(0), 50))
    wrapped, esag = (jax.jit(jax.vmap(law.log_prob))(x) for law in laws)
    # float32 points are rounded to 6e-8, 6e-5 standard deviations.
    np.testing.assert_allclose(esag, wrapped, atol=2e-3 if dtype == jnp.float32 else 1e-4)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(laws[1].log_prob)))(-laws[1].centres)
    np.testing.assert_allclose(value, math.log(1e-3 / (4 * math.pi)), rtol=1e-5)
    assert np.isfinite(slope).all()


def test_families_say_where_they_live():
    with pytest.raises(ValueError, match="law on S\\^2, not on T\\^2"):
        sf.KernelModel(sf.Torus(2), kernel="esag")
    with pytest.raises(ValueError, match="one of wrapped, heat, esag"):
        sf.KernelModel(sf.Torus(2), kernel="normal")
    sphere = sf.Sphere(2)
    law = mixture(sphere, sphere.from_latlon([3.0], [5.0]), np.eye(2)[None], HeatFamily())
    with pytest.raises(ValueError, match="wrapped normal kernels"):
        truncated_log_prob(law, sphere.from_latlon([3.0], [5.0]))


@pytest.mark.slow
def test_a_fitted_model_of_heat_kernels_is_exact_at_every_level():
    """Oracle: the heat mixture of its own centres, weights and bandwidths, plus the background."""
    torus = sf.Torus(2)
    x = HeatMixture(torus, jnp.asarray([[0.0, 1.0], [3.0, -1.0]]), [0.05, 0.2]).sample(
        jax.random.key(0), 150
    )
    model, _ = sf.fit(
        sf.KernelModel(torus, kernel="heat", counts=(3, 8), width=8), x, key=jax.random.key(1),
        steps=30, progress=False,
    )  # fmt: skip
    law = model.mixture
    np.testing.assert_allclose(law.variances[:, 0], law.variances[:, 1], rtol=1e-9)
    oracle = HeatMixture(torus, law.centres, law.variances[:, 0], weights=jnp.exp(law.log_weights))
    rows, s, share = x[:5], 0.3, float(jnp.exp(law.log_share))
    kernels = np.exp(np.asarray(oracle.log_prob(rows, s))) * (1.0 - share)
    want = kernels * np.asarray(oracle.score(rows, s)).T
    want = (want / (kernels + share / (2 * math.pi) ** 2)).T
    np.testing.assert_allclose(model.score_at(s, rows), want, rtol=1e-8, atol=1e-9)
