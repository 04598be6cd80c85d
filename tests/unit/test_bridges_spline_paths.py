"""Splines on manifolds, matchings of least bending, paths through snapshots of samples."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import scipy.stats

import scorefold as sf
from scorefold._compile import quick_jit
from scorefold.bridges import (
    gaussian_spline,
    spline_at,
    spline_energy,
    spline_paths,
    spline_velocities,
)
from scorefold.bridges.snapshots.spline_matching import heat_matching, joined, match, total_energies
from scorefold.data import load_snapshots
from scorefold.manifolds import pairwise
from scorefold.metrics import transport_distance

TIMES = (0.0, 0.7, 1.0, 2.2)
CURVED = [sf.Sphere(2), sf.Torus(2), sf.SO3(), sf.Hyperbolic(2)]


def _along(manifold, times, path, at):
    v = spline_velocities(manifold, times, path)
    return jax.vmap(lambda t: spline_at(manifold, times, path, v, t))(at)


def along(manifold, times, path, at):
    return quick_jit(_along)(manifold, times, path, jnp.asarray(at, path.dtype))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_flat_splines_are_natural_cubic_ones(dtype):
    """Oracle: SciPy's natural spline; its second derivative is linear between knots, so ∫|x″|² is
    exact by Simpson's rule on each piece."""
    x = np.random.default_rng(0).normal(size=(4, 2))
    flat, path = sf.Euclidean(2), jnp.asarray(x, dtype)
    oracle = scipy.interpolate.CubicSpline(TIMES, x, bc_type="natural")
    at = np.array([0.0, 0.3, 0.7, 0.9, 1.9, 2.2])
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-12
    np.testing.assert_allclose(along(flat, TIMES, path, at), oracle(at), atol=tolerance)
    velocities = spline_velocities(flat, TIMES, path)
    np.testing.assert_allclose(velocities, oracle(TIMES, 1), atol=3 * tolerance)
    energy = 0.0
    for a, b in itertools.pairwise(TIMES):
        nodes, weights = np.array([a, (a + b) / 2, b]), np.array([1, 4, 1]) * (b - a) / 6
        energy += np.sum(weights[:, None] * oracle(nodes, 2) ** 2)
    assert float(spline_energy(flat, TIMES, path)) == pytest.approx(energy, rel=30 * tolerance)
    # Straight on before the first knot and after the last.
    late = along(flat, TIMES, path, [-1.0, 3.0])
    want = [x[0] - oracle(0.0, 1), x[-1] + 0.8 * oracle(2.2, 1)]
    np.testing.assert_allclose(late, want, atol=5 * tolerance)


@pytest.mark.parametrize("manifold", CURVED, ids=lambda m: m.name)
def test_geodesics_do_not_bend(manifold):
    """A geodesic at constant speed is its own spline, also beyond its ends, with energy 0."""
    keys = jax.random.split(jax.random.key(0), 2)
    x = manifold.origin() if not manifold.compact else manifold.uniform(keys[0])
    v = manifold.from_components(x, 0.9 * jnp.ones(manifold.dim) / math.sqrt(manifold.dim))
    geodesic = quick_jit(lambda t: jax.vmap(lambda t: manifold.exp(x, t * v))(t))
    path = geodesic(jnp.asarray(TIMES))
    assert float(quick_jit(lambda p: spline_energy(manifold, TIMES, p))(path)) < 1e-12
    at = jnp.asarray([-0.4, 0.2, 0.8, 1.5, 2.2, 2.5])
    far = np.abs(np.asarray(along(manifold, TIMES, path, at) - geodesic(at)))
    np.testing.assert_allclose(np.minimum(far, np.abs(2 * math.pi - far)), 0.0, atol=1e-7)


def bent(t):
    """A smooth curve on the sphere."""
    lat, lon = 0.4 * np.sin(1.3 * t), 0.9 * t
    return np.stack(
        [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) * np.ones_like(lon)], -1
    )


