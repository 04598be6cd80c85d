"""Rows with weights: a row of weight 2 is the row twice, one of weight 0 is none, and a factor of
all weights is nothing. Bit for bit where sums are the same, to rounding where their order is not,
in the mean where rows are drawn."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from toys import Toy

import scorefold as sf
from scorefold import metrics
from scorefold._weights import check_weights, effective_number, quantiles, systematic
from scorefold.bridges.intake import repeated
from scorefold.cli import main
from scorefold.data.splits.protocols import split
from scorefold.fitting import DifferentRun, batch_rows, fit
from scorefold.fitting.weighting import Strata
from scorefold.kernels.bandwidth import bandwidth_grid, leave_one_out_bandwidth
from scorefold.kernels.local.neighbourhood import moments_of
from scorefold.kernels.local.shares import likeliest_shares
from scorefold.kernels.wrapped.background import plain_law
from scorefold.manifolds import Euclidean, Hyperbolic, Sphere, Torus
from scorefold.models import EmpiricalModel, HeatKernelDensity, ManifoldParzen
from scorefold.models.mixtures.component import Component
from scorefold.models.mixtures.em import Mixtures, expectation_maximisation
from scorefold.models.mixtures.von_mises_fisher import VonMisesFisherComponents
from scorefold.models.standardise import Units
from scorefold.noising import TorusBrownian
from scorefold.runs import Run

RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(0, 4, 120)
FLAT = RNG.normal(size=(120, 2)) @ np.array([[2.0, 0.3], [0.0, 0.4]])
ROUND = RNG.normal(size=(120, 3)) + np.array([0.0, 0.0, 1.5])
ROUND /= np.linalg.norm(ROUND, axis=1, keepdims=True)
OFTEN = RNG.integers(1, 4, 300)
MANY = RNG.normal(size=(300, 2)) @ np.array([[2.0, 0.3], [0.0, 0.4]])
KEY = jax.random.key(0)


def twice(rows, weights=WEIGHTS):
    """Each row as often as its weight says."""
    return np.repeat(rows, weights, axis=0)


class Mean(Toy):
    """Half the squared distance to a point: its minimum is the (weighted) mean."""

    weighs = True
    centre: jax.Array | None = None

    def trainer(self, key, data, weights=None):
        return Mean(jnp.zeros(data.shape[1]))

    def batch_loss(self, x, key):
        return 0.5 * jnp.sum((x - self.centre[None]) ** 2, axis=1)

    def validate(self, x, key, weights=None):
        losses = self.batch_loss(x, key)
        return jnp.average(losses, weights=weights)

    def model(self, data, val, weights=None):
        return self


class InOrder(Mean):
    """Batches in an order of its own."""

    def trainer(self, key, data, weights=None):
        return InOrder(jnp.zeros(data.shape[1]))

    def batch_rows(self, key, step, n, size):
        return batch_rows(key, step, n, size)


class Unweighted(Toy):
    centre: jax.Array | None = None

    def init(self, key, data):
        return Unweighted(jnp.zeros(data.shape[1]))

    batch_loss, validate = Mean.batch_loss, Mean.validate


def trained(kind=Mean, data=FLAT, **settings):
    settings = {"steps": 60, "batch_size": 40, "key": KEY, "progress": False, **settings}
    model, history = fit(kind(), data, **settings)
    return np.asarray(model.centre), history


# -- what is refused -------------------------------------------------------------------------------
BAD = {
    "negative": ([1.0, -2.0, 3.0], r"w: 1 of 3 weights are negative \(rows 1\)"),
    "nan": ([1.0, np.nan, 3.0], r"w: 1 of 3 weights are not finite \(rows 1\)"),
    "infinite": ([np.inf, 1.0, -np.inf], r"w: 2 of 3 weights are not finite \(rows 0, 2\)"),
    "zero": ([0.0, 0.0, 0.0], r"w: all 3 weights are 0"),
    "length": ([1.0, 2.0], r"w: one weight for each of 3 rows .*\(2,\)"),
    "text": (["a", "b", "c"], r"w: not one array of numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_weights_that_are_none(case):
    weights, said = BAD[case]
    with pytest.raises(ValueError, match=said) as caught:
        check_weights("w", weights, 3)
    assert "\n" not in str(caught.value)


def test_doors_refuse_alike():
    """The argument is named at every door of Python."""
    bad, good = np.where(np.arange(120) == 7, -1.0, 1.0), np.ones(120)
    model = HeatKernelDensity(Sphere(2), ROUND, np.full(120, 0.1))
    doors = {
        "weights": lambda: trained(weights=bad),
        "val_weights": lambda: trained(val=FLAT, val_weights=bad),
        "weights:": lambda: HeatKernelDensity.choose(Sphere(2), ROUND, weights=bad),
        "weights: ": lambda: metrics.held_out(model, ROUND, weights=bad),
        "train_weights": lambda: metrics.reference_nll(
            Euclidean(2), FLAT, FLAT, train_weights=bad
        ),
        "weights of b": lambda: sf.bridges.fit_bridge(
            sf.bridges.LightBridge(sf.bridges.brownian_reference(Euclidean(2), 1.0)),
            FLAT, FLAT, weights=(good, bad), key=KEY,
        ),
    }  # fmt: skip
    for name, call in doors.items():
        with pytest.raises(ValueError, match=rf"^{name.strip()}.*rows 7\b"):
            call()
    with pytest.raises(ValueError, match="val_weights: there are no held-out points"):
        trained(val_weights=good)
    with pytest.raises(ValueError, match="weights: a Unweighted counts all rows alike"):
        trained(Unweighted, weights=WEIGHTS)
    with pytest.raises(ValueError, match="stacked"):
        sf.fit_seeds(Mean(), FLAT[None], keys=[KEY], weights=good, stacked=True)


# -- sums ------------------------------------------------------------------------------------------
def test_quantiles_and_effective_number():
    """Least numbers at which a share is reached, by hand; (1 + 2 + 3)²/14; m equal rows."""
    found = quantiles(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0]), [0.5, 0.51, 1.0])
    np.testing.assert_array_equal(found, [1.0, 2.0, 3.0])
    assert effective_number(np.array([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert effective_number(np.full(7, 1e300)) == pytest.approx(7.0)


def test_systematic_rows():
    """⌊count·w⌋ or one more of each row; of whole shares the rows themselves."""
    w = RNG.gamma(0.7, size=50)
    counts = np.bincount(systematic(w, 200), minlength=50)
    assert np.all(np.abs(counts - 200 * w / w.sum()) < 1.0)
    np.testing.assert_array_equal(systematic(np.array([1.0, 2.0, 1.0]), 4), [0, 1, 1, 2])
    rows = repeated("a", FLAT, WEIGHTS)
    same = np.all(rows[:, None] == FLAT[None], axis=-1).sum(0)
    assert np.all(np.abs(same - len(rows) * WEIGHTS / WEIGHTS.sum()) < 1.0)


def test_strata_give_each_row_its_weight():
    """Every epoch has row i ⌊w⌋ or ⌈w⌉ times. The offset of an epoch is uniform, so that the mean
    over E epochs is off by a Bernoulli variable's deviation of at most 1/(2√E): five of them. Equal
    weights give the stream of rows itself."""
    w = np.random.default_rng(1).gamma(0.7, size=60)
    w *= 60 / w.sum()
    strata, epochs = Strata.of(w), 1000
    steps = jnp.arange(2 * epochs)
    draw = jax.jit(jax.vmap(lambda s: strata.rows(batch_rows(KEY, s, 60, 30), KEY, s)))
    rows = np.asarray(draw(steps)).reshape(epochs, 60)
    counts = np.stack([np.bincount(row, minlength=60) for row in rows])
    assert np.all(np.abs(counts - w) < 1.0)
    assert np.max(np.abs(counts.mean(0) - w)) < 5.0 / (2.0 * epochs**0.5)
    even = Strata.of(np.ones(60))
    stream = batch_rows(KEY, jnp.int32(3), 60, 50)
    np.testing.assert_array_equal(even.rows(stream, KEY, jnp.int32(3)), stream)


# -- fit -------------------------------------------------------------------------------------------
def test_equal_weights_zero_weights_and_factors_change_no_bit():
    plain, _ = trained()
    np.testing.assert_array_equal(trained(weights=np.full(120, 3.0))[0], plain)
    kept = WEIGHTS > 0
    weighted, _ = trained(weights=WEIGHTS)
    absent, _ = trained(data=FLAT[kept], weights=WEIGHTS[kept])
    np.testing.assert_array_equal(weighted, absent)
    np.testing.assert_array_equal(trained(weights=0.25 * WEIGHTS)[0], weighted)
    assert not np.array_equal(weighted, plain)


@pytest.mark.parametrize("kind", [Mean, InOrder])
def test_fit_finds_the_weighted_mean(kind):
    """Of 400 steps, the last small: within five deviations of the mean of a batch of 120 weighted
    draws. The validation is the weighted mean at that point."""
    weights = np.exp(FLAT[:, 0])
    found, history = trained(
        kind, weights=weights, val=FLAT, val_weights=weights, steps=400, batch_size=120,
        learning_rate=0.05, clip=None,
    )  # fmt: skip
    truth = np.average(FLAT, axis=0, weights=weights)
    assert np.all(np.abs(found - truth) < 5.0 * FLAT.std(0) / effective_number(weights) ** 0.5 / 5)
    value = np.average(0.5 * np.sum((FLAT - found) ** 2, 1), weights=weights)
    assert min(history.val_nll) == pytest.approx(value, rel=1e-5)


def test_resuming_is_bit_for_bit_and_other_weights_are_other_data(tmp_path):
    settings = {"weights": WEIGHTS, "val": FLAT[:20], "validate_every": 20}
    whole, _ = trained(**settings)
    folder = tmp_path / "run"
    _, history = trained(out=folder, **settings)
    for path in sorted(folder.glob("*"))[1:]:
        if str(history.steps) in path.name:
            path.unlink()
    again, _ = trained(out=folder, resume=True, **settings)
    np.testing.assert_array_equal(again, whole)
    for other in (WEIGHTS + 1, None):
        with pytest.raises(DifferentRun, match=r"weights|data"):
            trained(out=folder, resume=True, **settings | {"weights": other})


def test_rows_on_disk(tmp_path):
    """Read batch by batch, the result is that of the rows in memory, bit for bit."""

    class Streamed(Mean):
        streams = True

        def trainer(self, key, data, weights=None):
            return Streamed(jnp.zeros(data.shape[1]))

    np.save(tmp_path / "x.npy", FLAT)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, _ = trained(Streamed, mapped, weights=WEIGHTS)
    np.testing.assert_array_equal(found, trained(Streamed, weights=WEIGHTS)[0])


def test_seeds_share_weights():
    found = sf.fit_seeds(
        Mean(), FLAT, keys=[KEY], weights=WEIGHTS, steps=60, batch_size=40, progress=False
    )
    np.testing.assert_allclose(found[0][0].centre, trained(weights=WEIGHTS)[0], rtol=1e-5)


# -- models: closed forms --------------------------------------------------------------------------
@pytest.mark.parametrize("manifold", [Sphere(2), Euclidean(1)], ids=lambda m: m.name)
def test_kernel_densities_are_those_of_repeated_rows(manifold):
    """Kernels, bandwidth and background of leave-one-out: a row leaves with all its weight, as all
    its copies do."""
    x = ROUND if manifold.name == "S^2" else np.clip(FLAT[:, :1], -3.0, 3.0)
    a = HeatKernelDensity.choose(manifold, x, weights=WEIGHTS)
    b = HeatKernelDensity.choose(manifold, twice(x))
    c = HeatKernelDensity.choose(manifold, x, weights=0.3 * WEIGHTS)
    np.testing.assert_allclose(a.log_prob(x), b.log_prob(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(a.log_prob(x), c.log_prob(x), rtol=1e-12)
    assert a.background == b.background


def test_draws_of_a_weighted_density():
    """A row of weight w has a share w/Σw of the draws: five binomial deviations."""
    x, log_w = np.array([[0.0], [2.0]]), np.log([0.2, 0.8])
    model = HeatKernelDensity(Torus(1), x, np.full(2, 1e-4), log_weights=log_w)
    share = float(np.mean(np.asarray(model.sample(KEY, 2000)) > 1.0))
    assert abs(share - 0.8) < 5.0 * (0.16 / 2000) ** 0.5


def test_empirical_and_parzen():
    """At the spacing of the data the mixtures are sums with the stated weights."""
    flat = Euclidean(2)
    noising = sf.default_noising(flat, FLAT)
    a = EmpiricalModel.of(noising, FLAT, weights=WEIGHTS)
    kept = WEIGHTS > 0
    total = np.log(WEIGHTS[kept] / WEIGHTS.sum())
    np.testing.assert_allclose(a.log_weights, total, rtol=1e-6)
    c = ManifoldParzen.choose(flat, FLAT, weights=WEIGHTS, neighbours=4, size=4)
    np.testing.assert_allclose(c.law.log_weights, total, rtol=1e-6)
    d = ManifoldParzen.choose(flat, FLAT, weights=7.0 * WEIGHTS, neighbours=4, size=4)
    np.testing.assert_allclose(c.log_prob(FLAT), d.log_prob(FLAT), rtol=1e-9)


def test_expectation_maximisation_is_that_of_repeated_points():
    """Steps with whole weights are those of the repeated points, up to the order of sums."""
    m, w = Sphere(2), jnp.asarray(WEIGHTS, jnp.float64)
    laws = Component(
        jnp.asarray(ROUND[:2]), jnp.broadcast_to(jnp.eye(2), (2, 2, 2)), jnp.full((2, 2), 0.2)
    )
    start = Mixtures(m, VonMisesFisherComponents(), (2,), laws, jnp.zeros(2))
    limits = jnp.full(2, 0.2), jnp.float64(1e-3), jnp.float64(1.0)
    step = jax.jit(lambda x, w: expectation_maximisation(start, x, *limits, 4, w))
    a, value_a = step(jnp.asarray(ROUND), w)
    b, value_b = step(jnp.asarray(twice(ROUND)), None)
    np.testing.assert_allclose(value_a, value_b, rtol=1e-12)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_what_is_read_off_data():
    """Units, bandwidths, broad laws, wrapped normal moments: those of the repeated rows."""
    w = WEIGHTS[WEIGHTS > 0] * 1.0
    x = FLAT[WEIGHTS > 0]
    flat, many = Euclidean(2), twice(FLAT)
    a, b = Units.measure(flat, x, weights=w), Units.measure(flat, many)
    np.testing.assert_allclose(a.shift, b.shift, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a.scale, b.scale, rtol=1e-9)
    jw, jx, jm = jnp.asarray(w), jnp.asarray(x), jnp.asarray(many)
    grid = bandwidth_grid(flat, jx, 6, jw)
    np.testing.assert_allclose(grid, bandwidth_grid(flat, jm, 6), rtol=1e-9)
    s = leave_one_out_bandwidth(flat, jx, size=6, weights=jw)
    assert s == pytest.approx(leave_one_out_bandwidth(flat, jm, size=6))
    manifold, near = Hyperbolic(2), 0.3 * jnp.asarray(MANY)
    origin = manifold.origin()
    there = jax.vmap(lambda v: manifold.exp(origin, manifold.from_components(origin, v)))(near)
    for space, rows in ((flat, MANY), (manifold, np.asarray(there))):
        one = plain_law(space, rows, OFTEN * 1.0)
        other = plain_law(space, twice(rows, OFTEN))
        for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(np.abs(left), np.abs(right), rtol=1e-5, atol=1e-7)
    torus = Torus(2)
    c = TorusBrownian.measure(torus, x, weights=w)
    d = TorusBrownian.measure(torus, many)
    np.testing.assert_allclose(c.mean, d.mean, rtol=1e-9)
    np.testing.assert_allclose(c.variance, d.variance, rtol=1e-9)


def test_moments_of_neighbours():
    """Σ w v vᵀ/Σ w over the two nearest that are kept, by hand; alike weights are none."""
    v = jnp.asarray([[1.0, 0.0], [9.0, 9.0], [0.0, 2.0], [3.0, 3.0]])
    kept = jnp.asarray([True, False, True, True])
    moments, means = moments_of(v, kept, (2,), jnp.asarray([1.0, 5.0, 3.0, 7.0]))
    np.testing.assert_allclose(means[0], [1 / 4, 6 / 4])
    np.testing.assert_allclose(moments[0], [1 / 4, 0.0, 12 / 4])
    for left, right in zip(
        moments_of(v, kept, (2,), jnp.full(4, 3.0)), moments_of(v, kept, (2,)), strict=True
    ):
        np.testing.assert_allclose(left, right)


def test_shares_by_weights():
    """The likeliest shares with whole weights are those of the repeated rows."""
    table = np.random.default_rng(2).normal(size=(120, 3))
    prior = np.array([0.0, 0.5, 0.5])
    found = likeliest_shares(table, prior, WEIGHTS * 1.0)
    np.testing.assert_allclose(found, likeliest_shares(twice(table), prior), rtol=1e-6)


def test_kernel_models_before_training():
    """A row of weight w has a kernel of w times the weight, and moments of its neighbours; all
    weights three times as large change nothing."""
    m, x = Sphere(2), jnp.asarray(ROUND)
    w = np.random.default_rng(3).gamma(1.0, size=120)
    asked = sf.KernelModel(m, counts=(3, 8), width=4, depth=1, folds=4)
    one, other = (asked.cross_fit(KEY, x, v) for v in (w / w.mean(), (3.0 * w) / (3.0 * w).mean()))
    mixture = one.whole_mixture()
    narrow = np.asarray(mixture.log_weights[:120])
    plain = np.asarray(asked.cross_fit(KEY, x).whole_mixture().log_weights[:120])
    np.testing.assert_allclose(narrow - plain, np.log(w / w.sum()) + np.log(120), atol=1e-6)
    for left, right in zip(
        jax.tree.leaves(eqx.filter(mixture, eqx.is_array)),
        jax.tree.leaves(eqx.filter(other.whole_mixture(), eqx.is_array)),
        strict=True,
    ):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


# -- measures --------------------------------------------------------------------------------------
class Logs(sf.models.Model):
    """log p is a coordinate."""

    manifold: Euclidean = Euclidean(2)
    units: Units = Units()

    def log_prob(self, x):
        return jnp.asarray(np.asarray(x)[:, 0])

    def sample(self, key, n):
        return jnp.zeros((n, 2))


def test_held_out_likelihood():
    """The mean is that of the repeated rows. The error is that of as many rows as they are worth,
    √(Σ w (l − l̄)²/(Σw (n* − 1))), and with equal weights the usual one."""
    found = metrics.held_out(Logs(), FLAT, weights=WEIGHTS)
    assert found.nll == pytest.approx(metrics.held_out(Logs(), twice(FLAT)).nll)
    worth = WEIGHTS.sum() ** 2 / np.sum(WEIGHTS**2)
    assert found.effective == pytest.approx(worth) and found.n == int(np.sum(WEIGHTS > 0))
    spread = np.average((FLAT[:, 0] + found.nll) ** 2, weights=WEIGHTS)
    assert found.standard_error == pytest.approx((spread / (worth - 1)) ** 0.5)
    assert metrics.held_out(Logs(), FLAT, weights=9 * WEIGHTS) == pytest.approx(found)
    assert metrics.held_out(Logs(), FLAT, weights=np.full(120, 2.0)) == metrics.held_out(
        Logs(), FLAT
    )
    alone = metrics.held_out(Logs(), FLAT, weights=np.arange(120) == 3)
    assert alone.standard_error is None and alone.nll == pytest.approx(-FLAT[3, 0])


def test_the_reference_is_that_of_repeated_rows():
    settings = {"train_weights": OFTEN, "weights": OFTEN}
    found = metrics.reference_nll(Euclidean(2), MANY, MANY, **settings)
    other = metrics.reference_nll(Euclidean(2), twice(MANY, OFTEN), twice(MANY, OFTEN))
    assert found.nll == pytest.approx(other.nll, rel=1e-6)


def test_thinned_rows_have_the_weighted_law():
    """Uniform rows with weights 2x on [0, 1] have the law of density 2x, whose distribution
    function is x²: within the 5 % beyond the bound and the 1.63/√n of Kolmogorov's test at 0.01. A
    row of weight 2 is thinned as two rows of weight 1."""
    x = np.random.default_rng(4).uniform(size=(4000, 1))
    rows = metrics.thinned(x, 2.0 * x[:, 0], key=KEY)
    kept = np.sort(x[rows, 0])
    gap = np.max(np.abs(kept**2 - np.arange(1, len(kept) + 1) / len(kept)))
    assert len(np.unique(rows)) == len(rows) > 1500 and gap < 0.05 + 1.63 / len(kept) ** 0.5
    w = np.arange(1, 5)
    a = metrics.thinned(FLAT[:4], w, key=KEY)
    b = metrics.thinned(twice(FLAT[:4], w), np.ones(10), key=KEY)
    np.testing.assert_array_equal(FLAT[:4][a], twice(FLAT[:4], w)[b])


def test_generalisation_of_weighted_rows():
    """Draws of the weighted law are consistent with it, and draws of the unweighted one are not;
    the measures say of how many rows they saw some."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(900, 1))
    w = np.exp(1.5 * x[:, 0])  # N(0, 1) tilted: N(1.5, 1).
    parts = metrics.PartWeights(w[:600], w[600:])
    settings = {"weights": parts, "key": KEY}
    right = metrics.generalisation(
        Euclidean(1), rng.normal(size=(300, 1)) + 1.5, x[:600], x[600:], **settings
    )
    wrong = metrics.generalisation(
        Euclidean(1), rng.normal(size=(300, 1)), x[:600], x[600:], **settings
    )
    assert right.of_rows == (600, 300) and right.n_train < 600
    assert right.to_dict()["of_rows"] == [600, 300]
    assert right.mmd.p_value > 0.01 > wrong.mmd.p_value or wrong.mmd.p_value == 0.005


