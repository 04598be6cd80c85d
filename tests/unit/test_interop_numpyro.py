"""NumPyro: models as its distributions, and its distributions as laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optional import package, usual_promotion

import scorefold as sf
from scorefold.data import HeatMixture
from scorefold.interop.numpyro import from_numpyro, to_numpyro

numpyro = package("numpyro")
dist = numpyro.distributions

PLANE = HeatMixture(sf.Euclidean(2), [[0.0, 0.0], [3.0, 1.0]], [0.5, 0.2])


@pytest.fixture(autouse=True)
def promotion():
    with usual_promotion():
        yield


def test_a_law_as_a_distribution():
    """Its density to the bit, its draws, batches of any shape, and a support that holds them and
    nothing else; a pytree of its arrays, for ``jax.jit``."""
    law = PLANE
    found = to_numpyro(law, validate_args=True)
    shape = law.manifold.shape
    assert found.event_shape == shape and found.batch_shape == ()
    x = found.sample(jax.random.key(0), (2, 3))
    assert x.shape == (2, 3, *shape) and found.sample(jax.random.key(0)).shape == shape
    np.testing.assert_array_equal(x.reshape(-1, *shape), law.sample(jax.random.key(0), 6))
    np.testing.assert_array_equal(found.log_prob(x), law.log_prob(x))
    assert bool(found.support(x).all()) and found.support.event_dim == len(shape)
    compiled = jax.jit(lambda d, y: d.log_prob(y))
    np.testing.assert_allclose(compiled(found, x), law.log_prob(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: dist.Gamma(1.0, 1.0), "its support Positive.*no manifold known here: transform"),
        (lambda: dist.Normal(jnp.zeros(3), 1.0), r"has batch shape \(3,\).*\.to_event\(1\)"),
        (lambda: dist.Dirichlet(jnp.ones(3)), "is no manifold known here"),
    ],
)
def test_distributions_that_are_no_laws(make, said):
    with pytest.raises(ValueError, match=said) as error:
        from_numpyro(make())
    assert "\n" not in str(error.value)


def test_shapes_of_points_are_held_against_the_manifold():
    with pytest.raises(ValueError, match=r"its event shape is \(2,\), and a point of S\^2"):
        from_numpyro(dist.Normal(jnp.zeros(2), 1.0).to_event(1), sf.Sphere(2))
    with pytest.raises(TypeError, match=r"one of numpyro\.distributions, got ndarray"):
        from_numpyro(np.zeros(2))


def test_points_off_the_manifold_are_refused_of_laws_too():
    sphere = sf.Sphere(2)
    law = to_numpyro(sf.data.HeatMixture(sphere, np.eye(3), s=[0.1] * 3))
    x = np.asarray(law.sample(jax.random.key(0), (2, 3)))
    assert law.log_prob(x).shape == (2, 3)
    with pytest.raises(sf.PointsError, match="x: "):
        law.log_prob(1.5 * np.ones(3))
