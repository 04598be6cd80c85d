"""Training: the optimum is reached, the order of the data, averaging, choice, several seeds."""

from __future__ import annotations

import json
import math
import time

import equinox as eqx
import jax
import jax.experimental
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pandas as pd
import pytest
from jaxtyping import Array
from threadpoolctl import threadpool_info, threadpool_limits
from toys import Toy

import scorefold as sf
from scorefold._fixed import fixed, trainable
from scorefold._warnings import ScorefoldWarning
from scorefold.fitting import NonFiniteLoss, Progress, fit, fit_seeds
from scorefold.fitting.batches import batch_rows
from scorefold.interop.loggers import to_mlflow, to_tensorboard, to_wandb

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
DATA = RNG.normal([1.0, -2.0], 0.5, (300, 2)).astype(np.float32)
VAL = RNG.normal([1.0, -2.0], 0.5, (200, 2)).astype(np.float32)
TRACES: list[int] = []


class Gaussian(Toy):
    """N(μ, e^{2ρ}I) with μ and ρ learned by maximum likelihood, from noisy copies if asked."""

    mean: Array | None = None
    log_scale: Array | None = None
    noise: float = 0.0

    def init(self, key, data):
        mean = jax.random.normal(key, data.shape[1:], data.dtype)
        return Gaussian(mean, jnp.zeros((), data.dtype), self.noise)

    def log_prob(self, x):
        z = (x - self.mean) * jnp.exp(-self.log_scale)
        return -jnp.sum(0.5 * z * z + self.log_scale + 0.5 * math.log(2 * math.pi))

    def batch_loss(self, x, key):
        TRACES.append(1)
        noisy = x + self.noise * jax.random.normal(key, x.shape, x.dtype)
        return -jax.vmap(self.log_prob)(noisy)

    def validate(self, x, key):
        return -jnp.mean(jax.vmap(self.log_prob)(x))


class Drift(Toy):
    """A weight pulled down at the full learning rate for ever; ``validate`` is |w − 1|."""

    weight: Array | None = None

    def init(self, key, data):
        return Drift(jnp.full((1,), 2.0, data.dtype))

    def batch_loss(self, x, key):
        return jnp.broadcast_to(self.weight, x.shape[:1])

    def validate(self, x, key):
        return jnp.abs(self.weight[0] - 1.0)


class Regression(Toy):
    """A matrix, a bias, and a fixed array beside them."""

    matrix: Array | None = None
    bias: Array | None = None
    frozen: Array | None = fixed(default=None)
    parts: tuple = ()

    def init(self, key, data):
        ones = jnp.ones((2, 2), data.dtype)
        return Regression(
            jax.random.normal(key, (2, 2), data.dtype), ones[0], ones, (ones, jnp.arange(2))
        )

    def batch_loss(self, x, key):
        shift = self.bias + self.parts[0][0] + self.frozen[0]
        y = x @ self.matrix + shift[None, :]
        return jnp.sum((y - jnp.sin(x)) ** 2, axis=-1)

    def validate(self, x, key):
        return jnp.mean(self.batch_loss(x, key))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maximum_likelihood(dtype):
    """Oracle: the Gaussian MLE is the sample mean and the root mean squared deviation. Full
    batches make every step exact; what is left is rounding and the tail of Adam."""
    data = DATA.astype(dtype)
    model, history = fit(
        Gaussian(), data, key=KEY, steps=1500, batch_size=300, ema=0.9, learning_rate=1e-2,
        progress=False,
    )  # fmt: skip
    assert model.mean.dtype == dtype
    np.testing.assert_allclose(model.mean, data.mean(0), atol=2e-4)
    scale = np.sqrt(np.mean((data - data.mean(0)) ** 2))
    np.testing.assert_allclose(jnp.exp(model.log_scale), scale, rtol=5e-4)
    # The entropy of the fitted Gaussian is the loss at the optimum.
    entropy = 2 * (math.log(scale) + 0.5 * math.log(2 * math.pi) + 0.5)
    np.testing.assert_allclose(history.loss[-1], entropy, rtol=1e-5)
    assert history.steps == history.best_step == 1500 and history.stopped == "steps"
    saved = json.loads(history.to_json())
    assert saved["loss"] == history.loss.tolist() and saved["step"] == list(range(2, 1501, 2))