# -- tables, splits, runs --------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_grouped_split_is_that_of_repeated_rows(seed):
    """The same places to train, to validate and to test."""
    w = np.maximum(WEIGHTS, 1)
    one = split("grouped", FLAT, seed, weights=w * 1.0)
    many = split("grouped", twice(FLAT, w), seed)
    for left, right in zip(one, many, strict=True):
        places = {row.tobytes() for row in twice(FLAT, w)[right]}
        assert {row.tobytes() for row in FLAT[left]} == places


@pytest.mark.parametrize("protocol", ["grouped", "random", "blocks"])
def test_shares_are_of_weight(protocol):
    """80/10/10 of the weight, to within the heaviest row, and for blocks a cell."""
    w = np.random.default_rng(6).gamma(1.0, size=2000)
    x = np.random.default_rng(7).normal(size=(2000, 2))
    found = split(protocol, x, 0, weights=w)
    shares = [w[rows].sum() / w.sum() for rows in found]
    slack = 2 * w.max() / w.sum() + (0.05 if protocol == "blocks" else 0.0)
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=slack)
    assert sorted(np.concatenate(found)) == list(range(2000))
    with pytest.raises(sf.data.DataError, match=r"weights.*'dedup' counts all rows alike"):
        split("dedup", x, 0, weights=w)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "points.csv"
    place = np.degrees(np.stack([np.arcsin(ROUND[:, 2]), np.arctan2(ROUND[:, 1], ROUND[:, 0])]))
    pd.DataFrame({"lat": place[0], "lon": place[1], "w": WEIGHTS}).to_csv(path, index=False)
    return path


