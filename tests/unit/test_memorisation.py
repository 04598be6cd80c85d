"""Copies of training points are seen, fresh data pass.

Their nulls are laws of random draws and stand in ``tests/laws``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from scorefold.data.laws.flat import moons
from scorefold.manifolds import Euclidean, Hyperbolic, Sphere
from scorefold.metrics import (
    copying,
    held_out,
    likelihood_gap,
    manifold_distance,
    mann_whitney,
    nearest_ratio,
)
from scorefold.models import Model
from scorefold.models.standardise import Units


def uniform(seed, n):
    """Unit vectors of R³, without JAX, so that nothing is compiled."""
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_nearest_ratio_with_repeated_training_points():
    """Copies are all counted though each training point is there twice, and a sample counts the
    same whichever rows repeat. Two different points are needed."""
    t = uniform(0, 300)
    x = t + 1e-9
    twice = np.concatenate([t, t])
    found = nearest_ratio(Sphere(2), x, twice, uniform(1, 300))
    assert found.value == 1.0 and found.duplicates == 300
    assert found.verdict == "copies training points"
    alone = nearest_ratio(Sphere(2), x, t)
    assert alone.value == 1.0 and alone.z is None and alone.fresh is None
    assert alone.verdict == "too few points to tell"
    # A shell halfway between the points of a lattice: d₁ = d₂ everywhere.
    line = np.arange(-200.0, 200.0)[:, None]
    apart = nearest_ratio(Euclidean(1), line[:-1] + 0.5, line, line[:-1] + 0.1)
    assert apart.value == 0.0 and apart.fresh == 1.0
    assert apart.verdict == "consistent with fresh data"
    with pytest.raises(ValueError, match="two different points"):
        nearest_ratio(Sphere(2), x, np.repeat(t[:1], 5, axis=0))
    with pytest.raises(ValueError, match="ratio: must be between"):
        nearest_ratio(Sphere(2), x, t, ratio=1.0)


def test_mann_whitney_against_scipy():
    rng = np.random.default_rng(0)
    for a, b in (
        (rng.normal(size=30), rng.normal(size=50) + 0.3),
        (rng.integers(0, 6, 40).astype(float), rng.integers(1, 7, 25).astype(float)),
    ):
        p = stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic").pvalue
        z = mann_whitney(a, b)
        assert 2 * stats.norm.sf(abs(z)) == pytest.approx(p, rel=1e-10)
        assert mann_whitney(b, a) == pytest.approx(-z, rel=1e-12) and z < 0
    assert mann_whitney(np.ones(5), np.ones(7)) == 0.0


def test_copying_on_the_moons():
    """A kernel estimate with bandwidth σ of 2000 training points of two moons (noise 0.2), 1000
    samples and test points, 5 cells. Reference values of an independent implementation:
    σ = 0.001: −17.35, 0.01: −11.5, 0.03: −3.07, 0.1: +0.04, 0.5: +5.1, 1: +9.6; fresh −0.34;
    C_T of independent sets differs by its null standard deviation 0.46 (here 3 of them, and more
    where the statistic saturates)."""
    law = moons(0.2)
    t, p, fresh = (
        np.asarray(law.sample(jax.random.key(k), n)) for k, n in ((1, 2000), (2, 1000), (3, 1000))
    )
    rng = np.random.default_rng(0)
    plane, key = Euclidean(2), jax.random.key(0)
    found = {}
    for sigma in (1e-3, 0.01, 0.03, 0.1, 0.5, 1.0):
        x = t[rng.integers(2000, size=1000)] + sigma * rng.normal(size=(1000, 2))
        found[sigma] = copying(plane, x, t, p, key=key)
    for sigma, value in ((1e-3, -17.35), (0.01, -11.5), (0.03, -3.07), (0.1, 0.04), (0.5, 5.1)):
        assert abs(found[sigma].value - value) < 1.4, sigma
    assert found[0.01].value <= -10 and found[0.01].verdict == "copies training points"
    assert abs(found[0.1].value) < 1.5
    assert found[0.1].verdict == "consistent with fresh data"
    assert found[1.0].verdict.startswith("underfits")
    null = copying(plane, fresh, t, p, key=key)
    assert abs(null.value) < 3 and null.verdict == "consistent with fresh data"
    assert null.cells == 5 and null.share == pytest.approx(1.0)
    exact = copying(plane, t[:1000], t, p, key=key)
    assert exact.ties == 1.0 and exact.value < -17


def test_copying_weights_and_refusals():
    """Two cells far apart: the mean of the two statistics by their share of test points; a cell
    with few samples is left out."""
    rng = np.random.default_rng(1)
    cluster = lambda n, where: rng.normal(size=(n, 2)) * 0.1 + where  # noqa: E731
    t = np.concatenate([cluster(200, 0.0), cluster(200, 10.0)])
    p, q = (cluster(60, 0.0), cluster(30, 10.0)), (cluster(40, 0.0), cluster(50, 10.0))
    gap = lambda x: np.min(np.linalg.norm(x[:, None] - t[None], axis=2), axis=1)  # noqa: E731
    z = [mann_whitney(gap(a), gap(b)) for a, b in zip(q, p, strict=True)]
    arguments = {"key": jax.random.key(0), "cells": 2}
    found = copying(Euclidean(2), np.concatenate(q), t, np.concatenate(p), **arguments)
    assert found.value == pytest.approx((60 * z[0] + 30 * z[1]) / 90, rel=1e-10)
    assert found.null_std == pytest.approx(np.hypot(60, 30) / 90, rel=1e-12)
    one = copying(Euclidean(2), q[0], t, np.concatenate(p), **arguments)
    assert one.cells == 1 and one.value == pytest.approx(z[0]) and one.share == pytest.approx(2 / 3)
    none = copying(Euclidean(2), q[0], t, p[0], least=1000, **arguments)
    assert none.value is none.null_std is none.z is None and none.cells == 0
    with pytest.raises(ValueError, match="test: 9 different held-out points"):
        copying(Euclidean(2), q[0], t, p[0][:9], **arguments)
    with pytest.raises(ValueError, match="cells: must be from 1"):
        copying(Euclidean(2), q[0], t, p[0], key=jax.random.key(0), cells=0)


class Normal(Model):
    """N(mean, I), whose mean is fitted to a few points."""

    mean: jax.Array

    @property
    def manifold(self):
        return Euclidean(3)

    @property
    def units(self):
        return Units()

    def log_prob(self, x):
        x = jnp.asarray(x)
        square = jnp.sum((x - self.mean[None]) ** 2, axis=-1)
        return -0.5 * square - 1.5 * float(np.log(2 * np.pi))

    def sample(self, key, n):
        return self.mean + jax.random.normal(key, (n, 3))


def test_likelihood_gap():
    """½ mean |x − m|² over test minus over training points: exactly, for a normal law; its
    expectation is d/n, which 20 training points of R³ show at one standard error or so."""
    rng = np.random.default_rng(0)
    t, p = rng.normal(size=(20, 3)), rng.normal(size=(400, 3))
    model = Normal(jnp.asarray(t.mean(0)))
    found = likelihood_gap(t, p, model=model)
    halves = [0.5 * ((x - t.mean(0)) ** 2).sum(1) for x in (t, p)]
    assert found.value == pytest.approx(halves[1].mean() - halves[0].mean(), rel=1e-10)
    error = np.sqrt(halves[0].var(ddof=1) / 20 + halves[1].var(ddof=1) / 400)
    assert found.standard_error == pytest.approx(error, rel=1e-10)
    assert found.test_nll == pytest.approx(held_out(model, p).nll, rel=1e-12)
    assert abs(found.value - 3 / 20) < 4 * error
    assert likelihood_gap(model.log_prob(t), model.log_prob(p)) == pytest.approx(found, rel=1e-12)


def test_likelihood_gap_verdicts_and_refusals():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=100), rng.normal(size=100) - 2.0
    assert likelihood_gap(a, b).verdict.startswith("training points more likely by")
    assert likelihood_gap(a, a).verdict == "consistent with fresh data"
    lost = likelihood_gap(a, np.append(b, -np.inf))
    assert lost.value == np.inf and lost.verdict == "test points outside the model's support"
    with pytest.raises(ValueError, match="test: 1 log densities are NaN"):
        likelihood_gap(a, np.append(b, np.nan))
    with pytest.raises(ValueError, match="train: needs one log density a point"):
        likelihood_gap(np.zeros((5, 2)), b)


def roll_foot(x):
    """The foot of the perpendicular from a point of R³ to the roll (t cos t, y, t sin t)/4: the
    nearest of 2000 places on the spiral, then Newton's iteration for ½|c(t) − x|²."""
    t = jnp.linspace(1.5 * jnp.pi, 4.5 * jnp.pi, 2000)
    curve = lambda t: 0.25 * jnp.stack([t * jnp.cos(t), t * jnp.sin(t)])  # noqa: E731
    half = lambda t: 0.5 * jnp.sum((curve(t) - x[jnp.array([0, 2])]) ** 2)  # noqa: E731
    t = t[jnp.argmin(jax.vmap(half)(t))]
    for _ in range(4):
        t = t - jax.grad(half)(t) / jax.grad(jax.grad(half))(t)
    foot = curve(t)
    return jnp.stack([foot[0], x[1], foot[1]])