def test_agrees_with_optax():
    """Oracle: optax's AdamW with its clipping and schedules, fed the same batches."""
    import optax

    steps, warmup, size = 60, 7, 32
    kwargs = {"batch_size": size, "warmup": warmup, "learning_rate": 0.1, "weight_decay": 0.3}
    model, _ = fit(
        Regression(), DATA, key=KEY, steps=steps, ema=0.0, clip=0.5, progress=False, **kwargs
    )
    start = Regression().init(jax.random.fold_in(KEY, 3), jnp.asarray(DATA))
    params, rest = eqx.partition(start, trainable(start))
    with jax.numpy_dtype_promotion("standard"):
        rate = optax.join_schedules(
            [
                lambda t: 0.1 * (t + 1) / warmup,
                optax.cosine_decay_schedule(0.1, steps - warmup),
            ],
            [warmup],
        )
        mask = lambda p: jax.tree.map(lambda a: a.ndim >= 2, p)  # noqa: E731
        optimiser = optax.chain(
            optax.clip_by_global_norm(0.5), optax.adamw(rate, weight_decay=0.3, mask=mask)
        )
        state = optimiser.init(params)

        @jax.jit
        def advance(params, state, x):
            loss = lambda p: eqx.combine(p, rest).batch_loss(x, KEY).mean()  # noqa: E731
            updates, state = optimiser.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state

        for step in range(steps):
            rows = batch_rows(jax.random.fold_in(KEY, 0), jnp.int32(step), len(DATA), size)
            params, state = advance(params, state, DATA[rows])
    np.testing.assert_allclose(model.matrix, params.matrix, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(model.bias, params.bias, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(model.parts[0], params.parts[0], rtol=2e-4, atol=2e-5)
    # Weight decay would have shrunk it.
    np.testing.assert_array_equal(model.frozen, np.ones((2, 2)))


def test_trainable():
    started = Regression().init(KEY, jnp.asarray(DATA))
    assert trainable(started) == Regression(True, True, False, (True, False))


@pytest.mark.parametrize(("n", "size"), [(1, 4), (2, 3), (7, 3), (100, 32), (1000, 600)])
@pytest.mark.fault(14, "epochs of five sizes and batches")
def test_every_epoch_is_a_permutation(n, size):
    epochs = 3 * max(1, -(-size // n))
    steps = -(-epochs * n // size)
    rows = jax.vmap(lambda t: batch_rows(KEY, t, n, size))(jnp.arange(steps, dtype=jnp.int32))
    stream = np.asarray(rows).ravel()[: epochs * n].reshape(epochs, n)
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(np.arange(n), (epochs, 1)))
    if n > 7:
        assert len({tuple(row) for row in stream}) == epochs


def test_epochs_are_uniform():
    """Each row is equally likely at each place, and each ordered pair equally likely to be
    neighbours: χ² with (n−1)² (about 36) and n(n−1)−1 = 41 degrees of freedom over 4000 epochs
    of n = 7; the bound 90 has probability below 1e-5 for both."""
    n, epochs = 7, 4000
    rows = jax.vmap(lambda t: batch_rows(KEY, t, n, n))(jnp.arange(epochs, dtype=jnp.int32))
    place, pair = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        np.add.at(place[i], np.asarray(rows[:, i]), 1)
    for i in range(n - 1):
        np.add.at(pair, (np.asarray(rows[:, i]), np.asarray(rows[:, i + 1])), 1)
    assert np.sum((place - epochs / n) ** 2) / (epochs / n) < 90
    assert np.all(np.diag(pair) == 0)
    expected = epochs * (n - 1) / (n * (n - 1))
    off = pair[~np.eye(n, dtype=bool)]
    assert np.sum((off - expected) ** 2) / expected < 90


def test_best_and_patience():
    """Adam with a constant gradient moves by exactly the learning rate: w_t = 2 − 0.01 t without
    warm-up (clip keeps the gradient constant, the cosine of a run of 10⁵ steps is 1). So
    |w − 1| is least at step 100, and three validations later, at 100 + 3·20, patience ends."""
    model, history = fit(
        Drift(), DATA, val=VAL, key=KEY, steps=100_000, batch_size=2, ema=0.0, warmup=0,
        learning_rate=1e-2, validate_every=20, patience=3, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(model.weight, 1.0, atol=2e-4)
    assert (history.best_step, history.steps, history.stopped) == (100, 160, "patience")
    np.testing.assert_array_equal(history.val_step, range(0, 161, 20))
    np.testing.assert_allclose(history.val_nll, np.abs(1 - 0.01 * history.val_step), atol=2e-4)


def test_average():
    """Oracle: a_{t+1} = d_t a_t + (1 − d_t) w_{t+1} with d_t = min(0.9, (1 + t)/(10 + t)). In a
    warm-up of 10⁶ steps to the rate 10⁴ the weight is w_t = 2 − 0.01·t(t + 1)/2."""
    model, _ = fit(
        Drift(), DATA, key=KEY, steps=50, batch_size=2, ema=0.9, warmup=10**6,
        learning_rate=1e4, progress=False,
    )  # fmt: skip
    average = 2.0
    for t in range(50):
        d = min(0.9, (1 + t) / (10 + t))
        average = d * average + (1 - d) * (2 - 0.01 * (t + 1) * (t + 2) / 2)
    np.testing.assert_allclose(model.weight, average, rtol=1e-4)


def test_seeds_equal_single_runs():
    keys = [jax.random.key(1), jax.random.key(2), jax.random.PRNGKey(3)]
    kwargs = {"steps": 40, "batch_size": 64, "validate_every": 5, "learning_rate": 0.3}
    kwargs |= {"patience": 1, "ema": 0.5, "progress": False}
    together = fit_seeds(Gaussian(noise=0.1), DATA, val=VAL, keys=keys, **kwargs)
    split = np.stack([DATA[:200], DATA[50:250], DATA[100:]])
    held = np.stack([VAL[:100], VAL[50:150], VAL[100:]])
    apart = fit_seeds(Gaussian(noise=0.1), split, val=held, keys=keys, stacked=True, **kwargs)
    stops = set()
    for i, key in enumerate(keys):
        for runs, x, v in ((together, DATA, VAL), (apart, split[i], held[i])):
            one, history = fit(Gaussian(noise=0.1), x, val=v, key=key, **kwargs)
            model, other = runs[i]
            np.testing.assert_allclose(model.mean, one.mean, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(model.log_scale, one.log_scale, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(other.loss, history.loss, rtol=1e-4)
            np.testing.assert_allclose(other.val_nll, history.val_nll, rtol=1e-4)
            same = ("steps", "best_step", "stopped", "seed")
            assert all(getattr(other, f) == getattr(history, f) for f in same)
            stops.add(history.steps)
    assert len(stops) > 1, "the runs should end at different steps for the test to mean something"


@pytest.mark.fault(39, "10,000 steps: no compilation, no live array left")
def test_one_compilation_and_flat_memory():
    kwargs = {"val": VAL, "key": KEY, "batch_size": 16, "progress": False}
    fit(Gaussian(), DATA, steps=5, **kwargs)
    TRACES.clear()
    before = sum(a.nbytes for a in jax.live_arrays())
    model, _ = fit(Gaussian(), DATA, steps=10_000, validate_every=700, **kwargs)
    after = sum(a.nbytes for a in jax.live_arrays())
    assert not TRACES, "a run of another length compiled again"
    # The two copies of the data, the keys and the returned model.
    assert after - before < 4 * (DATA.nbytes + VAL.nbytes)
    del model


def test_linear_algebra_on_one_thread_while_training():
    """Read where the model is traced, in the middle of a run: threads of BLAS and LAPACK, told by
    threadpoolctl, are 1 there and afterwards what they were."""
    import scipy.linalg  # noqa: F401

    def threads():
        return [d["num_threads"] for d in threadpool_info() if d["user_api"] == "blas"]

    seen = []

    class Watched(Gaussian):
        def init(self, key, data):
            started = super().init(key, data)
            return Watched(started.mean, started.log_scale)

        def validate(self, x, key):
            seen.append(threads())
            return super().validate(x, key)

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        assert before and max(before) == 2
        fit(Watched(), DATA, val=VAL, key=KEY, steps=2, progress=False)
        assert threads() == before
    assert seen and all(set(found) == {1} for found in seen)


def test_budget():
    """Kept, and the same run as with the number of steps that it bought. (Half a second of slack
    is for the machine, which may stop the process for a while.)"""
    kwargs = {"key": KEY, "batch_size": 64, "progress": False, "validate_every": 1000}
    fit(Gaussian(), DATA, steps=1, **kwargs)
    since = time.monotonic()
    model, history = fit(Gaussian(), DATA, budget=2.0, **kwargs)
    assert time.monotonic() - since < 2.5
    assert history.steps > 100
    if history.stopped == "steps":
        other, _ = fit(Gaussian(), DATA, steps=history.steps, **kwargs)
        np.testing.assert_array_equal(model.mean, other.mean)


def test_a_budget_that_compiling_took_is_said():
    with pytest.warns(
        ScorefoldWarning, match=r"budget: compiling took .* of 0.001 seconds, .* 1 step"
    ):
        _, history = fit(Gaussian(), DATA, key=KEY, batch_size=64, progress=False, budget=1e-3)
    assert history.steps == 1


def test_dear_validations_make_room_for_steps():
    """Twenty validations are affordable at first, at 1 ms; from the fourth on each takes 0.5 s, ten
    seconds in all, of a budget of 5: fewer are made, and more steps."""
    calls = []

    def wait():
        calls.append(1)
        time.sleep(0.5 if len(calls) > 3 else 1e-3)
        return np.float32(0.0)

    class Dear(Gaussian):
        def init(self, key, data):
            return Dear(data[0], jnp.zeros((), data.dtype))

        def validate(self, x, key):
            nothing = jax.experimental.io_callback(wait, jax.ShapeDtypeStruct((), np.float32))
            return -jnp.mean(jax.vmap(self.log_prob)(x)) + nothing

    budget = {"key": KEY, "batch_size": 64, "progress": False, "budget": 5.0}
    _, history = fit(Dear(), DATA, val=VAL, **budget)
    # As planned they would take two thirds of what is left after compiling.
    assert len(history.val_step) < 9
    assert history.train_seconds > 0.5 * (5.0 - history.compile_seconds)


@pytest.mark.fault(16, "one row, five equal rows, a batch above the data")
def test_small_data():
    """One row, repeated rows and a batch above the data all train: the mean is the row's."""
    for data in (DATA[:1], np.tile(DATA[:1], (5, 1))):
        model, history = fit(
            Gaussian(), data, key=KEY, steps=400, batch_size=8, learning_rate=0.05, ema=0.5,
            progress=False,
        )  # fmt: skip
        assert history.steps == 400
        np.testing.assert_allclose(model.mean, DATA[0], atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": DATA[:0]}, r"data must hold at least one point; got an array of shape \(0, 2\)"),
        ({"data": np.ones((3, 2), complex)}, "data: has dtype complex128; real numbers are needed"),
        ({"data": [["a", "b"]]}, "data: has dtype <U1; real numbers are needed"),
        ({"data": [[1.0], [1.0, 2.0]]}, "data: not one array of numbers"),
        (
            {"data": np.where(np.arange(300)[:, None] % 100 == 7, np.nan, DATA)},
            "data has 3 rows that are not finite: rows 7, 107, 207",
        ),
        ({"val": np.full((1, 2), np.inf)}, "val has 1 rows that are not finite: rows 0"),
        ({"steps": 3, "budget": 1.0}, "steps or budget, not both"),
        ({"steps": 0}, "steps must be a whole number, 1 or more; got 0"),
        ({"budget": -1.0}, "budget must be a positive number of seconds"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"resume": True}, "resume=True needs out"),
    ],
)
@pytest.mark.fault(15, "data and validation data with rows that are not finite")
@pytest.mark.fault(59, "settings of fit outside their range")
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit(Gaussian(), **({"data": DATA, "key": KEY, "progress": False} | change))


class Broken(Toy):
    """``validate`` is NaN, and without ``weight`` there is nothing to train."""

    trained: bool
    weight: Array | None = None

    def init(self, key, data):
        return Broken(True, jnp.ones((1,), data.dtype)) if self.trained else self

    def batch_loss(self, x, key):
        return jnp.broadcast_to(self.weight, x.shape[:1])

    def validate(self, x, key):
        return jnp.log(-jnp.abs(self.weight[0]))


def test_broken_models():
    with pytest.raises(ValueError, match=r"Broken has nothing to train"):
        fit(Broken(False), DATA, key=KEY, progress=False)
    with pytest.raises(NonFiniteLoss, match=r"validate was not finite at any of 3 validations"):
        fit(Broken(True), DATA, val=VAL, key=KEY, steps=2, progress=False)


class Shapes(Toy):
    """What a trainer returns in a wrong shape, by name."""

    wrong: str
    weight: Array | None = None

    def init(self, key, data):
        return Shapes(self.wrong, jnp.ones((1,), data.dtype))

    def batch_loss(self, x, key):
        losses = jnp.broadcast_to(self.weight**2, x.shape[:1])
        return jnp.mean(losses) if self.wrong == "batch_loss" else losses

    def validate(self, x, key):
        return self.weight if self.wrong == "validate" else self.weight[0]

    def model(self, data, val):
        return None if self.wrong == "model" else self


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("batch_loss", r"Shapes.batch_loss: must return one loss a row, shape \(n,\); got shape"),
        ("validate", r"Shapes.validate: must return one number, shape \(\); got shape \(1,\)"),
        ("model", "Shapes.model returned nothing"),
    ],
)
def test_what_a_trainer_returns_is_looked_at(wrong, message):
    with pytest.raises(ValueError, match=message):
        fit(Shapes(wrong), DATA, val=VAL, key=KEY, steps=1, progress=False)


class Shifted(Toy):
    """Examples that depend on what was drawn: the data moved by ``shift``."""

    mean: Array | None = None
    shift: Array | None = fixed(default=None)

    def init(self, key, data):
        shift = jax.random.normal(key, data.shape[1:], data.dtype)
        return Shifted(jnp.zeros(data.shape[1:], data.dtype), shift)

    def examples(self, data, name="data", *, held_out=False):
        return jnp.asarray(data) + self.shift[None]

    def batch_loss(self, x, key):
        return jnp.sum((x - self.mean[None]) ** 2, axis=1)

    def validate(self, x, key):
        return jnp.mean(self.batch_loss(x, key))


def test_seeds_have_examples_of_their_own():
    """Unless a trainer says that all have the same: each result is that of ``fit``."""
    keys = [jax.random.key(1), jax.random.key(2)]
    settings = {"val": VAL, "steps": 20, "batch_size": 32, "progress": False}
    together = fit_seeds(Shifted(), DATA, keys=keys, **settings)
    for key, (model, history) in zip(keys, together, strict=True):
        alone, course = fit(Shifted(), DATA, key=key, **settings)
        np.testing.assert_allclose(model.mean, alone.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(history.val_nll, course.val_nll, rtol=1e-5)
    assert not np.allclose(together[0][0].mean, together[1][0].mean)


def test_what_is_no_description_is_said_in_one_line(monkeypatch):
    """Without the run-time types of the tests, as users have it."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    data, key = np.zeros((4, 3)), jax.random.key(0)
    with pytest.raises(TypeError, match=r"KernelModel is a class; give KernelModel\(manifold"):
        sf.fit(sf.KernelModel, data, key=key)
    with pytest.raises(TypeError, match="no Sphere is trained by fit; give KernelModel"):
        sf.fit_seeds(sf.Sphere(2), data, keys=[key])


def test_wrong_arguments_are_named_in_one_line(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    plane, x = sf.Euclidean(2), np.random.default_rng(0).normal(size=(30, 2))
    kernels = sf.KernelModel(plane)
    for call, error, message in [
        (lambda: fit(kernels, x, key=0, steps=1), TypeError, "^key: give jax.random.key"),
        (lambda: sf.KernelModel("S^2"), TypeError, "^manifold: give one such as Sphere"),
        (lambda: sf.ScoreModel(plane), TypeError, "^noising: give one such as default_noising"),
        (lambda: sf.default_noising(x, plane), TypeError, "^manifold: give one such as"),
        (lambda: sf.Sphere(2.5), ValueError, "^Sphere.d. needs a whole number d, got d=2.5"),
        (lambda: fit(kernels, [[1.0, 2.0], [3.0]], key=jax.random.key(0)), ValueError, "^data: "),
    ]:
        with pytest.raises(error, match=message) as found:
            call()
        assert "\n" not in str(found.value)


def test_models_in_closed_form_take_lists():
    from scorefold.models import EmpiricalModel, HeatKernelDensity

    plane, x = sf.Euclidean(2), np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    noising = sf.default_noising(plane, x)
    for points in (x, x.tolist(), jnp.asarray(x), pd.DataFrame(x)):
        model = HeatKernelDensity(plane, points, [0.1] * 30)
        want = HeatKernelDensity(plane, jnp.asarray(x), jnp.full(30, 0.1)).log_prob(x[:3])
        np.testing.assert_allclose(model.log_prob(x[:3]), want, rtol=1e-5)
        assert np.isfinite(EmpiricalModel(noising, points).log_prob(x[:3])).all()


def test_a_callback_is_told_how_far_training_has_come():
    told: list[Progress] = []
    _, history = fit(
        Gaussian(), DATA, key=KEY, val=VAL, steps=300, validate_every=100, progress=False,
        callback=told.append,
    )  # fmt: skip
    steps = [p.step for p in told]
    assert steps == sorted(steps) and steps[-1] == history.steps == told[-1].total == 300
    assert {100, 200, 300} <= set(steps)
    assert told[-1].val_nll == history.val_nll[-1] and told[-1].left == 0.0
    # Weighted by their steps, the losses that were told are those of the history.
    weights = np.diff([0, *steps])
    np.testing.assert_allclose(
        np.average([p.loss for p in told], weights=weights), history.loss.mean(), rtol=1e-6
    )
    assert set(told[-1].scalars()) == {"loss", "val_nll", "seconds"}


def test_an_error_of_a_callback_is_a_warning():
    calls = []

    def broken(progress):
        calls.append(progress.step)
        raise OSError("the network is away")

    with pytest.warns(ScorefoldWarning, match="callback: OSError at step .*the network is away"):
        model, _ = fit(Gaussian(), DATA, key=KEY, steps=100, progress=False, callback=broken)
    alone, _ = fit(Gaussian(), DATA, key=KEY, steps=100, progress=False)
    assert len(calls) == 1
    np.testing.assert_array_equal(model.mean, alone.mean)
    with pytest.raises(TypeError, match="callback"):
        fit(Gaussian(), DATA, key=KEY, steps=1, callback="wandb")


def test_loggers_write_what_training_says():
    class Log(list):
        def add_scalar(self, tag, value, step):
            self.append((step, {tag: value}))

        def log(self, data, step):
            self.append((step, data))

        log_metrics = log

    logs = {door: Log() for door in (to_tensorboard, to_wandb, to_mlflow)}
    for door, log in logs.items():
        fit(Gaussian(), DATA, key=KEY, val=VAL, steps=60, progress=False, callback=door(log, "a/"))
        names = {name for _, row in log for name in row}
        assert names == {"a/loss", "a/val_nll", "a/seconds"} and log[-1][0] == 60
    with pytest.raises(TypeError, match="run"):
        to_wandb(object())
