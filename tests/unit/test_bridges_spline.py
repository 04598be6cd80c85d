"""Normal snapshots joined by integrated Brownian motion.

Oracles: SciPy's natural cubic spline; Kalman's filter and Rauch's smoother of the state (x, v),
written out step by step; entropic transport of many marginals on a grid.
"""

import itertools

import jax
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from scorefold.bridges import gaussian_spline
from scorefold.bridges.reference.integrated import knot_slopes, pinned_moments, position_precision

TIMES = np.array([0.0, 0.7, 1.5, 2.0, 3.2])


def snapshots(d=2, seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(len(TIMES), d, d)) + 1.5 * np.eye(d)
    return rng.normal(size=(len(TIMES), d)) * 2, roots @ roots.transpose(0, 2, 1)


def test_energy_and_slopes_of_the_natural_spline():
    """x·Qx = ∫|x''|² by SciPy's spline (x'' is linear between knots: Simpson's rule is exact), and
    its slopes at the knots."""
    x = np.random.default_rng(1).normal(size=len(TIMES))
    spline = CubicSpline(TIMES, x, bc_type="natural")
    bend, h = spline(TIMES, 2), np.diff(TIMES)
    energy = np.sum(h / 3 * (bend[:-1] ** 2 + bend[:-1] * bend[1:] + bend[1:] ** 2))
    assert x @ position_precision(TIMES) @ x == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(knot_slopes(TIMES) @ x, spline(TIMES, 1), atol=1e-12)


def test_means_follow_the_natural_spline_at_every_epsilon():
    """E x(t) is the natural cubic spline through the means, straight beyond the ends."""
    means, covs = snapshots()
    at = np.array([0.1, 0.7, 1.1, 2.9])
    spline = CubicSpline(TIMES, means, bc_type="natural")
    for epsilon in (0.05, 3.0):
        found = gaussian_spline(TIMES, means, covs, epsilon)
        got = np.stack([found.law(t).mean for t in at])
        np.testing.assert_allclose(got, spline(at), atol=1e-9)
        beyond = found.law(4.0).mean
        np.testing.assert_allclose(beyond, means[-1] + 0.8 * spline(TIMES[-1], 1), atol=1e-9)


def test_snapshots_are_met_and_ends_are_free():
    """Every marginal is the given one, to the tolerance; between knots the covariance grows."""
    means, covs = snapshots(3)
    found = gaussian_spline(TIMES, means, covs, 0.5)
    assert found.error < 1e-9
    for t, cov in zip(TIMES, covs, strict=True):
        np.testing.assert_allclose(found.law(float(t)).cov, cov, atol=1.01e-9 * covs.max())


def test_pinned_moments_are_those_of_a_smoother():
    """x(t) given the knots, from the state-space form dx = v dt, dv = √ε dW by conditioning the
    joint normal law of a start that is almost flat (variance 1e6: what is left of it is 1e-6
    relative)."""
    at, epsilon, flat = np.array([0.4, 1.0, 2.6]), 1.0, 1e6
    every = np.concatenate([TIMES, at])

    def cross(s, t):
        low, high = min(s, t), max(s, t)
        return flat * (1 + s * t) + epsilon * (low**2 * high / 2 - low**3 / 6)

    joint = np.array([[cross(s, t) for t in every] for s in every])
    k = len(TIMES)
    gains = np.linalg.solve(joint[:k, :k], joint[:k, k:]).T
    cov = joint[k:, k:] - gains @ joint[:k, k:]
    got_gains, got_cov = pinned_moments(TIMES, at)
    np.testing.assert_allclose(got_gains, gains, atol=1e-4)
    np.testing.assert_allclose(epsilon * got_cov, cov, atol=1e-4)


def test_three_snapshots_against_transport_on_a_grid():
    """One dimension: Sinkhorn's algorithm for three marginals with the kernel exp(−x·Qx/2ε) on a
    grid of 61 points gives the covariance of the three knots; grid and cut tails are below 1e-6."""
    times, epsilon = np.array([0.0, 1.0, 2.0]), 1.0
    variances = np.array([0.5, 0.9, 0.4])
    found = gaussian_spline(times, np.zeros((3, 1)), variances[:, None, None], epsilon)
    x = np.linspace(-5.5, 5.5, 61)
    q = position_precision(times)
    grid = np.meshgrid(x, x, x, indexing="ij")
    cost = sum(q[i, j] * grid[i] * grid[j] for i, j in itertools.product(range(3), repeat=2))
    plan = np.exp(-0.5 * cost / epsilon)
    laws = [np.exp(-0.5 * x**2 / v) for v in variances]
    laws = [law / law.sum() for law in laws]
    for _ in range(400):
        for axis, law in enumerate(laws):
            others = tuple(a for a in range(3) if a != axis)
            scale = law / plan.sum(others)
            plan = plan * scale.reshape([-1 if a == axis else 1 for a in range(3)])
    cov = np.array([[np.sum(plan * grid[i] * grid[j]) for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(found.knots.cov, cov, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_have_the_law(dtype):
    """Covariance of 20,000 draws at a time between knots within 5 standard errors, √(2/n) of a
    variance; and knots are met together with the times between."""
    means, covs = snapshots()
    found = gaussian_spline(TIMES, means, covs, 0.5)
    at = [0.7, 1.1]
    x = np.asarray(found.sample(jax.random.key(0), 20_000, at, dtype))
    assert x.shape == (20_000, 2, 2) and x.dtype == dtype
    law = found.joint(at)
    got = np.cov(x.reshape(len(x), -1).T)
    scale = np.sqrt(np.outer(np.diag(law.cov), np.diag(law.cov)))
    assert np.max(np.abs(got - law.cov) / scale) < 5 * np.sqrt(2 / 20_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [0.0, 1.0, 1.0, 2.0, 3.0]}, "times: needs 2 or more numbers that increase"),
        ({"epsilon": -1.0}, "epsilon must be a positive"),
        ({"means": np.zeros((4, 2))}, "means, covs: shapes must be"),
        ({"covs": -np.ones((5, 1, 1)) * np.eye(2)}, r"covs\[0\]"),
    ],
)
def test_bad_input_is_named(change, message):
    means, covs = snapshots()
    given = {"times": TIMES, "means": means, "covs": covs, "epsilon": 0.5, **change}
    with pytest.raises(ValueError, match=message):
        gaussian_spline(**given)
