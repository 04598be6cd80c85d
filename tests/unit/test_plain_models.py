"""Kernel densities and the empirical model against NumPy, SciPy, quadrature and autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from scorefold.fitting import load, save
from scorefold.kernels.bandwidth import bandwidth_grid, leave_one_out_bandwidth, same_points
from scorefold.manifolds import Euclidean, Torus
from scorefold.models import EmpiricalModel, HeatKernelDensity, ManifoldParzen
from scorefold.noising import Brownian, VarianceExploding

RNG = np.random.default_rng(0)
LINE = RNG.normal(size=(40, 1))
LINE[1] = LINE[0]  # a repeated point: never evidence for itself
PLANE = RNG.normal(size=(60, 2)) @ np.array([[1.0, 0.3], [0.0, 0.1]])
FRESH = RNG.normal(size=(50, 2)) @ np.array([[1.0, 0.3], [0.0, 0.1]])
ANGLES = np.array([[0.5, 1.0], [-2.0, 3.0], [2.5, -1.0]])


def left_out(s):
    """Mean over rows of log (1/n′) Σ_{Z_j ≠ Z_i} N(Z_i; Z_j, s), in NumPy."""
    gap = LINE - LINE.T
    terms = np.where(gap != 0, norm.pdf(gap, scale=np.sqrt(s)), 0.0)
    with np.errstate(divide="ignore"):
        return np.log(terms.sum(axis=1) / (gap != 0).sum(axis=1)).mean()


def test_leave_one_out_picks_the_best_of_its_grid():
    """Oracle: the same criterion over the same grid in NumPy."""
    grid = bandwidth_grid(Euclidean(1), jnp.asarray(LINE))
    best = grid[np.argmax([left_out(s) for s in grid])]
    np.testing.assert_allclose(leave_one_out_bandwidth(Euclidean(1), jnp.asarray(LINE)), best)
    model = HeatKernelDensity.choose(Euclidean(1), LINE)
    np.testing.assert_allclose(model.s * model.units.scale**2, best)
    assert grid[0] < best < grid[-1]
    wanted = norm.pdf(0.3 - LINE[:, 0], scale=np.sqrt(best)).mean()
    np.testing.assert_allclose(model.log_prob([0.3]), np.log(wanted), rtol=1e-12)
    same = same_points(jnp.asarray(LINE), jnp.asarray(LINE))
    assert same.sum() == 42 and same[0, 1]


def test_neighbour_bandwidths_and_background_on_the_circle():
    """Data at angles N(0, 0.3²), validation data of which a third is uniform. s_i = c·r_k(i)²
    with one c for all; the mass is 1 (equal steps, exact for periodic functions); the share of
    4000 draws on the far half is that of the density (standard error 0.008); no other pair of
    the grid is better by more than the two errors of fitted kernels, 0.004 nats (oracle: sums of
    wrapped normal laws in NumPy)."""
    points = RNG.normal(scale=0.3, size=(40, 1))
    val = np.concatenate([RNG.normal(scale=0.3, size=(20, 1)), RNG.uniform(-3, 3, size=(10, 1))])
    model = HeatKernelDensity.choose(Torus(1), points, val=val, neighbours=[3, 6], size=8)
    distance = np.sort(np.abs(points - points.T), axis=1)
    ratios = [np.asarray(model.s) / distance[:, k] ** 2 for k in (3, 6)]
    assert min(np.ptp(r) / r.mean() for r in ratios) < 1e-9
    assert model.background in (0.1, 0.3)
    gaps = val[:, 0, None, None] - points[None, :, :1] + 2 * np.pi * np.arange(-3, 4)
    values = []
    for k in (3, 6):
        for c in np.geomspace(1 / 64, 4.0, 8):
            scale = np.sqrt(c) * distance[:, k, None]
            density = norm.pdf(gaps, scale=scale).sum(-1).mean(1)
            for b in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3):
                values.append(np.log((1 - b) * density + b / (2 * np.pi)).mean())
    assert float(model.log_prob(val).mean()) > max(values) - 0.004
    grid = -np.pi + 2 * np.pi * np.arange(4000) / 4000
    density = np.exp(model.log_prob(grid[:, None])) * 2 * np.pi / 4000
    np.testing.assert_allclose(density.sum(), 1.0, atol=1e-10)
    draws = np.asarray(model.sample(jax.random.key(2), 4000))[:, 0]
    far = (np.abs(draws) > np.pi / 2).mean()
    np.testing.assert_allclose(far, density[np.abs(grid) > np.pi / 2].sum(), atol=0.03)


def test_manifold_parzen_is_the_model_of_the_paper():
    """Oracle: eigenpairs of the neighbours' second moments by numpy.linalg.eigh, densities by
    scipy.stats, in the model's units, whose volume is that of standard deviations; one leading
    direction kept."""
    model = ManifoldParzen.choose(Euclidean(2), PLANE, val=FRESH, neighbours=[4, 8], rank=1)
    scale = model.units.scale
    assert scale.prod() == pytest.approx(PLANE.std(axis=0).prod(), rel=1e-6)
    train, fresh = PLANE / scale, FRESH / scale
    total = 0.0
    for z in train:
        gap = train - z
        near = gap[np.argsort((gap**2).sum(axis=1))[1 : model.neighbours + 1]]
        size, direction = np.linalg.eigh(near.T @ near / model.neighbours)
        leading = size[-1] * np.outer(direction[:, -1], direction[:, -1])
        total = total + multivariate_normal(z, leading + model.sigma**2 * np.eye(2)).pdf(fresh)
    found = model.log_prob(FRESH)
    np.testing.assert_allclose(found, np.log(total / len(PLANE) / scale.prod()), rtol=1e-9)
    plain = HeatKernelDensity.choose(Euclidean(2), PLANE, val=FRESH)
    assert found.mean() > plain.log_prob(FRESH).mean() + 0.05  # the data lie near a line


PROCESSES = {
    "brownian": (Brownian(Torus(2)), ANGLES),
    "exploding": (VarianceExploding(Euclidean(2)), PLANE[:3]),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_the_empirical_model_knows_its_score_and_resamples_its_data(name):
    """The score is the gradient of the closed-form density (central differences). Every one of
    300 draws ends within 6√s_min of a training point, as all but e^{−18} of a normal law do."""
    noising, points = PROCESSES[name]
    model = EmpiricalModel(noising, jnp.asarray(points), s_min=1e-4)
    x = jnp.asarray([[0.2, 0.4], [1.0, -0.5]])
    s = noising.schedule.s(jnp.asarray(0.3))
    step = 1e-5 * np.concatenate([np.eye(2), -np.eye(2)])
    around = (x[:, None] + step[None]).reshape(-1, 2)
    value = np.asarray(model.log_prob(around, s)).reshape(2, 2, 2)
    np.testing.assert_allclose(
        model.score(0.3, x), (value[:, 0] - value[:, 1]) / 2e-5, rtol=1e-6, atol=1e-7
    )
    draws = model.sample(jax.random.key(1), 300)
    gap = np.asarray(draws)[:, None] - points
    if name == "brownian":
        gap = (gap + np.pi) % (2 * np.pi) - np.pi
    distance = np.linalg.norm(gap, axis=-1)
    assert distance.min(axis=1).max() < 6 * np.sqrt(1e-4)
    assert set(distance.argmin(axis=1)) == {0, 1, 2}


def test_saved_and_loaded_models_are_the_same(tmp_path):
    models = {
        "heat": (HeatKernelDensity.choose(Euclidean(1), LINE), LINE),
        "empirical": (EmpiricalModel(Brownian(Torus(2)), jnp.asarray(ANGLES)), ANGLES),
        "parzen": (ManifoldParzen.choose(Euclidean(2), PLANE, neighbours=4, size=4), PLANE),
    }
    for name, (model, x) in models.items():
        save(tmp_path / name, model)
        np.testing.assert_array_equal(load(tmp_path / name).log_prob(x), model.log_prob(x))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="all rows are the same point"):
        HeatKernelDensity.choose(Euclidean(1), np.ones((3, 1)))
    with pytest.raises(ValueError, match="background must lie in"):
        HeatKernelDensity(Euclidean(1), jnp.zeros((2, 1)), jnp.ones(2), 0.1)
    with pytest.raises(ValueError, match="neighbours must lie in 1 … 39"):
        ManifoldParzen.choose(Euclidean(1), LINE, neighbours=40)
    with pytest.raises(ValueError, match="points: has shape"):
        EmpiricalModel(Brownian(Torus(2)), jnp.zeros((3, 1)))
