"""Bridges along a current: the linearised process against closed forms, and currents learned."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.affine import affine, affine_moments, affine_pinned
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    GivenDrift,
    brownian_reference,
    drift_parts,
    fit_current,
    no_drift,
    potential_drift,
    transport,
)
from scorefold.bridges.currents.drift import Drift, untrained_drift
from scorefold.bridges.currents.linearised import drifted, size_of, stream
from scorefold.fitting import load, save
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus


def turning(axis):
    """Rotation of the sphere about an axis."""
    return GivenDrift(Sphere(2), lambda x, t: jnp.cross(jnp.asarray(axis, x.dtype), x))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 2e-5)])
def test_affine_drift_has_its_closed_form(dtype, tolerance):
    """Path, J and Σ; 24 Runge–Kutta steps of 1/16 leave 1e-7."""
    x = np.array([0.8, 0.1])
    found = stream(affine(), jnp.asarray(x, dtype), jnp.linspace(0.0, 1.5, 25, dtype=dtype))
    mean, cov, move = affine_moments(1.5, x)
    assert found.points.dtype == dtype
    np.testing.assert_allclose(found.points[-1], mean, atol=tolerance)
    np.testing.assert_allclose(found.moved[-1], move, atol=tolerance)
    np.testing.assert_allclose(found.spread[-1], cov, atol=tolerance)


def test_pinned_affine_process_has_its_closed_form():
    """Both snapshots are one point, twice; the law in between is normal with known moments. Mean
    within 4 standard errors of 2·10⁴ draws, covariance within 4 of its own."""
    x, y, rate, t, end = np.array([0.8, 0.1]), np.array([0.2, 1.0]), 0.09, 0.5, 1.2
    m = Euclidean(2)
    current, _ = fit_current(
        m, [0.0, end], [np.stack([x, x]), np.stack([y, y])], key=jax.random.key(0),
        drift=affine(), rate=rate,
    )  # fmt: skip
    n = 20_000
    drawn = np.asarray(current.sample_at(jax.random.key(1), t, n))
    expected, spread = affine_pinned(t, end, x, y)
    spread = rate * spread
    error = np.sqrt(np.diag(spread) / n)
    assert (np.abs(drawn.mean(axis=0) - expected) < 4 * error).all()
    sizes = np.sqrt(np.diag(spread))
    np.testing.assert_array_less(
        np.abs(np.cov(drawn.T) - spread), 4 * math.sqrt(2 / n) * np.outer(sizes, sizes)
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 2e-6), (np.float32, 2e-5)])
def test_affine_drift_in_many_dimensions_has_its_closed_form(dtype, tolerance):
    """Where steps are products of matrices. J = e^{At}, Σ = ∫ e^{As} e^{Aᵀs} ds (Van Loan 1978)."""
    d, end, rng = 12, 1.5, np.random.default_rng(0)
    a, c, x = 0.3 * rng.normal(size=(d, d)), rng.normal(size=d), rng.normal(size=d)
    drift = GivenDrift(
        Euclidean(d), lambda x, t: jnp.asarray(a, x.dtype) @ x + jnp.asarray(c, x.dtype)
    )
    found = stream(drift, jnp.asarray(x, dtype), jnp.linspace(0.0, end, 25, dtype=dtype))
    move = expm(a * end)
    both = expm(end * np.block([[-a, np.eye(d)], [np.zeros((d, d)), a.T]]))
    size = np.abs(move).max()
    np.testing.assert_allclose(found.moved[-1], move, atol=tolerance * size)
    np.testing.assert_allclose(
        found.points[-1], move @ x + np.linalg.solve(a, (move - np.eye(d)) @ c), atol=9 * tolerance
    )
    np.testing.assert_allclose(
        found.spread[-1], both[d:, d:].T @ both[:d, d:], atol=9 * tolerance * size
    )


@pytest.mark.parametrize("m", [Euclidean(12), Torus(12)])
def test_a_learned_drift_in_many_dimensions(m):
    """∇b by its own formula is that of automatic differentiation; the path, J and Σ are of fourth
    order, though ∇b is asked for twice a step: with half as many steps the difference from those of
    192 is 2⁴ times as large, 10 to 24 where steps are still long."""
    rng = np.random.default_rng(1)
    points = m.project(jnp.asarray(rng.normal(size=(50, 12))))
    drift = untrained_drift(m, points, 40, 1.0, 3.0, jax.random.key(0))
    shape = drift.coefficients.shape
    drift = dataclasses.replace(drift, coefficients=jnp.asarray(0.3 * rng.normal(size=shape)))
    for t in (0.0, 0.7):
        for own, usual in zip(
            drift.slopes(points[0], t), Drift.slopes(drift, points[0], t), strict=True
        ):
            np.testing.assert_allclose(own, usual, atol=1e-12)
    np.testing.assert_allclose(drift.slopes(points[0], 0.7)[0], drift(points[0], 0.7), atol=1e-12)
    coarse, fine, finest = (
        stream(drift, points[0], jnp.linspace(0.0, 1.0, n + 1)) for n in (12, 24, 192)
    )
    for name in ("points", "moved", "spread"):
        last = [getattr(found, name)[-1] for found in (coarse, fine, finest)]
        missed, least = (float(jnp.abs(one - last[2]).max()) for one in last[:2])
        assert least < 1e-4 and 10.0 < missed / least < 24.0


@pytest.mark.parametrize("m", [Sphere(2), Hyperbolic(2), SO3(), Euclidean(2), Torus(12)])
def test_no_drift_needs_no_steps(m):
    """What is written down is what steps along a field of zeros say."""
    x = m.project(jnp.asarray(m.origin()))
    grid = jnp.asarray([0.5, 0.9, 2.0])
    still = GivenDrift(m, lambda x, t: 0.0 * x)
    for one, other in zip(stream(no_drift(m), x, grid), stream(still, x, grid), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_sizes_of_deviations_by_an_inverse_factor():
    rng = np.random.default_rng(2)
    for d in (3, 12):
        a = rng.normal(size=(d, d))
        spread, deltas = a @ a.T + 0.1 * np.eye(d), rng.normal(size=(7, d))
        exact = np.einsum("md,md->m", deltas, np.linalg.solve(spread, deltas.T).T)
        np.testing.assert_allclose(size_of(jnp.asarray(spread), jnp.asarray(deltas)), exact)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotation_of_the_sphere(dtype):
    """The path is a circle of latitude, frames turn with it (J = 1 in them up to the turn of
    parallel transport, an isometry), and noise spreads like time."""
    m, axis = Sphere(2), np.array([0.0, 0.6, 0.8])
    x = np.array([0.6, 0.0, 0.8])
    grid = jnp.linspace(0.0, 1.0, 25, dtype=dtype)
    found = stream(turning(axis), jnp.asarray(x, dtype), grid)
    turned = Rotation.from_rotvec(axis).apply(x)
    # Steps are of second order on curved spaces: h² = 1/576 of a turn of 1.
    np.testing.assert_allclose(found.points[-1], turned, atol=1e-4)
    np.testing.assert_allclose(found.moved[-1] @ found.moved[-1].T, np.eye(2), atol=1e-4)
    np.testing.assert_allclose(found.spread[-1], np.eye(2), atol=1e-4)
    np.testing.assert_allclose(
        drifted(turning(axis), jnp.asarray(x, dtype), grid)[-1], found.points[-1], atol=1e-4
    )
    assert float(m.defect(found.points[-1])) < 1e-6


def test_without_drift_it_is_the_brownian_bridge():
    """The conditional laws of its plan are those of ``transport``, and so are its draws: pinned
    Brownian motion, mean and variance at the middle within 5 standard errors."""
    rng = np.random.default_rng(0)
    m, rate = Euclidean(2), 0.3
    x, y = rng.normal(size=(40, 2)), rng.normal([1.0, 0.0], size=(40, 2))
    current, _ = fit_current(
        m, [0.0, 2.0], [x, y], key=jax.random.key(0), drift=no_drift(m), rate=rate
    )
    plan = transport(brownian_reference(m, rate * 2.0), x, y, tolerance=1e-6)
    interval = current.intervals[0]
    square = np.sum((x[:, None] - y[None]) ** 2, axis=-1)
    scores = np.asarray(interval.g)[None, :] - square / (2 * rate * 2.0)
    conditional = np.asarray(jax.nn.softmax(scores, axis=1))
    # The tolerance of the plan is a hundredth of all mass.
    assert np.abs(conditional - np.exp(plan.log_conditional)).sum(axis=1).mean() < 0.03
    drawn = np.asarray(current.sample_paths(jax.random.key(2), np.tile(x[:1], (4000, 1)), [1.0]))
    middle = 0.5 * (x[0] + np.exp(plan.log_conditional)[0] @ y)
    spread = 0.25 * np.exp(plan.log_conditional)[0] @ (y - 2 * middle + x[0]) ** 2 + rate * 0.5
    assert (np.abs(drawn[:, 0].mean(axis=0) - middle) < 5 * np.sqrt(spread / 4000) + 0.02).all()
    np.testing.assert_allclose(drawn[:, 0].var(axis=0), spread, rtol=0.12)


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def evolved(drift, x, times, noise, rng):
    """Fresh members at each time: the drift's path with a little noise at its end."""
    m, clouds = drift.manifold, []
    last = jax.jit(jax.vmap(lambda p, g: drifted(drift, p, g)[-1], (0, None)))
    for k, t in enumerate(times):
        rows = jnp.asarray(x(rng), jnp.float32)
        if k:
            rows = last(rows, jnp.linspace(times[0], t, 40 * len(times), dtype=jnp.float32))
        keys = jax.random.split(jax.random.key(k), len(rows))
        move = lambda p, q: m.exp(p, noise * m.normal(q, p))  # noqa: E731
        clouds.append(np.asarray(jax.vmap(move)(rows, keys)))
    return clouds


