"""Units of flat coordinates: a constant added to a column changes no density, a factor k changes
log p by −log k, in JAX's 32 bits, for every model that is learned; numbers of any kind go in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scorefold as sf
from scorefold.models import (
    EmpiricalModel,
    GaussianKernelModel,
    HeatKernelDensity,
    ManifoldParzen,
)
from scorefold.models.standardise import Units, near_scales

pytestmark = pytest.mark.usefixtures("settings_of_users")

PLANE, LAND = sf.Euclidean(2), sf.Product(sf.Sphere(2), sf.Euclidean(1))
NESTED = sf.Product(sf.Torus(1), LAND)
KEY = jax.random.key(0)
SMALL = sf.NetworkSpec(width=8, depth=1, fourier=4)
RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(60, 2)) * [1.0, 0.3]
LANDED = RNG.normal(size=(60, 4)) * [0.3, 0.3, 0.3, 1.0] + [1.0, 0.0, 0.0, 0.0]
LANDED[:, :3] /= np.linalg.norm(LANDED[:, :3], axis=1, keepdims=True)
FEW = {"key": KEY, "steps": 3, "batch_size": 16, "progress": False}


def fitted(model, x):
    return sf.fit(model, x, **FEW)[0]


def kernels(manifold, kernel="wrapped"):
    # A stated floor is the same number for all units.
    return sf.KernelModel(
        manifold, counts=(2, 5), folds=3, width=4, depth=1, floor=0.05, kernel=kernel
    )


def informed(x):
    return fitted(
        sf.InformedModel(fitted(kernels(PLANE), x), network=SMALL, s_min=0.01, s_max=1.0,
                         levels=2, steps_of_flow=3), x,
    )  # fmt: skip


def score(manifold):
    def make(x):
        noising = sf.default_noising(manifold, x)
        return fitted(sf.ScoreModel(noising, network=SMALL, s_min=1e-2, rtol=1e-4), x)

    return make


MODELS = {
    "kernel on R^2": (FLAT, lambda x: fitted(kernels(PLANE), x)),
    "kernel on S^2 x R^1": (LANDED, lambda x: fitted(kernels(LAND), x)),
    "score on R^2": (FLAT, score(PLANE)),
    "gaussian": (FLAT, lambda x: fitted(GaussianKernelModel(PLANE, width=4, depth=1), x)),
    "informed": (FLAT, informed),
    "wrapped normal": (FLAT, lambda x: fitted(sf.WrappedNormalMixture(PLANE, 2, floor=0.05), x)),
    "heat mixture on S^2 x R^1": (
        LANDED,
        lambda x: fitted(sf.HeatKernelMixture(LAND, 2, floor=0.05), x),
    ),
    "heat density": (FLAT, lambda x: HeatKernelDensity.choose(PLANE, x, size=4)),
    "parzen": (FLAT, lambda x: ManifoldParzen.choose(PLANE, x, neighbours=4, size=4)),
    "empirical": (FLAT, lambda x: EmpiricalModel.of(sf.default_noising(PLANE, x), x, s_min=0.01)),
}
CHANGES = [(-3.3e6, 1e-9), (1e9, 1.0), (0.7, 1e9), (5e5, 3.7)]
CHEAP = {"heat density": 4, "parzen": 4, "empirical": 4}
SLOW = ("kernel on S^2 x R^1", "gaussian", "informed", "heat mixture on S^2 x R^1")


@pytest.mark.fault(44, "constants and factors of flat columns, every model")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MODELS]
)
def test_constants_and_factors(name):
    x, make = MODELS[name]
    flat = np.arange(x.shape[1]) >= (3 if x.shape[1] == 4 else 0)
    model, ask = make(x), x[:7]
    want = np.asarray(model.log_prob(ask), np.float64)
    score = next((n for n in ("score", "score_at") if hasattr(model, n)), None)
    slope = None if score is None else np.asarray(getattr(model, score)(0.3, ask), np.float64)
    for c, k in CHANGES[: CHEAP.get(name, 1)]:
        # The last column alone, then all: units differ from column to column.
        factor = np.where(flat, [*[1.0] * (x.shape[1] - 1), k], 1.0)
        shift = np.where(flat, c * factor, 0.0)
        other = make(shift + factor * x)
        got = np.asarray(other.log_prob(shift + factor * ask), np.float64)
        # 64 bits hold x + c to 10⁻⁷ of the spread at c = 10⁹.
        np.testing.assert_allclose(got + np.log(factor).sum(), want, rtol=1e-4, atol=1e-4)
        if slope is not None:
            other = np.asarray(getattr(other, score)(0.3, shift + factor * ask), np.float64)
            np.testing.assert_allclose(other * factor, slope, rtol=1e-3, atol=1e-3)


def test_dates_within_a_day():
    """60 Julian dates beside a magnitude: all different inside, and draws with the digits that
    32 bits do not have."""
    x = np.column_stack([2460000.5 + RNG.uniform(size=60), RNG.normal(5.0, 1.0, 60)])
    model = fitted(kernels(PLANE), x)
    assert len(np.unique(model.mixture.centres[:60], axis=0)) == 60
    draws = model.sample(KEY, 500)
    assert isinstance(draws, np.ndarray) and draws.dtype == np.float64
    assert len(np.unique(draws[:, 0])) > 400 and abs(draws[:, 0].mean() - 2460001) < 0.3
    near = fitted(kernels(PLANE), x - [2460000.5, 0.0])
    np.testing.assert_allclose(
        model.log_prob(x), near.log_prob(x - [2460000.5, 0.0]), rtol=1e-4, atol=1e-4
    )
    assert isinstance(near.sample(KEY, 5), jax.Array)
    assert isinstance(jax.jit(lambda key: model.sample(key, 5))(KEY), jax.Array)


@pytest.mark.slow
def test_numbers_of_any_kind_are_training_data():
    import pandas as pd

    whole = np.round(10 * FLAT).astype(int)
    make = lambda x: fitted(kernels(PLANE), x)  # noqa: E731
    want = make(whole.astype(float)).log_prob(whole[:5])
    for data in [whole, whole.tolist(), pd.DataFrame(whole), jnp.asarray(whole, jnp.bfloat16)]:
        got = make(data).log_prob(np.asarray(data)[:5])
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.fault(44, "rows that a cast would merge")
def test_what_a_cast_would_merge_is_refused_by_rows():
    x = np.concatenate([FLAT * 1e-9, FLAT * 1e-9 + 1.0])
    with pytest.raises(sf.PointsError, match=r"data: 120 different rows become \d+ in 32-bit"):
        fitted(kernels(PLANE), x)
    with pytest.raises(sf.PointsError, match="val: has shape"):
        sf.fit(kernels(PLANE), FLAT, val=FLAT[:, :1], **FEW)
    with pytest.raises(sf.PointsError, match=r"data: rows.* off S"):
        fitted(kernels(sf.Sphere(2)), 1.1 * LANDED[:, :3])


def test_a_constant_column_is_said_and_stays_finite():
    x = np.column_stack([FLAT[:, 0], np.full(60, 7.25)])
    with pytest.warns(sf.ScorefoldWarning, match=r"data: column 1 \(= 7.25\) without spread"):
        model = fitted(kernels(PLANE), x)
    assert np.isfinite(model.log_prob(x)).all() and np.isfinite(model.sample(KEY, 20)).all()
    assert model.log_prob([0.0, 7.25]) > model.log_prob([0.0, 9.0]) + 5


def test_one_number_far_away_does_not_set_the_unit():
    """400 normal points and one at 10⁶: the unit is that of the 400 to a fifth, and 32-bit inner
    coordinates keep six digits of their spread."""
    x = np.append(RNG.normal(size=400), 1e6)[:, None]
    units = Units.measure(sf.Euclidean(1), x)
    assert units.scale[0] == pytest.approx(x[:400].std(), rel=0.2)
    z = units.inward(x).astype(np.float32)[:400, 0]
    np.testing.assert_allclose(z * units.scale[0] + units.shift[0], x[:400, 0], atol=1e-6)


def test_the_default_noising_of_a_product_knows_no_units():
    other = LANDED * [1.0, 1.0, 1.0, 1e3] + [0.0, 0.0, 0.0, 4e6]
    one, two = (jax.tree.leaves(sf.default_noising(LAND, x)) for x in (LANDED, other))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_scales_of_neighbours():
    """A thin ring in the first two of three columns, its third column of one width: distances of
    neighbours there are those of the noise along the ring. The bandwidths found are likelier at
    left-out points than one for all (oracle: the density itself), have product 1, and are the same
    for other units; of normal points they are 1 but for chance."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 400)
    x = np.column_stack([np.cos(angle), np.sin(angle), rng.normal(size=400)])
    x[:, :2] += 0.02 * rng.normal(size=(400, 2))
    z = (x - x.mean(0)) / x.std(0)
    found = near_scales(z)
    assert np.prod(found) == pytest.approx(1.0)
    assert found[2] > 1.5 * found[:2].max() and found[0] == pytest.approx(found[1], rel=0.15)

    def likelihood(y):
        """The best of left-out points under one bandwidth."""
        square = ((y[:, None] - y[None]) ** 2).sum(-1)
        np.fill_diagonal(square, np.inf)
        return max(
            np.mean(np.log(np.exp(-0.5 * square / h**2).sum(1) + 1e-300)) - 3 * np.log(h)
            for h in np.geomspace(0.03, 1.0, 30)
        )

    assert likelihood(z / found) > likelihood(z) + 0.1
    again = Units.measure(sf.Euclidean(3), x * [1e-9, 1.0, 1e9] + [7.0, -1e6, 3.0], near=True)
    near = Units.measure(sf.Euclidean(3), x, near=True)
    np.testing.assert_allclose(again.scale / [1e-9, 1.0, 1e9], near.scale, rtol=1e-6)
    assert np.abs(near_scales(rng.normal(size=(500, 3))) - 1).max() < 0.1


