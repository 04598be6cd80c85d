"""Entropic transport: against ott-jax, a plan known in closed form and dense NumPy."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import scorefold as sf
from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    GaussianBridge,
    brownian_reference,
    sinkhorn,
    sinkhorn_divergence,
    transport,
)
from scorefold.bridges.exact.scaling import scaled_iterations
from scorefold.manifolds import Euclidean, Sphere
from scorefold.noising import OrnsteinUhlenbeck


def clouds(n=12, m=15, dtype=np.float64):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)), 0.7 * rng.normal(size=(m, 2)) + 0.5
    a, b = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, m)
    a[2] = 0.0
    return (
        x.astype(dtype),
        y.astype(dtype),
        (a / a.sum()).astype(dtype),
        (b / b.sum()).astype(dtype),
    )


def squares(x, y):
    return 0.5 * np.sum((x[:, None] - y[None]) ** 2, axis=-1)


def in_numpy(costs, a, b, epsilon, iterations=20_000):
    """Plain scaling of the matrix, in float64."""
    kernel, v = np.exp(-costs / epsilon), np.ones(len(b))
    for _ in range(iterations):
        u = a / (kernel @ v)
        v = b / (kernel.T @ u)
    return u[:, None] * kernel * v[None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("anneal", [None, 0.7])
def test_plan_is_that_of_matrix_scaling(dtype, anneal):
    """float64 1e-9 (the tolerance on marginals), float32 1e-4; a weight of 0 gives an empty row."""
    x, y, a, b = clouds(dtype=dtype)
    costs = squares(x, y)
    out = sinkhorn(costs, a, b, epsilon=0.1, anneal=anneal)
    truth = in_numpy(costs.astype(float), a.astype(float), b.astype(float), 0.1)
    plan = np.exp(np.asarray(out.log_plan))
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    assert plan.dtype == dtype and bool(out.converged)
    assert np.abs(plan - truth).max() < tolerance
    assert plan[2].sum() == 0.0
    error = np.abs(plan.sum(0) - b).sum() + np.abs(plan.sum(1) - a).sum()
    assert error < tolerance and abs(float(out.error) - error) < tolerance
    assert float(out.cost) == pytest.approx((truth * costs).sum(), rel=1e2 * tolerance)


def test_value_agrees_with_ott():
    """The regularised cost of ott-jax, whose penalty is ε KL(P ‖ a ⊗ b) too, float64, 1e-8."""
    ott_linear = pytest.importorskip("ott.solvers.linear")
    from ott.geometry import geometry

    x, y, a, b = clouds()
    a[2] = 0.1
    a = a / a.sum()
    costs = squares(x, y)

    def solve(costs, a, b):
        out = ott_linear.solve(geometry.Geometry(costs, epsilon=0.3), a, b, threshold=1e-10)
        return out.reg_ot_cost, out.matrix

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        quick = jax.jit(solve, compiler_options={"xla_backend_optimization_level": 0})
        value, plan = quick(jnp.asarray(costs), jnp.asarray(a), jnp.asarray(b))
    value, plan = float(value), np.asarray(plan)
    ours = sinkhorn(costs, a, b, epsilon=0.3, tolerance=1e-11)
    assert float(ours.value) == pytest.approx(value, abs=1e-8)
    assert np.abs(np.exp(np.asarray(ours.log_plan)) - plan).max() < 1e-9
    # Strong duality.
    assert float(ours.cost + 0.3 * ours.entropy) == pytest.approx(float(ours.value), abs=1e-9)


def test_value_is_differentiable_in_the_costs():
    """Envelope theorem: the derivative is the plan; central differences of the value, 1e-7."""
    x, y, a, b = clouds()
    costs, way = jnp.asarray(squares(x, y)), np.random.default_rng(1).normal(size=(12, 15))

    def value(c):
        return sinkhorn(c, a, b, epsilon=0.5, tolerance=1e-12).value

    slope = float(jnp.sum(jax.grad(value)(costs) * way))
    h = 1e-4
    assert slope == pytest.approx(
        float(value(costs + h * way) - value(costs - h * way)) / (2 * h), abs=1e-7
    )


def test_warm_start_and_annealing_save_iterations():
    """The solution is a fixed point, so one iteration confirms it. From large ε downwards
    ε = range/1000 is reached sooner: 137 iterations, 184 from ε alone, 812 without momentum."""
    x, y, a, b = clouds()
    costs = squares(x, y)
    epsilon = float(np.ptp(costs)) / 1000
    cold = sinkhorn(costs, a, b, epsilon=epsilon)
    assert int(sinkhorn(costs, a, b, epsilon=epsilon, start=cold.g).iterations) == 1
    eased = sinkhorn(costs, a, b, epsilon=epsilon, anneal=0.8)
    assert bool(eased.converged) and int(eased.iterations) < int(cold.iterations)
    assert int(eased.iterations) < without_momentum(costs, a, b, epsilon) / 4


def without_momentum(costs, a, b, epsilon):
    """Iterations of Sinkhorn's own until the marginals are within 0.9e-9."""
    log_a, log_b, g = np.log(a + 1e-300), np.log(b + 1e-300), np.zeros(len(b))
    count, missed = 0, 1.0
    while missed > 0.9e-9:
        f = -epsilon * logsumexp(log_b + (g - costs) / epsilon, axis=1)
        new = -epsilon * logsumexp(log_a[:, None] + (f[:, None] - costs) / epsilon, axis=0)
        count, missed = count + 1, np.sum(b * np.abs(np.expm1((g - new) / epsilon)))
        g = new
    return count


