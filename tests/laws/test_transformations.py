"""jit, vmap and grad of what models say and draw, copies of models, few programs for all batches.

Models hold kernels or networks drawn at random: what is compared is one model with itself.
"""

import copy
import multiprocessing
import pickle
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.kernels import WrappedMixture, background
from scorefold.models import (
    EmpiricalModel,
    GaussianKernelModel,
    HeatKernelDensity,
    ManifoldParzen,
)
from scorefold.models.residual import ResidualField
from scorefold.models.standardise import Units

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
    model = sf.KernelModel(manifold, kernel=kernel).with_units(x)
    z = model.to_inner("data", x)
    root = jax.random.normal(KEY, (len(x), manifold.dim, manifold.dim), z.dtype)
    sigma = 0.05 * jnp.eye(manifold.dim)[None] + 0.02 * root @ jnp.swapaxes(root, 1, 2)
    family = sf.models.kernel._FAMILIES[kernel]()
    if family.round:
        sigma = jnp.broadcast_to(0.05 * jnp.eye(manifold.dim)[None], sigma.shape)
    mixture = WrappedMixture.from_covariances(
        manifold, z, sigma, jnp.full(len(x), -np.log(len(x))), background(manifold, z),
        jnp.asarray(-3.0), family,
    )  # fmt: skip
    return eqx.tree_at(lambda k: k.mixture, model, mixture, is_leaf=lambda a: a is None)


def score(manifold):
    x = points(manifold)
    model = sf.ScoreModel(sf.default_noising(manifold, x), network=SMALL, s_min=1e-2, rtol=1e-4)
    model = model.with_units(x)
    return model.init(KEY, model.to_inner("data", x))


def gaussian(manifold):
    x = points(manifold)
    model = GaussianKernelModel(manifold, width=8, depth=1).with_units(x)
    return model.init(KEY, model.to_inner("data", x))


def informed(manifold):
    base = kernels(manifold)
    model = sf.InformedModel(base, network=SMALL, steps_of_flow=3)
    z = base.to_inner("data", points(manifold))
    residual = ResidualField.start(
        manifold, SMALL, sf.default_output(manifold), z, 1e-2, 0.2, key=KEY
    )
    weight = 0.1 * jax.random.normal(KEY, residual.network.layers[-1].weight.shape)
    residual = eqx.tree_at(lambda r: r.network.layers[-1].weight, residual, weight)
    return eqx.tree_at(lambda m: m.residual, model, residual, is_leaf=lambda a: a is None)


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


CASES = [("kernel", kernels, space) for space in SPACES]
CASES += [("score", score, space) for space in ("R^2", "S^2", "S^2 x R^1")]
CASES += [("informed", informed, space) for space in ("R^2", "T^2")]
CASES += [
    ("heat kernels", lambda m: kernels(m, "heat"), "S^2"),
    ("esag kernels", lambda m: kernels(m, "esag"), "S^2"),
    ("gaussian", gaussian, "R^2"),
    ("heat density", heat, "S^2"),
    ("heat density", heat, "S^2 x R^1"),
    ("empirical", empirical, "T^2"),
    ("parzen", parzen, "R^2"),
]
MODELS: dict = {}


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} on {case[2]}")
def model(request):
    name, make, space = request.param
    if (name, space) not in MODELS:
        MODELS[name, space] = make(SPACES[space])
    return MODELS[name, space]


def close(got, want, **tolerance):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), **tolerance)


def test_log_prob_under_transformations(model):
    """The adaptive solver of a traced flow and the fixed grid of a plain one agree within 100
    tolerances, as documented; sums of kernels to rounding."""
    x = points(model.manifold, 3, key=5)
    loose = {"rtol": 2e-3} if isinstance(model, sf.ScoreModel) else {"rtol": 1e-9, "atol": 1e-9}
    want, at = model.log_prob(x), jnp.asarray(x)
    assert want.shape == (3,) and want.dtype == jnp.float64
    close(jax.jit(model.log_prob)(at), want, **loose)
    close(jax.vmap(model.log_prob)(at), want, **loose)
    close(model.log_prob(x[0]), want[0], **loose)
    slope = jax.grad(model.log_prob)(at[0])
    assert slope.shape == model.manifold.shape and np.isfinite(slope).all()
    # Along a geodesic, against a difference quotient of plain calls.
    m = model.manifold
    v = m.from_components(at[0], jnp.ones(m.dim))
    h = 1e-4 * (1e3 if isinstance(m, sf.Euclidean) else 1.0)
    step = [model.log_prob(m.exp(at[0], sign * h * v)) for sign in (1, -1)]
    if not isinstance(model, sf.ScoreModel):
        close(jnp.sum(slope * v), (step[0] - step[1]) / (2 * h), rtol=1e-5, atol=1e-7)


