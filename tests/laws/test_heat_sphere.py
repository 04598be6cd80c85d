"""The heat kernel of S^d against arbitrary-precision tables, quadrature and its defining laws."""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from scorefold.heat import SphereProfile, TruncatedSeries, Varadhan, _sphere_small
from scorefold.heat.series import CutSeries
from scorefold.manifolds import SO3, Hyperbolic, Sphere

TABLE = np.load(Path(__file__).parent.parent / "oracles" / "heat_sphere.npz")
DIMENSIONS = (1, 2, 3, 4, 8)


@functools.cache
def _kernel(d):
    """(log p, its gradient by automatic differentiation for d ≤ 3, the score, its derivative)."""
    profile = SphereProfile(d)

    def at(r, s):
        def score(x):
            return -profile.slope(x, s) * x

        value, tangent = jax.jvp(score, (r,), (jnp.ones_like(r),))
        gradient = jax.grad(profile.log_prob)(r, s) if d <= 3 else value
        return profile.log_prob(r, s), gradient, value, tangent

    return jax.jit(jax.vmap(at))


SLOW = pytest.mark.slow


@pytest.mark.parametrize("d", [1, 2, 3, pytest.param(4, marks=SLOW), pytest.param(8, marks=SLOW)])
@pytest.mark.fault(28, "density and score on spheres against arbitrary precision")
def test_against_arbitrary_precision(d):
    """oracles/make_heat_table.py: log p, its gradient, the score and the score's derivative, r up
    to 3.1 and s from 1e-4 to 10, in both dtypes."""
    rows = TABLE["d"] == d
    r, s = TABLE["r"][rows], TABLE["s"][rows]
    log_prob, score, hessian = (TABLE[k][rows] for k in ("log_prob", "score", "hessian"))
    typical = np.sqrt(d / s) * np.exp(-0.5 * d * s)
    kernel = _kernel(d)
    for dtype, log_tol, score_tol, hessian_tol in (
        (np.float32, 2e-6, 1e-4, 1e-3),
        (np.float64, 1e-10, 1e-10, 1e-8),
    ):
        out = [np.asarray(x, np.float64) for x in kernel(r.astype(dtype), s.astype(dtype))]
        log_error = np.abs(out[0] - log_prob) / np.maximum(1.0, np.abs(log_prob))
        assert log_error.max() <= log_tol
        assert (np.abs(out[2] - score) / typical).max() <= score_tol
        # The gradient of log p is the score as well (to the accuracy of automatic differentiation).
        assert (np.abs(out[1] - score) / typical).max() <= 10 * score_tol
        scale = np.maximum(np.abs(hessian), typical / np.sqrt(s))
        assert (np.abs(out[3] - hessian) / scale).max() <= hessian_tol


@functools.cache
def _log_prob(d):
    return jax.jit(jax.vmap(SphereProfile(d).log_prob))


def test_small_time_expansion():
    """log p = −(d/2)log 2πs − r²/2s + ((d−1)/2) log(r/sin r) + s·a₁ + O(s²), an expansion that
    uses neither images nor series; a₁ = ((d−1)/8)[(d−1) + (3−d)(1 − r cot r)/r²]."""
    r = jnp.asarray([0.2, 1.0, 2.0])
    s = 1e-4
    for d in (2, 3, 5):
        a1 = (d - 1) / 8 * ((d - 1) + (3 - d) * (1 - r / jnp.tan(r)) / r**2)
        expected = (
            -d / 2 * math.log(2 * math.pi * s)
            - r**2 / (2 * s)
            + (d - 1) / 2 * jnp.log(r / jnp.sin(r))
            + s * a1
        )
        actual = _log_prob(d)(r, jnp.full_like(r, s))
        # Neglected: s² times the next coefficient, at most about 10.
        np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-7)


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_pole_and_antipode(d):
    """By symmetry the gradient vanishes at both ends; the score's derivative at the pole is the
    limit of score/r; float32 log p at π agrees with float64."""
    s = np.array([1e-4, 0.02, 0.4, 0.9, 3.0])
    kernel = _kernel(d)
    ends = {}
    for dtype in (np.float32, np.float64):
        for end in (0.0, math.pi):
            out = kernel(np.full(5, end, dtype), s.astype(dtype))
            assert all(np.isfinite(x).all() for x in out)
            ends[dtype, end] = [np.asarray(x, np.float64) for x in out]
    typical = np.sqrt(d / s) * np.exp(-0.5 * d * s)
    at_pole = ends[np.float64, 0.0]
    np.testing.assert_allclose(at_pole[1] / typical, 0.0, atol=1e-12)
    near = np.full(5, 1e-6)
    np.testing.assert_allclose(at_pole[3], np.asarray(kernel(near, s)[2]) / near, rtol=1e-8)
    np.testing.assert_allclose(
        ends[np.float32, math.pi][0], ends[np.float64, math.pi][0], rtol=2e-6, atol=2e-6
    )
    # The nearest double to π is 1.2e-16 short of it; the score there is that times its slope.
    np.testing.assert_allclose(
        ends[np.float64, math.pi][2] / typical, 0.0, atol=2e-16 * (math.pi / 1e-4) ** 2
    )


