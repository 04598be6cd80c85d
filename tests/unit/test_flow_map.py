"""Flow maps by closed forms: the ways of a flow that is known, the map that the loss is smallest
at, and what is learned of it."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from oracles import edge_models
from oracles.edge_models import SMALL, SPACES, points
from scipy import stats

import scorefold as sf
from scorefold._compile import quick_jit
from scorefold.cli import main
from scorefold.fields import TangentField
from scorefold.manifolds import Manifold
from scorefold.models import FittedFlowMap, FlowMap, Units
from scorefold.models.flow_map import MapField, _nodes
from scorefold.models.flows._base import FlowModel
from scorefold.models.trajectories import STEPS, Motion
from scorefold.noising import Reference, UniformReference, WrappedNormal

KEY = jax.random.key(0)
T_MIN = 1e-2


class Field(TangentField):
    """A function of x as a field."""

    manifold: Manifold
    function: object = eqx.field(static=True)

    def __call__(self, x, t):
        return self.function(x)


class Known(FlowModel):
    """A flow in closed form."""

    velocity: Field
    reference: Reference
    units: Units = Units()

    @property
    def manifold(self):
        return self.velocity.manifold

    @property
    def field(self):
        return self.velocity

    @property
    def t_min(self):
        return T_MIN

    @property
    def rtol(self):
        return 1e-5


def to_the_pole(x):
    """∇ cos θ on S²: θ' = −sin θ, so artanh(x₀) grows by 1 in a unit of time."""
    return jnp.zeros_like(x).at[0].set(1.0) - x[0] * x


SPHERE, LINE = sf.Sphere(2), sf.Euclidean(1)
ON_SPHERE = Known(Field(SPHERE, to_the_pole), UniformReference(SPHERE))
ON_LINE = Known(Field(LINE, lambda x: x), WrappedNormal(LINE))


def time(u):
    """t of the nodes: equal steps of s^{1/8} = t^{1/4}, as the density is solved in."""
    low = T_MIN**0.25
    return (low + u * (1 - low)) ** 4


def test_the_nodes_of_a_known_flow():
    """On S² artanh(x₀) has lost 1 − t at time t; the adaptive solver ends there too, and the
    velocities are those at the nodes. Order 2: a step of 1/24 leaves some (1/24)²."""
    motion = Motion.of(ON_SPHERE)
    starts = motion.starts(KEY, 50, np.dtype(np.float64))
    ways = motion.trajectories(starts)
    assert ways.x.shape == ways.v.shape == (50, STEPS + 1, 3)
    t = time(1 - np.arange(STEPS + 1) / STEPS)
    exact = np.tanh(np.arctanh(np.asarray(starts)[:, :1]) - (1 - t))
    np.testing.assert_allclose(ways.x[..., 0], exact, atol=2e-3)
    np.testing.assert_allclose(motion.ends(starts)[:, 0], exact[:, -1], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(ways.x, axis=-1), 1.0, atol=1e-12)
    rate = 4 * t**0.75 * (1 - T_MIN**0.25)
    np.testing.assert_allclose(ways.v[..., 0], rate * (1 - exact**2), atol=2e-2)
    np.testing.assert_allclose(np.sum(np.asarray(ways.x * ways.v), -1), 0.0, atol=1e-12)


def test_pieces_of_ways():
    first, last = map(np.asarray, _nodes(KEY, 8000))
    assert (first >= 0).all() and (first <= last).all() and (last <= STEPS).all()
    few, some, none = np.split(np.arange(8000), [4000, 7000])
    assert (first[none] == last[none]).all() and (first[some] < last[some]).all()
    stride = last[few] - first[few]
    assert set(stride) == {24, 12, 6} and (first[few] % stride == 0).all()
    # Half of 4000, within four deviations.
    assert abs((stride == 24).sum() - 2000) < 4 * np.sqrt(1000)
    assert {0, 6, 12, 18} <= set(first[few][stride == 6])


class Exact(MapField):
    """The map of x' = x on the line, x_r = x_t e^{t(r) − t(t)}, and a constant beside it."""

    beside: float = 0.0

    def velocity(self, x, t, r):
        low = T_MIN**0.25
        when = lambda u: (low + u * (1 - low)) ** 4  # noqa: E731
        rate = 4 * (low + t * (1 - low)) ** 3 * (1 - low)
        mean = x * jnp.expm1(when(r) - when(t)) / jnp.where(t == r, 1.0, r - t)
        return jnp.where(t == r, x * rate, mean) + self.beside