@pytest.mark.parametrize("products", [False, True])
def test_momentum_saves_iterations(products, monkeypatch):
    """Those without it, counted in NumPy: 812, with it less than a quarter of them; where
    Sinkhorn's own are few (21, 7) at most a quarter and two more. The error that is said is the
    plan's own."""
    x, y, a, b = clouds()
    costs = squares(x, y)
    if products:
        monkeypatch.setattr("scorefold.bridges.exact.transport._IN_LOG_SPACE", 0)
        jax.clear_caches()
    for share, most in ((1e-3, 0.25), (0.1, 1.25), (0.5, 1.25)):
        epsilon = float(np.ptp(costs)) * share
        plain = without_momentum(costs, a, b, epsilon)
        found = sinkhorn(costs, a, b, epsilon=epsilon)
        assert bool(found.converged) and int(found.iterations) <= most * plain + 2
        plan = np.exp(found.log_plan)
        missed = np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()
        assert missed <= 1e-9


@pytest.mark.parametrize(("n", "m"), [(262_149, 2), (2, 262_149), (200_000, 6)])
@pytest.mark.parametrize("anneal", [None, 0.5])
def test_sums_of_very_many_rows(n, m, anneal):
    """In float32 products of matrices add up 2·10⁵ numbers with errors of 1e-5, so that what they
    call good enough can be five times as far; the error of the plan itself is within bounds."""
    costs = 5.0 * np.random.default_rng(0).uniform(size=(n, m)).astype(np.float32)
    found = sinkhorn(costs, epsilon=0.1, anneal=anneal, max_iterations=200)
    plan = np.exp(np.asarray(found.log_plan, np.float64))
    missed = np.abs(plan.sum(axis=1) - 1 / n).sum() + np.abs(plan.sum(axis=0) - 1 / m).sum()
    assert bool(found.converged) and missed < 1.5e-4


def test_no_more_iterations_than_asked_for():
    costs = np.random.default_rng(0).uniform(size=(760, 720))
    with pytest.warns(ScorefoldWarning, match="after 3 iterations"):
        found = sinkhorn(costs, epsilon=0.01, anneal=0.9, max_iterations=3)
    assert int(found.iterations) == 3


def grid_law(law, at):
    p = np.exp(np.asarray(law.log_prob(at[:, None])))
    return p / p.sum()