def test_score_under_transformations(model):
    if not hasattr(model, "score"):
        return
    x = points(model.manifold, 3, key=5)
    want, at = model.score(0.3, x), jnp.asarray(x)
    assert want.shape == x.shape
    close(jax.jit(model.score)(0.3, at), want, rtol=1e-8, atol=1e-8)
    close(jax.vmap(model.score, (None, 0))(0.3, at), want, rtol=1e-8, atol=1e-8)
    close(jax.jit(lambda t: model.score(t, x))(jnp.asarray(0.3)), want, rtol=1e-8, atol=1e-8)


def test_draws_under_transformations(model):
    more = {"steps": 4} if isinstance(model, sf.ScoreModel | EmpiricalModel) else {}
    draw = lambda key: model.sample(key, 3, **more)  # noqa: E731
    want = draw(KEY)
    assert want.shape == (3, *model.manifold.shape)
    close(jax.jit(draw)(KEY), want, rtol=1e-7, atol=1e-7)
    close(jax.vmap(draw)(KEY[None])[0], want, rtol=1e-7, atol=1e-7)
    for n in (0, 2.5):
        with pytest.raises(ValueError, match="n: "):
            model.sample(KEY, n)


def test_copies_say_the_same(model):
    x = points(model.manifold, 3, key=5)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.log_prob(x), model.log_prob(x))
    text = repr(model)
    assert len(text) < 500 and "\n" not in text and repr(model.manifold) in text


def test_a_model_crosses_to_another_process():
    model = kernels(sf.Sphere(2)), score(sf.Euclidean(2)).network
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        text = pool.apply(repr, (model,))
    assert text == repr(model)


@pytest.mark.parametrize(
    "manifold", [*SPACES.values(), sf.Sphere(5), sf.Product(LAND, sf.Torus(3))], ids=repr
)
def test_a_manifold_shows_its_dimension(manifold):
    assert eval(repr(manifold), {**vars(sf)}) == manifold
    parts = getattr(manifold, "factors", (manifold,))
    assert all(str(m.dim) in repr(manifold) for m in parts if not hasattr(m, "factors"))


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 2)])
def test_shapes_are_checked_also_where_values_are_not(shape):
    model = kernels(sf.Sphere(2))
    with pytest.raises(sf.PointsError, match="x: has shape"):
        jax.jit(model.log_prob)(jnp.ones(shape))
    with pytest.raises(sf.PointsError, match="real numbers"):
        jax.jit(model.log_prob)(jnp.ones(3, complex))


class Programs:
    """Programs compiled meanwhile."""

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._seen)
        return self

    def _seen(self, event, _, **__):
        self.count += event == "/jax/core/compile/backend_compile_duration"

    def __exit__(self, *_):
        from jax._src import monitoring

        monitoring._unregister_event_duration_listener_by_callback(self._seen)


@pytest.mark.parametrize("space", ["R^2", "SO(3)"])
def test_few_programs_serve_all_batches(space):
    """Fifty sizes: rows equal those of one call, four programs or fewer."""
    model = kernels(SPACES[space])
    x = points(model.manifold, 1300)
    whole = np.asarray(model.log_prob(x))
    sizes = np.unique(np.linspace(1, 1300, 50).astype(int))
    for ask in (model.log_prob, lambda rows: model.score(0.1, rows)):
        jax.clear_caches()
        with Programs() as programs:
            found = [np.asarray(ask(x[:n])) for n in sizes]
        assert programs.count <= 4
        assert all(len(f) == n for f, n in zip(found, sizes, strict=True))
        for f in found:
            close(f, np.asarray(found[-1])[: len(f)], rtol=1e-9, atol=1e-9)
    close(model.log_prob(x[:77]), whole[:77], rtol=1e-9)
    with Programs() as programs:
        draws = [np.asarray(model.sample(KEY, int(n))) for n in sizes]
    assert programs.count <= 4
    for f in draws:
        close(f, draws[-1][: len(f)], rtol=1e-9)


def test_warnings_are_ours():
    assert issubclass(sf.ScorefoldWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernels(LAND)
