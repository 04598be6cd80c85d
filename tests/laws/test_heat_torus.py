"""The heat kernel of the flat torus against wrapped sums in arbitrary precision, and its laws."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from scorefold.heat import TorusHeat, TruncatedSeries, Varadhan
from scorefold.manifolds import Torus


def _wrapped(x, s):
    """Log density and score of the wrapped normal law by its images, 40 digits."""
    with mp.workdps(40):
        x, s = mp.mpf(x), mp.mpf(s)
        images = range(-12, 13) if s > 1 else range(-4, 5)
        terms = [(x + 2 * mp.pi * n, mp.exp(-((x + 2 * mp.pi * n) ** 2) / (2 * s))) for n in images]
        total = mp.fsum(e for _, e in terms)
        score = -mp.fsum(y * e for y, e in terms) / (s * total)
        return float(mp.log(total / mp.sqrt(2 * mp.pi * s))), float(score)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.fault(28, "density on tori against wrapped sums")
def test_against_wrapped_sums(dtype):
    """Every angle up to 3.1, both sides of the switch; the score relative to its typical size
    e^{−s/2}/√s, at s = 10 as well, where it is 0.007 of the flat one."""
    log_tol, score_tol = (2e-6, 1e-4) if dtype == np.float32 else (1e-10, 1e-10)
    angles = np.float32([-3.1, -2.0, -0.7, -1e-3, 0.0, 0.3, 1.5, 2.9]).astype(float)
    kernel = TorusHeat(Torus(8))
    both = jax.jit(
        lambda x, s: (
            kernel.log_prob(x, jnp.zeros_like(x), s),
            kernel.score(x, jnp.zeros_like(x), s),
        )
    )
    for s in (1e-4, 1e-2, 0.3, 0.99, 1.01, 3.0, 10.0):
        s = float(np.float32(s))
        log_prob, score = np.asarray([_wrapped(x, s) for x in angles]).T
        actual = both(angles.astype(dtype), dtype(s))
        assert actual[0].dtype == actual[1].dtype == dtype
        assert abs(float(actual[0]) - log_prob.sum()) <= log_tol * np.abs(log_prob).sum()
        typical = math.exp(-s / 2) / math.sqrt(s)
        assert (np.abs(np.asarray(actual[1], float) - score) / typical).max() <= score_tol


def test_score_is_the_gradient_and_wraps():
    """∇ log p by automatic differentiation, and the same value one turn further."""
    kernel = Torus(3).heat
    x, y = jnp.asarray([0.4, -3.0, 1.0]), jnp.asarray([-0.2, 3.0, 1.0])
    gradient, score_at = jax.jit(jax.grad(kernel.log_prob)), jax.jit(kernel.score)
    turn = jnp.asarray([2 * math.pi, -2 * math.pi, 0.0])
    for s in (0.05, 2.0):
        score = score_at(x, y, s)
        np.testing.assert_allclose(gradient(x, y, s), score, atol=1e-12)
        np.testing.assert_allclose(score_at(x, y + turn, s), score, atol=1e-11)


def test_finite_at_the_cut_locus():
    """At the opposite angle the score is 0 by symmetry, its derivative that of the closed form:
    near δ = π the density is proportional to cosh(π(π−δ)/s)e^{−(π−δ)²/2s}, so that
    (log p)'' = π²/s² − 1/s up to e^{−4π²/s}."""
    kernel, origin = TorusHeat(Torus(1)), jnp.zeros(1)
    x = jnp.asarray([-math.pi])
    both = jax.jit(lambda s: jax.jvp(lambda y: kernel.score(y, origin, s), (x,), (jnp.ones(1),)))
    for s in (0.05, 0.8):
        score, slope = both(jnp.asarray(s))
        typical = math.exp(-s / 2) / math.sqrt(s)
        assert abs(score[0]) < 1e-10 * typical
        assert abs(slope[0] / (math.pi**2 / s**2 - 1 / s) - 1) < 1e-10


def test_mass_and_semigroup():
    """∫p_s = 1 and p_s∗p_t = p_{s+t} on one coordinate, by the periodic trapezoidal rule."""
    kernel, n = TorusHeat(Torus(1)), 400
    x = (np.arange(n) * 2 * math.pi / n - math.pi)[:, None]
    density = jax.jit(
        lambda s: jnp.exp(jax.vmap(kernel.log_prob, (0, None, None))(x, jnp.zeros(1), s))
    )
    p, q, both = (np.asarray(density(s)) for s in (0.4, 0.9, 1.3))
    h = 2 * math.pi / n
    assert abs(p.sum() * h - 1) < 1e-13
    convolved = h * np.real(np.fft.ifft(np.fft.fft(p) * np.fft.fft(q)))
    np.testing.assert_allclose(np.roll(convolved, n // 2), both, rtol=1e-11)


@pytest.mark.fault(29, "draws on tori")
def test_sampler():
    """E cos k(x − x₀) = e^{−k²s/2} within 4.5 standard errors, and Kolmogorov–Smirnov against the
    wrapped law, 1e5 float32 draws a coordinate; coordinates uncorrelated."""
    kernel, n = TorusHeat(Torus(2)), 100_000
    x0 = jnp.asarray([3.0, -1.0], jnp.float32)
    draw = jax.jit(jax.vmap(lambda k, s: kernel.sample(k, x0, s), (0, None)))
    for i, s in enumerate((1e-2, 0.5, 3.0)):
        x = np.asarray(draw(jax.random.split(jax.random.key(i), n), jnp.float32(s)), float)
        assert (x >= -math.pi - 1e-6).all() and (x < math.pi).all()
        step = np.mod(x - np.asarray(x0, float) + math.pi, 2 * math.pi) - math.pi
        for k in (1, 2):
            c = np.cos(k * step)
            error = c.mean(0) - math.exp(-(k**2) * s / 2)
            assert (np.abs(error) < 4.5 * c.std(0) / math.sqrt(n)).all()
        assert abs(np.mean(np.sin(step[:, 0]) * np.sin(step[:, 1]))) < 4.5 / math.sqrt(n)

        def cdf(y, s=s):
            turns = 2 * math.pi * np.arange(-4, 5)[:, None]
            high, low = (y + turns) / math.sqrt(s), (turns - math.pi) / math.sqrt(s)
            return (stats.norm.cdf(high) - stats.norm.cdf(low)).sum(0)

        assert stats.kstest(step[:, 0], cdf).pvalue > 1e-4


def test_approximations():
    """Varadhan is the flat law; the series with 8 frequencies is exact at s = 2."""
    manifold = Torus(2)
    x, y, s = jnp.asarray([0.3, -3.0]), jnp.asarray([0.1, 3.0]), 0.7
    away = np.asarray([0.2, 2 * math.pi - 6.0])
    varadhan = Varadhan(manifold)
    expected = stats.norm.logpdf(away, scale=math.sqrt(s)).sum()
    assert abs(varadhan.log_prob(x, y, s) - expected) < 1e-12
    np.testing.assert_allclose(varadhan.score(x, y, s), -away / s, rtol=1e-12)
    series = TruncatedSeries(manifold, 8)
    expected = [_wrapped(v, 2.0) for v in away]
    assert abs(series.log_prob(x, y, 2.0) - sum(e[0] for e in expected)) < 1e-12
    np.testing.assert_allclose(series.score(x, y, 2.0), [e[1] for e in expected], atol=1e-12)
