"""Distances of laws from samples, against closed forms, direct sums and each other."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from scorefold.manifolds import (
    Euclidean,
    Hyperbolic,
    Product,
    Sphere,
    Torus,
    pairwise,
)
from scorefold.metrics import (
    circle_wasserstein,
    energy_distance,
    generalisation,
    line_wasserstein,
    mmd,
    sliced_wasserstein,
    transport_distance,
    wasserstein,
)
from scorefold.metrics._draws import independent

KEY = jax.random.key(0)


def draws(manifold, seed, n, scale=1.0, shift=0.0):
    """Endpoints of normal steps from the origin, moved along the first direction."""
    o = manifold.origin(jnp.float64)
    z = np.random.default_rng(seed).normal(scale=scale, size=(n, manifold.dim))
    z[:, 0] += shift
    steps = jax.jit(jax.vmap(lambda c: manifold.exp(o, manifold.from_components(o, c))))
    return np.asarray(steps(z))


def unbiased(kernel, n):
    """The definition: means over i ≠ j within, over all pairs across."""
    within = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    return within(kernel[:n, :n]) + within(kernel[n:, n:]) - 2 * kernel[:n, n:].mean()


@pytest.mark.parametrize(
    "manifold",
    [Torus(2), Sphere(2), Hyperbolic(2), Product(Sphere(2), Euclidean(1))],
    ids=lambda m: m.name,
)
def test_mmd_is_the_direct_sum_of_heat_kernels(manifold):
    """Every pair by ``heat.log_prob``; interpolation of the table is within 3e-7 of a kernel."""
    x, y = draws(manifold, 0, 8), draws(manifold, 1, 6, shift=0.7)
    pooled = jnp.asarray(np.concatenate([x, y]))
    log_prob = manifold.heat.log_prob

    # A long program that runs for a moment: little is gained by optimising it.
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def table(s):
        row = jax.vmap(lambda a: jax.vmap(lambda b: log_prob(a, b, s))(pooled))(pooled)
        return jnp.exp(row - row[0, 0])

    kernel = np.mean([np.asarray(table(jnp.asarray(s * s))) for s in (0.3, 0.9)], axis=0)
    found = mmd(manifold, x, y, key=KEY, scales=(0.3, 0.9), permutations=19)
    assert found.value == pytest.approx(unbiased(kernel, 8), abs=2e-6)
    assert (found.n, found.m, found.scales) == (8, 6, (0.3, 0.9))


def test_mmd_of_normal_laws():
    """N(0, I) against N(μ, I) in R² with the kernel of scale σ: E k over independent normal
    differences of mean ν is σ²/(σ² + 2) · exp(−|ν|²/(2(σ² + 2))). Mean of 40 independent estimates
    within 4 of their standard errors; the estimate has no bias, so that small sets do."""
    sigma, shift = 0.8, 1.1
    c = sigma**2 + 2
    truth = 2 * sigma**2 / c * (1 - np.exp(-(shift**2) / (2 * c)))
    rng = np.random.default_rng(0)
    values = []
    for _ in range(40):
        x, y = rng.normal(size=(2, 25, 2))
        y[:, 0] += shift
        found = mmd(Euclidean(2), x, y, key=KEY, scales=[sigma], permutations=1)
        values.append(found.value)
    assert abs(np.mean(values) - truth) < 4 * np.std(values, ddof=1) / np.sqrt(40)


def test_median_scales_and_refusals():
    x, y = draws(Euclidean(2), 0, 40), draws(Euclidean(2), 1, 50)
    apart = pairwise(Euclidean(2), np.concatenate([x, y]), np.concatenate([x, y]))
    median = np.median(apart[apart > 0])
    found = mmd(Euclidean(2), x, y, key=KEY)
    assert found.scales == pytest.approx((median / 4, median / 2, median))
    assert mmd(Euclidean(2), x, y, key=KEY, at_most=30)[4:6] == (30, 30)
    with pytest.raises(ValueError, match="scales: must be positive"):
        mmd(Euclidean(2), x, y, key=KEY, scales=[0.0])
    with pytest.raises(ValueError, match="samples: all points are equal"):
        mmd(Euclidean(2), x[:1].repeat(5, 0), x[:1].repeat(5, 0), key=KEY)
    with pytest.raises(ValueError, match="reference: needs at least 4 points"):
        mmd(Euclidean(2), x, y[:3], key=KEY)


def test_energy_distance_on_a_line():
    """2∫(F − G)² = E with i = j counted; without them the two means are n/(n − 1) times those."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=40), rng.normal(size=60) + 0.5
    found = energy_distance(Euclidean(1), x[:, None], y[:, None], key=KEY)
    within = [np.abs(v[:, None] - v).mean() for v in (x, y)]
    counted = found.value + within[0] / 39 + within[1] / 59
    grid = np.sort(np.concatenate([x, y]))
    f, g = (np.searchsorted(np.sort(v), grid, side="right") / len(v) for v in (x, y))
    assert counted == pytest.approx(2 * np.sum((f - g)[:-1] ** 2 * np.diff(grid)), rel=1e-10)
    assert found.metric and found.p_value == 0.005 and found.verdict == "differs from fresh data"


