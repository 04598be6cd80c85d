"""Bridges through many snapshots against exact joint laws and multi-marginal Sinkhorn."""

import itertools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    GaussianBridge,
    GaussianPotential,
    LightBridge,
    MultiMarginalBridge,
    brownian_reference,
    chain_bridge,
    fit_intervals,
    interpolate_snapshots,
    snapshot_rate,
)
from scorefold.fitting import History
from scorefold.manifolds import Euclidean, Sphere
from scorefold.metrics import leave_one_out, transport_distance

TIMES, RATE = (1.0, 2.0, 4.0), 0.6
MEANS = np.array([[0.0, 0.0], [1.0, -1.0], [0.5, 2.0]])
COVS = np.array([[[0.5, 0.1], [0.1, 0.3]], [[0.8, -0.2], [-0.2, 0.4]], [[0.3, 0.0], [0.0, 0.9]]])


def joint_covariance(times, covs, rate):
    """Of the knots, by iterative proportional fitting of one normal law with three marginals: the
    precision is that of Brownian motion (flat at the start) plus a block for each snapshot."""
    d, k = covs.shape[1], len(covs)
    walk = np.zeros((k, k))
    for j, gap in enumerate(np.diff(times)):
        walk[j : j + 2, j : j + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / (rate * gap)
    precision = np.kron(walk, np.eye(d)) + 0.5 * np.eye(k * d)
    for _ in range(400):
        for j in range(k):
            at = slice(j * d, (j + 1) * d)
            now = np.linalg.inv(precision)[at, at]
            precision[at, at] += np.linalg.inv(covs[j]) - np.linalg.inv(now)
    return np.linalg.inv(precision)


@pytest.fixture(scope="module")
def gaussian():
    bridges = [
        GaussianBridge(
            brownian_reference(Euclidean(2), RATE * (TIMES[k + 1] - TIMES[k])),
            MEANS[k], COVS[k], MEANS[k + 1], COVS[k + 1],
        )
        for k in range(2)
    ]  # fmt: skip
    starts = [bridge.start.sample(jax.random.key(k), 500) for k, bridge in enumerate(bridges)]
    return MultiMarginalBridge(TIMES, bridges, starts)


def test_gluing_is_the_bridge_of_normal_snapshots(gaussian):
    """Exact: the three-marginal law by iterative fitting of the whole covariance; glued, the first
    and the last snapshot have covariance C₀₁ S₁⁻¹ C₁₂. The law on the way is the reference pinned
    at two knots, and the drift at its mean is the velocity of the mean."""
    exact = joint_covariance(TIMES, COVS, RATE)
    pairs = [bridge.coupling().cov[:2, 2:] for bridge in gaussian.bridges]
    np.testing.assert_allclose(exact[:2, 2:4], pairs[0], atol=1e-9)
    np.testing.assert_allclose(exact[2:4, 4:], pairs[1], atol=1e-9)
    np.testing.assert_allclose(
        exact[:2, 4:], pairs[0] @ np.linalg.inv(COVS[1]) @ pairs[1], atol=1e-9
    )
    part, t = 0.3, 2.6
    ways = np.kron(np.array([[0.0, 1.0 - part, part]]), np.eye(2))
    cov = ways @ exact @ ways.T + RATE * 2.0 * part * (1 - part) * np.eye(2)
    mean = (1 - part) * MEANS[1] + part * MEANS[2]
    x = np.array([[0.4, -0.3], [1.0, 1.0]])
    gap = x - mean
    quad = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(cov), gap)
    log_p = -0.5 * quad - np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(cov)[1]
    np.testing.assert_allclose(gaussian.log_prob(t, x), log_p, atol=1e-8)
    velocity = (MEANS[2] - MEANS[1]) / 2.0
    np.testing.assert_allclose(gaussian.drift(t, mean), velocity, atol=1e-8)
    np.testing.assert_allclose(gaussian.drift(2.0, MEANS[1]), velocity, atol=1e-8)
    np.testing.assert_allclose(gaussian.drift(1.0, MEANS[0]), MEANS[1] - MEANS[0], atol=1e-8)