def speed_error(current, drift, clouds, times):
    """|b − b_true| over |b_true|, root mean squares over all points."""
    m, off, size = current.manifold, 0.0, 0.0
    norm = jax.jit(jax.vmap(m.norm))
    for t, rows in zip(times, clouds, strict=True):
        true = jax.vmap(lambda p, t=t: drift(p, jnp.float32(t)))(rows)
        found = jnp.asarray(current.velocity(t, rows), true.dtype)
        off += float(np.sum(norm(rows, found - true) ** 2))
        size += float(np.sum(norm(rows, true) ** 2))
    return math.sqrt(off / size)


def test_learns_a_rotation_of_the_sphere():
    """A patch of 150 members, 0.25 rad wide, seen at five times in other members each: sampling
    moves the mean by 0.25/√150 = 0.02 rad, beside 0.35 rad in an interval, 6 % of its speed; and
    the parts that are reported: nearly all of it is a rotation."""
    rng = np.random.default_rng(1)
    m, drift = Sphere(2), turning([0.0, 0.35, 0.35])
    start = lambda rng: unit(rng.normal([1.0, 0.0, 0.3], 0.25, size=(150, 3)))  # noqa: E731
    times = [0.0, 1.0, 2.0, 3.0, 4.0]
    clouds = evolved(drift, start, times, 0.01, rng)
    current, history = fit_current(
        m, times, clouds, key=jax.random.key(0), length=1.0, ridge=1e-2, features=40
    )
    assert speed_error(current, drift, clouds, times) < 0.15
    assert [trial.share for trial in history.trials] == [1.0, 0.1, 0.01]
    assert history.rates[-1] < history.rates[0]
    parts = current.parts(clouds)
    assert parts.rotation > 0.95 * parts.speed and parts.gradient < 0.2 * parts.speed