@pytest.mark.slow
def test_splines_on_the_sphere():
    """Unchanged by rotations, C¹ at knots, and close to the curve they sample: away from the ends
    (where a natural spline is of second order) halving the step divides the error by more than
    12 (16 is fourth order; 23 measured)."""
    sphere = sf.Sphere(2)
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0])
    path, at = jnp.asarray(bent(np.asarray(TIMES))), np.linspace(0.1, 2.1, 6)
    got = along(sphere, TIMES, path @ turn.T, at)
    np.testing.assert_allclose(got, along(sphere, TIMES, path, at) @ turn.T, atol=1e-12)
    h = 1e-6
    near = np.asarray(along(sphere, TIMES, path, [0.7 - h, 0.7, 0.7 + h, 1 - h, 1.0, 1 + h]))
    v = np.asarray(spline_velocities(sphere, TIMES, path))[1:3]
    for k in range(2):
        before, here, after = near[3 * k : 3 * k + 3]
        np.testing.assert_allclose((after - here) / h, v[k], atol=1e-5)
        np.testing.assert_allclose((here - before) / h, v[k], atol=1e-5)
    errors = []
    for pieces in (8, 16):
        times = tuple(np.linspace(-2.0, 2.0, pieces + 1).tolist())
        middle = np.linspace(-0.4, 0.4, 17)
        found = along(sphere, times, jnp.asarray(bent(np.asarray(times))), middle)
        errors.append(float(np.abs(np.asarray(found) - bent(middle)).max()))
    assert errors[0] / errors[1] > 12.0


def test_antipodal_and_equal_knots_are_finite():
    sphere = sf.Sphere(2)
    e = np.eye(3)
    energy = quick_jit(jax.value_and_grad(lambda p: spline_energy(sphere, (0.0, 1.0, 2.0), p)))
    for rows in ([e[0], -e[0], e[1]], [e[0], e[0], e[0]]):
        path = jnp.asarray(np.stack(rows))
        value, slope = energy(path)
        assert np.isfinite(value) and np.isfinite(slope).all()
        found = along(sphere, (0.0, 1.0, 2.0), path, [0.5, 1.5])
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-12)


def every_matching(cloud):
    n = cloud.shape[1]
    orders = list(itertools.permutations(range(n)))
    rows = [
        np.stack([np.arange(n), *choice], 1)
        for choice in itertools.product(orders, repeat=len(cloud) - 1)
    ]
    return np.stack(rows)


@pytest.mark.slow
def test_the_matching_found_bends_least():
    """Oracle: all 576 matchings of 4 points at 3 times. The search may stop at a local minimum:
    of these five clouds it does for two, 0.07 % and
    1.4 % above the least."""
    flat, times = sf.Euclidean(2), (0.0, 1.0, 1.5)
    energies = jax.jit(jax.vmap(lambda knots: total_energies(flat, times, knots).sum()))
    excess = []
    for seed in range(5):
        cloud = jnp.asarray(np.random.default_rng(seed).normal(size=(3, 4, 2)))
        knots = jnp.stack([joined(cloud, index) for index in every_matching(cloud)])
        best = float(jnp.min(energies(knots)))
        found = total_energies(flat, times, joined(cloud, match(flat, times, cloud))).sum()
        excess.append(float(found) / best - 1.0)
    assert min(excess) > -1e-9 and max(excess) < 0.02
    assert np.sum(np.asarray(excess) < 1e-9) >= 3


def test_sweeps_draw_matchings_from_their_law():
    """Oracle: P ∝ e^{−ΣE/2ε} over all 36 matchings of 3 points at 3 times. 4000 chains of 60
    sweeps, fixed key; Pearson's χ² of cells with at least 5 expected below its 99.9 % point."""
    flat, times, epsilon = sf.Euclidean(1), (0.0, 1.0, 2.0), 3.0
    cloud = jnp.asarray(np.random.default_rng(3).normal(size=(3, 3, 1)))
    every = every_matching(cloud)
    energies = np.array([float(total_energies(flat, times, joined(cloud, i)).sum()) for i in every])
    p = np.exp(-(energies - energies.min()) / (2 * epsilon))
    p /= p.sum()
    start, keys = jnp.asarray(every[0]), jax.random.split(jax.random.key(0), 4000)
    run = jax.jit(jax.vmap(lambda k: heat_matching(flat, times, cloud, start, epsilon, k, 60)))
    found = np.asarray(run(keys))
    # Paths in the order of their first points.
    order = np.argsort(found[:, :, 0], axis=1)
    found = np.take_along_axis(found, order[:, :, None], axis=1)
    code = lambda m: m[..., 1:].reshape(len(m), -1) @ 3 ** np.arange(6)  # noqa: E731
    place = {c: i for i, c in enumerate(code(every))}
    counts = np.bincount([place[c] for c in code(found)], minlength=36)
    want = 4000 * p
    keep = want >= 5
    value = np.sum((counts - want)[keep] ** 2 / want[keep])
    assert keep.sum() > 10
    assert value < scipy.stats.chi2.ppf(0.999, keep.sum() - 1)