@pytest.mark.parametrize("d", (2, 3))
@pytest.mark.fault(28, "mass and semigroup on spheres")
def test_mass_and_semigroup(d):
    """∫p_s = 1, and ∫p_s(x|z) p_t(z|y) dz = p_{s+t}(x|y): both by Gauss–Legendre quadrature over
    the sphere in (angle to y, azimuth); s + t crosses the switch from images to series."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    theta, w = 0.5 * math.pi * (nodes + 1), 0.5 * math.pi * weights
    log_prob = _log_prob(d)
    area = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    for s in (0.05, 0.3, 1.5):
        p = np.exp(log_prob(theta, np.full_like(theta, s)))
        assert abs(np.sum(w * p * np.sin(theta) ** (d - 1)) * area - 1) < 1e-12
    # x at angle a from y; z at angle θ from y and azimuth ψ from x: (d−2)-spheres around the axis.
    t, s, a = 0.3, 0.45, 1.2
    inner = 2 * math.pi ** ((d - 1) / 2) / math.gamma((d - 1) / 2)
    cosine = np.cos(a) * np.cos(theta)[:, None] + np.sin(a) * np.sin(theta)[:, None] * np.cos(theta)
    p_t = np.exp(log_prob(theta, np.full_like(theta, t)))
    r = np.arccos(np.clip(cosine, -1, 1)).ravel()
    p_s = np.exp(log_prob(r, np.full_like(r, s))).reshape(80, 80)
    total = inner * np.sum(
        (w * p_t * np.sin(theta) ** (d - 1))[:, None] * p_s * (w * np.sin(theta) ** (d - 2))
    )
    both = np.exp(log_prob(np.array([a]), np.array([s + t])))[0]
    assert abs(total / both - 1) < 1e-11


def _distance_cdf(d, s):
    """The distribution function of the angle, by the trapezoidal rule on 4,000 intervals."""
    r = np.linspace(0.0, math.pi, 4001)
    log_p = np.asarray(_log_prob(d)(r, np.full_like(r, s)))
    density = np.exp(log_p - log_p.max()) * np.sin(r) ** (d - 1)
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return lambda x: np.interp(x, r, mass / mass[-1])


@pytest.mark.parametrize("d", (1, 2, 3))
@pytest.mark.fault(29, "angles drawn on spheres")
def test_sampler(d):
    """1e5 float32 draws: Kolmogorov–Smirnov against the kernel's own distance law, and
    E R_l(cos r) = e^{−l(l+d−1)s/2} for l = 1, 2, 3 within 4 standard errors. Fixed keys; the
    chance that one of the 72 comparisons fails a correct sampler is below 1 %."""
    profile, n = SphereProfile(d), 100_000
    draw = jax.jit(jax.vmap(lambda k, s: profile.sample(k, s, jnp.float32), (0, None)))
    for i, s in enumerate((1e-3, 1e-2, 0.1, 0.5, 1.0, 3.0)):
        keys = jax.random.split(jax.random.key(100 * d + i), n)
        r = np.asarray(draw(keys, jnp.float32(s)), np.float64)
        assert stats.kstest(r, _distance_cdf(d, s)).pvalue > 1e-4
        c = np.cos(r)
        before, now = np.ones(n), c
        for l in (1, 2, 3):
            error = now.mean() - math.exp(-0.5 * l * (l + d - 1) * s)
            assert abs(error) < 4 * now.std() / math.sqrt(n)
            before, now = now, ((2 * l + d - 1) * c * now - l * before) / (l + d - 1)


def test_rejection_bound():
    """The ratio that the tangent sampler accepts by is largest at r = 0, and the mean acceptance
    is what its documentation says."""
    r = jnp.linspace(0.0, 3.1415, 1500)
    for d, least in ((3, 0.99), (8, 0.85)):
        kernel = jax.jit(jax.vmap(lambda x, s, d=d: _sphere_small.log_reduced(d, x, s), (0, None)))
        for s in (0.01, 0.1, 0.3):
            log_kernel = kernel(r, jnp.asarray(s))
            ratio = log_kernel + (d - 1) * (jnp.log(jnp.sinc(r / math.pi)) + r * r / 12)
            assert jnp.max(ratio) <= ratio[0] + 1e-12
            tau = 1 / (1 / s + (d - 1) / 6)
            # Total mass of the target over that of the scaled proposal.
            assert float(-ratio[0]) - 0.5 * d * math.log(2 * math.pi * tau) > math.log(least)


@pytest.mark.slow
def test_scores_of_the_approximations():
    """Root mean square error of the score on S² under p_s, relative to the score's own size:
    Varadhan against the published table, the truncated series where it is a density."""
    profile = SphereProfile(2)
    r = jnp.linspace(0.0, math.pi, 2001)[1:]

    @functools.partial(jax.jit, static_argnums=0)
    def error(slope, s):
        s = jnp.asarray(s)
        p = jnp.exp(jax.vmap(profile.log_prob, (0, None))(r, s)) * jnp.sin(r)
        exact = jax.vmap(profile.slope, (0, None))(r, s) * r
        other = jax.vmap(slope, (0, None))(r, s) * r
        return jnp.sqrt(jnp.sum(p * (other - exact) ** 2) / jnp.sum(p * exact**2))

    def varadhan(x, t):
        return 1 / t

    def series(terms):
        return lambda x, t: CutSeries(SphereProfile(2), terms).slope(x, t)

    published = {0.05: 0.009, 0.1: 0.017, 0.2: 0.037, 0.3: 0.059, 0.5: 0.11, 0.8: 0.25, 1.0: 0.38}
    for s, expected in published.items():
        # The table has two digits.
        assert abs(error(varadhan, s) / expected - 1) < 0.06
    assert abs(error(series(5), 0.5) - 0.003) < 0.0005
    assert abs(error(series(10), 0.3) - 7e-6) < 5e-7


@pytest.mark.slow
def test_truncated_series_converges_to_the_kernel():
    """With 12 eigenspaces and s = 1 nothing is left out: the series of every manifold equals the
    exact kernel, whose values have their own oracle."""
    keys = jax.random.split(jax.random.key(0))
    for manifold in (Sphere(2), Sphere(3), SO3()):
        series, exact = TruncatedSeries(manifold, 12), manifold.heat
        x, y = (manifold.uniform(k) for k in keys)

        @jax.jit
        def both(x, y, s, kernels=(series, exact)):
            return [(k.log_prob(x, y, s), k.score(x, y, s)) for k in kernels]

        (log_prob, score), expected = both(x, y, 1.0)
        assert abs(log_prob - expected[0]) < 1e-12
        np.testing.assert_allclose(score, expected[1], atol=1e-12)


def test_approximations_sample_exactly():
    """The draws of the approximations are those of the exact kernel with the same key."""
    manifold, key = Sphere(2), jax.random.key(0)
    x = manifold.origin()
    kernels = (manifold.heat, TruncatedSeries(manifold, 3), Varadhan(manifold))
    draws = jax.jit(lambda k: [kernel.sample(k, x, 0.7) for kernel in kernels])(key)
    np.testing.assert_array_equal(draws[1], draws[0])
    np.testing.assert_array_equal(draws[2], draws[0])


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_truncated_series_where_it_is_negative(dtype):
    """The sum by NumPy's Legendre series: its log where it is positive; where it is not, the log
    of the floor 8ε·S(0), and score 0."""
    degrees, s = np.arange(4), jnp.asarray(0.1, dtype)
    weights = (2 * degrees + 1) * np.exp(-degrees * (degrees + 1) * 0.05) / (4 * math.pi)
    r = np.linspace(0.01, 3.13, 60).astype(dtype)
    values = np.polynomial.legendre.legval(np.cos(r.astype(float)), weights)
    floor = 8 * float(np.finfo(dtype).eps) * weights.sum()
    assert (values < -0.01).any()
    profile = CutSeries(SphereProfile(2), 3)
    log_prob = jax.vmap(profile.log_prob, (0, None))(r, s)
    slope = jax.vmap(profile.slope, (0, None))(r, s)
    clear = np.abs(values) > 0.01
    expected = np.log(np.maximum(values, floor))[clear]
    np.testing.assert_allclose(
        log_prob[clear], expected, rtol=2e-5 if dtype == np.float32 else 1e-12
    )
    assert (np.asarray(slope)[values < -0.01] == 0).all()
    assert np.isfinite(jax.vmap(jax.grad(profile.log_prob), (0, None))(r, s)).all()


def test_errors():
    with pytest.raises(ValueError, match=r"d = 1, …, 12.*got d=13"):
        SphereProfile(13)
    with pytest.raises(ValueError, match="terms=0"):
        TruncatedSeries(Sphere(2), 0)
    with pytest.raises(ValueError, match=r"not of H\^2"):
        TruncatedSeries(Hyperbolic(2))