def test_the_loss_is_smallest_at_the_map():
    """0 at the map but for the ways' own error, and b² for u + b, at every pair of times."""
    trainer = FlowMap(ON_LINE, network=SMALL, pairs=64).trainer(KEY, np.zeros((2, 1)))
    x = trainer.examples(np.zeros((2, 1)))
    assert len(x.x) == 64
    reach = float(trainer.field.reach)
    parts = trainer.field.network, trainer.field.output, jnp.asarray(reach)
    for beside in (0.0, 0.3):
        at = eqx.tree_at(lambda k: k.field, trainer, Exact(LINE, *parts, beside))
        loss = np.asarray(at.batch_loss(x, jax.random.key(1)))
        np.testing.assert_allclose(loss, (beside / reach) ** 2, atol=5e-2)
        assert abs(loss.mean() - (beside / reach) ** 2) < 5e-3
        if beside == 0.0:
            assert loss.mean() < 1e-3
            assert at.validate(x, KEY) < 1e-5
            draws = FittedFlowMap(at.description, at.field).sample(KEY, 400)
            starts = Motion.of(ON_LINE).starts(KEY, 400, np.dtype(np.float64))
            np.testing.assert_allclose(draws, np.exp(T_MIN - 1) * starts, rtol=1e-6)


@pytest.fixture(scope="module")
def learned():
    network = sf.NetworkSpec(width=48, depth=2, fourier=8, frequency=1.0)
    return sf.fit(
        FlowMap(ON_SPHERE, network=network, pairs=2048), np.eye(3), val=np.eye(3), key=KEY,
        steps=500, batch_size=256, learning_rate=5e-3, progress=False,
    )  # fmt: skip


def test_it_learns_a_flow_of_the_sphere(learned):
    """One step, two and four, against the closed form, to a tenth of the length of whole ways."""
    model, history = learned
    found = model.map_error(jax.random.key(2), 500)
    length = float(model.field.reach) * np.sqrt(2)
    assert found.steps == (1, 2, 4) and max(found.value) < 0.1 * length and found.floor < 3e-3
    assert history.val_nll[-1] < 0.1**2 < history.val_nll[0]
    starts = Motion.of(ON_SPHERE).starts(jax.random.key(2), 500, np.dtype(np.float64))
    ends = jax.vmap(lambda x: model.field.walk(x, 1))(starts)
    exact = np.tanh(np.arctanh(np.asarray(starts)[:, 0]) - 1 + T_MIN)
    miss = np.asarray(ends)[:, 0] - exact
    # The height moves by no more than the point.
    assert np.sqrt(np.mean(miss**2)) < found.value[0] + 1e-3
    # At r = t it is the velocity.
    t = jnp.asarray(0.6)
    own = jax.vmap(lambda x: model.field.velocity(x, t, t))(starts)
    want = jax.vmap(lambda x: Motion.of(ON_SPHERE).velocity(x, t))(starts)
    assert np.sqrt(np.mean(np.sum(np.square(own - want), -1))) < 0.1


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_draws_have_the_density_of_the_teacher(learned, steps):
    """Kolmogorov–Smirnov on the height of 2000 draws, whose law under the teacher is that of
    tanh(artanh(2U − 1) − 0.99): below its 99.9 % quantile, 1.95/√2000, and what W₂ allows."""
    model, _ = learned
    x = np.asarray(model.sample(jax.random.key(3), 2000, steps=steps))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, atol=1e-12)
    uniform = np.tanh(np.arctanh(x[:, 0]) + 1 - T_MIN)
    assert stats.kstest(uniform, "uniform", (-1, 2)).statistic < 1.95 / np.sqrt(2000) + 0.02
    y = x[:4]
    exact = -np.log(4 * np.pi) + np.log((1 - uniform[:4] ** 2) / (1 - y[:, 0] ** 2))
    np.testing.assert_allclose(model.log_prob(y), exact, atol=1e-3)
    assert model.log_prob_and_nfe(y)[1] > 5


@pytest.mark.parametrize("name", list(SPACES))
def test_on_every_geometry(name):
    """From a network that was never trained: finite losses and gradients, draws on the manifold in
    the units of the data."""
    m = SPACES[name]
    x = points(m)
    trainer = FlowMap(edge_models.flow(m), network=SMALL, pairs=1024).trainer(KEY, x)
    ways = jax.tree.map(lambda a: a[:16], trainer.examples(x))
    value, slope = quick_jit(_loss_and_gradient, level=0)(trainer.field, trainer, ways)
    assert np.isfinite(value) and value > 0
    leaves = jax.tree.leaves(slope.network.layers)
    assert leaves and all(np.isfinite(leaf).all() for leaf in leaves)
    draws = np.asarray(trainer.model(ways, None).sample(KEY, 32, steps=2))
    assert draws.shape == (32, *m.shape)
    sf.check_points(m, draws)
    flat = m.flat_coordinates
    if flat.any():
        middle, spread = x[:, flat].mean(0), x[:, flat].std(0)
        assert (np.abs(draws[:, flat] - middle) < 8 * spread).all()