def test_normal_snapshots_against_the_exact_bridge():
    """Oracle: ``gaussian_spline``. 400 paths on the line; means and variances of x(t) between
    snapshots, whose sampling errors are σ/√400 and σ²√(2/400): 4 of them."""
    times, epsilon = (0.0, 1.0, 2.0), 0.5
    means, stds = np.array([0.0, 1.0, 0.5]), np.array([0.5, 0.8, 0.6])
    draw = np.random.default_rng(0)
    points = []
    for m, s in zip(means, stds, strict=True):
        x = draw.normal(size=(400, 1))
        points.append(m + s * (x - x.mean()) / x.std())
    exact = gaussian_spline(times, means[:, None], (stds**2)[:, None, None], epsilon)
    paths = spline_paths(
        sf.Euclidean(1), times, points, epsilon, key=jax.random.key(0), sweeps=3000
    )
    for t in (0.5, 1.5, 2.5):
        law = exact.law(t)
        x = np.asarray(paths.sample(jax.random.key(1), [t]))[:, 0, 0]
        variance = float(law.cov[0, 0])
        assert abs(x.mean() - float(law.mean[0])) < 4 * math.sqrt(variance / 400)
        assert abs(x.var() - variance) < 4 * variance * math.sqrt(2 / 400)


def between(manifold, a, b, share):
    """Least-cost pairs of two snapshots, moved along geodesics."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(pairwise(manifold, a, b) ** 2)
    move = quick_jit(jax.vmap(lambda x, y: manifold.exp(x, share * manifold.log(x, y))))
    return np.asarray(move(jnp.asarray(a[rows]), jnp.asarray(b[columns])))


@pytest.mark.parametrize(
    ("name", "gain"), [pytest.param("petal", 8.0, marks=pytest.mark.slow), ("curving-storms", 1.8)]
)
def test_a_snapshot_left_out_is_met_by_splines(name, gain):
    """W₂ to the members at the time left out: that of pairs moved along geodesics is ``gain``
    times as large or more (the true paths curve)."""
    data = load_snapshots(name, seed=0, n=100)
    rest, k = data.without(2), 2
    size = min(rest.mass)
    paths = spline_paths(rest.manifold, rest.times, rest.points, key=jax.random.key(0), n=size)
    assert paths.mass == rest.mass and paths.used == size
    curves = np.asarray(paths.curves([data.times[k]]))[:, 0]
    straight = between(data.manifold, data.points[k - 1], data.points[k + 1], 0.5)
    size = min(len(curves), len(straight), len(data.points[k]))
    far = [
        transport_distance(data.manifold, x[:size], data.points[k][:size], 2)
        for x in (curves, straight)
    ]
    assert far[1] > gain * far[0]


def test_a_path_goes_on_with_its_own_end():
    """Where bending decides (ε small), the ends drawn for the paths' own beginnings are theirs."""
    data = load_snapshots("petal", seed=0, n=40)
    paths = spline_paths(data.manifold, data.times, data.points, 1e-3, key=jax.random.key(0))
    on = paths.continue_from(jax.random.key(1), paths.knots[:, :3])
    assert float(jnp.mean(jnp.all(on.knots == paths.knots, axis=(1, 2)))) > 0.9
    # Which is what P says: alike ends have a chance of their own.
    np.testing.assert_array_equal(on.knots[:, :3], paths.knots[:, :3])
    draws = paths.sample_at(jax.random.key(2), data.times[1], 40)
    assert transport_distance(data.manifold, np.asarray(draws), data.points[1], 2) < 1e-9


def test_members_are_drawn_by_their_weights():
    x = np.arange(12.0)[:, None]
    weights = [None, np.r_[np.zeros(6), np.ones(6)], None]
    paths = spline_paths(
        sf.Euclidean(1), [0, 1, 2], [x[:6], x, x[:6]], 1.0, key=jax.random.key(0), weights=weights
    )
    np.testing.assert_array_equal(np.sort(paths.knots[:, 1, 0]), np.arange(6.0, 12.0))
    assert paths.lost == (0, 6)


