"""Kent's law against arbitrary precision, SciPy's quadrature and von Mises laws."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
from scipy.stats import chi2, vonmises

import scorefold as sf
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.kent import KentComponents, kent_draw
from scorefold.models.mixtures.kent_normaliser import log_kent_normaliser

S2 = sf.Sphere(2)
KENT = KentComponents()
CONCENTRATIONS = [0.0, 1e-6, 0.3, 5.0, 80.0, 2e3, 1e6]
OVAL = [0.0, 0.5, 0.99, 1.0 - 1e-6, 1.0]
"""2β/κ."""


def by_series(kappa, beta):
    """log c − κ, c = 2π Σ_j Γ(j + ½)/Γ(j + 1) β^{2j} (κ/2)^{−2j−½} I_{2j+½}(κ) (Kent 1982)."""
    kappa, beta = mp.mpf(kappa), mp.mpf(beta)
    term = lambda j: (  # noqa: E731
        mp.gamma(j + 0.5) / mp.gamma(j + 1) * beta ** (2 * j)
        * (kappa / 2) ** (-2 * j - mp.mpf(1) / 2) * mp.besseli(2 * j + mp.mpf(1) / 2, kappa)
    )  # fmt: skip
    return mp.log(2 * mp.pi * mp.fsum(term(j) for j in range(60))) - kappa


def by_angle(kappa, beta):
    """The same as an integral over the angle θ, in 30 digits, cut where it is below e^{−100}."""
    kappa, beta = mp.mpf(kappa), mp.mpf(beta)

    def f(theta):
        z = beta * mp.sin(theta) ** 2
        bessel = mp.besseli(0, z) * mp.exp(-z)
        return mp.sin(theta) * bessel * mp.exp(z - 2 * kappa * mp.sin(theta / 2) ** 2)

    most = mp.pi if kappa < 50 else min(mp.pi, (2000 / (kappa / 2)) ** 0.25 + mp.sqrt(800 / kappa))
    cuts = [0, *(most * mp.mpf(2) ** -k for k in range(12, 0, -1)), most]
    return mp.log(2 * mp.pi * mp.quad(f, cuts))


@pytest.mark.parametrize("kappa", CONCENTRATIONS)
def test_the_normaliser_in_30_digits(kappa):
    with mp.workdps(30):
        for oval in OVAL:
            a, b = kappa * (1 - oval), kappa * (1 + oval)
            found = log_kent_normaliser(jnp.asarray(a), jnp.asarray(b))
            want = by_angle((mp.mpf(a) + b) / 2, (mp.mpf(b) - a) / 4)
            assert abs(found - float(want)) < 2e-14 * max(1.0, abs(float(want)))
            low, high = np.float32(a), np.float32(b)
            found = log_kent_normaliser(jnp.asarray(low), jnp.asarray(high))
            middle = (mp.mpf(float(low)) + float(high)) / 2
            want = by_angle(middle, (mp.mpf(float(high)) - float(low)) / 4)
            assert found.dtype == jnp.float32 and abs(found - float(want)) < 2e-6


def test_the_normaliser_is_kents_series():
    for kappa, beta in [(0.3, 0.1), (5.0, 2.4), (60.0, 20.0)]:
        with mp.workdps(30):
            want = float(by_series(kappa, beta))
        found = log_kent_normaliser(jnp.asarray(kappa - 2 * beta), jnp.asarray(kappa + 2 * beta))
        assert found == pytest.approx(want, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_slope_of_the_normaliser(dtype):
    """By central differences in float64, whose relative error is near 1e-8; finite
    also where both precisions are equal, or one of them is 0."""
    slope = jax.jit(jax.vmap(jax.grad(log_kent_normaliser, (0, 1))))
    pairs = np.array([(k * (1 - o), k * (1 + o)) for k in CONCENTRATIONS[2:] for o in OVAL[:3]])
    found = np.stack(slope(*jnp.asarray(pairs.T, dtype)), -1)
    value = jax.jit(jax.vmap(log_kent_normaliser))
    for i in (0, 1):
        shift = np.zeros_like(pairs)
        shift[:, i] = 1e-4 * pairs[:, i]
        up, down = (value(*jnp.asarray((pairs + sign * shift).T)) for sign in (1, -1))
        want = (up - down) / (2 * shift[:, i])
        np.testing.assert_allclose(found[:, i], want, rtol=1e-4 if dtype == jnp.float32 else 1e-6)
    edge = np.array([(0.0, 0.0), (0.0, 1.0), (0.0, 2e6), (1e6, 1e6), (1.0, 0.0)])
    for part in slope(*jnp.asarray(edge.T, dtype)):
        assert np.isfinite(part).all()


def law(kappa, oval, dtype=np.float64, key=0):
    """A Kent law at a random place, its axes turned by 0.7."""
    z = S2.uniform(jax.random.key(key), dtype)
    axes = np.array([[math.cos(0.7), math.sin(0.7)], [-math.sin(0.7), math.cos(0.7)]])
    variances = 1.0 / (kappa * np.array([1 - oval, 1 + oval]))
    return Component(z, jnp.asarray(axes, dtype), jnp.asarray(variances, dtype))


def test_the_density_is_the_textbooks_and_has_mass_one():
    """Against exp{κ⟨γ₁, x⟩ + β(⟨γ₂, x⟩² − ⟨γ₃, x⟩²)}/c on a Gauss–Legendre rule."""
    z, w = np.polynomial.legendre.leggauss(80)
    lon = np.linspace(-math.pi, math.pi, 160, endpoint=False)
    r = np.sqrt(1 - z**2)
    grid = [np.outer(r, np.cos(lon)), np.outer(r, np.sin(lon)), np.outer(z, np.ones(160))]
    x, weight = np.stack(grid, -1).reshape(-1, 3), np.repeat(w, 160) * math.pi / 80
    for kappa, oval in [(0.5, 0.2), (20.0, 0.9), (60.0, 0.0)]:
        one = law(kappa, oval)
        log_p = np.asarray(jax.vmap(lambda p, one=one: KENT.log_prob(S2, p, one))(jnp.asarray(x)))
        assert np.sum(weight * np.exp(log_p)) == pytest.approx(1.0, abs=1e-10)
        said = {
            k: np.asarray(v[0])
            for k, v in KENT.named(S2, jax.tree.map(lambda a: a[None], one)).items()
        }
        assert said["kappa"] == pytest.approx(kappa) and said["beta"] == pytest.approx(
            kappa * oval / 2
        )
        oblique = (x @ said["major"]) ** 2 - (x @ said["minor"]) ** 2
        plain = said["kappa"] * (x @ said["mean"]) + said["beta"] * oblique
        np.testing.assert_allclose(np.ptp(log_p - plain), 0.0, atol=1e-10)


@pytest.mark.parametrize("kappa, oval", [(0.0, 0.0), (0.4, 1.0), (3.0, 0.5), (40.0, 0.95),
                                         (1e4, 1.0), (1e6, 0.0), (1e6, 1.0 - 1e-3)])  # fmt: skip
def test_draws_by_their_conditional_laws(kappa, oval):
    """F(c), and F(2φ | c), a von Mises law of concentration β(1 − c²), are independent and uniform:
    10⁵ draws in 10 × 10 cells, χ² of 99 degrees, below its quantile 1 − 10⁻⁵. The signs of t₁, t₂
    agree in half of the draws within 5 standard errors."""
    n = 100_000
    precisions = kappa * np.array([1 - oval, 1 + oval])
    draw = jax.jit(jax.vmap(lambda k: kent_draw(k, jnp.asarray(precisions))))
    c, t = (np.asarray(a) for a in draw(jax.random.split(jax.random.key(1), n)))
    np.testing.assert_allclose(c * c + np.sum(t * t, 1), 1.0, atol=1e-12)
    beta = kappa * oval / 2
    short = np.where(c > 0, np.sum(t * t, 1) / (1 + np.abs(c)), 1 - c)
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 2.0, 20_001)])
    z = beta * grid * (2 - grid)
    density = np.exp(-(kappa - 2 * beta) * grid - beta * grid**2) * scipy.special.i0e(z)
    cdf = scipy.integrate.cumulative_trapezoid(density, grid, initial=0.0)
    first = np.interp(short, grid, cdf / cdf[-1])
    angle = 2 * np.arctan2(t[:, 1], t[:, 0])
    angle = (angle + math.pi) % (2 * math.pi) - math.pi
    second = vonmises.cdf(angle, np.maximum(beta * short * (2 - short), 1e-12))
    cells, _, _ = np.histogram2d(first, second, bins=10, range=[[0, 1], [0, 1]])
    assert cells.sum() == n
    assert np.sum((cells - n / 100) ** 2) / (n / 100) < chi2.ppf(1 - 1e-5, 99)
    for signs in (t[:, 0] > 0, t[:, 1] > 0, (t[:, 0] > 0) == (t[:, 1] > 0)):
        assert abs(signs.mean() - 0.5) < 5 * 0.5 / math.sqrt(n)


def test_draws_lie_where_the_law_is():
    """In ambient coordinates: second moments along the axes of 20000 draws, whose relative standard
    error is near √(2/20000) = 0.01."""
    one = law(1e4, 0.8)
    keys = jax.random.split(jax.random.key(2), 20_000)
    x = jax.jit(jax.vmap(lambda k: KENT.sample(k, S2, one)))(keys)
    gap = jax.vmap(lambda p: one.axes @ S2.components(one.centre, p - one.centre))(x)
    ratio = np.mean(np.asarray(gap) ** 2, axis=0) / np.asarray(one.variances)
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_everywhere(dtype):
    """Values and gradients at the mean, the antipode and between, for all concentrations, round
    laws included."""
    ask = jax.jit(jax.vmap(jax.value_and_grad(lambda a, x: KENT.log_prob(S2, x, a)), (None, 0)))
    for kappa in (1e-6, 1.0, 1e6):
        for oval in (0.0, 0.9, 1.0 - 1e-5):
            one = law(kappa, oval, dtype)
            x = jnp.stack([one.centre, -one.centre, S2.frame(one.centre)[0]])
            for part in jax.tree.leaves(ask(one, x)):
                assert np.isfinite(part).all() and part.dtype == dtype