def test_learns_an_eddy_in_the_plane():
    """Angular speed 1.2 e^{−r²/2}, seen at five times by other members, whose distances (0.08 among
    100) are a fifth of the way of an interval: velocities within 0.4, laws within 1.6 floors."""
    rng = np.random.default_rng(2)
    m = Euclidean(2)

    def eddy(x, t):
        turn = 1.2 * jnp.exp(-0.5 * jnp.sum(x * x))
        return turn * jnp.stack([-x[1], x[0]])

    times = [0.0, 0.6, 1.2, 1.8, 2.4]
    drift = GivenDrift(m, eddy)
    start = lambda rng: rng.normal([1.0, 0.0], [0.35, 0.25], size=(100, 2))  # noqa: E731
    clouds = evolved(drift, start, times, 0.01, rng)
    current, history = fit_current(m, times, clouds, key=jax.random.key(0), features=60)
    assert speed_error(current, drift, clouds, times) < 0.4
    still = history.trials[0]
    assert still.ridge is None and history.chosen.w1 < 0.75 * still.w1
    # At a time that was not seen, from the true start: members against the law.
    late = np.asarray(current.sample_at(jax.random.key(1), 1.5, 100))
    fresh = evolved(drift, start, [0.0, 1.5], 0.01, rng)[1]
    again = evolved(drift, start, [0.0, 1.5], 0.01, rng)[1]
    assert w1(late, fresh) < 1.6 * w1(again, fresh)