def test_a_table_with_weights(table):
    """Rows of weight 0 are left out, and said; the audit has totals by hand."""
    data = sf.data.load(table, weights="w")
    kept = WEIGHTS[WEIGHTS > 0]
    np.testing.assert_array_equal(np.sort(data.weights), np.sort(kept))
    assert any("weight 0" in line for line in data.warnings)
    audit = data.audit.weights
    assert audit.total == kept.sum() and audit.column == "w"
    assert audit.effective == pytest.approx(kept.sum() ** 2 / np.sum(kept**2))
    assert audit.heaviest == pytest.approx(3 / kept.sum())
    assert sum(audit.parts) == pytest.approx(1.0)
    assert "column 'w', total" in str(data.audit)
    assert data.audit.to_dict()["weights"]["column"] == "w"
    assert sf.data.load(table, columns="lat,lon").audit.weights is None
    np.testing.assert_array_equal(data.weights_of("test"), data.weights[data.indices.test])


WRONG = {
    "no column": ("v", "Unknown column of weights= (--weights) 'v'"),
    "coordinate": ("lat", "weights= (--weights): column 'lat' is also a coordinate"),
    "negative": ("minus", "weights= (--weights): column 'minus' has 1 negative entries (rows 5)"),
    "not finite": ("hole", "weights= (--weights): column 'hole' has 1 entries that are not finite"),
    "zero": ("none", "weights= (--weights): column 'none' has no positive entry"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_columns_are_one_line(case, table, capsys):
    column, said = WRONG[case]
    rows = pd.read_csv(table)
    rows["minus"] = np.where(rows.index == 5, -1.0, 1.0)
    rows["hole"] = np.where(rows.index == 5, np.nan, 1.0)
    rows["none"] = 0.0
    rows.to_csv(table, index=False)
    columns = [] if case == "coordinate" else ["--columns", "lat,lon"]
    for command in ("fit", "audit"):
        if command == "audit" and case == "not finite":
            continue  # The audit leaves such rows out and names them.
        assert main([command, str(table), "--weights", column, *columns]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert main(["audit", "no.csv", "--weights", "w"]) == 2


def test_a_run_with_weights(table, tmp_path, capsys):
    """``run.json`` and ``metrics.json`` name the column; numbers are those of the weighted rows,
    here of a kernel density; other weights are another run."""
    folder = tmp_path / "run"
    line = ["--manifold", "R^1", "--columns", "lat"]
    words = ["fit", str(table), "--model", "kde", "--out", str(folder), "--no-report", *line]
    assert main([*words, "--weights", "w"]) == 0
    assert "rows carry weights, column 'w'" in capsys.readouterr().err
    run, numbers = (json.loads((folder / f"{n}.json").read_text()) for n in ("run", "metrics"))
    assert run["options"]["weights"] == "w" and numbers["weights"] == "w"
    assert "train_weights" in run["points"]
    data = sf.data.load(table, weights="w", manifold="R^1", columns="lat")
    model = HeatKernelDensity.choose(data.manifold, data.train, weights=data.weights_of("train"))
    found = metrics.held_out(model, data.test, weights=data.weights_of("test"))
    assert numbers["test_nll"] == pytest.approx(found.nll, abs=1e-6)
    assert numbers["test_nll_standard_error"] == pytest.approx(found.standard_error, rel=1e-6)
    assert numbers["n_test_effective"] == pytest.approx(found.effective)
    assert main([*words, "--resume"]) == 2
    assert "weights" in capsys.readouterr().err
    other = ["evaluate", str(folder), str(table), "--weights", "w", "--no-samples"]
    assert main(other) == 0
    points = data.coordinates.to_points(data.values)
    whole = metrics.held_out(model, points, weights=data.weights)
    assert f"NLL {whole.nll:.4f}" in capsys.readouterr().out
    assert main(["evaluate", str(folder), "--weights", "w"]) == 2
    assert "--weights" in capsys.readouterr().err


def test_what_has_no_weights_refuses_them(table, capsys):
    """One table of times, masses of snapshots, and data known by name: in one line."""
    for words, said in (
        ([str(table), "--time", "lat"], "no option of a table with a column of times"),
        ([str(table), "volcano"], "volcano is known by name, and its rows count alike"),
    ):
        assert main(["bridge", *words, "--weights", "w"]) == 2
        error = capsys.readouterr().err
        assert f"--weights w: {'a column of files; ' * ('volcano' in said)}{said}" in error
        assert error.count("\n") == 1
    words = ["bridge", *[str(table)] * 3, "--weights", "w", "--columns", "lat,lon"]
    assert main([*words, "--growth", "--method", "current"]) == 2
    assert "members are counted by rows, which --weights changes" in capsys.readouterr().err


def test_three_snapshots_with_weights(tmp_path, capsys):
    """Two clusters, at every time with the weights 1 and 3: splines carry three quarters of the
    mass, within four standard errors of 400 draws; the page and the line say so."""
    rng = np.random.default_rng(4)
    side = np.repeat([-3.0, 3.0], 100)
    for k in range(3):
        rows = np.stack([side, np.full(200, float(k))], 1) + 0.2 * rng.normal(size=(200, 2))
        frame = pd.DataFrame(rows, columns=["u", "v"]).assign(w=np.where(side > 0, 3.0, 1.0))
        frame.to_csv(tmp_path / f"day{k}.csv", index=False)
    tables = [str(tmp_path / f"day{k}.csv") for k in range(3)]
    words = ["bridge", *tables, "--weights", "w", "--columns", "u,v", "--method", "spline"]
    words += ["--manifold", "R^2"]
    assert main([*words, "--out", str(tmp_path / "run"), "--no-report", "--quiet"]) == 0
    assert "day1.csv: rows carry weights, column 'w'" in capsys.readouterr().err
    law = Run.open(tmp_path / "run").model()
    drawn = np.asarray(law.sample_at(jax.random.key(0), 0.5, 400))
    assert abs(np.mean(drawn[:, 0] > 0) - 0.75) < 4 * (0.75 * 0.25 / 400) ** 0.5
    assert abs(drawn[:, 1].mean() - 0.5) < 0.1


def test_scikit_learn():
    """``sample_weight`` in fit and score: repeated rows."""
    density, x = pytest.importorskip("scorefold.sklearn").Density, FLAT[:, :1]
    a = density("R^1", model="kde", random_state=0).fit(x, sample_weight=WEIGHTS)
    b = density("R^1", model="kde", random_state=0).fit(twice(x))
    np.testing.assert_allclose(a.score_samples(x), b.score_samples(x), atol=1e-6)
    assert a.score(x, sample_weight=WEIGHTS) == pytest.approx(a.score(twice(x)))
    with pytest.raises(ValueError, match=r"sample_weight: one weight for each of 120 rows"):
        a.fit(x, sample_weight=WEIGHTS[:5])


@pytest.mark.parametrize("protocol", ["random", "grouped"])
def test_a_factor_of_all_weights_changes_no_split(protocol):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        points, weights = rng.normal(size=(60, 2)), rng.integers(1, 4, 60).astype(float)
        given = [split(protocol, points, seed, weights=c * weights) for c in (1.0, 0.1, 1e300 / 3)]
        for part in range(3):
            for other in given[1:]:
                np.testing.assert_array_equal(given[0][part], other[part])


def test_weights_that_are_masked_or_dates_are_refused():
    hidden = np.ma.masked_greater([1.0, 1e20, 1.0], 10.0)
    with pytest.raises(ValueError, match="w: rows 1 are masked"):
        check_weights("w", hidden, 3)
    with pytest.raises(ValueError, match="w: not one array of numbers"):
        check_weights("w", np.array(["2020-01-01"] * 3, "datetime64[D]"), 3)


def test_one_row_with_all_the_weight_has_no_bandwidth():
    points = np.random.default_rng(0).normal(size=(150, 2)).astype(np.float32)
    weights = np.where(np.arange(150) == 7, 1.0, 1e-30)
    with pytest.raises(ValueError, match="weights: row 7 of those that count has nearly all"):
        HeatKernelDensity.choose(Euclidean(2), points, weights=weights)


def test_a_code_for_no_value_in_the_column_of_weights_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"lat": rng.normal(40, 2, 60), "lon": rng.normal(8, 2, 60), "w": 1.0})
    table.loc[::10, "w"] = 9999.0
    table.loc[5, "w"] = 3.0
    table.to_csv(tmp_path / "a.csv", index=False)
    for code in ("w=9999", 9999.0):
        data = sf.data.load(str(tmp_path / "a.csv"), weights="w", drop_value=code)
        assert data.weights.max() / data.weights.min() == 3.0 and len(data.weights) == 54
