"""Kernels of low rank: the law of one kernel, its flow, and what is fitted in many dimensions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import scorefold as sf
from scorefold.kernels import ClusteredMixture, WrappedMixture, mixture_mass, truncated_log_prob
from scorefold.kernels.local.frames import Frames
from scorefold.noising import UniformReference


def _mixture(manifold, n=5, rank=2, scale=0.02):
    key = jax.random.split(jax.random.key(0), 4)
    o, d = manifold.origin(jnp.float64), manifold.dim
    v = 0.3 * jax.random.normal(key[0], (n, d))
    centres = jax.vmap(lambda a: manifold.exp(o, manifold.from_components(o, a)))(v)
    return WrappedMixture(
        manifold,
        UniformReference(manifold) if manifold.compact else sf.kernels.plain_law(manifold, centres),
        centres,
        jax.random.normal(key[1], (n, rank, d)),
        scale * jax.random.uniform(key[2], (n, rank)),
        jnp.full(n, -jnp.log(1.0 * n)),
        jnp.float64(-4.0),
        diagonal=scale * (0.2 + jax.random.uniform(key[3], (n, d))),
    )


@pytest.mark.parametrize("manifold", [sf.Sphere(5), sf.Torus(3)], ids=repr)
def test_they_are_kernels_of_the_same_covariance(manifold):
    """Oracle: the same covariances with d axes, at the data and with noise."""
    mixture = _mixture(manifold)

    @eqx.filter_jit
    def values(m, x):
        both = lambda p: (m.log_prob(p), m.log_prob(p, jnp.float64(0.05)))  # noqa: E731
        return jnp.stack(jax.vmap(both)(x))

    x = jax.jit(jax.vmap(lambda k: mixture.sample(k)))(jax.random.split(jax.random.key(1), 20))
    np.testing.assert_allclose(values(mixture, x), values(mixture.full(), x), rtol=1e-9)


def test_the_law_of_one_kernel_on_flat_space():
    """Oracle: SciPy. Draws: the covariance of 20,000, 5 standard errors."""
    m = _mixture(sf.Euclidean(6), n=1)
    rows = np.sqrt(np.asarray(m.variances[0]))[:, None] * np.asarray(m.axes[0])
    covariance = rows.T @ rows + np.diag(m.diagonal[0])
    x = np.asarray(m.centres[0]) + 0.3 * np.random.default_rng(0).normal(size=(10, 6))
    want = multivariate_normal(np.asarray(m.centres[0]), covariance).logpdf(x)
    np.testing.assert_allclose(jax.vmap(m.log_kernels)(jnp.asarray(x))[:, 0], want, rtol=1e-9)
    alone = eqx.tree_at(lambda k: k.log_share, m, jnp.float64(-60.0))
    draws = jax.jit(jax.vmap(lambda k: alone.sample(k)))(jax.random.split(jax.random.key(2), 20000))
    var = np.diag(covariance)
    error = np.sqrt((np.outer(var, var) + covariance**2) / 20000)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()


def test_what_reads_kernels_reads_these():
    mixture = _mixture(sf.Sphere(5))
    x = mixture.centres[:3]
    with pytest.raises(ValueError, match="low rank"):
        truncated_log_prob(mixture, x)
    grouped, whole = ClusteredMixture.of(mixture), ClusteredMixture.of(mixture.full())
    value = eqx.filter_jit(lambda m: jax.vmap(lambda p: m.log_prob(p, jnp.float64(0.01)))(x))
    np.testing.assert_allclose(value(grouped), value(whole), rtol=1e-9)
    for manifold in (sf.Torus(6), sf.Sphere(5)):
        low = mixture_mass(_mixture(manifold, scale=0.05))
        full = mixture_mass(_mixture(manifold, scale=0.05).full())
        assert abs(low[0] - full[0]) <= low[1] + full[1]


def test_frames_find_factors():
    """1,200 vectors of a law with two factors and unequal residual variances: of six axes the first
    two are within an angle of 0.1 of the factors, and D is the residual variances within 15 %.
    What is not kept does not count."""
    rng, d = np.random.default_rng(0), 30
    loadings = rng.normal(size=(2, d))
    rest = np.exp(rng.uniform(-1.5, 0.0, d))
    v = rng.normal(size=(1500, 2)) @ loadings + np.sqrt(rest) * rng.normal(size=(1500, d))
    kept = np.arange(1500) % 5 > 0

    def frames(rows, keep):
        return Frames.of(
            sf.Euclidean(d), jnp.asarray(rows)[None], jnp.asarray(keep)[None], (100, 1200),
            jnp.int32(1), 6, jnp.float64(1e-3), False,
        )  # fmt: skip

    found = frames(v, kept)
    ratio = np.asarray(found.scale[0]) ** 2 / rest
    assert np.std(np.log(ratio)) < 0.15
    want = np.linalg.qr((loadings / np.sqrt(rest)).T)[0]
    cosines = np.linalg.svd(np.asarray(found.axes[0, :2]) @ want, compute_uv=False)
    assert cosines.min() > np.cos(0.1)
    others = frames(v[kept], np.ones(1200, bool))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


class _Factors:
    """Two wrapped normal laws of two factors each."""

    def __init__(self, d, rng):
        self.means = rng.uniform(-3.0, 3.0, (2, d))
        self.loadings = 0.15 * rng.normal(size=(2, 2, d))
        self.rest = np.exp(rng.uniform(-4.0, -2.5, (2, d)))

    def draw(self, n, rng):
        k, d = rng.integers(2, size=n), self.means.shape[1]
        x = np.einsum("nr,nrd->nd", rng.normal(size=(n, 2)), self.loadings[k])
        x += self.means[k] + np.sqrt(self.rest[k]) * rng.normal(size=(n, d))
        return np.mod(x + np.pi, 2.0 * np.pi) - np.pi

    def log_prob(self, x):
        each = []
        for mean, rows, rest in zip(self.means, self.loadings, self.rest, strict=True):
            away = np.mod(x - mean + np.pi, 2.0 * np.pi) - np.pi
            law = multivariate_normal(np.zeros(len(mean)), rows.T @ rows + np.diag(rest))
            each.append(law.logpdf(away))
        return np.logaddexp(*each) - np.log(2.0)


@pytest.fixture(scope="module")
def fitted():
    rng, manifold = np.random.default_rng(1), sf.Torus(24)
    law = _Factors(24, rng)
    data, test = (law.draw(n, rng).astype(np.float32) for n in (240, 400))
    kernels = sf.KernelModel(manifold, form="low-rank", rank=4, counts=(5, 34))
    model, _ = sf.fit(kernels, data, key=jax.random.key(0), steps=60, progress=False)
    return law, data, test, model


def test_fitted_to_factors_they_beat_diagonal_laws(fitted):
    """Oracle: the law itself, and its two parts with diagonal covariances, the best of all mixtures
    of two diagonal laws."""
    law, _, test, model = fitted
    assert model.form == "low-rank"
    excess = law.log_prob(test.astype(np.float64)) - np.asarray(model.log_prob(test), np.float64)
    diagonal = _Factors(24, np.random.default_rng(1))
    diagonal.rest = law.rest + np.sum(law.loadings**2, axis=1)
    diagonal.loadings = np.zeros_like(law.loadings)
    rival = law.log_prob(test.astype(np.float64)) - diagonal.log_prob(test.astype(np.float64))
    assert 0 < excess.mean() < rival.mean() - 3 * (rival - excess).std() / 20


def test_fitted_kernels_are_normalised_and_can_be_asked(fitted, tmp_path):
    """What is missing beyond the cut locus is bounded; files, scores and kernels elsewhere."""
    law, data, test, model = fitted
    mass, error = model.exact_mass
    assert abs(mass - 1.0) <= error < 1e-3
    draws = np.asarray(model.sample(jax.random.key(3), 2000), np.float64)
    assert (np.abs(draws) <= np.pi + 1e-5).all()
    found = np.asarray(model.log_prob(draws.astype(np.float32)), np.float64)
    assert 0 < (found - law.log_prob(draws)).mean() < 10  # KL(model, law)
    assert np.isfinite(np.asarray(model.score_at(0.1, test[:3]))).all()
    sf.save(tmp_path / "model.sf", model)
    again = sf.load(tmp_path / "model.sf")
    np.testing.assert_array_equal(again.log_prob(test[:3]), model.log_prob(test[:3]))
    more = model.with_centres(np.concatenate([data, test[:40]]))
    assert len(more.mixture.centres) == len(model.mixture.centres) // 240 * 280
    with pytest.raises(ValueError, match="low rank"):
        model.cross_fit(jax.random.key(0), jnp.asarray(data))


def test_full_covariances_stay_where_they_fit():
    small, large = sf.KernelModel(sf.Torus(4)), sf.KernelModel(sf.Torus(100))
    assert not small.low_rank(30000)
    assert not small.low_rank(10**6)
    assert not large.low_rank(100)
    assert large.low_rank(300)
    assert not sf.KernelModel(sf.Torus(100), form="full").low_rank(5000)


@pytest.mark.parametrize(
    ("setting", "words"), [({"form": "dense"}, "form: one of"), ({"rank": 0}, "rank: at least 1"),
                           ({"form": "low-rank", "rank": 4}, "rank: 4 axes")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(setting, words):
    with pytest.raises(ValueError, match=words):
        sf.KernelModel(sf.Torus(4), **setting)
