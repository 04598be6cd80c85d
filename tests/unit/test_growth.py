"""Births and deaths along paths: closed forms of normal laws, members that keep their lane."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from scorefold._warnings import ScorefoldWarning
from scorefold._weights import systematic
from scorefold.bridges import GivenGrowth, fit_current, no_drift
from scorefold.manifolds import Euclidean, Sphere

LINE, END, RATE = Euclidean(1), 1.5, 0.4


def quantiles(mean, std, n=300):
    """n points that stand for a normal law: what they miss is in the tails, O(1/n)."""
    return (mean + std * norm.ppf((np.arange(n) + 0.5) / n))[:, None]


def covariance(s0, s1, total):
    """Of the ends of the Brownian bridge of variance ``total`` between normal laws of deviations
    s0 and s1: c = √(s0²s1² + total²/4) − total/2 (Mallasto, Gerolin & Minh 2021)."""
    return math.sqrt(s0**2 * s1**2 + total**2 / 4) - total / 2


@pytest.mark.parametrize("kappa", [0.0, 0.6])
def test_normal_laws_with_linear_growth(kappa):
    """g = .3 + κx. Descendants P are normal with the covariance of the balanced plan; tilting P by
    e^{−R}, R linear in both ends, moves its means by −cov·∇R and nothing else. So are the means of
    the law at any time, and the mass is E[e^{−R}] times what is common. Within 1 % and 4 standard
    errors of 20,000 draws."""
    (m0, s0), (m1, s1), n = (0.2, 0.5), (1.0, 0.7), 300
    growth = GivenGrowth(LINE, lambda x, t: 0.3 + kappa * x[0])
    current, _ = fit_current(
        LINE, [0.0, END], [quantiles(m0, s0), quantiles(m1, s1, 2 * n)], key=jax.random.key(0),
        drift=no_drift(LINE), growth=growth, rate=RATE,
    )  # fmt: skip
    c = covariance(s0, s1, RATE * END)
    cov = np.array([[s0**2, c], [c, s1**2]])
    half = 0.5 * END * kappa
    start = m0 + half * (s0**2 + c)

    def tilted(part):
        h = half * np.array([(1 - part) ** 2, 1 - part**2])
        mean = np.array([start, m1]) - cov @ h
        flat = 0.3 * END * (1 - part)
        return mean, -flat - h @ np.array([start, m1]) + 0.5 * h @ cov @ h

    np.testing.assert_allclose(tilted(0.0)[0][0], m0, atol=1e-12)
    whole = tilted(0.0)[1]
    for t in (0.3, 0.9, 1.5):
        part, draws = t / END, 20_000
        mean, log_mass = tilted(part)
        ends = np.array([1 - part, part])
        spread = ends @ cov @ ends + RATE * t * (1 - part)
        drawn = np.asarray(current.sample_at(jax.random.key(1), t, draws))[:, 0]
        error = 4 * math.sqrt(spread / draws) + 0.01
        assert abs(drawn.mean() - ends @ mean) < error, t
        assert abs(drawn.var() - spread) < 4 * spread * math.sqrt(2 / draws) + 0.015, t
        common = (1 - part) * (math.log(n) - math.log(2 * n) - whole)
        expected = 2 * n * math.exp(log_mass + common)
        assert current.mass_at(t) == pytest.approx(expected, rel=0.01)
    assert current.mass_at(0.0) == pytest.approx(n) and current.mass_at(END) == pytest.approx(2 * n)


def test_a_constant_rate_changes_no_law_and_the_mass_is_exponential():
    """The same plan to rounding, and n e^{gt} where the snapshots say so, to 1e-6."""
    x, y = quantiles(0.0, 1.0, 100), quantiles(0.5, 0.8, 200)
    given = {"key": jax.random.key(0), "drift": no_drift(LINE), "rate": RATE}
    plain, _ = fit_current(LINE, [0.0, 2.0], [x, y], **given)
    grown, _ = fit_current(
        LINE, [0.0, 2.0], [x, y], growth=GivenGrowth(LINE, lambda x, t: jnp.log(2.0) / 2.0), **given
    )
    a, b = plain.intervals[0], grown.intervals[0]
    np.testing.assert_allclose(a.f[:, None] + a.g[None], b.f[:, None] + b.g[None], atol=1e-6)
    for t in (0.0, 0.7, 2.0):
        assert grown.mass_at(t) == pytest.approx(100 * 2 ** (t / 2), rel=1e-6)
        assert plain.mass_at(t) == pytest.approx(100 * 2 ** (t / 2), rel=1e-6)


def lanes(share, x, n, rng):
    """Two lanes at y = 1 and y = −1, ``share`` of the members in the upper one."""
    y = np.where(np.arange(n) < share * n, 1.0, -1.0)
    return np.stack([x + 0.1 * rng.normal(size=n), y + 0.1 * rng.normal(size=n)], axis=1)


def test_members_that_multiply_stay_in_their_lane():
    """Half of 60 in the upper lane, then four fifths of 150, because it multiplies eightfold and
    the other doubles; shares at time t are 8^t/(8^t + 2^t). Without growth three in ten change
    their lane, with it none."""
    rng = np.random.default_rng(0)
    clouds = [lanes(0.5, 0.0, 60, rng), lanes(0.8, 1.0, 150, rng)]
    growth = GivenGrowth(Euclidean(2), lambda x, t: jnp.where(x[1] > 0, jnp.log(8.0), jnp.log(2.0)))
    given = {"key": jax.random.key(0), "drift": no_drift(Euclidean(2)), "rate": 0.05}
    grown, _ = fit_current(Euclidean(2), [0.0, 1.0], clouds, growth=growth, **given)
    plain, _ = fit_current(Euclidean(2), [0.0, 1.0], clouds, **given)
    changed = []
    for law in (grown, plain):
        paths = np.asarray(law.sample_paths(jax.random.key(1), clouds[0], [1.0]))[:, 0]
        changed.append(np.mean(np.sign(paths[:, 1]) != np.sign(clouds[0][:, 1])))
    assert changed[0] < 0.02 and 0.2 < changed[1] < 0.4
    for t in (0.25, 0.5, 0.75):
        there = np.asarray(grown.sample_at(jax.random.key(2), t, 2000))
        assert abs(np.mean(there[:, 1] > 0) - 8**t / (8**t + 2**t)) < 0.02
    # 8 and 2 of 5 in the mean; as many paths from each arrive as the next snapshot lies.
    many = grown.descendants(clouds[0], 0.0)
    upper = clouds[0][:, 1] > 0
    np.testing.assert_allclose([many[upper].mean(), many[~upper].mean()], [1.6, 0.4], rtol=0.02)
    begun = clouds[0][systematic(many, 400)]
    ends = np.asarray(grown.sample_paths(jax.random.key(3), begun, [1.0]))[:, 0]
    assert abs(np.mean(ends[:, 1] > 0) - 0.8) < 0.02
    np.testing.assert_array_equal(plain.descendants(clouds[0], 0.0), 1.0)
    with pytest.raises(ValueError, match="start: 1 is the last snapshot"):
        grown.descendants(clouds[0], 1.0)
    # 30·8 + 30·2 = 300 of what were 60; the snapshot has 150, half of them in common.
    assert grown.mass_at(0.5) == pytest.approx(30 * (8**0.5 + 2**0.5) / 2**0.5, rel=0.02)


@pytest.mark.parametrize("eightfold", [pytest.param(True, marks=pytest.mark.slow), False])
def test_growth_is_learned_where_there_is_some(eightfold):
    """Six snapshots of the two lanes, 50 of each: where the upper multiplies eightfold and the
    lower doubles, growth in the upper is larger by log 4 within a tenth, and members keep their
    lane; where both grow alike, none is learned."""
    rng, times = np.random.default_rng(0), np.arange(6) / 5.0
    shares = 8**times / (8**times + 2**times) if eightfold else np.full(6, 0.5)
    clouds = [lanes(s, t, 50, rng) for s, t in zip(shares, times, strict=True)]
    said = (
        contextlib.nullcontext()
        if eightfold
        else pytest.warns(
            ScorefoldWarning,
            match="growth: with it inner snapshots are missed by .* none was learned",
        )
    )
    with said:
        law, history = fit_current(
            Euclidean(2), times, clouds, key=jax.random.key(0), growth="learn", length=2.0,
            ridge=1e-2, rate=0.02, features=30,
        )  # fmt: skip
    assert history.chosen.growth == eightfold
    assert [trial.growth for trial in history.trials] == [False, True]
    if not eightfold:
        assert law.intervals[0].growth is None
        return
    interval = law.intervals[1]
    upper = np.asarray(interval.start)[:, 1] + float(law.origin[1]) > 0
    g = np.asarray(interval.growth[0])
    assert g[upper].mean() - g[~upper].mean() == pytest.approx(math.log(4.0), rel=0.1)
    paths = np.asarray(law.sample_paths(jax.random.key(1), clouds[0], [1.0]))[:, 0]
    assert np.mean(np.sign(paths[:, 1]) != np.sign(clouds[0][:, 1])) < 0.06


def test_growth_on_the_sphere():
    """Deaths in the north: shares at both snapshots are their own, and paths lead back."""
    m, rng = Sphere(2), np.random.default_rng(0)
    clouds = []
    for k, size in enumerate((30, 20)):
        rows = rng.normal(size=(size, 3)) * [1.0, 1.0, 0.5] + [3.0, float(k), 0.0]
        clouds.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    growth = GivenGrowth(m, lambda x, t: -2.0 * x[2])
    current, _ = fit_current(
        m, [0.0, 1.0], clouds, key=jax.random.key(0), growth=growth, drift=no_drift(m), rate=0.01
    )
    for k, t in enumerate((0.0, 1.0)):
        drawn = np.asarray(current.sample_at(jax.random.key(1), t, 600))
        np.testing.assert_allclose(drawn.mean(axis=0), clouds[k].mean(axis=0), atol=0.03)
        assert current.mass_at(t) == pytest.approx(len(clouds[k]), rel=1e-5)
    assert np.isfinite(current.sample_paths(jax.random.key(2), clouds[1], [0.3], start=1.0)).all()


def test_growth_that_is_not_finite_is_refused():
    rows = np.array([[0.0], [1.0], [2.0]])
    growth = GivenGrowth(LINE, lambda x, t: jnp.log(x[0]))
    with pytest.raises(ValueError, match=r"growth: is not finite at rows \[0\] of the points at t"):
        fit_current(LINE, [0.0, 1.0], [rows, rows + 1], key=jax.random.key(0), growth=growth,
                    drift=no_drift(LINE))  # fmt: skip


def test_growth_of_two_snapshots_is_not_learned_in_silence():
    rng = np.random.default_rng(3)
    clouds = [rng.normal(size=(20, 1)), rng.normal(size=(30, 1))]
    with pytest.warns(ScorefoldWarning, match="growth: of two snapshots none lies between"):
        law, _ = fit_current(
            LINE, [0.0, 1.0], clouds, key=jax.random.key(0), growth="learn", drift=no_drift(LINE),
            rate=0.3, draws=0,
        )  # fmt: skip
    assert law.intervals[0].growth is None


@pytest.mark.slow
def test_growth_is_found_where_a_drift_could_hide_it():
    """Three snapshots of the lanes, all left to choice: 60 and 60, 120 and 60, 240 and 60. A drift
    that takes as many from each member carries a third of the lower lane over (W₁ .29 at the
    middle one). With growth it is at the floor, .07, and log 4 over two units of time is found
    within a tenth."""
    rng = np.random.default_rng(0)
    clouds = []
    for t, upper in enumerate((60, 120, 240)):
        rows = [np.stack([t + 0.15 * rng.normal(size=n), y + 0.15 * rng.normal(size=n)], axis=1)
                for n, y in ((upper, 1.0), (60, -1.0))]  # fmt: skip
        clouds.append(np.concatenate(rows))
    law, history = fit_current(
        Euclidean(2), [0, 1, 2], clouds, key=jax.random.key(0), growth="learn"
    )
    assert history.chosen.growth
    assert history.chosen.w1 < 0.1
    assert min(trial.w1 for trial in history.trials if not trial.growth) > 0.25
    interval = law.intervals[0]
    upper = np.asarray(interval.start)[:, 1] + float(law.origin[1]) > 0
    g = np.asarray(interval.growth[0])
    assert g[upper].mean() - g[~upper].mean() == pytest.approx(math.log(4.0) / 2, rel=0.1)
