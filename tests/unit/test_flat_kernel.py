"""The learned kernel model on flat space: start, objectives, sampling, marginals, files."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp

from scorefold.data import target
from scorefold.fitting import fit, load, save
from scorefold.kernels import (
    CovarianceNetwork,
    Diagonal,
    GaussianMixture,
    held_out_implicit,
    held_out_nll,
    left_out_masks,
)
from scorefold.manifolds import Euclidean
from scorefold.models import GaussianKernelModel

X = np.random.default_rng(0).normal(size=(30, 3))


@pytest.fixture(scope="module")
def fitted():
    """The 6-D swiss roll from 150 points, briefly."""
    law = target("swiss-roll-6d").make(jax.random.key(0))
    x = law.sample(jax.random.key(1), 1340)
    model = GaussianKernelModel(Euclidean(6), floor=0.3, width=32, depth=2)
    found, history = fit(
        model, x[:150], val=x[150:190], key=jax.random.key(0), steps=60, batch_size=50,
        learning_rate=1e-2, progress=False,
    )  # fmt: skip
    return found, history, x[190:]


@pytest.mark.parametrize("form", ["cholesky", "diagonal", "low-rank"])
def test_network_starts_round_and_can_leave(form):
    """Σ = h²I exactly before training; the gradient of a quadratic form in every output of the
    last layer is finite and not 0."""
    network = CovarianceNetwork(
        3, bandwidth=0.7, form=form, floor=0.4, width=8, depth=2, key=jax.random.key(0)
    )

    @jax.jit
    @jax.value_and_grad
    def start(bias):
        net = eqx.tree_at(lambda n: n.layers[-1].bias, network, bias)
        c = net(jnp.asarray(X[0]))
        return jnp.sum((c.dense() - 0.49 * jnp.eye(3)) ** 2) + c.quadratic(jnp.asarray(X[1]))

    value, slope = start(network.layers[-1].bias)
    np.testing.assert_allclose(value, X[1] @ X[1] / 0.49, rtol=1e-12)
    assert np.all(np.abs(slope) > 1e-6)


def test_unmasked_implicit_loss_has_no_lower_bound_and_is_refused():
    """Points that are the centres: with every precision 100 times larger the loss is 100 times
    smaller (at its own centre the score vanishes, and −½ tr Γ is left), while the loss that
    leaves the own kernel out stays above its minimum. Oracle: at a distance from all others,
    Δπ/π = −tr Γ exactly."""
    centres = jnp.asarray(X)
    masks = left_out_masks(jnp.arange(30), 30)

    @jax.jit
    def losses(precision):
        build = lambda: GaussianMixture.equal(  # noqa: E731
            centres, jax.vmap(Diagonal)(jnp.full((30, 3), 1 / precision))
        )
        naive = jnp.mean(jax.vmap(build().implicit_score_matching)(centres))
        return naive, jnp.mean(held_out_implicit(build, centres, masks))

    naive, masked = np.transpose([losses(g) for g in (1e2, 1e4, 1e6)])
    np.testing.assert_allclose(naive[1:], [-3e4, -3e6], rtol=1e-6)
    assert (masked > naive).all() and np.isfinite(masked).all() and masked[2] > masked[1] > 0
    law = GaussianMixture.equal(centres, jax.vmap(Diagonal)(jnp.ones((30, 3))))
    for objective in (held_out_implicit, held_out_nll):
        with pytest.raises(ValueError, match=r"30 of 30 points .* unbounded below"):
            objective(lambda: law, centres)
    assert held_out_nll(lambda: law, centres + 0.5).shape == (30,)


def test_leaving_one_out_is_deleting_it():
    """Oracle: the mixture of the other 29 kernels."""
    centres = jnp.asarray(X)
    make = lambda z: GaussianMixture.equal(z, jax.vmap(Diagonal)(0.3 + z * z))  # noqa: E731
    found = jax.jit(lambda c: held_out_nll(lambda: make(c), c, left_out_masks(jnp.arange(30), 30)))
    each = jax.jit(lambda rest, x: -make(rest).log_prob(x))
    wanted = [each(np.delete(X, i, axis=0), X[i]) for i in range(30)]
    np.testing.assert_allclose(found(centres), wanted, rtol=1e-12)


def test_batch_loss_leaves_out_the_row_and_its_copies():
    """A training point that occurs twice must not see either kernel: with bandwidth h the loss of
    the others alone is what NumPy computes in standardised units."""
    data = X.copy()
    data[1] = data[0]
    model = GaussianKernelModel(Euclidean(3), width=8, depth=1, floor=0.0)
    trainer = model.trainer(jax.random.key(0), data)
    start, inner = trainer.fitted, trainer.examples(data)
    loss = eqx.filter_jit(trainer.batch_loss)(inner[:1], jax.random.key(1))
    z = (data - data.mean(axis=0)) / data.std(axis=0)
    h2 = float(start.network.bandwidth) ** 2
    square = ((z[2:] - z[0]) ** 2).sum(axis=1)
    density = np.exp(-square / (2 * h2)).mean() / (2 * np.pi * h2) ** 1.5
    np.testing.assert_allclose(loss, -np.log(density), rtol=1e-10)


@pytest.mark.slow
def test_training_finds_the_sheet(fitted):
    """150 points of a surface in R^6: 60 steps gain more than a nat over round kernels of the
    best bandwidth, on fresh points; the law itself has 1.44."""
    model, history, fresh = fitted
    test = fresh[:1000]
    start = eqx.tree_at(
        lambda m: m.network.layers[-1], model, replace_fn=lambda a: jax.tree.map(jnp.zeros_like, a)
    )
    value = float(-model.log_prob(test).mean())
    assert 1.44 < value < float(-start.log_prob(test).mean()) - 1.0
    assert min(history.val_nll) < history.val_nll[0] - 1.0
    moved = model.with_centres(fresh[1000:])
    np.testing.assert_allclose(-moved.log_prob(test).mean(), value, atol=0.5)


def test_score_is_the_gradient_at_every_noise_level(fitted):
    model, _, fresh = fitted
    x = fresh[:3]
    s = model.noising.schedule.s(jnp.asarray(0.1))

    @eqx.filter_jit
    def direct(model, x):
        law = model.mixture(s)
        return jax.vmap(lambda y: (jax.grad(law.log_prob)(y), law.log_prob(y)))(x)

    grad, value = direct(model, x)
    # model.score is in the user's units too.
    np.testing.assert_allclose(model.score(0.1, x), grad, rtol=1e-8)
    np.testing.assert_allclose(model.log_prob(x, s), value, rtol=1e-10)


@pytest.mark.slow
def test_three_ways_to_sample_agree_in_law(fitted):
    """Exact draws, the reversed SDE and the probability flow: two-sample Kolmogorov–Smirnov on
    three directions (the 0.1 % quantile of the distance is 1.95·sqrt(2/500) = 0.123), and
    standard deviations to 4 standard errors, 4/sqrt(1000) = 13 %."""
    model, _, _ = fitted
    direct, sde, ode = (
        np.asarray(model.sample(jax.random.key(i), 500, method=m, **o))
        for i, (m, o) in enumerate([("direct", {}), ("sde", {"steps": 100}), ("ode", {})])
    )
    for other in (sde, ode):
        np.testing.assert_allclose(other.std(axis=0) / direct.std(axis=0), 1.0, atol=0.13)
        for v in (np.eye(6)[0], np.eye(6)[5], np.array([2.0, 0, -1, 0, 0, 0])):
            assert ks_2samp(direct @ v, other @ v).statistic < 0.123
    # The third coordinate is 2x + 0.1n: all three keep the sheet thin.
    for draws in (direct, sde, ode):
        assert (draws @ np.array([2.0, 0, -1, 0, 0, 0])).std() < 0.6


def test_marginals_and_conditionals_in_the_units_of_the_data(fitted):
    """p(x) = p(x₀, x₁)·p(rest | x₀, x₁), and draws of the conditional law follow 2x₀."""
    model, _, fresh = fitted
    x = fresh[0]

    @eqx.filter_jit
    def split(model, x):
        rest = model.conditional([0, 1], x[:2])
        return rest, model.marginal([0, 1]).log_prob(x[:2]) + rest.log_prob(x[2:])

    rest, joint = split(model, x)
    np.testing.assert_allclose(joint, model.log_prob(fresh[:3])[0], rtol=1e-9)
    drawn = rest.sample(jax.random.key(5), 500)
    np.testing.assert_allclose(drawn[:, 0].mean(), 2 * x[0], atol=0.5)


def test_saved_and_loaded(fitted, tmp_path):
    model, _, fresh = fitted
    save(tmp_path / "m", model)
    x = fresh[:3]
    np.testing.assert_array_equal(load(tmp_path / "m").log_prob(x), model.log_prob(x))


def test_float32_is_kept():
    model = GaussianKernelModel(
        Euclidean(3), form="low-rank", objective="implicit", centres=20, width=8, depth=1
    )
    trainer = model.trainer(jax.random.key(0), X.astype("float32"))
    start = trainer.fitted
    assert start.points.shape == (20, 3)
    loss = eqx.filter_jit(trainer.batch_loss)(jnp.asarray(X, "float32"), jax.random.key(1))
    assert loss.dtype == "float32" and start.log_prob(X.astype("float32")).dtype == "float32"
    double = start.log_prob(X)
    assert double.dtype == "float64"
    np.testing.assert_allclose(start.log_prob(X.astype("float32")), double, rtol=1e-4)


def test_mistakes_are_named():
    for words, options in {
        "floor is a fraction": {"floor": 1.0},
        "centres must be 2 or more": {"centres": 1},
        "rank must lie between": {"form": "low-rank", "rank": 3},
        "0 < s_min < s_max": {"s_min": 30.0},
    }.items():
        with pytest.raises(ValueError, match=words):
            GaussianKernelModel(Euclidean(2), **options)