@pytest.mark.parametrize("start", [1.0, 2.0, 4.0])
def test_paths_have_the_joint_law_from_any_snapshot(gaussian, start):
    """Walks in both directions from 3,000 draws of one snapshot: the covariance of the three knots
    is the exact one; entries have a sampling error of at most 0.9·√(2/3000) = 0.023, walks of 60
    steps a bias of the same size. Times come in the order asked for."""
    exact = joint_covariance(TIMES, COVS, RATE)
    k = TIMES.index(start)
    law = np.random.default_rng(0).multivariate_normal(MEANS[k], COVS[k], 3000)
    at = (4.0, 1.0, 2.0)
    paths = gaussian.sample_paths(jax.random.key(1), law, at, start=start)
    assert paths.shape == (3000, 3, 2)
    np.testing.assert_array_equal(paths[:, at.index(start)], law)
    order = np.asarray(paths)[:, [1, 2, 0]].reshape(3000, 6)
    np.testing.assert_allclose(order.mean(0), MEANS.reshape(6), atol=0.08)
    np.testing.assert_allclose(np.cov(order.T), exact, atol=0.09)


def test_the_law_at_a_time_on_the_way(gaussian):
    """sample_at at t = 2.6 against the exact mean and covariance; at t_0 it gives points of the
    snapshot, each once before any twice."""
    exact = joint_covariance(TIMES, COVS, RATE)
    ways = np.kron(np.array([[0.0, 0.7, 0.3]]), np.eye(2))
    drawn = np.asarray(gaussian.sample_at(jax.random.key(0), 2.6, 3000))
    np.testing.assert_allclose(drawn.mean(0), 0.7 * MEANS[1] + 0.3 * MEANS[2], atol=0.1)
    cov = ways @ exact @ ways.T + RATE * 0.42 * np.eye(2)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.09)
    first = np.asarray(gaussian.sample_at(jax.random.key(0), 1.0, 500))
    np.testing.assert_array_equal(np.sort(first[:, 0]), np.sort(gaussian.starts[0][:, 0]))


def test_gluing_is_multi_marginal_sinkhorn_on_a_grid():
    """Three marginals on 9 states: the tensor P_ijk by iterative fitting of all three, against the
    product of the two pair bridges over the middle marginal."""
    rng = np.random.default_rng(0)
    laws = rng.dirichlet(np.ones(9), 3)
    apart = (np.arange(9)[:, None] - np.arange(9)[None, :]) ** 2
    kernels = [np.exp(-apart / width) for width in (4.0, 7.0)]
    tensor = kernels[0][:, :, None] * kernels[1][None, :, :]
    for _ in range(500):
        for axis in range(3):
            others = tuple(j for j in range(3) if j != axis)
            ratio = laws[axis] / tensor.sum(axis=others)
            tensor = tensor * np.expand_dims(ratio, others)
    pairs = [
        np.exp(chain_bridge(np.log(kernel)[None], *laws[k : k + 2], tolerance=1e-13).log_coupling)
        for k, kernel in enumerate(kernels)
    ]
    glued = pairs[0][:, :, None] * pairs[1][None, :, :] / laws[1][None, :, None]
    np.testing.assert_allclose(glued, tensor, atol=1e-10)


def light(reference):
    return LightBridge(reference, potential=GaussianPotential(3), blur=0.05)


