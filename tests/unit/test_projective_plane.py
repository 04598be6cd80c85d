"""A geometry from outside: all that scorefold does with a manifold, on RP² of one file in tests."""

import io
import math

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pandas as pd
import pytest
from projective_plane import ProjectivePlane

import scorefold as sf
from scorefold import report
from scorefold.bridges import LightBridge, brownian_reference, fit_bridge
from scorefold.fields import NetworkSpec
from scorefold.fitting.errors import DamagedFile
from scorefold.manifolds import nearest, pairwise
from scorefold.metrics import energy_distance, mmd, reference_nll, sliced_wasserstein, total_mass

PLANE = ProjectivePlane()
KEY = jax.random.key(0)
SMALL = NetworkSpec(width=16, depth=1)


def axes(seed, n, tilt=0.0):
    """Axes near a great circle, each written as one of its two vectors."""
    rng = np.random.default_rng(seed)
    angle, height = rng.uniform(0.0, 2.5, n), 0.15 * rng.normal(size=n)
    x = np.stack([np.cos(angle), np.sin(angle), height + tilt * np.cos(angle)], -1)
    x *= rng.choice([-1.0, 1.0], size=(n, 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


DATA, VAL, OTHER = axes(0, 120), axes(1, 40), axes(2, 120, tilt=0.8)


@pytest.fixture(scope="module")
def kernels():
    return sf.fit(sf.KernelModel(PLANE), DATA, val=VAL, key=KEY, steps=60, progress=False)[0]


@pytest.fixture(scope="module")
def score():
    model = sf.ScoreModel(sf.default_noising(PLANE, DATA), network=SMALL)
    return sf.fit(model, DATA, key=KEY, steps=40, progress=False)[0]


@pytest.fixture(scope="module")
def bridge():
    made = LightBridge(brownian_reference(PLANE, 0.3))
    return fit_bridge(made, DATA, OTHER, key=KEY, steps=40, check=False, progress=False)[0]


# -- the heat kernel -------------------------------------------------------------------------------
@jax.jit
def asked(x, o, s):
    """log p at x, its score at −x and what the derivative there says."""

    def one(y):
        slope = jax.grad(lambda y: PLANE.heat.log_prob(y, o, s))(-y)
        score = PLANE.heat.score(-y, o, s)
        return PLANE.heat.log_prob(y, o, s), score, PLANE.to_tangent(-y, slope)

    return jax.vmap(one)(x)


@pytest.mark.parametrize("s", [0.02, 0.2, 0.8, 3.0])
def test_heat_kernel(s):
    """Mass 1, the eigenvalue l(l+1) of even harmonics, and the derivative of log p as score."""
    o = PLANE.origin(jnp.float64)
    r = 0.25 * math.pi * (np.polynomial.legendre.leggauss(400)[0] + 1.0)
    weight = 0.25 * math.pi * np.polynomial.legendre.leggauss(400)[1] * 2.0 * np.pi * np.sin(r)
    e = PLANE.frame(o)[0]
    x = jax.vmap(lambda t: PLANE.exp(o, t * e))(jnp.asarray(r))
    log_prob, score, slope = asked(x, o, s)
    p = np.exp(np.asarray(log_prob))
    assert abs(p @ weight - 1.0) < 1e-10
    second = 0.5 * (3.0 * np.cos(r) ** 2 - 1.0)
    assert abs((p * second) @ weight - math.exp(-3.0 * s)) < 1e-10
    np.testing.assert_allclose(score, slope, rtol=1e-7, atol=1e-9)


def test_draws_of_the_heat_kernel_and_of_the_uniform_law():
    o, keys = PLANE.origin(jnp.float64), jax.random.split(KEY, 4000)
    square = lambda x: 0.5 * (3.0 * x[:, 0] ** 2 - 1.0)  # noqa: E731
    drawn = jax.vmap(lambda k: PLANE.heat.sample(k, o, 0.3))(keys)
    assert abs(float(square(drawn).mean()) - math.exp(-0.9)) < 0.02
    fresh = jax.vmap(lambda k: PLANE.uniform(k, jnp.float64))(keys)
    assert abs(float(square(fresh).mean())) < 0.03


# -- models ----------------------------------------------------------------------------------------
def test_kernel_model(kernels):
    drawn = kernels.sample(jax.random.key(1), 400)
    uniform = math.log(2.0 * math.pi)
    assert -float(kernels.log_prob(VAL).mean()) < uniform - 0.4
    np.testing.assert_allclose(kernels.log_prob(-VAL), kernels.log_prob(VAL), rtol=1e-6)
    assert mmd(PLANE, drawn, VAL, key=KEY).p_value > 0.01
    mass = total_mass(kernels, DATA, KEY)
    assert mass.how == "closed form"
    assert abs(mass.value - 1.0) < 1e-4
    estimate = sf.density_mass(kernels.log_prob, PLANE, key=KEY, n=4000)
    assert abs(estimate.value - 1.0) < 5.0 * estimate.error
    assert reference_nll(PLANE, DATA, VAL).name == "uniform law"


def test_score_model(score):
    drawn = score.sample(jax.random.key(1), 64, steps=50)
    assert bool(jax.vmap(PLANE.belongs)(drawn).all())
    log_prob = score.log_prob(VAL[:8])
    np.testing.assert_allclose(score.log_prob(-VAL[:8]), log_prob, atol=1e-3)
    assert np.isfinite(log_prob).all()


def test_light_bridge(bridge, tmp_path):
    moved = bridge.sample_forward(jax.random.key(1), DATA, steps=40)
    start, end = (mmd(PLANE, x, OTHER, key=KEY).value for x in (DATA, moved))
    assert end < 0.3 * start
    again = bridge.sample_backward(jax.random.key(2), OTHER, steps=40)
    assert mmd(PLANE, again, DATA, key=KEY).value < 0.3 * start
    keeps(bridge, tmp_path / "m")


def keeps(model, path):
    """Bit for bit where the class is named, refused in one line where it is not."""
    sf.save(path, model)
    found = sf.load(path, also=[ProjectivePlane])
    assert jax.tree.all(jax.tree.map(np.array_equal, found, model))
    assert found.manifold == PLANE
    with pytest.raises(DamagedFile, match=r"unknown class 'projective_plane:Proj.*also=") as e:
        sf.load(path)
    assert "\n" not in str(e.value)


def test_save_and_load(kernels, score, tmp_path, monkeypatch):
    for model in (kernels, score):
        keeps(model, tmp_path / "m")
    for wrong in (int, sf.Manifold):
        with pytest.raises(TypeError, match="also: holds classes of modules"):
            sf.load(tmp_path / "m", also=[wrong])
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match=r"give a list, also=\[ProjectivePlane\]"):
        sf.load(tmp_path / "m", also=ProjectivePlane)


# -- tables ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "axes.csv"
    rows = np.concatenate([DATA, -DATA[:3]])
    pd.DataFrame(rows, columns=["x", "y", "z"]).to_csv(path, index=False)
    return path


def test_table_of_vectors(table):
    data = sf.data.load(table, manifold=PLANE)
    assert data.coordinates.system == "axis"
    # x and −x are one point: the same label, so never in two parts of the split.
    assert data.audit.duplicates == 3 and data.audit.leak == 0.0
    assert data.audit.nearest["0%"] < 1e-7 and data.audit.nearest["100%"] < 0.6
    points = data.coordinates.to_points(data.values)
    np.testing.assert_allclose(data.coordinates.to_columns(points), data.values, atol=1e-12)
    assert sf.data.Coordinates.to_dict(data.coordinates)["manifold"] == "RP^2"


def test_table_of_angles(tmp_path):
    values = np.stack([np.linspace(0.0, 359.0, 60), np.linspace(1.0, 89.0, 60)], -1)
    path = tmp_path / "t.csv"
    pd.DataFrame(values, columns=["plunge", "trend"]).iloc[:, ::-1].set_axis(
        ["trend", "plunge"], axis=1
    ).assign(trend=values[:, 0], plunge=values[:, 1]).to_csv(path, index=False)
    data = sf.data.load(path, manifold=PLANE)
    assert data.coordinates.system == "plunge"
    assert data.coordinates.column_units == ("degrees", "degrees")
    points = data.coordinates.to_points(data.values)
    np.testing.assert_allclose(data.coordinates.to_columns(points), values, atol=1e-9)
    np.testing.assert_allclose(data.coordinates.to_columns(-points), values, atol=1e-9)
    # Beside numbers of another factor, found by its names.
    wide = pd.DataFrame({"h": values[:, 1], "trend": values[:, 0], "plunge": values[:, 1]})
    wide.to_csv(path, index=False)
    both = sf.data.load(path, manifold=sf.Product(PLANE, sf.Euclidean(1)))
    assert both.coordinates.system == "plunge x flat"


def test_points_of_no_table():
    coordinates = sf.data.plain_coordinates(PLANE)
    assert coordinates.columns == ("x0", "x1", "x2") and coordinates.system == "axis"


# -- metrics and pictures --------------------------------------------------------------------------
def test_metrics():
    truth = np.arccos(np.minimum(np.abs(VAL @ DATA.T), 1.0))
    np.testing.assert_allclose(pairwise(PLANE, VAL, DATA), truth, atol=1e-7)
    index, _ = nearest(PLANE, DATA, VAL, 5)
    np.testing.assert_array_equal(index, np.argsort(truth, axis=1)[:, :5])
    assert nearest(PLANE, DATA, -DATA, 1)[1].max() < 1e-15
    for measure in (mmd, sliced_wasserstein):
        assert measure(PLANE, axes(3, 100), DATA, key=KEY).p_value > 0.01
        assert measure(PLANE, OTHER, DATA, key=KEY).p_value < 0.01
    with pytest.raises(ValueError, match=r"RP\^2 is not of negative type"):
        energy_distance(PLANE, DATA, OTHER, key=KEY)


def test_pictures(kernels):
    drawn = np.asarray(kernels.sample(KEY, 50))
    figures = [
        report.picture(PLANE, log_prob=kernels, samples=drawn, data=DATA),
        report.film(PLANE, np.stack([DATA, OTHER])),
        report.trajectories(PLANE, np.stack([DATA[:9], OTHER[:9]], axis=1)),
        report.kernel_shapes(kernels.mixture),
        report.picture(
            sf.Product(PLANE, sf.Euclidean(1)), data=np.concatenate([DATA, DATA[:, :1]], axis=1)
        ),
    ]
    for figure in figures:
        figure.savefig(buffer := io.BytesIO(), dpi=20)
        assert buffer.tell() > 1000
    shown = report.Explored(draws=drawn, kernels=np.stack([DATA[:9], OTHER[:9]], axis=1))
    stages = report.scene_of(PLANE, [shown], data={"data": DATA}).document()["stages"]
    assert [stage["shape"] for stage in stages] == ["cloud", "flat", "flat", "flat", "flat"]
    labels = [axes.get_xlabel() for axes in figures[0].axes]
    assert "embedding 1" in labels
    with pytest.raises(ValueError, match="a density alone cannot be drawn"):
        report.picture(PLANE, log_prob=kernels)
