"""Work shared out among devices gives what one device gives."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from oracles import edge_models

import scorefold as sf
from scorefold._blocks import in_blocks
from scorefold._mesh import current_mesh, on_mesh, shared_out
from scorefold.fitting import DifferentRun

SPHERE = sf.Sphere(2)


def _points(n, dtype=np.float32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)) * 0.3 + [0.0, 0.0, 1.0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)


def _close(a, b, tolerance):
    equal = lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)  # noqa: E731
    jax.tree.map(equal, a, b)


@pytest.mark.parametrize(("devices", "dtype"), [(2, np.float32), (3, np.float64)])
def test_rows_by_device_are_rows(devices, dtype):
    """Values and gradients of a map over rows, for numbers of rows that divide and that do not."""
    centres = jnp.asarray(_points(50, dtype))

    @jax.jit
    def value(centres, x):
        near = lambda p: jax.nn.logsumexp(-jnp.sum((centres - p[None]) ** 2, -1))  # noqa: E731
        return in_blocks(near, x, 8)

    slope = jax.jit(jax.grad(lambda c, x: jnp.sum(value(c, x)), argnums=(0, 1)))
    for n in (1, 5, 24):
        x = jnp.asarray(_points(n, dtype))
        alone = value(centres, x), slope(centres, x)
        with sf.use_mesh(sf.device_mesh(devices)), on_mesh():
            together = value(centres, x), slope(centres, x)
            assert len(together[0].sharding.device_set) == devices
        _close(alone, together, 50 * float(jnp.finfo(dtype).eps))


def test_each_device_does_its_share():
    """The work on each of 4 devices, as XLA counts it, is a quarter."""
    centres = jnp.asarray(_points(100))

    def flops(x):
        near = lambda p: jnp.sum((centres @ p) ** 2)  # noqa: E731
        program = jax.jit(lambda x: in_blocks(near, x, 32)).lower(x).compile()
        return program.cost_analysis()["flops"]

    x = jnp.asarray(_points(32))
    alone = flops(x)
    with sf.use_mesh(sf.device_mesh(4)), on_mesh():
        together = flops(shared_out(x))
    assert together < 0.3 * alone


MODELS = {
    "kernel": (edge_models.kernels, "S^2"),
    "kernel on a product": (edge_models.kernels, "S^2 x R^1"),
    "score": (edge_models.score, "S^2"),
    "flow map": (edge_models.flow_map, "T^2"),
    "informed": (edge_models.informed, "R^2"),
    "moser": (edge_models.moser, "T^2"),
    "pushforward": (edge_models.pushforward, "H^2"),
    "heat density": (edge_models.heat, "SO(3)"),
    "empirical": (edge_models.empirical, "R^2"),
    "gaussian": (edge_models.gaussian, "R^2"),
    "mixture": (lambda m: edge_models.parametric(m, "vmf"), "S^2"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_say_the_same_on_many_devices(name):
    """log p and draws: of 7 and 40 points on 4 devices, to rounding."""
    make, space = MODELS[name]
    model = make(edge_models.SPACES[space])
    key = jax.random.key(0)
    x = np.asarray(model.sample(key, 40))
    for n in (7, 40):
        alone = model.log_prob(x[:n]), model.sample(key, n)
        with sf.use_mesh(sf.device_mesh(4)):
            together = model.log_prob(x[:n]), model.sample(key, n)
        _close(alone, together, 2e-4)
        assert all(len(a.sharding.device_set) == 1 for a in together if isinstance(a, jax.Array))


def _description():
    noising = sf.default_noising(SPHERE, _points(160))
    return sf.ScoreModel(noising, network=sf.NetworkSpec(width=8, depth=1))


def _fit(description, mesh=None, **settings):
    x = _points(200)
    usual = {"steps": 12, "batch_size": 50, "validate_every": 6, "progress": False}
    return sf.fit(
        description, x[:160], val=x[160:], key=jax.random.key(1), mesh=mesh, **usual | settings
    )


@pytest.mark.parametrize("devices", (2, 4))
@pytest.mark.parametrize("description", [_description(), sf.KernelModel(SPHERE)], ids=repr)
def test_training_on_a_mesh_is_training(description, devices):
    """A batch of 50 rows: 4 devices do not divide it."""
    model, history = _fit(description)
    spread, course = _fit(description, sf.device_mesh(devices))
    np.testing.assert_allclose(course.val_nll, history.val_nll, rtol=1e-4)
    np.testing.assert_allclose(course.loss, history.loss, rtol=1e-3)
    x = _points(30)
    np.testing.assert_allclose(spread.log_prob(x), model.log_prob(x), rtol=1e-3, atol=1e-3)
    leaves = [leaf for leaf in jax.tree.leaves(spread) if isinstance(leaf, jax.Array)]
    assert leaves and all(len(leaf.sharding.device_set) == 1 for leaf in leaves)


def test_training_on_a_mesh_compiles_once(caplog):
    """Every array of the state lies on the whole mesh when steps begin: where one does not, the
    second call compiles again."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        _fit(_description(), sf.device_mesh(2), batch_size=47)  # a batch of no other test
    compiled = [
        line for line in caplog.messages if "Finished XLA compilation of jit(_train)" in line
    ]
    assert len(compiled) == 1


