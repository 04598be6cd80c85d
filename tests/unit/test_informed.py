"""The kernel-informed score model: starts as its kernels, unseen folds, mass, what it mends."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.edge_models import with_mixture

import scorefold as sf
from scorefold._compile import quick_jit
from scorefold.data import HeatMixture
from scorefold.fields import default_output
from scorefold.kernels import ClusteredMixture, WrappedMixture, plain_law
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.models import FittedInformedModel, FittedKernelModel
from scorefold.models.residual import ResidualField, kernel_errors, noised

CIRCLE, TORUS, SPHERE = sf.Torus(1), sf.Torus(2), sf.Sphere(2)
LAW = HeatMixture(CIRCLE, np.array([[0.0], [0.8], [-2.0]]), 0.03)
SMALL = sf.NetworkSpec(width=32, depth=2, fourier=16, frequency=3.0)


@pytest.fixture(scope="module")
def wide():
    """Kernels of standard deviation 0.5 and more on a law of 0.17, and the informed model."""
    draws = LAW.sample(jax.random.key(0), 900)
    data, val, fresh = draws[:400], draws[400:500], draws[500:]
    trainer = sf.KernelModel(CIRCLE, floor=0.5, counts=(2, 5), width=8, folds=4).trainer(
        jax.random.key(1), np.asarray(data)
    )
    learner, mixture = trainer.learner, quick_jit(CrossFit.mixture)(trainer.learner)
    base = FittedKernelModel(
        trainer.description, learner.covariance, learner.shares, mixture, trainer.units
    )
    model = sf.InformedModel(base, network=SMALL, s_min=2e-3, levels=8)
    fitted, history = sf.fit(
        model, data, val=val, key=jax.random.key(3), steps=400, learning_rate=3e-3, progress=False
    )
    return data, model, fitted, history, val, fresh


def untrained(manifold, mixture, data, **options):
    """The informed model on given kernels, its residual drawn at random."""
    model = sf.InformedModel(with_mixture(mixture), **options)
    residual = ResidualField.start(
        manifold, SMALL, default_output(manifold), data, 1e-3, 0.27, key=jax.random.key(0)
    )
    last = residual.network.layers[-1].weight
    weight = 0.05 * jax.random.normal(jax.random.key(2), last.shape)
    residual = eqx.tree_at(lambda r: r.network.layers[-1].weight, residual, weight)
    return FittedInformedModel(model, residual)


def test_starts_as_the_kernel_model(wide):
    """Oracle: the score and the density of the kernels, WrappedMixture's own."""
    data, model, _, history, val, _ = wide
    start = FittedInformedModel(model, model.trainer(jax.random.key(0), np.asarray(data)).residual)
    mixture = model.base.mixture
    for s in (0.01,):
        want = jax.jit(jax.vmap(lambda x, s=s: mixture.score(x, s)))(val[:5])
        np.testing.assert_allclose(start.score_at(s, val[:5]), want, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(start.log_prob(val), model.base.log_prob(val))
    nll = -float(model.base.log_prob(val).mean())
    assert history.val_nll[0] == pytest.approx(nll, abs=1e-6)


def test_mends_kernels_that_are_too_wide(wide):
    """Against the law's own log density on fresh points: of what the kernels lose, the residual
    must win back half."""
    _, model, fitted, history, _, fresh = wide
    true, kernels, mended = (np.asarray(m.log_prob(fresh)) for m in (LAW, model.base, fitted))
    lost, left = float((true - kernels).mean()), float((true - mended).mean())
    assert lost > 0.3
    assert -0.02 < left < 0.5 * lost
    assert history.val_nll.min() < history.val_nll[0] - 0.5 * lost + 0.1


def test_mass_on_the_circle(wide):
    """The trapezoidal rule; on the circle the kernels follow the heat flow, so that 1 is missed by
    the midpoint rule alone."""
    fitted = wide[2]
    grid = -math.pi + 2 * math.pi * np.arange(256)[:, None] / 256
    density, kernels = (np.exp(np.asarray(m.log_prob(grid))) for m in (fitted, fitted.base))
    assert np.abs(density / kernels - 1).max() > 0.5
    assert float(density.mean() * 2 * math.pi) == pytest.approx(1.0, abs=5e-3)


@pytest.mark.slow
def test_draws_follow_the_density(wide):
    """Oracle: quadrature of the density over a third of a radian about each mode, to 3.5 standard
    errors of a share of 3000 draws (0.008 each); the kernels alone are 5 to 11 of them away."""
    _, model, fitted, *_ = wide
    grid = -math.pi + 2 * math.pi * (np.arange(512) + 0.5) / 512
    near = lambda a, c: np.abs((a - c + np.pi) % (2 * np.pi) - np.pi) < 1 / 3  # noqa: E731
    mass, kernels = (
        np.exp(np.asarray(m.log_prob(grid[:, None]))) * 2 * math.pi / 512
        for m in (fitted, model.base)
    )
    draws = np.asarray(fitted.sample(jax.random.key(9), 3000))[:, 0]
    for mode in (0.0, 0.8, -2.0):
        want = mass[near(grid, mode)].sum()
        error = math.sqrt(want * (1 - want) / 3000)
        assert abs(near(draws, mode).mean() - want) < 3.5 * error
        assert abs(kernels[near(grid, mode)].sum() - want) > 4 * error


def test_mass_on_the_sphere():
    """Gauss–Legendre in z, the trapezoidal rule in longitude, for a residual drawn at random."""
    z = np.random.default_rng(0).normal(size=(12, 3))
    z = jnp.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))
    covariance = jnp.tile(jnp.diag(jnp.asarray([0.03, 0.06]))[None], (12, 1, 1))
    mixture = WrappedMixture.from_covariances(
        SPHERE, z, covariance, jnp.full(12, -math.log(12)), plain_law(SPHERE, z), jnp.asarray(-3.0)
    )
    model = untrained(SPHERE, mixture, z, steps_of_flow=16)
    height, w = np.polynomial.legendre.leggauss(16)
    angle = 2 * math.pi * np.arange(32) / 32
    r = np.sqrt(1 - height**2)[:, None]
    high = np.broadcast_to(height[:, None], (16, 32))
    grid = np.stack([r * np.cos(angle), r * np.sin(angle), high], -1).reshape(-1, 3)
    density, kernels = (np.exp(np.asarray(m.log_prob(grid))) for m in (model, model.base))
    weight = np.repeat(w, 32) * 2 * math.pi / 32
    assert np.abs(density / kernels - 1).max() > 0.05
    assert weight @ kernels == pytest.approx(1.0, abs=2e-3)
    assert weight @ density == pytest.approx(weight @ kernels, abs=3e-3)