def test_epsilon_of_straight_and_bent_paths():
    """One path through 0, 0, 1 at 0, 1, 2: r = 1, R = 2/3, E = 3/2, and one inner knot: ε = 3/2."""
    x = [np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1))]
    paths = spline_paths(sf.Euclidean(1), [0, 1, 2], x, key=jax.random.key(0))
    assert paths.epsilon == pytest.approx(1.5, rel=1e-6)


def test_what_cannot_be_matched_says_why():
    flat, key, x = sf.Euclidean(1), jax.random.key(0), np.arange(4.0)[:, None]
    with pytest.raises(ValueError, match="mass is not normalised silently"):
        spline_paths(flat, [0, 1], [x, x[:3]], 1.0, key=key)
    with pytest.raises(ValueError, match="n: must be from 1 to 3"):
        spline_paths(flat, [0, 1], [x, x[:3]], 1.0, key=key, n=4)
    with pytest.raises(ValueError, match="two snapshots do not bend"):
        spline_paths(flat, [0, 1], [x, x], key=key)
    with pytest.raises(ValueError, match=r"weights\[1\]: needs 4 finite numbers"):
        spline_paths(flat, [0, 1], [x, x], 1.0, key=key, weights=[None, -np.ones(4)])
    with pytest.raises(ValueError, match="epsilon must be"):
        spline_paths(flat, [0, 1], [x, x], -1.0, key=key)


def _grid(m):
    """Points of a quadrature and their weights: R², T², S² (midpoints in latitude)."""
    if m == sf.Euclidean(2):
        axis = np.linspace(-6.0, 6.0, 241)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        return points, np.full(len(points), (axis[1] - axis[0]) ** 2)
    lon = -np.pi + 2 * np.pi / 240 * (np.arange(240) + 0.5)
    if m == sf.Torus(2):
        points = np.stack(np.meshgrid(lon, lon), axis=-1).reshape(-1, 2)
        return points, np.full(len(points), (2 * np.pi / 240) ** 2)
    z = -1 + 2 / 240 * (np.arange(240) + 0.5)
    lon, z = (a.ravel() for a in np.meshgrid(lon, z))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(lon), r * np.sin(lon), z], 1), np.full(len(z), 4 * np.pi / 240**2)


@pytest.mark.parametrize("m", [sf.Euclidean(2), sf.Torus(2), sf.Sphere(2)], ids=lambda m: m.name)
def test_positions_have_a_density(m):
    """It integrates to 1 (1e-3, by quadrature), and means under it are those of draws, within five
    standard errors; float32 is float64 but for rounding."""
    o = m.origin(jnp.float64)
    steps = 0.5 * np.random.default_rng(3).normal(size=(3, 4, m.dim))
    clouds = [
        np.asarray(jax.vmap(lambda b: m.exp(o, m.from_components(o, b)))(jnp.asarray(c)))
        for c in steps
    ]
    t, (times, epsilon) = 1.3, ((0.0, 1.0, 2.0), 0.6)
    paths = spline_paths(m, times, clouds, epsilon, key=jax.random.key(0))
    grid, weights = _grid(m)
    p = np.exp(np.asarray(paths.log_prob(t, grid)))
    assert np.sum(weights * p) == pytest.approx(1.0, abs=1e-3)
    drawn = np.asarray(paths.sample_at(jax.random.key(1), t, 20_000))
    seen = (np.cos, np.sin) if m == sf.Torus(2) else (np.asarray, np.square)
    for f in seen:
        expected = np.sum((weights * p)[:, None] * f(grid), axis=0)
        error = f(drawn).std(axis=0) / math.sqrt(len(drawn))
        assert (np.abs(f(drawn).mean(axis=0) - expected) < 5 * error).all()
    single = spline_paths(
        m, times, [c.astype(np.float32) for c in clouds], epsilon, key=jax.random.key(0)
    )
    np.testing.assert_allclose(
        single.log_prob(t, drawn[:50].astype(np.float32)), paths.log_prob(t, drawn[:50]), atol=2e-3
    )
    assert paths.log_prob(t, drawn[0]).shape == ()
    still = spline_paths(m, times, clouds, 1e-40, key=jax.random.key(0))
    for law, when in ((paths, 1.0), (still, t)):
        with pytest.raises(ValueError, match="has no density"):
            law.log_prob(when, drawn[:2])
