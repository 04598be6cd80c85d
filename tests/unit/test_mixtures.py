"""Mixtures of parametric laws: fits of known mixtures, draws, limits, mistakes."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

import scorefold as sf
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.mixture import FittedMixture

N = 20_000
KEY = jax.random.key(0)


def mixture(description, places, deviations, weights, turn=0.6):
    """Laws at exp of the rows of ``places`` (components at the origin), with these deviations along
    axes turned in the plane of the first two."""
    m = description.manifold
    origin = m.origin(jnp.float64)
    put = lambda c: m.exp(origin, m.from_components(origin, c))  # noqa: E731
    axes = np.eye(m.dim)
    if m.dim > 1 and not description.family.round:
        axes[:2, :2] = [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    laws = Component(
        jax.vmap(put)(jnp.asarray(places)),
        jnp.broadcast_to(jnp.asarray(axes), (len(places), m.dim, m.dim)),
        jnp.asarray(deviations) ** 2,
    )
    return FittedMixture(description, laws, jnp.log(jnp.asarray(weights)))


WEIGHTS = [0.5, 0.3, 0.2]
LAWS = {
    "kent on S^2": lambda: mixture(
        sf.KentMixture(sf.Sphere(2), 3), [[0.0, 0.0], [1.2, 0.3], [-1.0, 1.4]],
        [[0.3, 0.1], [0.15, 0.12], [0.25, 0.08]], WEIGHTS,
    ),
    "vmf on S^3": lambda: mixture(
        sf.VonMisesFisherMixture(sf.Sphere(3), 3),
        [[0.0, 0.0, 0.0], [1.5, 0.3, 0.0], [-1.0, 2.0, 0.5]],
        [[0.2] * 3, [0.35] * 3, [0.1] * 3], WEIGHTS,
    ),
    "wrapped-normal on T^2": lambda: mixture(
        sf.WrappedNormalMixture(sf.Torus(2), 3), [[0.0, 0.0], [2.5, 0.3], [-1.0, 2.5]],
        [[0.5, 0.1], [0.25, 0.15], [0.9, 0.05]], WEIGHTS,
    ),
    "wrapped-normal on H^2": lambda: mixture(
        sf.WrappedNormalMixture(sf.Hyperbolic(2), 3), [[0.0, 0.0], [1.8, 0.3], [-1.5, 1.5]],
        [[0.4, 0.1], [0.25, 0.15], [0.3, 0.05]], WEIGHTS,
    ),
    "heat on SO(3)": lambda: mixture(
        sf.HeatKernelMixture(sf.SO3(), 3), [[0.0, 0.0, 0.0], [1.5, 0.3, 0.0], [-1.0, 1.6, 0.5]],
        [[0.2] * 3, [0.3] * 3, [0.1] * 3], WEIGHTS,
    ),
    "heat on H^3": lambda: mixture(
        sf.HeatKernelMixture(sf.Hyperbolic(3), 3),
        [[0.0, 0.0, 0.0], [1.8, 0.3, 0.0], [-1.0, 1.6, 0.5]],
        [[0.2] * 3, [0.35] * 3, [0.1] * 3], WEIGHTS,
    ),
}  # fmt: skip
SLOW = ("wrapped-normal on H^2", "heat on SO(3)", "heat on H^3")
CASES = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in LAWS]


@pytest.mark.parametrize("name", CASES)
def test_a_mixture_of_its_own_family_is_recovered(name):
    """20000 draws of three laws far apart. Parameters within five standard errors: of weights
    √(w(1 − w)/n), of places √(λ/n_k) a direction, of log variances √(2/n_k) each (√(2/d n_k) where
    the law is round), n_k = w_k n, which the Fisher information is close to for narrow laws that
    hardly overlap (a fifth is added for what they do). And twice the gain in log likelihood over
    the truth is χ² of p degrees (Wilks): at least −1, for the steps end near the maximum, and below
    its quantile 1 − 10⁻⁶."""
    truth = LAWS[name]()
    m, family = truth.manifold, truth.description.family
    x = np.asarray(truth.sample(KEY, N))
    found, _ = sf.fit(truth.description, x, key=KEY, progress=False)
    gain = 2 * float(jnp.sum(found.log_prob(x)) - jnp.sum(truth.log_prob(x)))
    p = 3 * (family.size(m.dim) + 1) - 1
    assert -1.0 < gain < chi2.ppf(1 - 1e-6, p)
    far = np.asarray(jax.vmap(lambda a: jax.vmap(lambda b: m.dist(a, b))(truth.laws.centre))(
        found.laws.centre))  # fmt: skip
    order = far.argmin(0)
    assert sorted(order) == [0, 1, 2]
    weights, n_k = np.asarray(WEIGHTS), N * np.asarray(WEIGHTS)
    error = np.exp(np.asarray(found.log_weights))[order] - weights
    assert np.all(np.abs(error) < 6 * np.sqrt(weights * (1 - weights) / N))
    variances = np.asarray(truth.laws.variances)
    assert np.all(far.min(0) < 6 * np.sqrt(variances.sum(1) / n_k))
    # Eigenvalues in one order; those of one law differ by many errors.
    got = np.sort(np.asarray(found.laws.variances)[order], axis=1)
    ratio = np.log(got / np.sort(variances, axis=1))
    free = 2 / (m.dim if family.round else 1)
    assert np.all(np.abs(ratio) < 6 * np.sqrt(free / n_k)[:, None])
    copies_agree(found, x[:100])


def copies_agree(model, x):
    at = jnp.asarray(x[:3])
    slope = jax.jit(jax.vmap(jax.grad(model.log_prob)))(at)
    assert np.isfinite(slope).all()
    mass, bound = model.exact_mass
    assert abs(mass - 1.0) < 1e-9 and bound < 1e-9


@pytest.mark.parametrize("name", ["kent on S^2", "wrapped-normal on T^2"])
def test_mass_and_draws(name):
    """Mass 1 by quadrature (equal-area and equal cells), and 10⁵ draws in 20 × 20 cells against its
    sums: χ² below its quantile 1 − 10⁻⁵."""
    law = LAWS[name]()
    cells, fine, n = 20, 40, 100_000
    middle = (np.arange(cells * fine) + 0.5) / (cells * fine)
    first, second = np.meshgrid(middle, middle, indexing="ij")
    draws = np.asarray(law.sample(KEY, n))
    if name.endswith("T^2"):
        x = 2 * math.pi * np.stack([first, second], -1) - math.pi
        volume, place = 4 * math.pi**2, (draws + math.pi) / (2 * math.pi)
    else:
        z, lon = 2 * first - 1, 2 * math.pi * second - math.pi
        r = np.sqrt(1 - z**2)
        x = np.stack([r * np.cos(lon), r * np.sin(lon), z], -1)
        volume = 4 * math.pi
        angle = np.arctan2(draws[:, 1], draws[:, 0])
        place = np.stack([(draws[:, 2] + 1) / 2, angle / (2 * math.pi) + 0.5], -1)
    p = np.exp(np.asarray(law.log_prob(x.reshape(-1, x.shape[-1])))) * volume / first.size
    assert p.sum() == pytest.approx(1.0, abs=1e-3)
    want = n * p.reshape(cells, fine, cells, fine).sum((1, 3)).ravel()
    got = np.histogram2d(*place.T, bins=cells, range=[[0, 1], [0, 1]])[0].ravel()
    rare = want < 10
    got, want = (np.append(a[~rare], a[rare].sum()) for a in (got, want))
    assert np.sum((got - want) ** 2 / want) < chi2.ppf(1 - 1e-5, len(want) - 1)


def few(manifold, kind, x, **options):
    return sf.fit(kind(manifold, **options), x, key=KEY, steps=5, batch_size=16, progress=False)[0]


def test_repeated_points_leave_the_density_bounded():
    """Half of the points are one: no variance is below floor², so that the density is at most
    Σ_k w_k / (2π floor²) but for the curvature."""
    x = np.asarray(sf.Sphere(2).uniform(KEY))[None].repeat(40, 0)
    rest = jax.vmap(lambda k: sf.Sphere(2).uniform(k))(jax.random.split(KEY, 40))
    x = np.concatenate([x, np.asarray(rest)])
    model = few(sf.Sphere(2), sf.KentMixture, x, components=(2, 30), floor=0.01)
    assert float(model.laws.variances.min()) > 0.01**2 * (1 - 1e-9)
    value = np.asarray(model.log_prob(x))
    assert np.isfinite(value).all() and value.max() < -math.log(2 * math.pi * 0.01**2) + 1e-3


def test_the_number_of_laws():
    """Chosen at held-out points, or by BIC: three laws far apart, not two and not twelve; few data
    have fewer candidates, one law always."""
    truth = LAWS["vmf on S^3"]()
    x = np.asarray(truth.sample(KEY, 1500))
    asked = sf.VonMisesFisherMixture(sf.Sphere(3), (2, 3, 12))
    for val in (None, x[1000:]):
        model, history = sf.fit(asked, x[:1000], val=val, key=KEY, steps=40, progress=False)
        assert len(model.log_weights) == 3
        assert math.fsum(np.asarray(model.parameters["weights"])) == pytest.approx(1.0)
    assert history.val_nll.min() == pytest.approx(-float(model.log_prob(x[1000:]).mean()), abs=1e-5)
    assert sf.KentMixture(sf.Sphere(2)).counts_for(35) == (1, 2, 5)
    assert sf.KentMixture(sf.Sphere(2)).counts_for(3) == (1,)


def test_seeds_side_by_side_and_files(tmp_path):
    """``fit_seeds`` says what ``fit`` says, and a file what the model says."""
    x = np.asarray(LAWS["wrapped-normal on T^2"]().sample(KEY, 200))
    asked, keys = sf.WrappedNormalMixture(sf.Torus(2), (1, 3)), jax.random.split(KEY, 2)
    few = {"val": x[150:], "steps": 4, "batch_size": 32, "progress": False}
    both = sf.fit_seeds(asked, x[:150], keys=keys, **few)
    one, _ = sf.fit(asked, x[:150], key=keys[1], **few)
    np.testing.assert_allclose(both[1][0].log_prob(x), one.log_prob(x), rtol=1e-8)
    sf.save(tmp_path / "mixture", one)
    np.testing.assert_array_equal(sf.load(tmp_path / "mixture").log_prob(x), one.log_prob(x))


@pytest.mark.parametrize("kind, manifold, words", [
    (sf.KentMixture, sf.Torus(2), "Kent's law is one on S\\^2, not on T\\^2"),
    (sf.VonMisesFisherMixture, sf.SO3(), "is one on S\\^d, not on SO\\(3\\)"),
    (sf.WrappedNormalMixture, sf.Sphere(2), "not on S\\^2. Use KentMixture"),
    (sf.WrappedNormalMixture, sf.Torus(13), "up to d = 12"),
])  # fmt: skip
def test_laws_that_do_not_exist(kind, manifold, words):
    with pytest.raises(ValueError, match=words):
        kind(manifold)


def test_mistakes_are_named():
    sphere = sf.Sphere(2)
    for wrong in (0, (), (3, 3), (2, -1), 1.5):
        with pytest.raises((ValueError, TypeError), match="components"):
            sf.KentMixture(sphere, wrong)
    with pytest.raises(ValueError, match="starts: at least one"):
        sf.KentMixture(sphere, starts=0)
    with pytest.raises(ValueError, match="floor: the smallest standard deviation"):
        sf.WrappedNormalMixture(sf.Torus(3), floor=2.0)
    with pytest.raises(ValueError, match="components: 9 laws for 5 points"):
        sf.fit(sf.KentMixture(sphere, 9), np.eye(3)[[0, 1, 2, 0, 1]], key=KEY, steps=1)


def test_the_seconds_are_all_of_them():
    """Expectation–maximisation happens before the first step, and is counted: the wall clock of
    ``fit`` and that of its history differ by what checks and the split of a key take."""
    m = sf.Sphere(2)
    x = np.asarray(jax.vmap(m.uniform)(jax.random.split(jax.random.key(0), 400)))
    asked = sf.VonMisesFisherMixture(m, (3, 4))
    began = time.monotonic()
    _, history = sf.fit(asked, x, key=jax.random.key(0), steps=2, progress=False)
    whole = time.monotonic() - began
    assert history.compile_seconds + history.train_seconds <= history.seconds <= whole
    assert whole - history.seconds < 0.2 * whole