@pytest.mark.parametrize("drift", [False, True])
def test_grids_of_normal_laws_have_the_closed_form_coupling(drift):
    """Two normal laws on 160 equally spaced nodes: E X_0 X_S of the plan against GaussianBridge,
    1e-9. Sums of smooth functions on a grid are exact to rounding; 8 standard deviations fit."""
    if drift:
        reference = OrnsteinUhlenbeck(1, location=np.array([0.3]), std=1.2)
        reference = OrnsteinUhlenbeck(
            1, type(reference.schedule)(0.1, 3.0), location=np.array([0.3]), std=1.2
        )
    else:
        reference = brownian_reference(Euclidean(1), 0.8)
    exact = GaussianBridge(reference, [-0.4], [[0.3]], [0.5], [[0.7]])
    x, y = np.linspace(-5.4, 4.6, 160), np.linspace(-6.5, 7.5, 160)
    plan = transport(
        reference,
        x[:, None],
        y[:, None],
        grid_law(exact.start, x),
        grid_law(exact.end, y),
        tolerance=1e-12,
    )
    p = np.exp(np.asarray(plan.log_plan))
    joint = (p * np.outer(x + 0.4, y - 0.5)).sum()
    assert joint == pytest.approx(exact.cross[0, 0], abs=1e-9)
    # The barycentre of a node is the conditional mean.
    mean, _ = exact.conditional(x[:, None])
    near = np.abs(x + 0.4) < 1.5
    assert (
        np.abs(np.asarray(plan.barycentre(y[:, None]))[near] - np.asarray(mean)[near]).max() < 1e-8
    )


