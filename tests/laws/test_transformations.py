"""jit, vmap and grad of what models say and draw, copies of models, few programs for batches."""

import multiprocessing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import edge_models
from oracles.edge_models import KEY, LAND, SPACES, close, kernels, points, score

import scorefold as sf


@pytest.mark.fault(47, "log_prob, score and draws under jit, vmap and grad")
@pytest.mark.parametrize(
    "name",
    ["kernel", pytest.param("gaussian", marks=pytest.mark.slow), "score", "wrapped normal"],
)
def test_some_models(name):
    """All of them on all spaces, and the gradient of a score model's likelihood, are in
    ``tests/slow/test_transformations_everywhere.py``."""
    make = {
        "kernel": kernels, "gaussian": edge_models.gaussian, "score": score,
        "wrapped normal": lambda m: edge_models.parametric(m, "wrapped normal"),
    }[name]  # fmt: skip
    model = make(SPACES["R^2"])
    edge_models.agrees_under_transformations(model, grad=name != "score")
    edge_models.copies_say_the_same(model)


@pytest.mark.slow
def test_a_bound_method_can_be_compiled():
    model, x = kernels(sf.Sphere(2)), points(sf.Sphere(2), 2, key=5)
    close(jax.jit(model.log_prob)(x), model.log_prob(x), rtol=1e-12)
    assert hash(model) == hash(kernels(sf.Sphere(2))) != hash(kernels(LAND))


def test_a_model_crosses_to_another_process():
    model, x = score(sf.Euclidean(2)), points(sf.Euclidean(2), 2, key=5)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        there = pool.apply(_score, (model, x))
    # The other process has JAX's 32 bits.
    close(there, model.score(0.3, x), rtol=1e-3)


def _score(model, x):
    return np.asarray(model.score(0.3, x))


@pytest.mark.parametrize(
    "manifold", [*SPACES.values(), sf.Sphere(5), sf.Product(LAND, sf.Torus(3))], ids=repr
)
def test_a_manifold_shows_its_dimension(manifold):
    assert eval(repr(manifold), {name: getattr(sf, name) for name in sf.__all__}) == manifold
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

        monitoring.unregister_event_duration_listener(self._seen)


@pytest.mark.fault(57, "fifty sizes of batches, at most four programs")
def test_few_programs_serve_all_batches():
    """Fifty sizes: four programs or fewer, and rows equal those of one call."""
    model = kernels(SPACES["R^2"])
    x = points(model.manifold, 1300)
    sizes = np.unique(np.linspace(1, 1300, 50).astype(int))
    jax.clear_caches()
    with Programs() as programs:
        found = [np.asarray(model.log_prob(x[:n])) for n in sizes]
    assert 1 <= programs.count <= 4
    for n, f in zip(sizes, found, strict=True):
        assert len(f) == n
        close(f, found[-1][:n], rtol=1e-9, atol=1e-9)
    with Programs() as programs:
        draws = [np.asarray(model.sample(KEY, int(n))) for n in sizes]
    assert 1 <= programs.count <= 4
    for f in draws:
        close(f, draws[-1][: len(f)], rtol=1e-9)


class Lost(sf.models.Model):
    """No number where the first coordinate is negative."""

    manifold: sf.Manifold = sf.Euclidean(1)
    units: sf.models.standardise.Units = sf.models.standardise.Units()

    def log_prob(self, x):
        return self._density(lambda rows: jnp.log(rows[:, 0]), x)

    def sample(self, key, n):
        raise NotImplementedError


def test_a_density_that_is_no_number_is_told():
    with pytest.warns(sf.ScorefoldWarning, match=r"2 of 3 rows have no number \(rows 0, 2\)"):
        value = Lost().log_prob(np.array([[-1.0], [1.0], [-2.0]]))
    assert np.isnan(value).sum() == 2
