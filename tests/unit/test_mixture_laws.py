"""Laws of mixtures: densities against arbitrary precision and sums over images, draws by exact
marginals. Kent's law is in ``test_kent.py``."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
from scipy.stats import kstest, multivariate_normal, norm

import scorefold as sf
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.heat import HeatComponents
from scorefold.models.mixtures.moved import moved
from scorefold.models.mixtures.von_mises_fisher import (
    VonMisesFisherComponents,
    log_vmf_normaliser,
    vmf_draw,
)
from scorefold.models.mixtures.wrapped_normal import WrappedNormalComponents

KEY = jax.random.key(0)
KAPPAS = [0.0, 1e-4, 0.7, 30.0, 5e3, 1e6]


@pytest.mark.parametrize("d", [1, 2, 3, 7, 50])
def test_the_normaliser_of_von_mises_fisher(d):
    """(2π)^{(d+1)/2} I_{(d−1)/2}(κ) κ^{(1−d)/2} e^{−κ} in 30 digits, vol(S^d) at κ = 0."""
    ask = jax.jit(jax.value_and_grad(lambda k: log_vmf_normaliser(d, k)))
    for kappa in KAPPAS:
        for dtype, tolerance in ((np.float64, 3e-13), (np.float32, 4e-6)):
            k = dtype(kappa)
            with mp.workdps(30):
                p, q = mp.mpf(d + 1) / 2, mp.mpf(float(k))
                if kappa == 0:
                    want = mp.log(2) + p * mp.log(mp.pi) - mp.loggamma(p)
                else:
                    bessel = mp.log(mp.besseli(p - 1, q)) - q
                    want = p * mp.log(2 * mp.pi) + bessel - (p - 1) * mp.log(q)
            value, slope = ask(jnp.asarray(k))
            assert value.dtype == dtype and np.isfinite(slope) and slope < 0
            assert abs(float(value) - float(want)) < tolerance * max(1.0, abs(float(want)))


@pytest.mark.parametrize("d, kappa", [(1, 0.3), (1, 1e4), (2, 0.0), (2, 1e6), (3, 4.0), (6, 80.0)])
def test_draws_of_von_mises_fisher(d, kappa):
    """The law of θ, density e^{κ cos θ} sin^{d−1}θ, by the test of Kolmogorov and Smirnov."""
    draw = jax.jit(jax.vmap(lambda k: vmf_draw(k, d, jnp.asarray(kappa))))
    short = np.asarray(draw(jax.random.split(KEY, 100_000)))
    theta = 2 * np.arcsin(np.sqrt(short / 2))
    grid = np.linspace(0, math.pi if kappa < 20 else min(math.pi, 15 / math.sqrt(kappa)), 20_001)
    density = np.exp(-2 * kappa * np.sin(grid / 2) ** 2) * np.sin(grid) ** (d - 1)
    cdf = scipy.integrate.cumulative_simpson(density, x=grid, initial=0.0)
    assert kstest(theta, lambda t: np.interp(t, grid, cdf / cdf[-1])).pvalue > 1e-4


def test_draws_of_von_mises_fisher_point_everywhere_alike():
    """On S³: E[x xᵀ] = v μμᵀ + (1 − v)/3 (1 − μμᵀ), v = E cos²θ, within five standard errors."""
    m, family = sf.Sphere(3), VonMisesFisherComponents()
    mu = m.uniform(KEY)
    law = Component(mu, jnp.eye(3), jnp.full((3,), 1 / 2.5))
    x = np.asarray(
        jax.jit(jax.vmap(lambda k: family.sample(k, m, law)))(jax.random.split(KEY, 40_000))
    )
    weight = lambda t: math.exp(2.5 * math.cos(t)) * math.sin(t) ** 2  # noqa: E731
    total = scipy.integrate.quad(weight, 0, math.pi)[0]
    v = scipy.integrate.quad(lambda t: weight(t) * math.cos(t) ** 2, 0, math.pi)[0] / total
    along = np.outer(mu, mu)
    want = v * along + (1 - v) / 3 * (np.eye(4) - along)
    np.testing.assert_allclose(x.T @ x / len(x), want, atol=5 / math.sqrt(len(x)))


def wrapped(d, deviations, key=1):
    """A law on T^d with these deviations along random axes."""
    axes = np.linalg.qr(np.asarray(jax.random.normal(jax.random.key(key), (d, d))))[0]
    m = sf.Torus(d)
    law = Component(m.uniform(jax.random.key(key)), jnp.asarray(axes), jnp.asarray(deviations) ** 2)
    return m, law, axes.T @ np.diag(np.asarray(deviations) ** 2) @ axes


WRAPPED = [
    ((2.4,), 12),
    ((0.02,), 2),
    ((2.4, 0.3), 8),
    ((1.0, 0.9, 0.1), 3),
    ((1.0, 0.7, 0.5, 0.2), 2),
]


@pytest.mark.parametrize("deviations, turns", WRAPPED)
def test_wrapped_normal_laws_are_sums_over_all_images(deviations, turns):
    """SciPy's normal law at every image; on T¹ and T² the mass is 1 too (equal steps)."""
    d = len(deviations)
    m, law, covariance = wrapped(d, deviations)
    x = jax.vmap(lambda k: m.uniform(k))(jax.random.split(KEY, 12))
    x = jnp.concatenate([x, law.centre[None], m.exp(law.centre, jnp.full(d, math.pi))[None]])
    ask = jax.jit(jax.vmap(lambda p: WrappedNormalComponents().log_prob(m, p, law)))
    k = 2 * math.pi * np.asarray(list(itertools.product(range(-turns, turns + 1), repeat=d)))
    gap = np.asarray(x) - np.asarray(law.centre)
    gap = (gap + math.pi) % (2 * math.pi) - math.pi
    each = multivariate_normal(np.zeros(d), covariance, allow_singular=True)
    terms = each.logpdf((gap[:, None] + k[None]).reshape(-1, d)).reshape(len(x), -1)
    np.testing.assert_allclose(ask(x), np.logaddexp.reduce(terms, axis=1), rtol=1e-9, atol=1e-9)
    if d <= 2 and min(deviations) > 0.1:
        ring = np.linspace(-math.pi, math.pi, 128, endpoint=False)
        grid = np.stack(np.meshgrid(*[ring] * d), -1).reshape(-1, d)
        mass = np.exp(ask(jnp.asarray(grid))).mean() * (2 * math.pi) ** d
        assert mass == pytest.approx(1.0, abs=1e-12)