def test_distance_to_a_known_surface():
    """Points moved by known amounts along the normal are at exactly those distances: off the
    sphere, off a swiss roll whose turns are π/2 apart, and off a geodesic of H²."""
    rng = np.random.default_rng(0)
    moved = rng.uniform(-0.3, 0.3, 200)
    unit = uniform(0, 200)
    ball = lambda x: x / jnp.sqrt(jnp.sum(x * x))  # noqa: E731
    t, y = rng.uniform(2 * np.pi, 4 * np.pi, (2, 200))
    curve = 0.25 * np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    speed = 0.25 * np.stack([np.cos(t) - t * np.sin(t), np.sin(t) + t * np.cos(t)], axis=1)
    normal = np.stack([-speed[:, 1], speed[:, 0]], 1) / np.linalg.norm(speed, axis=1)[:, None]
    place = curve + moved[:, None] * normal
    rolled = np.stack([place[:, 0], y, place[:, 1]], axis=1)
    # In H² the points at distance r from the geodesic through the origin in direction e₁.
    a = rng.normal(size=200)
    plane = np.stack(
        [np.cosh(moved) * np.cosh(a), np.cosh(moved) * np.sinh(a), np.sinh(moved)], axis=1
    )

    def shadow(x):
        size = jnp.sqrt(x[0] ** 2 - x[1] ** 2)
        return jnp.stack([x[0] / size, x[1] / size, jnp.zeros_like(size)])

    truth = np.abs(moved)
    for space, points, foot in (
        (Euclidean(3), unit * (1 + moved[:, None]), ball),
        (Euclidean(3), rolled, roll_foot),
        (Hyperbolic(2), plane, shadow),
    ):
        found = manifold_distance(space, points, foot)
        assert found.mean == pytest.approx(truth.mean(), rel=1e-7)
        assert found.root_mean_square == pytest.approx(np.sqrt(np.mean(truth**2)), rel=1e-7)
        quantiles = (found.median, found.q90, found.q99, found.largest)
        assert quantiles == pytest.approx(np.quantile(truth, (0.5, 0.9, 0.99, 1)), rel=1e-7)
        assert found.standard_error == pytest.approx(truth.std(ddof=1) / np.sqrt(200), rel=1e-7)
    with pytest.raises(ValueError, match=r"nearest_point: not finite at 1 of 3 samples \(rows 1\)"):
        manifold_distance(Euclidean(3), np.diag([1.0, 0, 1]), ball)
