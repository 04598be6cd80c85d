"""scikit-learn's interface: rows, parameters, searches, pipelines; densities of known laws."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import scorefold as sf

pytest.importorskip("sklearn", "1.6")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scorefold.sklearn import BridgeTransformer, Density
from scorefold.sklearn._rows import points_of_rows, read_rows, rows_of_points, space_of
from scorefold.sklearn.density import _split

RNG = np.random.default_rng(0)
PLANE = RNG.normal(size=(60, 2)) @ np.array([[2.0, 0.5], [0.0, 0.3]]) + 5.0


def north(n, spread, seed):
    x = np.random.default_rng(seed).normal(size=(n, 3)) * spread + [0.0, 0.0, 1.0]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def flat():
    return Density(model="kde", random_state=0).fit(PLANE)


def test_a_density_on_flat_space(flat):
    """The scores are those of the model; draws follow from the random state; a normal law of two
    columns is as likely as it is under the truth, within four standard errors and half a nat for
    what a kernel density of 60 points blurs."""
    assert flat.n_features_in_ == 2 and flat.manifold_.name == "R^2"
    fresh = np.random.default_rng(1).normal(size=(500, 2)) @ [[2.0, 0.5], [0.0, 0.3]] + 5.0
    scores = flat.score_samples(fresh)
    np.testing.assert_array_equal(scores, flat.model_.log_prob(fresh))
    assert flat.score(fresh) == pytest.approx(float(scores.mean()))
    covariance = np.array([[4.0, 1.0], [1.0, 0.34]])
    truth = multivariate_normal([5.0, 5.0], covariance).logpdf(fresh)
    gap = truth - scores
    assert -4.0 * gap.std() / 500**0.5 < gap.mean() < 0.5
    assert flat.sample(7).shape == (7, 2)
    np.testing.assert_array_equal(flat.sample(7), flat.sample(7))
    assert not np.array_equal(flat.sample(7, random_state=3), flat.sample(7))
    again = Density(model="kde", random_state=0).fit(PLANE)
    np.testing.assert_array_equal(again.score_samples(fresh), scores)
    restored = pickle.loads(pickle.dumps(flat))
    np.testing.assert_array_equal(restored.score_samples(fresh), scores)


def test_a_pipeline(flat):
    """Scaled columns: log p changes by the log of the scales, since models standardise."""
    pipe = make_pipeline(StandardScaler(), Density(model="kde", random_state=0)).fit(PLANE)
    scale = pipe[0].scale_
    np.testing.assert_allclose(
        pipe.score_samples(PLANE) - np.log(scale).sum(), flat.score_samples(PLANE), atol=1e-6
    )


def test_a_search_over_settings_of_a_model():
    """Two caps at opposite poles: two laws are likelier than one."""
    x = np.concatenate([north(40, 0.1, 0), -north(40, 0.1, 1)])[RNG.permutation(80)]
    search = GridSearchCV(
        Density("S^2", model="vmf", steps=5, random_state=0),
        {"components": [1, 2]}, cv=2, error_score="raise",
    ).fit(x)  # fmt: skip
    assert search.best_params_ == {"components": 2}
    assert search.best_estimator_.get_params()["steps"] == 5
    drawn = search.best_estimator_.sample(5)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1.0, atol=1e-6)


def test_points_that_are_arrays_are_rows():
    """Rotations as (n, 3, 3) and as (n, 9) are one data set of n rows of nine."""
    turns = np.tile(np.eye(3), (4, 1, 1))
    density = Density("SO(3)")
    rows = read_rows(density, turns, reset=True)
    assert rows.shape == (4, 9) and density.n_features_in_ == 9
    space = space_of("SO(3)", 9)
    np.testing.assert_array_equal(points_of_rows(space, rows), turns)
    np.testing.assert_array_equal(rows_of_points(turns), rows)


def test_parameters_are_those_that_are_stated():
    density = Density("S^2", model="kent", components=3, random_state=1)
    twin = clone(density).set_params(components=5, starts=2, manifold="s2")
    assert density.get_params()["components"] == 3 and "starts" not in density.get_params()
    assert twin.get_params() == {
        "manifold": "s2", "model": "kent", "validation_fraction": 0.1, "random_state": 1,
        "components": 5, "starts": 2,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"floot: no parameter of Density and no setting of"):
        twin.set_params(floot=1.0)
    assert "components=3" in repr(density)


def test_equal_rows_stay_together():
    data = _split(sf.Euclidean(2), np.repeat(PLANE[:20], 3, axis=0), 0.3, 0)
    assert (len(data.train), len(data.val), len(data.test)) == (42, 18, 0)
    assert not set(map(tuple, data.train)) & set(map(tuple, data.val))


@pytest.mark.parametrize(
    ("made", "rows", "said"),
    [
        (Density("S^2", "kde"), PLANE, r"X: has 2 columns, and a point of S\^2 is 3 numbers"),
        (Density("S^2", "kde"), 9.0 * north(9, 1, 0), r"X: .*row"),
        (Density(model="kernel"), PLANE[:3], "too few for --model kernel"),
        (Density(model="kde", components=3), PLANE, "components is not an option of --model kde"),
        (Density(model="kernels"), PLANE, "no model is called 'kernels'"),
        (Density().set_params(model=3), PLANE, "model: a name such as 'kernel', got 3"),
        (Density(model="kde", validation_fraction=1.5), PLANE, "validation_fraction: a share"),
        (Density("S2x", model="kde"), PLANE, "S2x"),
        (Density(model="kent"), PLANE, r"not defined on R\^2"),
        (Density(model="kde"), PLANE[:1], "minimum of 2 is required"),
    ],
)  # fmt: skip
def test_mistakes_are_named(made, rows, said):
    with pytest.raises(ValueError, match=said):
        made.fit(rows)


def test_what_is_not_fitted_is_said(flat):
    with pytest.raises(NotFittedError):
        Density().sample()
    with pytest.raises(NotFittedError):
        Density().score_samples(PLANE)
    with pytest.raises(NotFittedError):
        BridgeTransformer().transform(PLANE)
    with pytest.raises(ValueError, match="X has 3 features, but Density is expecting 2"):
        flat.score_samples(np.zeros((4, 3)))


@pytest.fixture(scope="module")
def ends():
    """N(0, 1) and N((6, 0), ½) in the plane, 400 points of each."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(400, 2)), 0.5**0.5 * rng.normal(size=(300, 2)) + [6.0, 0.0]