def _loss_and_gradient(field, trainer, ways):
    def loss(field):
        at = eqx.tree_at(lambda k: k.field, trainer, field)
        return jnp.mean(at.batch_loss(ways, KEY))

    return eqx.filter_value_and_grad(loss)(field)


def test_a_score_model_teaches_by_its_probability_flow():
    m = SPACES["S^2"]
    teacher = edge_models.score(m)
    motion = Motion.of(teacher)
    starts = motion.starts(KEY, 20, np.dtype(np.float64))
    ways = motion.trajectories(starts).x
    far = np.asarray(jax.vmap(m.dist)(ways[:, -1], motion.ends(starts)))
    assert far.max() < 2e-2
    assert Motion.of(teacher).start == teacher.s_min


@pytest.mark.usefixtures("settings_of_users")
def test_saved_and_in_single_precision(tmp_path):
    m = sf.Sphere(2)
    x = np.asarray(jax.vmap(m.uniform)(jax.random.split(KEY, 40)))
    few = {"key": KEY, "steps": 2, "batch_size": 16, "progress": False}
    teacher, _ = sf.fit(sf.FlowMatching(m, network=SMALL, t_min=1e-2), x, **few)
    model, history = sf.fit(FlowMap(teacher, network=SMALL, pairs=64), x, val=x[:9], **few)
    assert isinstance(model, FittedFlowMap) and history.steps == 2
    draws = model.sample(KEY, 9)
    assert draws.dtype == np.float32 and np.isfinite(draws).all()
    sf.save(tmp_path / "map", model)
    again = sf.load(tmp_path / "map")
    assert eqx.tree_equal(again, model) and hash(again) == hash(model)
    np.testing.assert_array_equal(again.sample(KEY, 9), draws)
    np.testing.assert_array_equal(again.log_prob(x), teacher.log_prob(x))


@pytest.mark.usefixtures("settings_of_users")
def test_the_command_line(tmp_path, capsys):
    """Both are trained, the seconds and the numbers of the map are told, and draws take steps."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(20, 15, 80), rng.normal(-30, 20, 80)], 1)
    table, out = str(tmp_path / "a.csv"), tmp_path / "run"
    pd.DataFrame(values, columns=["lat", "lon"]).to_csv(table, index=False)
    words = ["fit", table, "--model", "flow-map", "--steps", "3", "--width", "8", "--depth", "1",
             "--quiet", "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "of the flow of its teacher, and not of the draws" in said
    found = json.loads((out / "metrics.json").read_text())
    assert found["density_of"] == "the flow of its teacher" and found["steps"] == 3
    names = ("map_error", "map_error_2_steps", "map_error_4_steps", "map_error_floor")
    assert all(0 < found[name] < np.pi for name in names)
    assert found["map_error_floor"] < found["map_error"]
    assert any((out / "checkpoints" / "teacher").iterdir())
    drawn = ["sample", str(out), "-n", "5", "--steps", "2", "--out", str(tmp_path / "b.csv")]
    assert main(drawn) == 0
    assert len(pd.read_csv(tmp_path / "b.csv")) == 5
    refused = ["fit", table, "--model", "flow-map", "--teacher", "score", "--coupling", "0.1"]
    assert main([*refused, "--out", str(tmp_path / "no")]) == 2
    assert "--coupling is not an option of --teacher score" in capsys.readouterr().err


def test_refusals(learned):
    model, _ = learned
    with pytest.raises(TypeError, match="teacher"):
        FlowMap(sf.FlowMatching(SPHERE))
    with pytest.raises(ValueError, match="pairs: a whole number, at least 1, got 0"):
        FlowMap(ON_SPHERE, pairs=0)
    with pytest.raises(ValueError, match="steps: a whole number, at least 1, got 0"):
        model.sample(KEY, 3, steps=0)
    with pytest.raises(sf.PointsError, match="data"):
        FlowMap(ON_SPHERE).trainer(KEY, 2 * np.eye(3))
    assert repr(FlowMap(ON_SPHERE)).count("\n") == 0
