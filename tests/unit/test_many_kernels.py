"""Kernels of which not all are looked at in a step of training: what stands for them, and fits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold._compile import quick_jit
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.kernels.local.levels import seen_by
from scorefold.kernels.local.many import ManyCrossFit
from scorefold.manifolds import count_within, pairwise

SPHERE = sf.Sphere(2)
LAW = sf.data.HeatMixture(SPHERE, SPHERE.from_latlon([10.0, -40.0], [20.0, 60.0]), [0.05, 0.2])
COUNTS = (2, 3, 5, 8)


@pytest.fixture(scope="module")
def points():
    return LAW.sample(jax.random.key(0), 2600)


@pytest.fixture(scope="module")
def both(points):
    """The same kernels twice: all of them in every step, and some that stand for all."""
    make = lambda kind: kind.start(  # noqa: E731
        SPHERE, points[:2500], COUNTS, floor=1e-3, folds=4, grouped=True, width=8, depth=1,
        key=jax.random.key(1), family=sf.KernelModel(SPHERE).family,
    )  # fmt: skip
    every, some = make(CrossFit), make(ManyCrossFit)
    # Wide kernels, under which far ones count.
    wide = eqx.tree_at(lambda c: c.shares, some.covariance, some.covariance.shares + 3.0)
    return tuple(eqx.tree_at(lambda k: k.covariance, k, wide) for k in (every, some))


@pytest.mark.parametrize(
    "manifold", [sf.Euclidean(2), SPHERE, sf.Torus(2), sf.SO3(), sf.Hyperbolic(2)], ids=repr
)
def test_counts_within_a_distance(manifold):
    """Oracle: all distances."""
    o = manifold.origin(jnp.float64)
    v = jax.random.normal(jax.random.key(0), (300, manifold.dim))
    x = jax.vmap(lambda a: manifold.exp(o, manifold.from_components(o, a)))(v)
    radius = np.linspace(-0.5, 3.0, 40)
    want = (pairwise(manifold, x[:40], x) <= radius[:, None]).sum(1)
    np.testing.assert_array_equal(count_within(manifold, x, x[:40], radius), want)


def test_kernels_that_are_seen_stand_for_all(points):
    """Oracle: all distances. Near and far kernels together are those that count; those seen stand
    for all within the radius where no fold is left out, and in the mean (of 100 points, 5 standard
    errors) for those of other folds where one is."""
    fold = np.arange(2500) % 4
    seen = seen_by(SPHERE, points[:2500], fold, points[2500:], np.full(100, 1))
    stands = np.exp(seen.log_counts)
    assert (fold[seen.kernels[stands > 0]] != 1).all()
    distance = pairwise(SPHERE, points[2500:], points[:2500])
    inside = distance <= seen.radius[:, None]
    error = stands.sum(1) / (inside & (fold != 1)).sum(1) - 1
    assert abs(error.mean()) < 5 * error.std() / 10
    every = seen_by(SPHERE, points[:2500], fold, points[2500:], np.full(100, 4))
    inside = distance <= every.radius[:, None]
    np.testing.assert_allclose(np.exp(every.log_counts).sum(1), inside.sum(1), rtol=1e-9)
    np.testing.assert_allclose(stands.sum(1) + seen.far, 1875.0, rtol=1e-9)
    near = np.sort(np.where(fold != 1, distance, np.inf), axis=1)
    sure = (stands[:, :40] > 0).sum(1)
    first = np.take_along_axis(distance, seen.kernels[:, :40], 1)
    for i in range(100):
        found = np.sort(first[i][stands[i, :40] > 0])
        np.testing.assert_allclose(found, near[i, : sure[i]], atol=1e-9)


def test_copies_stand_for_themselves(points):
    """1,000 of 3,500 kernels are one point. Seen from there, they count 1,000 times where no fold
    is left out, and not at all where they are the fold."""
    x = jnp.concatenate([points[:2500], jnp.broadcast_to(points[:1], (1000, 3))])
    fold = np.concatenate([1 + np.arange(2500) % 3, np.zeros(1000, int)])
    fold[0] = 0
    seen = seen_by(SPHERE, x, fold, jnp.stack([x[0], x[0]]), np.array([4, 0]))
    stands = np.exp(seen.log_counts)
    copies = fold[seen.kernels] == 0
    np.testing.assert_allclose((stands * copies).sum(1), [1001.0, 0.0])
    np.testing.assert_allclose(stands.sum(1) + seen.far, [3500.0, 2499.0], rtol=1e-9)


def test_seeds_side_by_side(points, monkeypatch):
    """Oracle: each seed by itself."""
    monkeypatch.setattr("scorefold.models.kernel._MANY", 500)
    model, keys = sf.KernelModel(SPHERE, width=4, depth=1), jax.random.split(jax.random.key(3), 2)
    both = sf.fit_seeds(model, points[:1003], keys=keys, steps=8, progress=False)
    alone, _ = sf.fit(model, points[:1003], key=keys[1], steps=8, progress=False)
    x = points[2500:]
    np.testing.assert_allclose(both[1][0].log_prob(x), alone.log_prob(x), rtol=1e-4, atol=1e-4)


def test_the_density_from_some_kernels_is_that_of_all(both, points):
    """Oracle: the sum over all kernels, of equal weight. The mean of p̂/p over 100 points and 20
    draws of the far kernels is 1 within 4 of its standard errors, which are below 1 %."""
    _, some = both
    x, fold = points[2500:], jnp.int32(some.folds)
    want = quick_jit(lambda m, x: jax.vmap(m.log_prob)(x))(some.whole_mixture(), x)
    seen = some.queries(x, held_out=True, candidates=0)
    judge = quick_jit(lambda k, q, key: k.log_prob(q, fold, key))
    found = np.stack([judge(some, seen, jax.random.key(i)) for i in range(20)])
    ratio = np.exp(found - np.asarray(want)[None]).mean(0)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.01
    assert abs(ratio.mean() - 1) < 4 * error


@pytest.mark.parametrize(
    "m", [sf.Torus(2), sf.SO3(), sf.Hyperbolic(2), sf.Product(SPHERE, sf.Euclidean(1))], ids=repr
)
def test_what_stands_for_all_on_other_spaces(m):
    """Oracle: ``CrossFit``. 1300 points and 130 copies of some of them: the kernels are the same,
    and the mean of p̂/p at points of a fold, by the kernels without it, is 1 within 4 of its
    standard errors, which are below 2 %: copies share a fold, and do not judge one another."""
    v = jnp.asarray(0.5 * np.random.default_rng(2).normal(size=(1300, m.dim)), jnp.float32)
    o = m.origin(jnp.float32)
    x = quick_jit(jax.vmap(lambda v: m.exp(o, m.from_components(o, v))), level=0)(v)
    x = jnp.concatenate([x, x[:130]])
    make = lambda kind: kind.start(  # noqa: E731
        m, x, (2, 5), floor=1e-3, folds=4, grouped=True, width=4, depth=1,
        key=jax.random.key(1), family=sf.KernelModel(m).family,
    )  # fmt: skip
    every, some = make(CrossFit), make(ManyCrossFit)
    np.testing.assert_array_equal(every.fold_of_point, some.fold_of_point)
    wide = eqx.tree_at(lambda c: c.shares, some.covariance, some.covariance.shares + 3.0)
    every, some = (eqx.tree_at(lambda k: k.covariance, k, wide) for k in (every, some))
    ours, theirs = some.whole_mixture(), every.whole_mixture()
    np.testing.assert_allclose(ours.centres, theirs.centres, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.variances, theirs.variances, rtol=1e-3)

    fold = np.asarray(some.fold_of_point)
    rows = np.flatnonzero(fold == 0)[:: max(1, (fold == 0).sum() // 100)]
    without = quick_jit(CrossFit.mixture)(every, jnp.int32(0))
    want = quick_jit(lambda mixture, x: jax.vmap(mixture.log_prob)(x))(without, x[rows])
    seen = some.left_out(x, rows)
    judge = quick_jit(lambda k, q, key: k.log_prob(q, jnp.int32(0), key))
    found = np.stack([judge(some, seen, jax.random.key(i)) for i in range(10)])
    ratio = np.exp(found - np.asarray(want)[None]).mean(0)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.02
    assert abs(ratio.mean() - 1) < 4 * error


def test_neighbourhoods_without_a_fold_are_those_of_all_kernels(both):
    """Oracle: ``CrossFit``, whose neighbourhoods are computed for all kernels."""
    every, some = both
    np.testing.assert_array_equal(every.fold_of_point, some.fold_of_point)
    seen = some.left_out(some.data, np.arange(0, 2500, 50))
    fold = np.asarray(some.fold_of_point)
    kernels = seen_by(SPHERE, some.centres, fold, some.data[::50], fold[::50]).kernels
    for ours, theirs in zip(seen.around, jax.tree.leaves(every.statistics), strict=True):
        want = np.asarray(theirs)[fold[::50, None], kernels]
        np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-5)


def test_the_mixture_is_that_of_all_kernels(both):
    """Oracle: ``CrossFit``, whose kernels have equal weights before training."""
    every, some = both
    ours, theirs = some.whole_mixture(), every.whole_mixture()
    for name in ("centres", "variances", "log_weights"):
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_fit_of_many_kernels(points, monkeypatch):
    """2,000 points of two heat kernels, with kernels at all and at half of them: within 0.06 nats
    of the law on 600 held-out points, and validation is the density of the model."""
    monkeypatch.setattr("scorefold.models.kernel._MANY", 500)
    x, val = points[:2000], points[2000:]
    for landmarks in (None, 1000):
        model = sf.KernelModel(SPHERE, width=8, depth=1, landmarks=landmarks)
        fitted, history = sf.fit(model, x, val=val, key=jax.random.key(1), steps=60, progress=False)
        gap = float(jnp.mean(LAW.log_prob(val) - fitted.log_prob(val)))
        assert -0.02 < gap < 0.06
        assert abs(history.val_nll[-1] + float(jnp.mean(fitted.log_prob(val)))) < 0.1
        each = len(fitted.covariance.tail) + 1 + (fitted.shares.bandwidth is not None)
        assert len(fitted.mixture.centres) == each * (landmarks or 2000)