def w1(a, b):
    from scipy.optimize import linear_sum_assignment

    apart = np.linalg.norm(np.asarray(a)[:, None] - np.asarray(b)[None], axis=-1)
    i, j = linear_sum_assignment(apart)
    return apart[i, j].mean()


def test_nothing_pulls():
    """Brownian motion from a patch, √0.2 = 0.45 a unit of time along each axis: no current, or one
    that is slow beside it."""
    rng = np.random.default_rng(3)
    m, steps = Euclidean(2), [0.0, 1.0, 2.0, 3.0, 4.0]
    clouds = [
        rng.normal(0.0, math.sqrt(0.25 + 0.2 * t), size=(100, 2)).astype(np.float32) for t in steps
    ]
    current, _ = fit_current(m, steps, clouds, key=jax.random.key(0), features=60)
    assert current.parts(clouds).speed < 0.3


def test_gradient_of_a_potential_is_a_gradient():
    m = Euclidean(2)
    drift = potential_drift(m, lambda x, t: 0.5 * jnp.sum(jnp.asarray([1.0, 2.0], x.dtype) * x * x))
    rng = np.random.default_rng(4)
    clouds = [rng.normal([1.0, -1.0], 0.6, size=(400, 2)) for _ in range(2)]
    np.testing.assert_allclose(drift(jnp.asarray([1.0, 1.0]), 0.0), [-1.0, -2.0])
    parts = drift_parts(drift, [0.0, 1.0], clouds)
    assert parts.rest < 0.02 * parts.speed
    total = parts.rotation**2 + parts.gradient**2 + parts.rest**2
    assert total == pytest.approx(parts.speed**2, rel=1e-2)


@pytest.mark.parametrize(
    "m",
    [
        pytest.param(SO3(), marks=pytest.mark.slow),
        *(pytest.param(m, marks=pytest.mark.slow) for m in (Torus(2), Hyperbolic(2), Sphere(3))),
    ],
    ids=lambda m: m.name,
)
def test_every_manifold(m):
    """Motion along a generator of isometries, by 0.4 in an interval, seen by other members each
    time, 60 in a patch 0.15 wide: in three dimensions they lie 0.1 apart, a quarter of the way."""
    speed = 0.4
    drift = GivenDrift(m, lambda x, t: speed * m.killing(x)[0])
    o = m.origin(jnp.float32)

    def start(rng):
        c = jnp.asarray(rng.normal(0.0, 0.15, size=(60, m.dim)), jnp.float32)
        return jax.vmap(lambda b: m.exp(o, m.from_components(o, b)))(c)

    times = [0.0, 1.0, 2.0]
    clouds = evolved(drift, start, times, 0.005, np.random.default_rng(5))
    current, _ = fit_current(
        m, times, clouds, key=jax.random.key(0), length=1.0, ridge=1e-3, features=60, rounds=5
    )
    assert speed_error(current, drift, clouds, times) < 0.4
    paths = current.sample_paths(jax.random.key(1), clouds[1], [0.0, 0.5, 1.0, 1.5], start=1.0)
    assert np.asarray(paths).shape == (60, 4, *m.shape)
    np.testing.assert_array_equal(np.asarray(paths)[:, 2], clouds[1])
    assert float(jnp.max(jax.vmap(jax.vmap(m.defect))(jnp.asarray(paths)))) < 1e-4


def test_far_from_zero_and_saved(tmp_path):
    """Coordinates of 10⁶ keep their digits; what is saved draws the same."""
    rng = np.random.default_rng(6)
    m, times = Euclidean(2), [0.0, 1.0, 2.0]
    near = [rng.normal([0.5 * t, 0.0], 0.2, size=(50, 2)) for t in times]
    settings = dict(key=jax.random.key(0), length=1.0, ridge=1e-2, rounds=3)
    here, _ = fit_current(m, times, near, **settings)
    there, _ = fit_current(m, times, [x + 1e6 for x in near], **settings)
    drawn = [np.asarray(c.sample_at(jax.random.key(1), 0.7, 40)) for c in (here, there)]
    np.testing.assert_allclose(drawn[1] - 1e6, drawn[0], atol=1e-4)
    parts = [here.parts(near), there.parts([x + 1e6 for x in near])]
    np.testing.assert_allclose(parts[1], parts[0], rtol=1e-2)
    # The means of the snapshots move by ½ a unit of time.
    assert parts[0].speed == pytest.approx(0.5, abs=0.15)
    save(tmp_path / "current.sf", here)
    again = load(tmp_path / "current.sf")
    np.testing.assert_array_equal(again.sample_at(jax.random.key(1), 0.7, 40), drawn[0])


