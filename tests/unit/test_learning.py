"""When training ends, what the shares of a density are, and the law that a model must beat."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from toys import Toy

import scorefold as sf
from scorefold.fitting import Defaults, Interrupted, fit
from scorefold.fitting.adam import norm
from scorefold.fitting.history import Record
from scorefold.kernels import plain_law
from scorefold.kernels.local.shares import likeliest_shares
from scorefold.kernels.wrapped.background import MixedReference, density_at
from scorefold.metrics import reference_nll

KEY = jax.random.key(0)
DATA = np.ones((8, 1), np.float32)


class Falling(Toy):
    """A weight on its way from 0 to ``goal``: validation falls until it is there."""

    goal: float
    weight: Array | None = None

    @property
    def defaults(self):
        return Defaults(steps=32, patience=6, longest=128, learning_rate=0.05)

    def init(self, key, data):
        return Falling(self.goal, jnp.zeros((1,), data.dtype))

    def batch_loss(self, x, key):
        return jnp.abs(self.weight[0] - self.goal) * x[:, 0]

    def validate(self, x, key):
        return jnp.abs(self.weight[0] - self.goal)


def run(goal, **more):
    val = more.pop("val", DATA)
    return fit(Falling(goal), DATA, val=val, key=KEY, batch_size=4, progress=False, **more)[1]


def test_training_ends_when_validation_says_so():
    """Far from the goal all 128 steps are taken, twice as many each time; at it the run stops
    after 6 validations without improvement; what was stated is kept."""
    far, near = run(100.0), run(0.0)
    assert (far.stopped, far.steps, far.best_step) == ("steps", 128, 128)
    assert far.step[-1] == 128 and len(far.loss) == 128 and np.all(np.diff(far.val_nll) < 0)
    assert near.stopped == "patience" and near.best_step < near.steps < 32
    assert list(near.val_step).index(near.best_step) == len(near.val_step) - 7
    for stated in ({"steps": 32}, {"val": None}):
        assert (run(100.0, **stated).steps, run(0.0, **stated).steps) == (32, 32)


def test_a_run_that_grew_is_resumed_bit_for_bit(tmp_path, monkeypatch):
    """Stopped at step 40, after it had grown from 32 to 64 steps."""
    from scorefold.fitting import loop

    whole, _ = fit(Falling(100.0), DATA, val=DATA, key=KEY, batch_size=4, progress=False)
    true = loop.Loop._advance

    def stops(self, step, count):
        if step >= 40:
            raise Interrupted("stop", code=130, path=tmp_path)
        return true(self, step, min(count, 4))

    more = {"val": DATA, "key": KEY, "batch_size": 4, "progress": False, "out": tmp_path}
    monkeypatch.setattr(loop.Loop, "_advance", stops)
    with pytest.raises(Interrupted):
        fit(Falling(100.0), DATA, save_every=0.0, **more)
    monkeypatch.setattr(loop.Loop, "_advance", true)
    resumed, history = fit(Falling(100.0), DATA, resume=True, **more)
    assert history.steps == 128 and eqx.tree_equal(whole, resumed)


def test_room_for_more_steps():
    """Oracle: the losses of all steps in columns of the new width."""
    losses = np.random.default_rng(0).normal(size=(2, 1500))
    record = Record.empty(2, 900, 45)
    record.add_losses(0, losses[:, :900])
    record.grow()
    record.add_losses(900, losses[:, 900:])
    assert (record.total, record.every, record.width_of(1800)) == (1800, 90, 2)
    np.testing.assert_allclose(
        record.sums[:, :750], losses.reshape(2, 750, 2).sum(2), rtol=1e-12, atol=1e-12
    )
    assert record.steps == 1500 and record.sums.shape == (2, 900)


def test_norm_of_large_gradients():
    """Squares of 3e25 leave float32; 5e25 does not."""
    grads = [jnp.asarray([3e25], jnp.float32), jnp.asarray([[4e25]], jnp.float32)]
    assert float(norm(grads)) == pytest.approx(5e25, rel=1e-6)


def test_likeliest_shares():
    """Oracle: two parts that no point shares have the shares of their points, with and without
    points given beforehand; of two that all points share, a grid of 10⁴ shares knows no better."""
    apart = np.where(np.arange(10)[:, None] < 3, [[0.0, -800.0]], [[-800.0, 5.0]])
    np.testing.assert_allclose(likeliest_shares(apart, np.zeros(2)), [0.3, 0.7], atol=1e-6)
    np.testing.assert_allclose(
        likeliest_shares(apart, np.array([0.0, 2.0])), [0.25, 0.75], atol=1e-6
    )
    x = np.random.default_rng(0).normal(size=(500, 1))
    both = np.concatenate([-0.5 * x**2, -0.125 * x**2 - math.log(2.0)], axis=1)
    both[:100] = both[:100] - 0.3 * np.arange(2)[None]
    value = lambda p: np.logaddexp(both[:, 0] + np.log(p), both[:, 1] + np.log(1 - p)).sum()  # noqa: E731
    best = max(value(p) for p in np.linspace(1e-4, 1 - 1e-4, 10_000))
    assert value(likeliest_shares(both, np.zeros(2))[0]) == pytest.approx(best, abs=1e-4)


def test_the_plain_law():
    """Oracles: the normal law by its formula; 1/4π; on a product their sum. Few points have a
    finite one."""
    x = np.random.default_rng(0).normal(size=(300, 3)) @ np.array(
        [[2, 0, 0], [1, 0.1, 0], [0, 3, 5]]
    )
    mean, cov = x.mean(0), np.cov(x.T, bias=True)
    gap = x - mean
    square = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(cov), gap)
    want = float(np.mean(0.5 * square)) + 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    space, sphere = sf.Euclidean(3), sf.Sphere(2)
    found = reference_nll(space, x, x)
    assert found.name == "one normal law" and found.nll == pytest.approx(want, abs=2e-3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    uniform = reference_nll(sphere, unit, unit)
    assert uniform == ("uniform law", pytest.approx(math.log(4 * math.pi), rel=1e-9))
    both = reference_nll(sf.Product(sphere, space), *2 * [np.concatenate([unit, x], 1)])
    assert both == ("uniform × normal", pytest.approx(uniform.nll + found.nll, rel=1e-6))
    for n in (2, 5):
        few = plain_law(sf.Euclidean(9), np.random.default_rng(1).normal(size=(n, 9)))
        assert np.isfinite(few.log_prob(jnp.ones(9)))


def test_broad_laws_follow_the_heat_flow():
    """Oracle: variances grow by s; a mixture's, with its weights."""
    x = np.random.default_rng(0).normal(size=(400, 2)) * [1.0, 3.0]
    law = plain_law(sf.Euclidean(2), x)
    mixed = MixedReference(law.manifold, (law, law), jnp.log(jnp.asarray([0.3, 0.7])))
    s, at = jnp.asarray(0.5), jnp.asarray([1.0, -2.0])
    cov = np.cov(x.T, bias=True) + 0.5 * np.eye(2)
    gap = np.asarray(at) - x.mean(0)
    want = -0.5 * gap @ np.linalg.solve(cov, gap) - 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    for one in (law, mixed):
        assert float(density_at(one, at, s)) == pytest.approx(want, abs=1e-4)
    draws = jax.vmap(lambda k: mixed.sample(k, jnp.float64))(jax.random.split(KEY, 4000))
    np.testing.assert_allclose(draws.std(0), x.std(0), rtol=5 / math.sqrt(8000))