def test_fitted_to_normal_snapshots():
    """Light bridges through N(0, 1), N(2, 0.25), N(0, 1) on a line at times 0, 1, 2, rate 0.5:
    mean and variance of the law at 0.5, 1.5 and at the ends, and of paths walked back from the
    end, against the exact ones; samples of 1,500 points know a mean to 0.03, a variance to 4 %."""
    rng = np.random.default_rng(0)
    laws = [(0.0, 1.0), (2.0, 0.25), (0.0, 1.0)]
    points = [m + np.sqrt(v) * rng.normal(size=(1500, 1)) for m, v in laws]
    fitted, histories = fit_intervals(
        Euclidean(1), (0, 1, 2), points, key=jax.random.key(0), rate=0.5, bridge=light,
        steps=150, progress=False,
    )  # fmt: skip
    assert len(histories) == 2 and fitted.mass == (1500, 1500, 1500)
    exact = joint_covariance((0, 1, 2), np.array([[[v]] for _, v in laws]), 0.5)
    middle = 0.25 * (exact[0, 0] + exact[1, 1] + 2 * exact[0, 1]) + 0.5 * 0.25
    for t, mean, variance in ((0.5, 1.0, middle), (1.5, 1.0, middle), (2.0, 0.0, 1.0)):
        drawn = np.asarray(fitted.sample_at(jax.random.key(1), t, 1500))
        assert abs(drawn.mean() - mean) < 0.1 and abs(drawn.var() / variance - 1) < 0.15
    back = fitted.sample_paths(jax.random.key(2), points[2], (0.0, 0.5, 1.0), start=2.0)
    moved = np.concatenate([np.asarray(back)[:, ::2, 0], points[2]], axis=1)
    np.testing.assert_allclose(np.cov(moved.T), exact, atol=0.13)
    # log p integrates to 1, and has the same mean as the draws.
    line = np.linspace(-6, 8, 1401)[:, None]
    density = np.exp(np.asarray(fitted.log_prob(0.5, line)))
    assert abs(density.sum() * 0.01 - 1) < 1e-3
    assert abs((density * line[:, 0]).sum() * 0.01 - 1.0) < 0.1


@pytest.fixture
def by_moments_with_val(monkeypatch):
    """``fit_intervals`` with the bridge of the moments, and the held-out points it would get."""
    given = []

    def fit_bridge(bridge, a, b, *, key, val, **settings):
        given.append(val)
        laws = [(np.mean(x, axis=0), np.atleast_2d(np.cov(np.asarray(x, float).T))) for x in (a, b)]
        two = np.arange(2.0)
        history = History(two, two, two, two, 1, 1, "steps", 0.0, 0.0, 0.0, (0,))
        return GaussianBridge(bridge.reference, *laws[0], *laws[1]), history

    monkeypatch.setattr(
        sys.modules["scorefold.bridges.snapshots.fit_intervals"], "fit_bridge", fit_bridge
    )

    def fit(points, val):
        given.clear()
        found, _ = fit_intervals(Euclidean(1), (0, 1, 2), points, key=jax.random.key(0), val=val,
                                 rate=1.0)  # fmt: skip
        return found, list(given)

    return fit


@pytest.fixture
def by_moments(monkeypatch):
    """``fit_intervals`` with the exact bridge of normal laws that have the moments of the ends."""

    def fit_bridge(bridge, a, b, *, key, val, **settings):
        laws = [(np.mean(x, axis=0), np.cov(np.asarray(x).T).reshape(1, 1)) for x in (a, b)]
        none = np.zeros(0)
        history = History(none, none, none, none, 1, 1, "steps", 0.0, 0.0, 0.0, (0,))
        return GaussianBridge(bridge.reference, *laws[0], *laws[1]), history

    # The package has the function under the name of its module.
    module = sys.modules["scorefold.bridges.snapshots.fit_intervals"]
    monkeypatch.setattr(module, "fit_bridge", fit_bridge)
    return lambda points, **more: fit_intervals(
        Euclidean(1), range(len(points)), points, key=jax.random.key(0), rate=0.05, **more
    )[0]