def test_gradients_reach_the_drift():
    """Under jit, vmap and grad."""
    m = Sphere(2)
    x = jnp.asarray(unit(np.random.default_rng(7).normal(size=(5, 3))), jnp.float32)
    grid = jnp.linspace(0.0, 1.0, 9, dtype=jnp.float32)

    @jax.jit
    def slope(speed):
        drift = lambda speed: GivenDrift(m, lambda p, t: speed * m.killing(p)[2])  # noqa: E731
        w = jnp.asarray([1.0, 2.0, -1.0], jnp.float32)
        end = lambda speed, p: stream(drift(speed), p, grid).points[-1] @ w  # noqa: E731
        return jax.vmap(jax.grad(end), (None, 0))(speed, x)

    found = slope(jnp.float32(0.3))
    assert np.isfinite(np.asarray(found)).all() and float(jnp.max(jnp.abs(found))) > 0.1


def test_what_is_refused():
    m, key = Euclidean(2), jax.random.key(0)
    rng = np.random.default_rng(8)
    cloud = lambda: rng.normal(size=(10, 2))  # noqa: E731
    three = [cloud(), cloud(), cloud()]
    with pytest.raises(ValueError, match="times: needs 2 or more numbers that increase"):
        fit_current(m, [0, 1, 1], three, key=key)
    with pytest.raises(ValueError, match=r"points\[1\]: a snapshot needs 2 points or more, got 1"):
        fit_current(m, [0, 1, 2], [cloud(), cloud()[:1], cloud()], key=key)
    with pytest.raises(ValueError, match="points: 3 times need as many snapshots, got 2"):
        fit_current(m, [0, 1, 2], three[:2], key=key)
    with pytest.raises(ValueError, match="length, ridge: state both"):
        fit_current(m, [0, 1, 2], three, key=key, length=1.0)
    with pytest.raises(ValueError, match="rate must be a positive finite number"):
        fit_current(m, [0, 1, 2], three, key=key, rate=-1.0)
    broken = GivenDrift(m, lambda x, t: x / jnp.where(t > 0.5, 0.0, 1.0))
    with pytest.raises(ValueError, match=r"drift: is not finite at rows \[0, 1.*points\[1\]"):
        fit_current(m, [0, 1, 2], three, key=key, drift=broken)
    sphere = Sphere(2)
    balls = [unit(rng.normal(size=(10, 3))) for _ in range(2)]
    with pytest.raises(ValueError, match=r"drift: is not tangent at rows .* manifold.to_tangent"):
        fit_current(sphere, [0, 1], balls, key=key, drift=GivenDrift(sphere, lambda x, t: 2.0 * x))
    with pytest.raises(ValueError, match=r"drift: is on S\^2, the points on R\^2"):
        fit_current(m, [0, 1, 2], three, key=key, drift=no_drift(sphere))
    with pytest.warns(ScorefoldWarning, match="nothing says whether a current is real"):
        current, history = fit_current(m, [0, 1], three[:2], key=key, rounds=2)
    assert history.chosen is None
    with pytest.raises(ValueError, match="t: 3 is outside the snapshots, 0 to 1"):
        current.sample_at(key, 3.0, 5)
    with pytest.raises(ValueError, match=r"start: 0\.5 is not a snapshot time"):
        current.sample_paths(key, three[0], [1.0], start=0.5)


def test_a_drift_that_runs_away_is_said():
    m, key = Euclidean(2), jax.random.key(0)
    rng = np.random.default_rng(9)
    clouds = [rng.normal(size=(20, 2)).astype(np.float32) for _ in range(3)]
    steep = GivenDrift(m, lambda x, t: 200.0 * x)
    with pytest.raises(FloatingPointError, match="it runs away"):
        fit_current(m, [0, 1, 2], clouds, key=key, drift=steep)