def test_saved_and_loaded(wide, tmp_path):
    fitted, val = wide[2], wide[4]
    sf.save(tmp_path / "model.safetensors", fitted)
    again = sf.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.log_prob(val[:8]), fitted.log_prob(val[:8]))
    assert again.description.levels == 8


def test_other_points_are_refused(wide):
    data, model = wide[:2]
    with pytest.raises(ValueError, match="data: the kernels stand on other points"):
        model.trainer(jax.random.key(0), np.asarray(data)[:-1])
    with pytest.raises(ValueError, match="levels: an even number"):
        sf.InformedModel(model.base, levels=3)


def test_a_noised_point_meets_no_kernel_of_its_fold():
    """Moving the other points of its fold leaves the kernels' scores at a noised point as they
    are, to the last digits; moving a point of another fold does not."""
    x = np.random.default_rng(0).normal(0.0, 0.5, (60, 2))
    start = lambda data: CrossFit.start(  # noqa: E731
        TORUS, jnp.asarray(data), (2, 5), floor=0.05, folds=4, grouped=False, width=8, depth=1,
        key=jax.random.key(0),
    )  # fmt: skip
    one = start(x)
    fold = np.asarray(one.fold)
    i, j = np.flatnonzero(fold == 2)[:2]
    s, y, score = noised(TORUS, jnp.asarray(x[i : i + 1]), jax.random.key(1), 4, 1e-3, 0.2)
    want = kernel_errors(one, s, y, score, np.array([2]))
    for k, equal in ((j, True), (np.flatnonzero(fold == 1)[0], False)):
        moved = x.copy()
        moved[k] += 0.3
        got = kernel_errors(start(moved), s, y, score, np.array([2]))
        assert np.allclose(got, want, rtol=1e-9, atol=1e-9) is equal


def test_groups_keep_mean_and_covariance():
    """Flat space: the groups' weights, means and covariances are those of the mixture (law of
    total covariance), and the score of the grouped kernels is close to that of all."""
    rng = np.random.default_rng(0)
    flat, n = sf.Euclidean(2), 900
    z = jnp.asarray(rng.normal(size=(n, 2)) * np.array([2.0, 1.0]))
    root = rng.normal(size=(n, 2, 2)) * np.exp(rng.normal(-2.0, 0.5, (n, 1, 1)))
    covariance = jnp.asarray(root @ np.swapaxes(root, 1, 2) + 1e-3 * np.eye(2))
    log_w = jax.nn.log_softmax(jnp.asarray(rng.normal(size=n)))
    mixture = WrappedMixture.from_covariances(
        flat, z, covariance, log_w, plain_law(flat, z), jnp.asarray(-20.0)
    )
    groups = ClusteredMixture.of(mixture).groups
    moments = []
    for c, axes, v, lw in (
        (groups.centres, groups.axes, groups.variances, groups.log_weights),
        (z, mixture.axes, mixture.variances, log_w),
    ):
        w = np.exp(np.asarray(lw))
        mean = w @ np.asarray(c)
        gap = np.asarray(c) - mean
        each = np.einsum("nki,nk,nkj->nij", axes, v, axes) + gap[:, :, None] * gap[:, None]
        moments.append((w.sum(), mean, np.tensordot(w, each, axes=1)))
    for got, want in zip(*moments, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    x, s = jnp.asarray(rng.normal(size=(64, 2))), jnp.asarray(0.03)
    clustered = ClusteredMixture.of(mixture)
    pair = jax.jit(jax.vmap(lambda x: (clustered.score(x, s), mixture.score(x, s))))(x)
    assert float(s * jnp.mean((pair[0] - pair[1]) ** 2)) < 1e-3
