"""Brownian motion on tori that starts from the wrapped normal law of the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.models import ScoreModel, default_noising
from scorefold.noising import Linear, TorusBrownian, UniformReference


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 2e-8)])
@pytest.mark.parametrize("v", [1e-4, 0.04, 0.99, 1.01, 8.0])
def test_the_baseline_is_the_score_of_a_heat_kernel(v, dtype, tolerance):
    """A wrapped normal law of variance v is the heat kernel at v, which is tested elsewhere."""
    torus = sf.Torus(2)
    mean = np.array([0.3, -2.0])
    noising = TorusBrownian(torus, mean=mean, variance=np.full(2, v))
    for delta in (0.0, 0.1, 1.5, 3.1):
        x = jnp.asarray(mean + delta * np.array([1.0, -1.0]), dtype)
        x = torus.project(x)
        for s in (1e-4, 0.3, 5.0):
            found = noising.baseline(x, jnp.asarray(s, dtype))
            known = torus.heat.score(x, jnp.asarray(mean, dtype), v + s)
            np.testing.assert_allclose(found, known, rtol=tolerance, atol=tolerance)
            assert found.dtype == dtype
            slope = jax.jacfwd(lambda y, s=s: noising.baseline(y, jnp.asarray(s, dtype)))(x)
            assert np.isfinite(slope).all()


def test_circular_moments():
    """Of 200,000 draws: the mean within 5 standard errors √(v/n), the variance within 5 of
    v√(2/n), and angles that are everywhere have no slope."""
    torus, n = sf.Torus(2), 200_000
    law = HeatMixture(torus, [[3.1, -1.0]], 0.04)
    data = np.asarray(law.sample(jax.random.key(1), n))
    found = TorusBrownian.measure(torus, data)
    gap = np.remainder(found.mean - [3.1, -1.0] + np.pi, 2 * np.pi) - np.pi
    assert np.abs(gap).max() < 5 * 0.2 / np.sqrt(n)
    assert np.abs(found.variance - 0.04).max() < 5 * 0.04 * np.sqrt(2 / n)
    even = np.linspace(-np.pi, np.pi, 1000, endpoint=False)[:, None] * np.ones(2)
    flat = TorusBrownian.measure(torus, even)
    at = jnp.asarray([1.0, 2.0])
    assert np.abs(flat.baseline(at, jnp.asarray(1e-4))).max() < 1e-3
    still = TorusBrownian.measure(torus, np.ones((5, 2)))
    assert np.isfinite(still.baseline(at, jnp.asarray(1e-4))).all()


def test_a_score_model_starts_there():
    """Nothing is learned in a step with a learning rate of 1e-12: the density is that of the
    wrapped normal law, of variance v + s_min, as far as its noised law is uniform at s = 10: a
    wave of amplitude 2e⁻⁵ for each angle, whose mean is 0 to second order."""
    torus = sf.Torus(3)
    law = HeatMixture(torus, [[0.1, 2.0, -3.0]], 0.04)
    data = np.asarray(law.sample(jax.random.key(2), 500))
    noising = default_noising(torus, data)
    assert isinstance(noising, TorusBrownian) and isinstance(noising.reference, UniformReference)
    model, _ = sf.fit(
        ScoreModel(noising), data, key=jax.random.key(0), steps=1, learning_rate=1e-12,
        progress=False,
    )  # fmt: skip
    x = data[:50]
    kernel = lambda mean, v: jax.vmap(  # noqa: E731
        lambda y: sf.Torus(1).heat.log_prob(y[None], mean[None], v)
    )
    known = sum(
        kernel(jnp.asarray(m), v + model.s_min)(jnp.asarray(x[:, i]))
        for i, (m, v) in enumerate(zip(noising.mean, noising.variance, strict=True))
    )
    apart = np.asarray(model.log_prob(x)) - np.asarray(known)
    assert np.abs(apart).max() < 3 * 2.0 * np.exp(-5.0) + 3e-3
    assert abs(apart.mean()) < 5 * apart.std() / np.sqrt(len(x)) + 1e-3


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"mean: shape \(2,\), got \(3,\)"):
        TorusBrownian(sf.Torus(2), mean=np.zeros(3), variance=np.ones(2))
    for wrong in (0.0, -1.0, np.inf, np.nan):
        for kind in (np.asarray, jnp.asarray):
            bad = kind([1.0, wrong])
            with pytest.raises(ValueError, match="variance: positive"):
                TorusBrownian(sf.Torus(2), Linear(), mean=np.zeros(2), variance=bad)
    with pytest.raises(ValueError, match="mean: finite"):
        TorusBrownian(sf.Torus(2), mean=np.array([0.0, np.nan]), variance=np.ones(2))
    with pytest.raises(ValueError, match=r"manifold: T\^d, got S\^2"):
        TorusBrownian(sf.Sphere(2), mean=np.zeros(3), variance=np.ones(3))
