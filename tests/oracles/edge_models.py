"""Models with kernels or networks drawn at random, each compared with itself under JAX's
transformations."""

import copy
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.kernels import WrappedMixture
from scorefold.kernels.wrapped.background import broad_laws
from scorefold.models import (
    EmpiricalModel,
    FittedFlowMap,
    FittedInformedModel,
    FittedKernelModel,
    FittedPushforward,
    FittedScoreModel,
    FlowMap,
    FlowMatching,
    GaussianKernelModel,
    HeatKernelDensity,
    ManifoldParzen,
    MoserFlow,
    PushforwardScoreModel,
)
from scorefold.models.flows._base import FlowModel
from scorefold.models.residual import ResidualField
from scorefold.models.standardise import Units, to_inner

KEY = jax.random.key(0)
LAND = sf.Product(sf.Sphere(2), sf.Euclidean(1))
SPACES = {
    "R^2": sf.Euclidean(2),
    "S^2": sf.Sphere(2),
    "T^2": sf.Torus(2),
    "SO(3)": sf.SO3(),
    "H^2": sf.Hyperbolic(2),
    "S^2 x R^1": LAND,
}
SMALL = sf.NetworkSpec(width=8, depth=1, fourier=4)


def points(manifold, n=24, key=3):
    """Around the origin; flat coordinates of another unit, far from 0."""
    origin, keys = manifold.origin(jnp.float64), jax.random.split(jax.random.key(key), n)
    spread = jax.vmap(lambda k: 0.4 * jax.random.normal(k, (manifold.dim,), jnp.float64))(keys)
    one = lambda c: manifold.exp(origin, manifold.from_components(origin, c))  # noqa: E731
    x = np.array(jax.vmap(one)(spread))
    if manifold is LAND:
        x[:, 3] = 3e4 + 500 * x[:, 3]
    return 1e3 * x + 7e5 if isinstance(manifold, sf.Euclidean) else x


def kernels(manifold, kernel="wrapped"):
    x = points(manifold)
    units = Units.measure(manifold, x, near=True)
    z = to_inner(manifold, units, x, "data")
    root = jax.random.normal(KEY, (len(x), manifold.dim, manifold.dim), z.dtype)
    sigma = 0.05 * jnp.eye(manifold.dim)[None] + 0.02 * root @ jnp.swapaxes(root, 1, 2)
    family = sf.models.kernel._FAMILIES[kernel]()
    if family.round:
        sigma = jnp.broadcast_to(0.05 * jnp.eye(manifold.dim)[None], sigma.shape)
    mixture = WrappedMixture.from_covariances(
        manifold, z, sigma, jnp.full(len(x), -np.log(len(x))), broad_laws(manifold, z)[-1],
        jnp.asarray(-3.0), family,
    )  # fmt: skip
    return with_mixture(mixture, units, kernel=kernel)


def with_mixture(mixture, units=None, **options):
    """A fitted ``KernelModel`` with these kernels, in inner coordinates, nothing trained."""
    description = sf.KernelModel(mixture.manifold, counts=(2,), width=2, depth=1, **options)
    x = np.asarray(jax.vmap(mixture.sample)(jax.random.split(KEY, 9)))
    learner = description.cross_fit(KEY, jnp.asarray(x, mixture.centres.dtype))
    return FittedKernelModel(
        description, learner.covariance, learner.shares, mixture, units or Units()
    )


def score(manifold):
    x = points(manifold)
    model = sf.ScoreModel(sf.default_noising(manifold, x), network=SMALL, s_min=1e-2, rtol=1e-4)
    trainer = model.trainer(KEY, x)
    return trainer.model(trainer.examples(x), None)


def flow(manifold):
    return fitted(FlowMatching(manifold, network=SMALL, t_min=1e-2, rtol=1e-4), manifold)


def flow_map(manifold):
    return fitted(FlowMap(flow(manifold), network=SMALL, pairs=1024), manifold)


def moser(manifold):
    return fitted(MoserFlow(manifold, network=SMALL, t_min=1e-2, rtol=1e-4), manifold)


def pushforward(manifold):
    asked = PushforwardScoreModel(manifold, network=SMALL, s_min=1e-2, rtol=1e-4)
    return fitted(asked, manifold)


def fitted(description, manifold):
    """What a description makes of its first parameters."""
    x = points(manifold)
    trainer = description.trainer(KEY, x)
    return trainer.model(trainer.examples(x), None)