@pytest.fixture(scope="module")
def bridge(ends):
    return BridgeTransformer(variance=1.0, steps=150, random_state=0).fit(*ends)


def test_a_bridge_carries_there_and_back(bridge, ends):
    """Without noise the way back undoes the way there, and the arrivals have the mean of the other
    law within four standard errors √(½/300) and a tenth of the deviation for the training."""
    a, b = ends
    there = bridge.transform(a)
    assert there.shape == a.shape and bridge.n_features_in_ == 2
    assert (np.abs(there.mean(axis=0) - b.mean(axis=0)) < 4.0 * (0.5 / 300) ** 0.5 + 0.07).all()
    assert (np.abs(there.std(axis=0) - 0.5**0.5) < 0.15).all()
    assert np.abs(bridge.inverse_transform(there) - a).mean() < 0.1
    np.testing.assert_array_equal(bridge.transform(a), there)


def test_weights_of_both_ends_of_a_bridge():
    """Ends of two clusters, weights 1 and 3 (and 0 for rows that do not count): points arrive at
    the clusters of y in the ratio 1 : 3, within four standard errors of 400 points."""
    rng = np.random.default_rng(3)
    side = np.repeat([-3.0, 3.0], 150)
    a, b = (np.stack([side, np.zeros(300)], 1) + 0.3 * rng.normal(size=(300, 2)) for _ in range(2))
    a = np.concatenate([a, [[1e3, 1e3]]])
    weight = np.where(side > 0, 3.0, 1.0)
    made = BridgeTransformer(variance=4.0, steps=200, random_state=0, noise=True)
    made.fit(a, b, sample_weight=np.append(weight, 0.0), target_weight=weight)
    starts = np.concatenate([a[:100], np.repeat(a[150:250], 3, axis=0)])
    share = np.mean(made.transform(starts)[:, 0] > 0)
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 400) ** 0.5 + 0.03
    with pytest.raises(ValueError, match="target_weight: 1 of 300 weights are negative"):
        made.fit(a, b, target_weight=np.r_[-1.0, np.ones(299)])


def test_a_bridge_with_noise(bridge, ends):
    """One random path each: draws given the start, the same again for one random state."""
    a, _ = ends
    noisy = clone(bridge).set_params(noise=True)
    noisy.bridge_, noisy.manifold_, noisy.n_features_in_ = bridge.bridge_, bridge.manifold_, 2
    there = noisy.transform(a)
    np.testing.assert_array_equal(noisy.transform(a), there)
    assert np.abs(there - bridge.transform(a)).mean() > 0.1
    assert (np.abs(there.mean(axis=0) - [6.0, 0.0]) < 0.3).all()


def test_mistakes_of_a_bridge_are_named():
    for made, y, said in (
        (BridgeTransformer(), None, "y: give the points of the other law"),
        (BridgeTransformer(), np.zeros(60), "y: has one axis"),
        (BridgeTransformer(), np.zeros((9, 3)), "y: has 3 columns, X has 2"),
        (BridgeTransformer(model="dark"), PLANE, "model: one of light, imf, dsb, got 'dark'"),
        (BridgeTransformer(model="imf", budget=1.0), PLANE, "budget: of model='light' alone"),
        (BridgeTransformer("T^2"), 99.0 * PLANE, "X: .*degrees"),
    ):
        with pytest.raises(ValueError, match=said):
            made.fit(PLANE if made.manifold is None else 99.0 * PLANE, y)


def test_scikit_learn_is_a_choice():
    """scorefold does not import it, and says what is missing where it is asked for."""
    code = (
        "import sys; import scorefold as sf; sf.fit; assert 'sklearn' not in sys.modules\n"
        "sys.modules['sklearn'] = None\n"
        "try:\n    import scorefold.sklearn\nexcept ImportError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        found.stdout == "scorefold.sklearn needs scikit-learn: pip install 'scikit-learn>=1.6'.\n"
    )