def test_line_and_circle_transport():
    """On the line scipy's W₁ for unequal numbers, and sorted values for equal ones; on the circle
    the best cyclic shift of sorted values, and for unequal numbers copies of the points."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=7), rng.normal(size=12) + 1
    place = np.argsort(np.concatenate([x, y]))
    values, first = np.concatenate([x, y])[place][None], (place < 7)[None]
    w1 = stats.wasserstein_distance(x, y)
    assert line_wasserstein(values, first, 1) == pytest.approx([w1], rel=1e-12)
    many = np.sqrt(np.mean((np.sort(np.repeat(x, 12)) - np.sort(np.repeat(y, 7))) ** 2))
    assert line_wasserstein(values, first, 2) == pytest.approx([many], rel=1e-12)

    circle = 3.0
    x, y = rng.uniform(0, circle, 6), np.mod(rng.normal(size=9), circle)
    place = np.argsort(np.concatenate([x, y]))
    values, first = np.concatenate([x, y])[place][None], (place < 6)[None]
    x, y = np.repeat(x, 9), np.repeat(y, 6)
    turn = 2 * np.pi / circle
    truth = transport_distance(Torus(1), turn * x[:, None], turn * y[:, None], 1) / turn
    found = circle_wasserstein(values, first, np.array([circle]))
    assert found == pytest.approx([truth], rel=1e-10)


def test_sliced_distance_on_a_line_and_of_translations():
    """In one dimension it is W_p. A translation by v in R² moves slices by ⟨u, v⟩: over 4000
    directions SW₂² = |v|²/2 and SW₁ = 2|v|/π within 4 standard errors of the mean over
    directions (√(1/8)|v|² and √(½ − 4/π²)|v| a direction)."""
    x, y = draws(Euclidean(1), 0, 60), draws(Euclidean(1), 1, 60, shift=1.0)
    for order in (1, 2):
        found = sliced_wasserstein(
            Euclidean(1), x, y, key=KEY, order=order, projections=3, permutations=19
        )
        truth = transport_distance(Euclidean(1), x, y, order)
        assert found.value == pytest.approx(truth, rel=1e-10)
    circle = sliced_wasserstein(Torus(1), x, y, key=KEY, permutations=1)
    assert circle.value == pytest.approx(transport_distance(Torus(1), x, y, 1), rel=1e-10)
    x = draws(Euclidean(2), 2, 10)
    moved = x + np.array([0.6, -0.8])
    arguments = {"key": KEY, "projections": 4000, "permutations": 1}
    two = sliced_wasserstein(Euclidean(2), x, moved, order=2, **arguments).value
    assert abs(two**2 - 0.5) < 4 * np.sqrt(1 / 8 / 4000)
    one = sliced_wasserstein(Euclidean(2), x, moved, **arguments).value
    assert abs(one - 2 / np.pi) < 4 * np.sqrt((0.5 - 4 / np.pi**2) / 4000)


def test_sliced_refusals():
    for manifold in (Hyperbolic(2), Product(Euclidean(1), Torus(1))):
        x = draws(manifold, 0, 5)
        with pytest.raises(ValueError, match="treat all its points alike"):
            sliced_wasserstein(manifold, x, x, key=KEY)
    x = draws(Torus(2), 0, 5)
    with pytest.raises(ValueError, match=r"order: must be 1 on T\^2"):
        sliced_wasserstein(Torus(2), x, x, key=KEY, order=2)


def test_transport_distance():
    """Sorted values on a line; a translation in R³ costs its length and a rotation of a cluster
    of the circle its angle; normal laws in R²: W₂² = |m|² + Σ(σ_i − τ_i)², here 9.09, whose
    estimate from n points has standard deviation about 2·3·√(σ₁² + τ₁²)/√n and a bias upward of
    at most the mean squared floor."""
    x, y = draws(Euclidean(1), 0, 50), draws(Euclidean(1), 1, 50)
    for order in (1, 2):
        truth = np.mean(np.abs(np.sort(x, 0) - np.sort(y, 0)) ** order) ** (1 / order)
        assert transport_distance(Euclidean(1), x, y, order) == pytest.approx(truth, rel=1e-12)
        z = draws(Euclidean(3), 2, 50)
        v = np.array([2.0, -1.0, 2.0])
        assert transport_distance(Euclidean(3), z, (z + v)[::-1], order) == pytest.approx(3.0)
        turned = transport_distance(Torus(1), 0.1 * x, 0.1 * x + 2.0, order)
        assert turned == pytest.approx(2.0, rel=1e-9)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) * [1.0, 0.5]
    y = rng.normal(size=(800, 2)) * [0.7, 0.5] + [3.0, 0.0]
    square = transport_distance(Euclidean(2), x, y[:400]) ** 2
    floor = transport_distance(Euclidean(2), y[400:], y[:400]) ** 2
    deviation = 6 * np.sqrt(1.0 + 0.49) / np.sqrt(400)
    assert -4 * deviation < square - 9.09 < 4 * deviation + 2 * floor
    with pytest.raises(ValueError, match="order: must be 1 or 2"):
        transport_distance(Euclidean(2), x, x, 3)
    with pytest.raises(ValueError, match="y: needs as many points as x"):
        transport_distance(Euclidean(2), x, y)


def test_wasserstein_and_its_floor():
    """Fresh data are at the floor; a law moved by 1 rad is at 1 within the floor (triangle
    inequality). The floor is that of n = half the reference."""
    y = draws(Sphere(2), 0, 400, 0.3)
    same = wasserstein(Sphere(2), draws(Sphere(2), 1, 300, 0.3), y, key=KEY)
    assert same.n == 200 and same.verdict == "consistent with fresh data"
    assert abs(same.value - same.floor) < 3 * np.hypot(same.value_std, same.floor_std)
    turn = np.array([[np.cos(1), -np.sin(1), 0], [np.sin(1), np.cos(1), 0], [0, 0, 1]])
    far = wasserstein(Sphere(2), y @ turn.T, y, key=KEY)
    mean = np.mean([np.arccos(np.clip(np.sum(p * (turn @ p)), -1, 1)) ** 2 for p in y])
    assert far.value <= np.sqrt(mean) + far.floor + 4 * far.floor_std
    assert far.value > 0.7 and far.verdict.endswith("times the floor")
    with pytest.raises(ValueError, match="reference: needs at least 2"):
        wasserstein(Sphere(2), y, y[:1], key=KEY)


def test_generalisation_on_the_sphere():
    """Copies blurred by 1e-3 are called copies by the first two and pass the others; fresh data
    pass all; their mirror image fails the last four. The record is JSON without NaN."""
    sphere = Sphere(2)
    t, p, fresh = (draws(sphere, k, 400, 0.5) for k in range(3))
    copies = t + 1e-3 * np.random.default_rng(0).normal(size=t.shape)
    found = generalisation(sphere, copies, t, p, key=KEY)
    assert found.nearest_ratio.value > 0.9 and found.copying.value < -10
    assert found.verdicts["nearest_ratio"] == "copies training points"
    assert found.verdicts["copying"] == "copies training points"
    assert found.verdicts["mmd"] == "consistent with fresh data"
    assert found.left_out == {"likelihood_gap": "model: none given."} and found.leak == 0.0
    good = generalisation(sphere, fresh, t, p, key=KEY)
    assert set(good.verdicts.values()) == {"consistent with fresh data"}
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["copying"]["value"] == found.copying.value
    assert record["copying"]["verdict"] == "copies training points"
    assert record["mmd"]["scales"] == list(found.mmd.scales)
    away = generalisation(sphere, -t, t, p, key=KEY).verdicts
    for name in ("mmd", "energy_distance", "sliced_wasserstein"):
        assert away[name] == "differs from fresh data"
    assert away["wasserstein"].endswith("times the floor") and "underfits" in away["copying"]
    leaky = generalisation(sphere, fresh, t, np.concatenate([p[:200], t[:200]]), key=KEY)
    assert leaky.leak == 0.5
    few = generalisation(Torus(2), *(draws(Torus(2), k, 12) for k in range(3)), key=KEY)
    assert set(few.left_out) == {"likelihood_gap", "energy_distance"}
    assert few.copying.value is None and few.copying.cells == 0
    with pytest.raises(ValueError, match="samples: has shape"):
        generalisation(sphere, fresh[:, :2], t, p, key=KEY)


def test_repeated_test_points_are_no_evidence():
    """80 places of a normal law, recorded 1 to 9 times, the more often the farther to the right,
    beside 200 draws of the law of the rows. p values are uniform where the null holds: of 30,
    at most 5 below 1/20 (999 times in 1000); with all rows kept nearly all are."""
    rng = np.random.default_rng(0)
    p_values = {"kept": [], "independent": []}
    for k in range(30):
        places, wide = rng.normal(size=(80, 2)), rng.normal(size=(2000, 2))
        often = [np.clip(np.round(5 + 2 * x[:, 0]), 1, 9).astype(int) for x in (places, wide)]
        rows, law = (np.repeat(x, m, axis=0) for x, m in zip((places, wide), often, strict=True))
        drawn = law[rng.permutation(len(law))[:200]]
        for name, test in (("kept", rows), ("independent", independent(rows, rng))):
            found = mmd(Euclidean(2), drawn, test, key=jax.random.key(k), permutations=99)
            p_values[name].append(found.p_value)
    assert np.sum(np.array(p_values["independent"]) <= 0.05) <= 5
    assert np.sum(np.array(p_values["kept"]) <= 0.05) > 15


def test_independent_rows_keep_the_law():
    """Places recorded m times are kept in proportion to m, to 5 standard errors; different rows
    as they are."""
    rng = np.random.default_rng(0)
    times = np.tile([1, 2, 4, 8], 500)
    rows = np.repeat(np.arange(2000.0)[:, None], times, axis=0)
    kept = independent(rows, rng)
    share = np.bincount(np.tile([0, 1, 2, 3], 500)[kept[:, 0].astype(int)], minlength=4) / 500
    cap = 8  # the least c with at most 5 % of the rows beyond it
    want = np.minimum([1, 2, 4, 8], cap) / cap
    assert (np.abs(share - want) < 5 * np.sqrt(want * (1 - want) / 500) + 1e-12).all()
    assert independent(kept, rng) is kept