def test_seeds_side_by_side_on_a_mesh():
    x, keys = _points(120), [jax.random.key(i) for i in range(2)]
    usual = {"val": x[100:], "keys": keys, "steps": 4, "batch_size": 32, "progress": False}
    alone = sf.fit_seeds(_description(), x[:100], **usual)
    spread = sf.fit_seeds(_description(), x[:100], mesh=sf.device_mesh(4), **usual)
    for (_, a), (_, b) in zip(alone, spread, strict=True):
        np.testing.assert_allclose(b.val_nll, a.val_nll, rtol=1e-4)


def test_a_checkpoint_of_two_devices_goes_on_with_four_and_one(tmp_path):
    whole, _ = _fit(_description(), sf.device_mesh(2), out=tmp_path / "whole")
    files = sorted((tmp_path / "whole").glob("checkpoint-*"))
    for devices in (4, 1):
        out = tmp_path / str(devices)
        out.mkdir()
        (out / files[0].name).write_bytes(files[0].read_bytes())
        mesh = sf.device_mesh(devices)
        model, history = _fit(_description(), mesh, out=out, resume=True)
        assert history.steps == 12
        x = _points(20)
        np.testing.assert_allclose(model.log_prob(x), whole.log_prob(x), rtol=1e-3, atol=1e-3)
    with pytest.raises(DifferentRun, match="batch_size"):
        _fit(_description(), mesh, out=out, resume=True, batch_size=49)


def test_a_mesh_of_two_axes_and_of_other_kinds():
    """Axes together are that of rows; explicit axes are taken as automatic ones."""
    grid = Mesh(np.asarray(jax.devices()[:4]).reshape(2, 2), ("a", "b"))
    explicit = jax.make_mesh((4,), ("i",), axis_types=(jax.sharding.AxisType.Explicit,))
    model, x = edge_models.kernels(SPHERE), _points(9, np.float64)
    alone = model.log_prob(x)
    for mesh in (grid, explicit):
        with sf.use_mesh(mesh):
            np.testing.assert_allclose(model.log_prob(x), alone, rtol=1e-6)


def test_what_is_no_mesh_and_more_devices_than_there_are():
    with pytest.raises(TypeError, match="mesh"), sf.use_mesh(4):
        pass
    with pytest.raises(ValueError, match=r"devices: 64 asked for, and there are \d+ \(cpu\)"):
        sf.device_mesh(64)
    with pytest.raises(ValueError, match=r"devices: 0"):
        sf.device_mesh(0)
    with sf.use_mesh(None):
        assert current_mesh() is None