def test_scales_of_neighbours_of_many_points():
    """Beyond 500 points a part of them counts: the same in any order of rows and columns."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(1300, 3)) * [1.0, 0.1, 1.0]
    z[:, 2] = np.round(z[:, 2], 1)
    rows, columns = rng.permutation(1300), [2, 0, 1]
    np.testing.assert_allclose(near_scales(z[rows]), near_scales(z), rtol=1e-9)
    np.testing.assert_allclose(near_scales(z[:, columns]), near_scales(z)[columns], rtol=1e-9)


def test_numbers_that_cannot_be_squared_are_refused():
    data = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(sf.manifolds.PointsError, match=r"data: column 1 reaches .*e\+200"):
        Units.measure(sf.Euclidean(2), data * [1.0, 1e200])
    large = (data * [1.0, 1e37]).astype(np.float32)
    assert np.isfinite(Units.measure(sf.Euclidean(2), large).scale).all()


SPREAD = st.floats(1e-9, 1e9)


@given(st.integers(0, 99), SPREAD, st.floats(-1e9, 1e9), st.sampled_from([PLANE, LAND, NESTED]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_inner_coordinates_do_not_know_units(seed, k, c, manifold):
    """Inner coordinates are those of c + k·x as of x, to the rounding of c + k·x itself; back
    again they are the points; curved coordinates are not touched."""
    x = np.random.default_rng(seed).standard_t(3, size=(30, manifold.shape[0]))
    flat = np.ones(2, bool) if manifold is PLANE else np.arange(x.shape[1]) == x.shape[1] - 1
    x[:, ~flat] = np.clip(x[:, ~flat], -1, 1)
    moved = np.where(flat, c * k + k * x, x)
    one, two = Units.measure(manifold, x), Units.measure(manifold, moved)
    z, again = one.inward(x), two.inward(moved)
    rounding = 1e-14 + 4e-16 * abs(c)
    np.testing.assert_allclose(z, again, rtol=1e-6, atol=30 * rounding)
    np.testing.assert_array_equal(z[:, ~flat], x[:, ~flat])
    np.testing.assert_allclose(two.outward(again), moved, rtol=1e-15 * 8, atol=0)
    assert two.log_volume - one.log_volume == pytest.approx(flat.sum() * np.log(k), abs=1e-6)
    assert np.abs(z[:, flat].mean(0)).max() < 1 and z[:, flat].std(0).min() > 0.5