@pytest.mark.slow
def test_few_points():
    n = 4
    x = np.random.default_rng(0).normal(size=(n, 2))
    model = sf.KernelModel(sf.Euclidean(2), width=4, depth=1)
    fitted, history = sf.fit(model, x, val=x[:2] + 0.1, key=KEY, steps=3, progress=False)
    assert np.isfinite(history.val_nll).all() and np.isfinite(fitted.log_prob(x)).all()
    with pytest.raises(ValueError, match=r"3 points are too few .* needs 4\. Use Heat"):
        model.trainer(KEY, x[:3])


def test_a_nearly_uniform_law_is_met(settings_of_users):
    """700 points of the density (1 + 0.15 z)/4π: on 4000 fresh points the model is not worse than
    the uniform law by more than 0.005 nats (0.007 with kernels alone, whose share stayed .98), and
    the shares moved."""
    sphere, rng = sf.Sphere(2), np.random.default_rng(1)
    x = rng.normal(size=(12_000, 3))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    x = x[rng.uniform(size=len(x)) * 1.15 < 1 + 0.15 * x[:, 2]][:4770]
    model = sf.KernelModel(sphere)
    fitted, history = sf.fit(model, x[:700], val=x[700:770], key=KEY, progress=False)
    nll = -float(np.asarray(fitted.log_prob(x[770:]), np.float64).mean())
    assert nll < math.log(4 * math.pi) + 0.005
    assert float(jnp.exp(fitted.shares.logarithms()[0])) < 0.9
    assert history.stopped == "patience" and history.steps < 400