def test_transport_on_the_sphere_has_right_marginals_and_draws():
    """C = −log p_S on S^2, against its Legendre series, 1e-9. Draws given
    a row: counts of 4000 within 4.5 binomial standard errors (150 of them) + 1/4000."""
    sphere = Sphere(2)
    x = np.random.default_rng(3).normal(size=(27, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    plan = transport(brownian_reference(sphere, 0.5), x[:12], x[12:])
    l = np.arange(40)
    series = (2 * l + 1) * np.exp(-0.25 * l * (l + 1)) / (4 * np.pi)
    heat = np.polynomial.legendre.legval(x[:12] @ x[12:].T, series)
    assert np.abs(np.asarray(plan.costs) + np.log(heat)).max() < 1e-9
    p = np.exp(np.asarray(plan.log_plan))
    assert np.abs(p.sum(0) - 1 / 15).max() < 1e-9 and np.abs(p.sum(1) - 1 / 12).max() < 1e-9
    n = 4000
    drawn = np.bincount(
        np.asarray(plan.sample_targets(jax.random.key(0), jnp.full(n, 1))), minlength=15
    )
    law = p[1] / p[1].sum()
    assert (np.abs(drawn / n - law) < 4.5 * np.sqrt(law * (1 - law) / n) + 1 / n).all()
    i, j = plan.sample_pairs(jax.random.key(1), n)
    counts = np.zeros((12, 15))
    np.add.at(counts, (np.asarray(i), np.asarray(j)), 1.0 / n)
    assert (np.abs(counts - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1 / n).all()


def test_divergence_of_equal_laws_is_zero_and_of_a_shift_half_its_square():
    """S_ε(μ, μ) = 0, and S_ε(μ, μ + h) = ½|h|² for C = ½|x − y|²: the shift leaves the plan."""
    x, _, a, _ = clouds()
    shift = np.array([0.6, -0.3])
    own = squares(x, x)
    options = {"epsilon": 0.4, "tolerance": 1e-12}
    assert abs(float(sinkhorn_divergence(own, own, own, a, a, **options))) < 1e-11
    moved = sinkhorn_divergence(squares(x, x + shift), own, own, a, a, **options)
    assert float(moved) == pytest.approx(0.5 * shift @ shift, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 2.0],), "costs: shape"),
        (([[0.0, np.nan]],), r"costs: rows \[0\] are not finite"),
        (([[0.0, 1.0]], None, [0.5, -0.5]), r"b: weights must be .* rows \[1\]"),
        (([[0.0, 1.0]], None, [0.5, 0.2, 0.3]), r"b: shape must be \(2,\)"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        sinkhorn(*arguments)


def test_ranges_of_options_and_costs():
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    for options, words in (
        ({"tolerance": -1.0}, "tolerance must be a positive"),
        ({"tolerance": np.nan}, "tolerance must be a positive"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            sinkhorn(costs, **options)
    with pytest.raises(ValueError, match="beyond the largest float32"):
        sinkhorn(np.float32(3e38) * np.array([[1.0, -1.0]], np.float32))
    found = sinkhorn(1e300 + 1e290 * costs, epsilon=1e290)
    assert bool(found.converged)


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-8])
def test_an_epsilon_far_above_the_costs(size):
    """In 32 bits, costs far below ε: the value tends to the mean cost, and the divergence to half
    the squared distance of the means (Feydy et al. 2019), |(0.3, 0)|²/2 of these."""
    x, y = (np.random.default_rng(k).normal(size=(60, 2)) for k in (0, 1))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0) + [0.3, 0.0]
    cost = lambda a, b: size * 0.5 * ((a[:, None] - b[None]) ** 2).sum(-1)  # noqa: E731
    mean = float(cost(x, y).mean())
    # The next terms are of the order of the squared spread of the costs over ε.
    with jax.enable_x64(False):
        value = sinkhorn(cost(x, y)).value
        found = float(sinkhorn_divergence(cost(x, y), cost(x, x), cost(y, y)))
    assert value.dtype == np.float32
    assert float(value) == pytest.approx(mean, rel=4 * size + 1e-5)
    assert found == pytest.approx(0.045 * size, rel=10 * size + 1e-3)


@pytest.mark.parametrize("shift", [0.0, 50.0, -1e3])
@pytest.mark.parametrize("size", [0.0, 1e-3])
def test_costs_that_hardly_differ_on_the_device(shift, size):
    """Costs of JAX, whose constants stay: a few iterations, and the plan of 64 bits without them;
    also from a start far away."""
    costs = size * np.random.default_rng(0).uniform(size=(6, 7))
    want = sinkhorn(costs).log_plan
    for dtype in (np.float32, np.float64):
        for start in (None, np.full(7, 200.0)):
            found = sinkhorn(jnp.asarray(costs + shift, dtype), start=start)
            assert bool(found.converged) and int(found.iterations) < 50
            np.testing.assert_allclose(
                found.log_plan, want, atol=2e-3 if dtype == np.float32 else 1e-9
            )


# -- convergence -----------------------------------------------------------------------------------
@pytest.mark.fault(50, "the loop and the flag at ε = 0.1 in float32")
@pytest.mark.parametrize("n", [50, 200])
def test_one_number_ends_the_loop_and_is_reported(n):
    """ε = 0.1 between normal clouds in float32, where a loop that measured another number than the
    one reported stopped at 1.001e-4 beside a tolerance of 1e-4: converged, without a warning."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 1, 2)), rng.normal(size=(1, n, 2)) + 1.0
    found = sinkhorn((0.5 * ((x - y) ** 2).sum(-1)).astype(np.float32), epsilon=0.1)
    assert bool(found.converged) and float(found.error) <= 1e-4
    plan = np.exp(np.asarray(found.log_plan, np.float64))
    off = np.abs(plan.sum(0) - 1 / n).sum() + np.abs(plan.sum(1) - 1 / n).sum()
    assert off < 1.05e-4


def test_what_has_not_converged_is_said():
    costs = np.random.default_rng(0).uniform(size=(20, 20)) * 10
    with pytest.warns(ScorefoldWarning, match="off by .* after 3 iterations; the tolerance is"):
        found = sinkhorn(costs, epsilon=0.01, max_iterations=3)
    assert not bool(found.converged)
    assert bool(jax.jit(lambda c: sinkhorn(c, epsilon=0.5).converged)(jnp.asarray(costs)))


@pytest.mark.fault(34, "ε down to 1e-300, clouds a hundred apart")
@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 1e-12, 1e-300])
def test_small_epsilon_and_disjoint_supports(epsilon):
    """Two clouds that are 100 apart, ε → 0, in float32: finite numbers and the error that is left,
    or one line that says below what ε means nothing."""
    x = np.arange(10.0)[:, None]
    costs = (0.5 * (x - x.T - 100.0) ** 2).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorefoldWarning)
        try:
            found = sinkhorn(costs, epsilon=epsilon, max_iterations=500)
        except ValueError as error:
            assert "is below the rounding of float32 costs" in str(error) and epsilon < 1e-3
            return
    for value in (found.f, found.g, found.value, found.cost, found.error):
        assert np.isfinite(np.asarray(value)).all()


def test_a_constant_in_the_costs_changes_no_plan():
    """Costs in 64 bits, a billion added: the plan of the costs alone, in float32 too."""
    costs = np.random.default_rng(0).uniform(0, 5, (6, 7))
    want = sinkhorn(costs, epsilon=0.3)
    got = sinkhorn(costs + 1e9, epsilon=0.3)
    np.testing.assert_allclose(got.log_plan, want.log_plan, atol=1e-5)
    assert bool(got.converged) and float(got.cost) - 1e9 == pytest.approx(
        float(want.cost), abs=1e-6
    )
    with pytest.raises(ValueError, match="at least one row and one column"):
        sinkhorn(np.zeros((0, 3)))


@pytest.mark.parametrize("manifold", [sf.Sphere(2), sf.Euclidean(2), sf.Torus(1)], ids=repr)
@pytest.mark.parametrize("variance", [0.1, 100.0])
def test_transport_without_a_matrix_is_transport(manifold, variance):
    """Potentials, numbers, draws and means of costs that are computed row by row, also where ε is
    far above them."""
    reference = brownian_reference(manifold, variance)
    keys = jax.random.split(jax.random.key(0), 2)
    o = manifold.origin(jnp.float64)
    some = lambda k, n: jax.vmap(  # noqa: E731
        lambda v: manifold.exp(o, manifold.from_components(o, v))
    )(0.5 * jax.random.normal(k, (n, manifold.dim), jnp.float64))
    x, y = some(keys[0], 23), some(keys[1], 31)
    a = jnp.arange(1.0, 24.0)
    plans = [transport(reference, x, y, a, matrix=matrix) for matrix in (True, False)]
    assert all(bool(plan.converged) for plan in plans)
    names = ("f", "g", "cost", "entropy", "value", "log_plan", "log_conditional", "error", "costs")
    for name in names:
        one, two = (getattr(plan, name) for plan in plans)
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9, err_msg=name)
    means = [plan.barycentre(y.reshape(31, -1)) for plan in plans]
    np.testing.assert_allclose(*means, rtol=1e-9, atol=1e-12)
    rows, targets = plans[1].sample_pairs(jax.random.key(1), 4000)
    seen = np.zeros((23, 31))
    np.add.at(seen, (np.asarray(rows), np.asarray(targets)), 1.0)
    expected = 4000 * np.exp(np.asarray(plans[1].log_plan))
    # Pearson's statistic, mean 712 and deviation √1425 where counts are Poisson.
    assert np.sum((seen - expected) ** 2 / expected) < 712 + 6 * 1425**0.5


def test_transport_on_a_mesh():
    reference = brownian_reference(sf.Sphere(2), 0.3)
    x, y = (sf.data.HeatMixture(sf.Sphere(2), np.eye(3)[:2], s=[0.1, 0.1]).sample(
        jax.random.key(i), 25 + i) for i in (0, 1))  # fmt: skip
    alone = transport(reference, x, y, matrix=False)
    with sf.use_mesh(sf.device_mesh(4)):
        shared = transport(reference, x, y, matrix=False)
        np.testing.assert_allclose(shared.cost, alone.cost, rtol=1e-5)
    np.testing.assert_allclose(shared.f, alone.f, rtol=1e-4, atol=1e-4)
    assert len(shared.f.sharding.device_set) == 1


@pytest.mark.parametrize("size", [1e-50, 1e-40, 1e38, 1e300])
def test_weights_of_any_size_are_shares(size):
    rng = np.random.default_rng(0)
    costs = rng.uniform(size=(7, 9)).astype(np.float32)
    a = rng.uniform(0.5, 1.5, 7)
    found = sinkhorn(costs, size * a)
    np.testing.assert_allclose(found.log_a, np.log(a / a.sum()), rtol=1e-6)
    assert bool(found.converged)


def test_transport_on_a_mesh_under_transformations():
    reference = brownian_reference(Euclidean(2), 0.5)
    x, y = clouds()[:2]
    value = lambda x: transport(reference, x, y, matrix=False).value  # noqa: E731
    alone = jax.jit(jax.grad(value))(jnp.asarray(x))
    with sf.use_mesh(sf.device_mesh(2)):
        np.testing.assert_allclose(jax.jit(jax.grad(value))(jnp.asarray(x)), alone, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_and_log_space_agree(dtype):
    """Where K underflows (e^{-400}) products go on through absorption, a weight of 0 included, two
    at once under vmap: potentials agree within the tolerance on marginals."""
    x, y, a, b = clouds(61, 53)
    costs = squares(x, y)
    costs = (costs / costs.max()).astype(dtype)
    log_a, log_b = np.log(a, where=a > 0, out=np.full(61, -np.inf)).astype(dtype), np.log(b)
    goal = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    spreads, one = jnp.asarray([30.0, 400.0], dtype), jnp.asarray(1.0, dtype)
    f, g, _ = jax.jit(jax.vmap(lambda spread: scaled_iterations(
        spread * costs, jnp.asarray(log_a), jnp.asarray(log_b.astype(dtype)), one,
        jnp.zeros(53, dtype), jnp.asarray(0.9 * goal, dtype), jnp.int32(20_000),
    )))(spreads)  # fmt: skip
    for k, spread in enumerate((30.0, 400.0)):
        exact = sinkhorn(dtype(spread) * costs, a, b, max_iterations=20_000, tolerance=goal)
        assert bool(exact.converged)
        inside = f[k][:, None] + g[k][None, :] - spread * costs
        plan = np.exp(log_a[:, None] + log_b[None, :] + np.asarray(inside, np.float64))
        assert np.abs(plan - np.exp(np.asarray(exact.log_plan))).sum() < 3 * goal
        assert np.abs(plan.sum(0) - b).sum() < 1.5 * goal and np.abs(plan.sum(1) - a).sum() < goal


def test_costs_that_are_none_are_refused_in_matrices_of_any_size():
    """On processors a minimum over many numbers leaves NaN out."""
    for shape in ((5, 7), (300, 300), (800, 900)):
        costs = np.ones(shape, np.float32)
        costs[1, 2] = np.nan
        with pytest.raises(ValueError, match=r"costs: rows \[1\] are not finite"):
            sinkhorn(costs)


def test_potentials_of_rows_without_weight_are_answers_too():
    """Of more than 2^19 costs as of fewer."""
    rng = np.random.default_rng(0)
    costs = rng.uniform(size=(800, 900))
    a, b = rng.uniform(0.5, 1.5, 800), rng.uniform(0.5, 1.5, 900)
    a[:200], b[:300] = 0.0, 0.0
    found = sinkhorn(costs, a, b, epsilon=0.25)
    log_a, log_b, f, g = (np.asarray(x) for x in (found.log_a, found.log_b, found.f, found.g))
    np.testing.assert_allclose(f, -0.25 * logsumexp(log_b + (g - costs) / 0.25, axis=1), atol=1e-9)
    np.testing.assert_allclose(
        g, -0.25 * logsumexp(log_a[:, None] + (f[:, None] - costs) / 0.25, axis=0), atol=1e-7
    )
