"""Moser flows by a closed form: u = c∇x₁ on S² has the density ν(1 + 2c x₁)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.edge_models import SMALL, points

import scorefold as sf
from scorefold.fields import AmbientOutput
from scorefold.models import FittedMoserFlow, MoserFlow
from scorefold.models.flows.moser import Displacement, MoserTrainer
from scorefold.samplers import PathFlow
from scorefold.samplers.flow_density import flow_density

KEY = jax.random.key(0)
SPHERE = sf.Sphere(2)


class Along(eqx.Module):
    """The network that answers c·e₁ everywhere: u = c(e₁ − x₁x) = c∇x₁, div u = −2c x₁."""

    c: float

    def __call__(self, h, s):
        return jnp.zeros_like(h).at[0].set(self.c)


def along(c):
    return Displacement(SPHERE, Along(c), AmbientOutput())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_flow_has_the_density_that_is_a_divergence(dtype):
    """Where ρ > 0, at t_min: (1 − t_min)ν(1 + 2c x₁) + t_min ν."""
    model = FittedMoserFlow(MoserFlow(SPHERE, t_min=1e-2), along(0.4))
    x = np.asarray(points(SPHERE, 8)).astype(dtype)
    ratio = 1 + 0.8 * x[:, 0].astype(np.float64)
    want = np.log(0.99 * ratio + 0.01) - np.log(4 * np.pi)
    found = model.log_prob(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, want, atol=2e-4)
    np.testing.assert_allclose(
        model.proxy_log_prob(x), np.log(ratio) - np.log(4 * np.pi), atol=1e-5
    )
    assert model.excess(KEY, 2000) == (0.0, 0.0)


@pytest.mark.parametrize(
    "name", ["T^2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("S^2", "SO(3)"))]
)
def test_the_density_is_that_of_the_general_integral(name):
    """The divergence of the velocity integrated as of any flow, in float64, at a network with ρ ≥
    floor everywhere, where the density is νc exactly, and at one with ρ below it in places, where
    that divergence jumps: its integral at tolerance 1e-8 is within 2e-4 (and 5e-4 at 1e-7)."""
    m = {"S^2": SPHERE, "T^2": sf.Torus(2), "SO(3)": sf.SO3()}[name]
    network = sf.NetworkSpec(width=16, depth=1, fourier=4, frequency=1.5)
    description = MoserFlow(m, network=network, floor=0.2, rtol=1e-7)
    x = np.asarray(points(m, 40), np.float64)
    field = description.trainer(KEY, x).displacement
    last = lambda f: f.network.layers[-1].weight  # noqa: E731
    rough = jax.random.normal(KEY, last(field).shape, jnp.float64)
    for size in (0.05, 0.5):
        model = FittedMoserFlow(description, eqx.tree_at(last, field, size * rough))
        below = model.excess(KEY, 2000)[0]
        assert (below > 0.05) == (size == 0.5)
        general = flow_density(
            PathFlow(model.field), model.reference, x, model.t_min**2, 1.0, rtol=1e-8, atol=1e-8,
            solver="adaptive", max_steps=20_000,
        )  # fmt: skip
        found = model.density(x)
        apart = np.abs(np.asarray(found.log_prob) - np.asarray(general.log_prob))
        assert apart.max() < (2e-4 if size == 0.5 else 1e-6)
        if size == 0.5:
            assert np.mean(np.asarray(found.nfe)) < 0.5 * np.mean(np.asarray(general.nfe))
        assert np.all(np.asarray(found.log_prob) <= _formula(model, x) + 1e-9)
        if size == 0.05:
            np.testing.assert_allclose(found.log_prob, _formula(model, x), atol=1e-12)


def _formula(model, x):
    """log ν + log((1 − t_min) max(ρ, floor) + t_min)."""
    positive = np.exp(np.asarray(model.proxy_log_prob(x)) + model.manifold.log_volume)
    return np.log((1 - model.t_min) * positive + model.t_min) - model.manifold.log_volume


def test_the_mass_beyond_one_is_stated():
    """c = 1: ρ = 1 + 2x₁ < 0 for x₁ < −½, ∫νρ₋ = ½∫_{−1}^{−½} −(1 + 2x) dx = 1/8."""
    model = FittedMoserFlow(MoserFlow(SPHERE), along(1.0))
    value, error = model.excess(KEY, 20_000)
    assert abs(value - 0.125) < 4 * error < 0.02


def test_the_loss_is_its_formula():
    """At given x, with the penalty in the mean over many uniform points."""
    asked = MoserFlow(SPHERE, penalty=3.0, points=2000)
    trainer = MoserTrainer(asked, along(1.0))
    x = trainer.examples(points(SPHERE, 3))
    ratio = np.maximum(1 + 2 * np.asarray(x)[:, 0], asked.floor)
    want = np.log(4 * np.pi) - np.log(ratio) + 3.0 / 8.0
    np.testing.assert_allclose(trainer.batch_loss(x, KEY), want, atol=0.1)


def test_validation_is_the_nll_of_the_formula_by_its_mass():
    """c = 1: ∫νρ₊ = 1 + 1/8 + floor terms; log of it beside −E log νρ₊, within sampling error."""
    trainer = MoserTrainer(MoserFlow(SPHERE), along(1.0))
    x = trainer.examples(points(SPHERE, 9))
    plain = -np.mean(np.log(np.maximum(1 + 2 * np.asarray(x)[:, 0], 1e-5))) + np.log(4 * np.pi)
    assert float(trainer.validate(x, KEY)) == pytest.approx(plain + np.log(1.125), abs=0.04)


def test_it_learns_a_law_of_the_sphere():
    """A heat kernel: NLL of fresh points within 0.1 nats of the truth after 300 short steps, and
    the density of the flow has mass 1 where the formula has more."""
    law = sf.data.HeatMixture(SPHERE, np.array([[0.0, 0, 1]]), s=[0.5])
    x = np.asarray(law.sample(jax.random.key(1), 1400))
    network = sf.NetworkSpec(width=32, depth=2, fourier=8, frequency=2.0)
    model, _ = sf.fit(
        MoserFlow(SPHERE, network=network), x[:1200], val=x[1200:], key=KEY, steps=300,
        batch_size=128, learning_rate=3e-3, progress=False,
    )  # fmt: skip
    fresh = np.asarray(law.sample(jax.random.key(5), 500))
    gap = np.asarray(law.log_prob(fresh)) - np.asarray(model.log_prob(fresh))
    assert -0.05 < gap.mean() < 0.1
    mass = sf.density_mass(model.log_prob, SPHERE, n=1000)
    assert abs(mass.value - 1) < max(2e-3, 2 * mass.error)
    draws = np.asarray(model.sample(KEY, 500))
    # Mean height: exact, Σ e^{−l(l+1)s/2} of the first harmonic, E x₃ = e^{−s}.
    assert abs(draws[:, 2].mean() - np.exp(-0.5)) < 4 * draws[:, 2].std() / np.sqrt(500) + 0.05


def test_refusals():
    with pytest.raises(ValueError, match=r"a Moser flow needs a uniform law, and R\^2 is not"):
        MoserFlow(sf.Euclidean(2))
    for words, options in (
        ("floor must lie between 0 and 1", {"floor": 0.0}),
        ("penalty must be finite and at least 0", {"penalty": -1.0}),
        ("points: at least 1", {"points": 0}),
    ):
        with pytest.raises(ValueError, match=words):
            MoserFlow(SPHERE, network=SMALL, **options)
