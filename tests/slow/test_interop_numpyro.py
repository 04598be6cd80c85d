"""NumPyro: models as its distributions on every geometry, chains of HMC, its laws as targets."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optional import package, usual_promotion
from scipy.special import iv

import scorefold as sf
from scorefold.data import HeatMixture
from scorefold.interop.numpyro import from_numpyro, to_numpyro

numpyro = package("numpyro")
dist = numpyro.distributions

PLANE = HeatMixture(sf.Euclidean(2), [[0.0, 0.0], [3.0, 1.0]], [0.5, 0.2])
CAP = HeatMixture(sf.Sphere(2), [[0.0, 0.0, 1.0]], 0.3)
ANGLES = HeatMixture(sf.Torus(2), [[1.0, -2.0]], 0.3)
SADDLE = HeatMixture(sf.Hyperbolic(2), [[1.0, 0.0, 0.0]], 0.3)
LAWS = {law.manifold.name: law for law in (PLANE, CAP, ANGLES, SADDLE)}
LAWS["SO(3)"] = HeatMixture(sf.SO3(), np.eye(3)[None], 0.3)


@pytest.fixture(autouse=True)
def promotion():
    with usual_promotion():
        yield


@pytest.mark.parametrize("name", LAWS)
def test_a_law_as_a_distribution(name):
    """Its density to the bit, its draws, batches of any shape, and a support that holds them and
    nothing else; a pytree of its arrays, for ``jax.jit``."""
    law = LAWS[name]
    found = to_numpyro(law, validate_args=True)
    shape = law.manifold.shape
    assert found.event_shape == shape and found.batch_shape == ()
    x = found.sample(jax.random.key(0), (2, 3))
    assert x.shape == (2, 3, *shape) and found.sample(jax.random.key(0)).shape == shape
    np.testing.assert_array_equal(x.reshape(-1, *shape), law.sample(jax.random.key(0), 6))
    np.testing.assert_array_equal(found.log_prob(x), law.log_prob(x))
    assert bool(found.support(x).all()) and found.support.event_dim == len(shape)
    if not law.manifold.euclidean:
        assert not bool(found.support(x[0, 0] + 7.0))
    compiled = jax.jit(lambda d, y: d.log_prob(y))
    np.testing.assert_allclose(compiled(found, x), law.log_prob(x), rtol=1e-6)


def test_a_fitted_model_as_a_distribution():
    """Through ``jit`` and ``grad``; draws are those of the model."""
    rows = np.asarray(PLANE.sample(jax.random.key(0), 60))
    model, _ = sf.fit(sf.KernelModel(PLANE.manifold), rows, key=jax.random.key(0), steps=2,
                      progress=False)  # fmt: skip
    found = to_numpyro(model)
    np.testing.assert_allclose(jax.jit(found.log_prob)(rows), model.log_prob(rows), rtol=1e-5)
    assert np.isfinite(jax.grad(lambda x: found.log_prob(x))(jnp.asarray(rows[0]))).all()
    with pytest.raises(TypeError, match="a fitted Model or a Law, got ndarray"):
        to_numpyro(rows)


def test_which_supports_can_be_walked():
    """H² has a map from R², with the volume that makes the law of u = log(x) the one of x: the
    radial density sinh(r)/r. S² and SO(3) have none, and one line says so."""
    to = dist.biject_to(to_numpyro(SADDLE).support)
    u = jnp.asarray([[0.3, -0.4], [2.0, 1.0], [0.0, 0.0]])
    x = to(u)
    np.testing.assert_allclose(to.inv(x), u, atol=1e-12)
    r = np.linalg.norm(u, axis=1)
    expected = np.log(np.where(r > 0, np.sinh(r) / np.where(r > 0, r, 1.0), 1.0))
    np.testing.assert_allclose(to.log_abs_det_jacobian(u, x), expected, atol=1e-12)
    assert to.forward_shape((5, 2)) == (5, 3) and to.inverse_shape((5, 3)) == (5, 2)
    assert dist.biject_to(to_numpyro(PLANE).support).domain.event_dim == 1
    angles = dist.biject_to(to_numpyro(ANGLES).support)(jnp.asarray([-50.0, 50.0]))
    np.testing.assert_allclose(angles, [-math.pi, math.pi], atol=1e-5)
    for law in (CAP, LAWS["SO(3)"]):
        with pytest.raises(NotImplementedError, match="no HMC, NUTS or SVI for it") as error:
            dist.biject_to(to_numpyro(law).support)
        assert "\n" not in str(error.value)


def test_distributions_as_laws():
    """Normal, von Mises and projected normal laws: densities in closed form, spaces by support."""
    mean, cov = np.array([1.0, -1.0]), np.array([[2.0, 0.3], [0.3, 0.5]])
    law = from_numpyro(dist.MultivariateNormal(jnp.asarray(mean), jnp.asarray(cov)))
    assert law.manifold == sf.Euclidean(2)
    assert float(law.log_prob(mean)) == pytest.approx(
        -math.log(2 * math.pi) - 0.5 * math.log(np.linalg.det(cov)), rel=1e-12
    )
    assert law.sample(jax.random.key(0), 7).shape == (7, 2)
    circle = from_numpyro(dist.VonMises(0.5, 2.0))
    assert circle.manifold == sf.Torus(1)
    expected = 2.0 - math.log(2 * math.pi * iv(0, 2.0))
    assert float(circle.log_prob(np.array([0.5]))) == pytest.approx(expected, rel=1e-6)
    sphere = from_numpyro(dist.ProjectedNormal(jnp.zeros(3)))
    assert sphere.manifold == sf.Sphere(2)
    assert float(sphere.log_prob(np.eye(3)[0])) == pytest.approx(-math.log(4 * math.pi), rel=1e-6)
    back = from_numpyro(to_numpyro(SADDLE))
    x = SADDLE.sample(jax.random.key(1), 5)
    assert back.manifold == SADDLE.manifold
    np.testing.assert_allclose(back.log_prob(x), SADDLE.log_prob(x), rtol=1e-6)


def chain(model, n, seed=0):
    kernel = numpyro.infer.NUTS(model)
    run = numpyro.infer.MCMC(kernel, num_warmup=300, num_samples=n, num_chains=1,
                             progress_bar=False)  # fmt: skip
    run.run(jax.random.key(seed))
    return np.asarray(run.get_samples()["x"])


def held(values, expected):
    """Within four standard errors of a mean, by batches of a chain."""
    means = values.reshape(50, -1).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(50)
    assert abs(means.mean() - expected) < 4.0 * error
    return error


def test_chains_on_the_plane_and_an_observation():
    """A prior of one normal law, N(m, sI), and an observation of its first coordinate: the
    posterior is normal, with the mean and variance of the textbook."""
    s, noise, seen = 0.5, 0.7, 2.0
    prior = to_numpyro(HeatMixture(sf.Euclidean(2), [[1.0, -1.0]], s))

    def program():
        x = numpyro.sample("x", prior)
        numpyro.sample("y", dist.Normal(x[0], noise), obs=seen)

    x = chain(program, 5000)
    variance = 1.0 / (1.0 / s + 1.0 / noise**2)
    mean = variance * (1.0 / s + seen / noise**2)
    assert held(x[:, 0], mean) < 0.05
    held((x[:, 0] - mean) ** 2, variance)
    held(x[:, 1], -1.0)


def test_chains_on_the_hyperbolic_plane():
    """E cosh r = e^{s} after Brownian motion for s on H², since Δ cosh r = 2 cosh r and the
    generator is ½Δ: of chains through the exponential map, whose points lie on H²."""
    prior = to_numpyro(SADDLE)
    x = chain(lambda: numpyro.sample("x", prior), 5000)
    assert held(x[:, 0], math.exp(0.3)) < 0.05
    assert float(jax.vmap(SADDLE.manifold.defect)(jnp.asarray(x)).max()) < 1e-10


def test_chains_on_the_torus():
    """E cos(θ − μ) = e^{−s/2} of a wrapped normal law."""
    prior = to_numpyro(ANGLES)
    with pytest.warns(UserWarning, match="poorly handles circular"):  # NumPyro's own
        x = chain(lambda: numpyro.sample("x", prior), 5000)
    held(np.cos(x[:, 0] - 1.0), math.exp(-0.15))


def test_chains_on_the_sphere_are_refused():
    with pytest.raises(NotImplementedError, match=r"onto S\^2 one to one"):
        chain(lambda: numpyro.sample("x", to_numpyro(CAP)), 10)


def test_a_fit_to_a_distribution():
    """Draws of a normal law of NumPyro are learned: the mean of log p of fresh ones is that of the
    truth, −(1 + log 2π) in the plane, to four standard errors and a tenth of a nat."""
    law = from_numpyro(dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    x, fresh = (np.asarray(law.sample(jax.random.key(i), 1000)) for i in (0, 1))
    model, _ = sf.fit(sf.KernelModel(law.manifold), x[:800], val=x[800:], key=jax.random.key(0),
                      steps=100, progress=False)  # fmt: skip
    gap = np.asarray(law.log_prob(fresh)) - np.asarray(model.log_prob(fresh))
    assert -4.0 * gap.std() / 1000**0.5 < gap.mean() < 0.1
