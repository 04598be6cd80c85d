"""Charts and the flat score models that they carry onto a manifold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.edge_models import LAND, SMALL, points

import scorefold as sf
from scorefold.manifolds import Exponential, Stereographic
from scorefold.models import PushforwardScoreModel

KEY = jax.random.key(0)
CHARTS = {
    "stereographic S^2": lambda: Stereographic(sf.Sphere(2), jnp.array([0.6, 0.0, 0.8])),
    "stereographic S^3": lambda: Stereographic(sf.Sphere(3), jnp.array([0.0, 0.0, 1.0, 0.0])),
    "exponential S^2": lambda: Exponential(sf.Sphere(2), jnp.array([0.6, 0.0, 0.8])),
    "exponential T^2": lambda: Exponential(sf.Torus(2), jnp.array([0.3, -2.0])),
    "exponential T^6": lambda: Exponential(sf.Torus(6), jnp.zeros(6)),
    "exponential SO(3)": lambda: Exponential(sf.SO3(), sf.SO3().origin()),
    "exponential H^2": lambda: Exponential(sf.Hyperbolic(2), sf.Hyperbolic(2).origin()),
}


@pytest.mark.parametrize("name", list(CHARTS))
def test_charts(name):
    """φ(u) = x for every preimage, the first one is u where u is short, and the volume is that of
    the derivative of φ in orthonormal frames."""
    chart = CHARTS[name]()
    m = chart.manifold
    u = 0.7 * jax.random.normal(KEY, (6, m.dim))

    def volume(u):
        x = chart.point(u)
        columns = jax.vmap(lambda e: m.components(x, jax.jvp(chart.point, (u,), (e,))[1]))
        return jnp.linalg.slogdet(columns(jnp.eye(m.dim)))[1]

    def all_of(u):
        back = chart.preimages(chart.point(u))
        again = jax.vmap(lambda w: m.dist(chart.point(w), chart.point(u)))(back)
        return back, again, chart.log_volume(u), volume(u)

    back, again, stated, found = jax.jit(jax.vmap(all_of))(u)
    np.testing.assert_allclose(back[:, 0], u, atol=1e-9)
    np.testing.assert_allclose(again, jnp.zeros_like(again), atol=1e-7)
    np.testing.assert_allclose(stated, found, atol=1e-9)
    single = chart.preimages(chart.point(u[0].astype(jnp.float32)))
    assert single.dtype == jnp.float32
    slope = jax.grad(lambda x: jnp.sum(chart.preimages(x)))(m.origin(jnp.float64))
    assert np.isfinite(slope).all()


def carried(chart, spread):
    """The density that the chart makes of N(0, spread²)."""

    def log_prob(x):
        u = chart.preimages(x)
        normal = -0.5 * jnp.sum((u / spread) ** 2, -1) - chart.manifold.dim * (
            jnp.log(spread) + 0.5 * jnp.log(2 * jnp.pi)
        )
        return jax.nn.logsumexp(normal - jax.vmap(chart.log_volume)(u))

    return jax.jit(jax.vmap(log_prob))


def test_carried_laws_have_mass_one():
    """On S² by the product rule; on T² by the trapezoid rule, where it is the wrapped normal law;
    on SO(3) over the angle, whose sphere of radius θ has the area 4π(2 sin θ/2)²."""
    on_sphere = carried(CHARTS["stereographic S^2"](), 0.8)
    assert abs(sf.density_mass(on_sphere, sf.Sphere(2), n=20_000).value - 1) < 1e-3
    grid = np.linspace(-np.pi, np.pi, 80, endpoint=False)
    x = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    found = np.exp(np.asarray(carried(CHARTS["exponential T^2"](), 1.2)(x)))
    away = x[:, None, :] - np.array([0.3, -2.0]) + 2 * np.pi * np.arange(-4, 5)[None, :, None]
    wrapped = np.exp(-0.5 * (away / 1.2) ** 2).sum(1).prod(-1) / (2 * np.pi * 1.44)
    assert abs(found.sum() * (2 * np.pi / 80) ** 2 - 1) < 1e-3
    np.testing.assert_allclose(found, wrapped, atol=2e-4)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    theta, weights = 0.5 * np.pi * (nodes + 1), 0.5 * np.pi * weights
    vectors = np.outer(theta, [0.48, 0.6, 0.64])
    rotations = sf.SO3().from_rotation_vector(vectors, degrees=False)
    p = np.exp(np.asarray(carried(CHARTS["exponential SO(3)"](), 0.9)(rotations)))
    assert abs(np.sum(weights * p * 4 * np.pi * (2 * np.sin(theta / 2)) ** 2) - 1) < 1e-3


@pytest.mark.parametrize("manifold", [sf.Sphere(2), sf.Hyperbolic(2), sf.Torus(2)], ids=repr)
def test_the_fitted_model_is_the_flat_one_carried_along(manifold):
    """An untrained score model: densities by the formula, draws on the manifold, the mean of NLL
    that training validates by an upper bound of it."""
    x = points(manifold, 20)
    asked = PushforwardScoreModel(manifold, network=SMALL, s_min=1e-2)
    trainer = asked.trainer(KEY, x)
    placed = trainer.examples(x)
    model = trainer.model(placed, None)
    at = jnp.asarray(np.asarray(x)[:4])
    u = jax.vmap(model.chart.preimages)(at)
    flat = model.inner.log_prob(np.asarray(u).reshape(-1, 2)).reshape(u.shape[:2])
    want = jax.nn.logsumexp(flat - jax.vmap(jax.vmap(model.chart.log_volume))(u), axis=1)
    np.testing.assert_allclose(model.log_prob(at), want, atol=1e-6)
    value, nfe = model.log_prob_and_nfe(at)
    np.testing.assert_allclose(value, want, atol=1e-6)
    assert nfe >= 20 * u.shape[1]
    bound = float(trainer.validate(placed, KEY))
    assert bound > -float(np.mean(model.log_prob(x))) - 0.02
    draws = model.sample(KEY, 5, steps=5)
    assert float(jnp.max(jax.vmap(manifold.defect)(jnp.asarray(draws)))) < 1e-6


def test_refusals():
    for words, made in (
        (r"S\^2 x R\^1 is a product", lambda: PushforwardScoreModel(LAND)),
        ("no stereographic chart; use 'exponential'",
         lambda: PushforwardScoreModel(sf.Torus(2), "stereographic")),
        ("s_min must lie between 0 and", lambda: PushforwardScoreModel(sf.Torus(2), s_min=0.0)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            made()
    x = np.array([[0.0, 0, 1], [0.1, 0, 1], [0, 0.1, 1], [0, 0, -1]])
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    trainer = PushforwardScoreModel(sf.Sphere(2), network=SMALL).trainer(KEY, x[:3])
    centre = np.asarray(trainer.chart.centre)
    with pytest.raises(ValueError, match="val: rows 1 lie on what the Stereographic chart leaves"):
        trainer.examples(np.stack([x[0], -centre]), "val")