def gaussian(manifold):
    x = points(manifold)
    return GaussianKernelModel(manifold, width=8, depth=1).trainer(KEY, x).fitted


def informed(manifold):
    base = kernels(manifold)
    model = sf.InformedModel(base, network=SMALL, steps_of_flow=3)
    z = to_inner(manifold, base.units, points(manifold), "data")
    residual = ResidualField.start(
        manifold, SMALL, sf.default_output(manifold), z, 1e-2, 0.2, key=KEY
    )
    weight = 0.1 * jax.random.normal(KEY, residual.network.layers[-1].weight.shape)
    residual = eqx.tree_at(lambda r: r.network.layers[-1].weight, residual, weight)
    return FittedInformedModel(model, residual)


def heat(manifold):
    z, units = points(manifold), Units.measure(manifold, points(manifold))
    z = jnp.asarray(units.inward(z))
    return HeatKernelDensity(
        manifold, z, jnp.full(len(z), 0.05), 0.1 if manifold.compact else 0.0, units
    )


def empirical(manifold):
    x = points(manifold)
    return EmpiricalModel.of(sf.default_noising(manifold, x), x, s_min=1e-2)


def parzen(manifold):
    return ManifoldParzen.choose(manifold, points(manifold), neighbours=4, size=2)


MIXTURES = {
    "kent": sf.KentMixture,
    "vmf": sf.VonMisesFisherMixture,
    "wrapped normal": sf.WrappedNormalMixture,
    "heat mixture": sf.HeatKernelMixture,
}


def parametric(manifold, kind):
    """Three laws as they are found, before any step."""
    trainer = MIXTURES[kind](manifold, 3, starts=1).trainer(KEY, points(manifold))
    return trainer.model(trainer.examples(points(manifold)), None)


def close(got, want, **tolerance):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), **tolerance)


def agrees_under_transformations(model, grad=True):
    """``log_prob``, ``score`` and ``sample`` in one traced program against plain calls. The
    adaptive solver of a traced flow and the fixed grid of a plain one agree within 100 tolerances,
    as documented; everything else to rounding."""
    m = model.manifold
    x = points(m, 2, key=5)
    at = jnp.asarray(x)
    flow = isinstance(model, FittedScoreModel | FlowModel | FittedPushforward | FittedFlowMap)
    slope_of = getattr(model, "score", None) or getattr(model, "score_at", None)
    more = {"steps": 4} if flow or isinstance(model, EmpiricalModel) else {}
    draw = lambda key: model.sample(key, 3, **more)  # noqa: E731

    # A transformed bound method is hashed; what is in it is compiled without optimisation.
    jit = lambda f: jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})  # noqa: E731

    @jit
    def traced(at, key, t):
        one = jax.value_and_grad(model.log_prob) if grad else lambda x: (model.log_prob(x), x)
        return jax.vmap(one)(at), slope_of(t, at) if slope_of else None, draw(key)

    hash(model.log_prob)
    (value, slope), score, draws = traced(at, KEY, 0.3)
    want = model.log_prob(x)
    assert want.shape == (2,) and want.dtype == jnp.float64 and slope.shape == x.shape
    loose = {"rtol": 2e-3} if flow else {"rtol": 1e-9, "atol": 1e-9}
    close(value, want, **loose)
    close(model.log_prob(x[0]), want[0], **loose)
    assert np.isfinite(slope).all()
    if slope_of:
        close(score, slope_of(0.3, x), rtol=1e-8, atol=1e-8)
    if grad and not flow:
        # Along a geodesic, against a difference quotient of plain calls.
        v = m.from_components(at[0], jnp.ones(m.dim))
        h = 1e-4 * (1e3 if isinstance(m, sf.Euclidean) else 1.0)
        step = [model.log_prob(m.exp(at[0], sign * h * v)) for sign in (1, -1)]
        close(jnp.sum(slope[0] * v), (step[0] - step[1]) / (2 * h), rtol=1e-5, atol=1e-7)
    want = draw(KEY)
    assert want.shape == (3, *m.shape)
    close(draws, want, rtol=1e-7, atol=1e-7)
    with pytest.raises(ValueError, match="n: at least one draw"):
        model.sample(KEY, 0)


def copies_say_the_same(model):
    x = points(model.manifold, 2, key=5)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.log_prob(x), model.log_prob(x))
    text = repr(model)
    assert len(text) < 500 and "\n" not in text and repr(model.manifold) in text