def test_survivors_and_weights(by_moments):
    """Members at −5 are lost after the first snapshot. Between survivors the mean does not move
    from that of the survivors; all that are seen have mean 0, and are half way at 0.5. Weight 0
    has the effect of being lost, others repeat rows in proportion. The mass is kept."""
    rng = np.random.default_rng(0)
    near = 0.1 * rng.normal(size=(40, 1))
    points = [near + np.repeat([[-5.0], [5.0]], 20, axis=0), near[20:] + 5.0]
    ids = [np.arange(40), np.arange(20, 40)]
    kept = by_moments(points, ids=ids, survivors=True)
    assert kept.mass == (40, 20)
    np.testing.assert_array_equal(kept.starts[0], points[0][20:])
    np.testing.assert_allclose(kept.bridges[0].law(0.5).mean, points[1].mean(), atol=1e-6)
    everyone = by_moments(points)
    middle = 0.5 * (points[0].mean() + points[1].mean())
    np.testing.assert_allclose(everyone.bridges[0].law(0.5).mean, middle, atol=1e-6)
    weights = [np.repeat([0.0, 3.0], 20), None]
    np.testing.assert_array_equal(by_moments(points, weights=weights).starts[0], points[0][20:])
    doubled = by_moments(points, weights=[np.repeat([1.0, 3.0], 20), None]).starts[0]
    assert np.sum(np.asarray(doubled) > 0) == 30 and len(doubled) == 40


def test_the_default_rate_is_that_of_optimal_transport():
    """Points moved by 3 and by 4 (3² + 4² = 25) in two intervals of 2.5 on a line: a quarter of
    25/5."""
    x = np.linspace(0, 1, 40)[:, None]
    assert snapshot_rate(Euclidean(1), (0, 2.5, 5), [x, x + 3, x - 1]) == 1.2  # 1.25 to two digits


def test_interpolations():
    """On a line the optimal pairs are those of equal rank; on the sphere the middle of a pair is
    the midpoint of the arc; pinned Brownian motion of rate 0.5 between 0 and 1 is N(0.3, 0.5·0.21)
    at 0.3 (4,000 draws: ±0.015 and ±7 %); entropic pairs of a small rate are the optimal ones."""
    rng = np.random.default_rng(0)
    key, line = jax.random.key(0), Euclidean(1)
    x, y = rng.normal(size=(50, 1)), rng.normal(size=(50, 1)) + 2
    middle = interpolate_snapshots(line, (0, 2), [x, y], key=key).sample_at(key, 1.0, 50)
    ranks = 0.5 * (np.sort(x, axis=0) + np.sort(y, axis=0))
    np.testing.assert_allclose(np.sort(np.asarray(middle), axis=0), ranks, atol=1e-12)
    a, b = np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]])
    arc = interpolate_snapshots(Sphere(2), (0, 1), [a, b], key=key, pairing="random")
    np.testing.assert_allclose(arc.sample_at(key, 0.5, 1), (a + b) / np.sqrt(2), atol=1e-12)
    one = [np.zeros((1, 1)), np.ones((1, 1))]
    pinned = interpolate_snapshots(line, (0, 1), one, key=key, pairing="random", rate=0.5)
    drawn = np.asarray(pinned.sample_at(key, 0.3, 4000))
    assert abs(drawn.mean() - 0.3) < 0.015 and abs(drawn.var() / 0.105 - 1) < 0.07
    close = interpolate_snapshots(
        line, (0, 1), [x[:5], 0.01 * x[:5] + x[:5]], key=key, pairing="entropic", rate=1e-4
    )
    np.testing.assert_allclose(close.pairs[0][1], 1.01 * close.pairs[0][0], atol=1e-12)


def snapshots(times, points):
    keep = lambda values, k: [v for j, v in enumerate(values) if j != k]  # noqa: E731
    return types.SimpleNamespace(
        manifold=Euclidean(1), times=tuple(times), points=points,
        without=lambda k: snapshots(keep(times, k), keep(points, k)),
    )  # fmt: skip


