"""Brownian motion that starts from a mixture of heat kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.models import ScoreModel, started_noising
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.mixture import FittedMixture
from scorefold.noising import MixtureBrownian, UniformReference

KEY = jax.random.key(0)
SPACES = [sf.Sphere(2), sf.Torus(2), sf.SO3()]


def a_law(m, dtype=np.float64):
    """Three heat kernels of variances 0.003 to 0.3 at uniform places."""
    centres = np.asarray(jax.vmap(lambda k: m.uniform(k, jnp.float64))(jax.random.split(KEY, 3)))
    law = HeatMixture(m, centres.astype(dtype), [0.003, 0.05, 0.3], [0.5, 0.3, 0.2])
    return law, {"centres": law.centres, "variances": law.s, "weights": law.weights}


@pytest.mark.parametrize("m", SPACES, ids=lambda m: m.name)
def test_the_baseline_is_the_score_of_the_noised_mixture(m):
    """∇ log p by automatic differentiation of the density, which is exact at every level, at draws
    of the law; the same in single precision to its digits, under jit and vmap."""
    law, settings = a_law(m)
    noising = MixtureBrownian(m, **settings)
    x = np.asarray(law.sample(jax.random.key(1), 5))
    for s in (1e-4, 0.1, 3.0):
        found = jax.jit(jax.vmap(noising.baseline, (0, None)))(x, jnp.asarray(s))
        log_p = lambda y, s=s: law._log_prob(y, s)  # noqa: E731
        known = jax.vmap(lambda y, f=log_p: m.gradient(y, jax.grad(f)(y)))(jnp.asarray(x))
        np.testing.assert_allclose(found, known, rtol=1e-6, atol=1e-6)
        small = MixtureBrownian(m, **a_law(m, np.float32)[1]).baseline
        single = jax.vmap(small, (0, None))(x.astype(np.float32), jnp.float32(s))
        assert single.dtype == np.float32
        largest = np.abs(known).max()
        np.testing.assert_allclose(single, known, atol=2e-4 * largest + 1e-5)


def as_fitted(law):
    m = law.manifold
    axes = jnp.broadcast_to(jnp.eye(m.dim), (3, m.dim, m.dim))
    spreads = jnp.broadcast_to(law.s[:, None], (3, m.dim))
    laws = Component(law.centres, axes, spreads)
    return FittedMixture(sf.HeatKernelMixture(m, 3), laws, jnp.log(law.weights))


def test_a_score_model_starts_there(tmp_path):
    """Nothing is learned in a step with a learning rate of 1e-12: the density is that of the
    mixture with variances v + s_min, as far as its noised law is uniform at the end, where the
    slowest mode has e⁻⁵ of its amplitude (3 waves of amplitude at most 3, whose mean is 0 to
    second order). A file gives it back."""
    law, _ = a_law(sf.Sphere(2))
    data = np.asarray(law.sample(jax.random.key(2), 400))
    noising = started_noising(as_fitted(law))
    assert isinstance(noising.reference, UniformReference)
    usual = sf.default_noising(sf.Sphere(2), data)
    assert noising.schedule == usual.schedule
    assert noising.scale(jnp.asarray(0.3)) == usual.scale(jnp.asarray(0.3))
    small = sf.NetworkSpec(width=8, depth=1, fourier=4)
    model, _ = sf.fit(
        ScoreModel(noising, network=small), data, key=KEY, steps=1, learning_rate=1e-12,
        progress=False,
    )  # fmt: skip
    x = data[:60]
    apart = np.asarray(model.log_prob(x)) - np.asarray(law.log_prob(x, model.s_min))
    assert np.abs(apart).max() < 9.0 * np.exp(-5.0)
    assert abs(apart.mean()) < 5 * apart.std() / np.sqrt(len(x)) + 1e-3
    sf.save(tmp_path / "m", model)
    np.testing.assert_array_equal(sf.load(tmp_path / "m").log_prob(x), model.log_prob(x))


def test_mistakes_are_named():
    m = sf.Sphere(2)
    _, settings = a_law(m)
    for change, words in (
        ({"centres": np.eye(3)[0]}, r"centres: shape \(K, 3\), got \(3,\)"),
        ({"variances": np.ones(2)}, r"variances: shape \(3,\), got \(2,\)"),
        ({"weights": np.zeros(3)}, "weights: positive numbers, one for each centre"),
        ({"centres": 3.0 * np.asarray(settings["centres"])}, "centres: "),
        ({"centres": np.full((3, 3), np.nan)}, "centres: "),
    ):
        with pytest.raises(ValueError, match=words):
            MixtureBrownian(m, **{**settings, **change})
    with pytest.raises(ValueError, match="has no limit law"):
        MixtureBrownian(sf.Hyperbolic(2), **settings)
    x = np.asarray(a_law(m)[0].sample(KEY, 30))
    kent, _ = sf.fit(sf.KentMixture(m, 1), x, key=KEY, progress=False)
    with pytest.raises(ValueError, match=r"mixture: one of heat kernels, .* got KentMixture"):
        started_noising(kent)