def test_what_wrapped_normal_laws_lack_on_many_angles():
    """On T⁵ draws that wind about three circles at once: their share of 10⁵ draws is below the
    bound, which is small; and the density of a narrow law is SciPy's."""
    family = WrappedNormalComponents()
    m, law, covariance = wrapped(5, (1.0, 0.6, 0.5, 0.4, 0.3))
    one = jax.tree.map(lambda a: a[None], law)
    bound = float(family.lost(m, one)[0])
    v = np.random.default_rng(0).multivariate_normal(np.zeros(5), covariance, 100_000)
    missed = ((np.abs(v) > math.pi).sum(1) >= 3).mean()
    assert missed <= bound < 1e-6
    # Three angles that go together: the bound is there and holds.
    long = np.array([1, 1, 1, 0, 0]) / math.sqrt(3)
    axes = np.linalg.qr(np.column_stack([long, np.eye(5)[:, [0, 1, 3, 4]]]))[0].T
    tied = Component(law.centre, jnp.asarray(axes), jnp.asarray([1.0, *[1e-4] * 4]))
    exact = 2 * norm.sf(math.pi * math.sqrt(3))
    bound = float(family.lost(m, jax.tree.map(lambda a: a[None], tied))[0])
    assert 0.99 * exact < bound < 1.01 * exact
    _, law, covariance = wrapped(5, (0.3, 0.2, 0.2, 0.1, 0.1))
    x = family.sample(KEY, m, law)
    gap = (np.asarray(x - law.centre) + math.pi) % (2 * math.pi) - math.pi
    want = multivariate_normal(np.zeros(5), covariance).logpdf(gap)
    assert family.log_prob(m, x, law) == pytest.approx(want, abs=1e-9)


TABLES = [
    sf.Sphere(2),
    sf.SO3(),
    sf.Hyperbolic(3),
    sf.Torus(2),
    sf.Product(sf.Sphere(2), sf.Torus(1)),
]


@pytest.mark.parametrize("m", TABLES, ids=lambda m: m.name)
def test_tables_of_heat_kernels(m):
    """Against the exact kernel at its draws and, on compact spaces, at even points: 10⁻⁵ nats (10⁻³
    on H³, s = 3), slopes in s 10⁻³."""
    z = m.origin()
    law = lambda s: Component(z, jnp.eye(m.dim), jnp.full((m.dim,), s))  # noqa: E731

    def asked(family):
        one = jax.value_and_grad(lambda s, x: family.log_prob(m, x, law(s)))
        return jax.jit(jax.vmap(one, (None, 0)))

    exact, table = asked(HeatComponents()), asked(HeatComponents().fitting)
    for s in (1e-3, 0.2, 3.0):
        keys = jax.random.split(KEY, 100)
        x = jax.vmap(lambda k, s=s: m.heat.sample(k, z, s))(keys)
        if m.compact:
            x = jnp.concatenate([x, jax.vmap(lambda k: m.uniform(k))(keys)])
        want, got = exact(jnp.asarray(s), x), table(jnp.asarray(s), x)
        seen = np.asarray(want[0] > want[0].max() - 40)
        np.testing.assert_allclose(got[0][seen], want[0][seen], atol=1e-5 if m.compact else 1e-4)
        np.testing.assert_allclose(got[1][seen], want[1][seen], rtol=1e-2, atol=1e-3)
    assert np.isfinite(jnp.stack(table(jnp.asarray(1e-9), x))).all()


@pytest.mark.parametrize("m", [sf.Sphere(2), sf.Torus(3), sf.Hyperbolic(2)], ids=lambda m: m.name)
def test_free_numbers_make_valid_laws(m):
    """Nothing changes at 0; any numbers leave orthonormal axes and variances within the bounds, and
    gradients are finite."""
    d, low, high = m.dim, jnp.asarray(1e-4), jnp.asarray(4.0)
    axes = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0])
    z = m.heat.sample(KEY, m.origin(), 0.5)
    law = Component(z, axes, jnp.linspace(0.01, 0.5, d))
    change = jax.jit(lambda c: moved(m, False, law, c, low, high))
    size = WrappedNormalComponents().size(d)
    same = change(jnp.zeros(size))
    for got, want in zip(jax.tree.leaves(same), jax.tree.leaves(law), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)
    for scale in (0.1, 1.0, 5.0):
        found = change(scale * jax.random.normal(KEY, (size,)))
        assert bool(m.belongs(found.centre))
        np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(d), atol=1e-9)
        assert np.all((found.variances >= low) & (found.variances <= high))
    family = (
        WrappedNormalComponents() if not isinstance(m, sf.Sphere) else VonMisesFisherComponents()
    )
    slope = jax.jit(jax.grad(lambda c: family.log_prob(m, law.centre, change(c))))
    assert np.isfinite(slope(jnp.zeros(size))).all()