def test_one_snapshot_left_out():
    """A method that knows the test points and shifts them by 0.2: W₁ = W₂ = 0.2 exactly, whatever
    the number of draws. The floor is W₂ of the training points, by its definition, and the energy
    distance is computed by its definition."""
    rng = np.random.default_rng(0)
    train = snapshots((0, 1, 2), [rng.normal(size=(30, 1)) for _ in range(3)])
    test = snapshots((0, 1, 2), [rng.normal(size=(10, 1)) for _ in range(3)])
    asked = []

    def fit(rest):
        asked.append(rest.times)
        held = test.points[1]
        return types.SimpleNamespace(sample_at=lambda key, t, n: np.tile(held + 0.2, (n // 10, 1)))

    (found,) = leave_one_out(train, test, fit, key=jax.random.key(0))
    assert asked == [(0, 2)] and (found.n, found.m, found.snapshot, found.time) == (30, 10, 1, 1.0)
    assert found.w1 == pytest.approx(0.2) and found.w2 == pytest.approx(0.2)
    floor = transport_distance(Euclidean(1), train.points[1], np.tile(test.points[1], (3, 1)), 2)
    assert found.floor_w2 == pytest.approx(floor)
    x, y = train.points[1], test.points[1]
    apart = lambda p, q: np.abs(p - q.T).sum()  # noqa: E731
    energy = 2 * apart(x, y) / 300 - apart(x, x) / 870 - apart(y, y) / 90
    assert found.floor_energy == pytest.approx(energy)
    with pytest.raises(ValueError, match="2 is not an inner snapshot"):
        leave_one_out(train, test, fit, key=jax.random.key(0), which=[2])


def test_errors(gaussian):
    key, x = jax.random.key(0), np.zeros((3, 2))
    for t in (0.9, 4.1, float("nan")):
        for call in (lambda t: gaussian.drift(t, x), lambda t: gaussian.sample_at(key, t, 2),
                     lambda t: gaussian.log_prob(t, x),
                     lambda t: gaussian.sample_paths(key, x, [t])):  # fmt: skip
            with pytest.raises(ValueError, match="outside the snapshots, 1 to 4"):
                call(t)
    with pytest.raises(ValueError, match="not a snapshot time: choose one of 1, 2, 4"):
        gaussian.sample_paths(key, x, [4.0], start=3.0)
    with pytest.raises(ValueError, match="3 times need 2 of each"):
        MultiMarginalBridge(TIMES, gaussian.bridges[:1], gaussian.starts)
    points = [jnp.zeros((4, 1)) + j for j in range(2)]
    for more, message in (
        ({"rate": -1.0}, "rate must be a positive"),
        ({"survivors": True}, "needs the labels"),
        ({"ids": [np.arange(4), np.arange(4, 8)], "survivors": True}, "fewer than 2 members"),
        ({"weights": [np.zeros(4), None]}, r"weights\[0\]"),
        ({"val": points[:1]}, "val: 2 times need as many"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_intervals(Euclidean(1), (0, 1), points, key=key, **{"rate": 1.0, **more})
    with pytest.raises(ValueError, match="increase"):
        fit_intervals(Euclidean(1), (1, 0), points, key=key)


def test_paths_do_not_jump(gaussian):
    """States one part in 4,000 of the gap before and after a snapshot differ by what the reference
    does in that time: √(0.6·3·2.5e-4·d) and no more than five times that."""
    paths = np.asarray(
        gaussian.sample_paths(jax.random.key(0), gaussian.starts[0][:200], (1.99975, 2.0, 2.0005))
    )
    for now, later in itertools.pairwise(range(3)):
        step = np.linalg.norm(paths[:, later] - paths[:, now], axis=1)
        assert step.max() < 5 * np.sqrt(0.6 * 5e-4 * 2)


def test_small_snapshots_and_inputs_of_all_kinds(by_moments_with_val):
    """30, 12 and 25 rows as whole numbers, lists and an array: fitted, and the intervals beside the
    snapshot with one held-out row are trained without, which is said."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 1)) * 10 + n for n in (30, 12, 25)]
    points = [rows[0].round().astype(int), rows[1].tolist(), rows[2]]
    val = [rows[0][:3], rows[1][:1], rows[2][:2]]
    with pytest.warns(ScorefoldWarning, match="too few to choose parameters by"):
        _, given = by_moments_with_val(points, val)
    assert given == [None, None]
    _, given = by_moments_with_val(points, [rows[0][:3], rows[1][:2], rows[2][:2]])
    assert [len(v[0]) for v in given] == [3, 2]
