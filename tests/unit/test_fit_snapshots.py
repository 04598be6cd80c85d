"""Many snapshots by one call and one command: every method, and what inner snapshots say."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import GivenDrift, SnapshotBridge, end_gap, fit_snapshots, fit_splines
from scorefold.bridges.fit_snapshots import PAIRS, Contest
from scorefold.bridges.snapshots.coherence import bend_coherence
from scorefold.bridges.snapshots.inner import floor_of, nearer
from scorefold.cli import main
from scorefold.fitting import load, save
from scorefold.manifolds import SO3, Euclidean, Product, Sphere, Torus
from scorefold.runs import histories

TIMES = (0.0, 1.0, 2.5, 3.0)
KEY = jax.random.key(0)


def moving(m, n=24, speed=0.4, seed=0, times=TIMES):
    """A cloud that moves along a geodesic, with other members at each time."""
    rng = np.random.default_rng(seed)
    start = m.origin()
    frame = m.frame(start)
    clouds = []
    for t in times:
        centre = m.exp(start, speed * t * frame[0])
        keys = jax.random.split(jax.random.key(int(rng.integers(1 << 30))), n)
        draw = jax.vmap(lambda k, c=centre: m.exp(c, 0.15 * m.normal(k, c)))
        clouds.append(np.asarray(draw(keys), np.float32))
    return clouds


# On a straight way straight lines are as good as anything: that one says so is no news here.
straight = pytest.mark.filterwarnings(
    "ignore:.*straight lines between optimal pairs", "ignore:.*of three snapshots left out"
)


@straight
@pytest.mark.parametrize(
    ("m", "method"),
    [
        (Euclidean(2), "spline"),
        (Euclidean(2), "momentum"),
        (Torus(2), "spline"),
        *(
            pytest.param(m, "spline", marks=pytest.mark.slow)
            for m in (Sphere(2), SO3(), Product(Sphere(2), Euclidean(1)))
        ),
        *(
            pytest.param(m, "current", marks=pytest.mark.slow)
            for m in (Sphere(2), Torus(2), SO3(), Euclidean(2), Product(Sphere(2), Euclidean(1)))
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_method_is_a_law_through_the_snapshots(m, method, tmp_path):
    """Draws at the last time and paths carried there from each snapshot are near the snapshot; a
    path passes its point; a file gives the same draws."""
    clouds = moving(m)
    law, history = fit_snapshots(m, TIMES, clouds, key=KEY, method=method)
    assert isinstance(law, SnapshotBridge) and law.times == TIMES and law.mass == (24,) * 4
    assert history.method == method and history.inner == TIMES[1:3]
    assert set(history.compared) == {method, PAIRS}
    assert all(len(each) == 2 for each in history.compared.values())
    for drawn in (
        law.sample_at(jax.random.key(1), TIMES[-1], 24),
        np.asarray(law.sample_paths(jax.random.key(2), clouds[0], [TIMES[-1]]))[:, 0],
    ):
        gap = end_gap(m, np.asarray(drawn), clouds[-1])
        assert not gap.missed, gap
    back = law.sample_paths(jax.random.key(3), clouds[2], [0.0, 0.5, 2.5], start=2.5)
    np.testing.assert_allclose(np.asarray(back)[:, 2], clouds[2], atol=2e-6)
    assert not end_gap(m, np.asarray(back)[:, 0], clouds[0]).missed
    save(tmp_path / "law", law)
    again = load(tmp_path / "law").sample_at(jax.random.key(4), 1.7, 10)
    np.testing.assert_array_equal(again, law.sample_at(jax.random.key(4), 1.7, 10))
    assert histories.text(history) == histories.text(_through_a_file(tmp_path, history))


def _through_a_file(tmp_path, history):
    (tmp_path / "history.json").write_text(histories.text(history))
    return histories.read(tmp_path / "history.json")


def test_a_carried_knot_follows_its_own_path():
    """Without noise the path of least energy through one of its own knots is the path itself:
    states at other times are those of the curves."""
    m = Sphere(2)
    paths, _ = fit_splines(m, TIMES, moving(m), key=KEY)
    found = np.asarray(paths.sample_paths(KEY, paths.knots[:, 1], [0.3, 2.9], start=1.0))
    own = np.asarray(paths.curves([0.3, 2.9]))
    same = np.abs(found - own).max(axis=(1, 2)) < 0.01
    assert same.mean() > 0.7  # a neighbour may bend less: matchings are of all together
    assert np.abs(found - own).max() < 0.6


def test_the_best_is_nearest_to_inner_snapshots():
    """And its distances are those of straight lines or less where a cloud turns."""
    m = Euclidean(2)
    angles = 0.9 * np.arange(5)
    rng = np.random.default_rng(0)
    clouds = [np.stack([np.cos(a), np.sin(a)]) + 0.05 * rng.normal(size=(20, 2)) for a in angles]
    law, history = fit_snapshots(m, angles, clouds, key=KEY, features=40)
    means = {name: np.mean(each) for name, each in history.compared.items()}
    assert set(means) == {"current", "momentum", "spline", PAIRS}
    assert history.method == "spline" or means[history.method] < 5 / 6 * means["spline"]
    # The chord of 1.8 radians is 1 − cos 0.9 = .38 from its arc.
    assert means[PAIRS] > 0.3 and means[history.method] < 0.2
    middle = np.asarray(law.sample_at(KEY, 1.35, 32)).mean(axis=0)
    np.testing.assert_allclose(middle, [np.cos(1.35), np.sin(1.35)], atol=0.1)


@pytest.mark.parametrize(
    ("current", "chosen"),
    [((0.5, 0.6, 0.5), "current"), ((0.9, 0.9, 0.95), "spline"), ((0.1, 1.0, 0.9), "spline")],
)
def test_chance_does_not_choose(current, chosen):
    """Splines, unless another is nearer by a sixth and by two standard errors."""
    compared = {"current": current, "spline": (1.0, 1.1, 1.0), PAIRS: (2.0, 2.0, 2.0)}
    assert Contest({}, (), compared).best == chosen


@pytest.mark.parametrize(
    ("one", "other", "is_nearer"),
    [
        (
            (0.043, 0.050),
            (0.154, 0.073),
            True,
        ),  # half, and nearer at both: se would be .044 of .067
        ((0.08, 0.075), (0.154, 0.073), False),  # half in one place only
        ((0.5, 0.52, 0.48), (0.7, 0.71, 0.69), True),  # a sixth and two standard errors
        ((0.6, 0.62, 0.58), (0.7, 0.71, 0.66), False),  # less than a sixth
        ((0.5,), (0.62,), True),
        ((0.1, np.inf), (0.2, 0.3), False),
    ],
)
def test_nearer_than_by_chance(one, other, is_nearer):
    assert nearer(one, other) == is_nearer


@pytest.mark.parametrize(
    ("floor", "coherence", "pairs", "chosen"),
    [
        (1.0, 0.9, 2.0, "spline"),
        (1.8, 0.9, 2.0, "current"),  # lines are as near as fresh points
        (1.0, 0.4, 2.0, "current"),  # bends are noise of the pairs
        (0.1, 0.9, 0.95, "current"),  # lines are nearer than splines: the nearest
        (0.1, None, 2.0, "spline"),
    ],
)
def test_splines_are_for_paths_that_bend(floor, coherence, pairs, chosen):
    compared = {"current": (0.99, 1.0), "spline": (1.0, 1.1), PAIRS: (pairs, pairs)}
    assert Contest({}, (), compared, (floor, floor), coherence).best == chosen


def test_the_floor_is_that_of_fresh_points():
    """W₁ between two draws of 100 from one law, the mean of 40 pairs, within a tenth."""
    rng = np.random.default_rng(0)
    fresh = []
    for _ in range(40):
        gaps = cdist(*(rng.normal(size=(100, 2)) for _ in range(2)))
        fresh.append(gaps[linear_sum_assignment(gaps)].mean())
    found = [
        floor_of(KEY, Euclidean(2), rng.normal(size=(100, 2)).astype("f"), 300) for _ in range(20)
    ]
    assert abs(np.mean(found) / np.mean(fresh) - 1.0) < 0.1


def test_a_method_behind_straight_lines_says_so():
    """Snapshots that rest, jump and rest: a spline overshoots where they rest."""
    places = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    clouds = [p + 0.02 * rng.normal(size=(12, 1)) for p in places]
    with pytest.warns(ScorefoldWarning, match="spline: straight lines between optimal pairs are"):
        fit_snapshots(Euclidean(1), np.arange(6.0), clouds, key=KEY, method="spline")


@straight
@pytest.mark.parametrize(("method", "zero"), [("spline", 1.6e9), ("current", 1990.5)])
def test_times_far_from_zero_lose_nothing(method, zero):
    """Years in steps of a hundredth, seconds since 1970 in steps of a minute, in float32: the law
    is that of the same snapshots at times from 0, 1, 2, 3, drawn with the same key."""
    step = 0.01 if zero < 1e4 else 60.0
    clouds = [c[:12] for c in moving(Euclidean(1), times=range(4))]
    more = {"rate": 0.05, "features": 8, "length": 2.0, "ridge": 1e-2}
    drawn = []
    for start, unit in ((0.0, 1.0), (zero, step)):
        given = {**more, "rate": 0.05 / unit} if method == "current" else {}
        law, _ = fit_snapshots(
            Euclidean(1), start + unit * np.arange(4), clouds, key=KEY, method=method, **given
        )
        t = start + 1.5 * unit
        drawn.append(np.asarray(law.sample_at(KEY, t, 12)))
        assert np.isfinite(np.asarray(law.sample_paths(KEY, clouds[0], [t]))).all()
    np.testing.assert_allclose(drawn[1], drawn[0], atol=2e-3)


@straight
@pytest.mark.parametrize("drift", [None, "given"])
def test_metres_of_a_map_keep_their_digits(drift):
    """Float64 coordinates around (5e5, 5e6), where float32 tells apart half a metre."""
    far = np.array([5e5, 5e6])
    clouds = [c.astype(np.float64) for c in moving(Euclidean(2), n=12, times=TIMES[:3])]
    given = {} if drift is None else {
        "drift": GivenDrift(Euclidean(2), lambda x, t: 0.0 * x), "rate": 0.1
    }  # fmt: skip
    method = "spline" if drift is None else "current"
    law, _ = fit_snapshots(
        Euclidean(2), TIMES[:3], [c + far for c in clouds], key=KEY, method=method, **given
    )
    for draws in (law.sample_at(KEY, 0.0, 12), law.sample_paths(KEY, clouds[0] + far, [0.0])):
        found = np.sort(np.ravel(np.asarray(draws).reshape(-1, 2)[:, 1])) - 5e6
        np.testing.assert_allclose(found, np.sort(clouds[0][:, 1]), atol=1e-6)


def test_three_snapshots_do_not_test_how_paths_bend():
    clouds = [c[:12] for c in moving(Euclidean(1), times=TIMES[:3])]
    with pytest.warns(ScorefoldWarning, match="no snapshot has tested how they bend"):
        fit_snapshots(Euclidean(1), TIMES[:3], clouds, key=KEY, method="spline")


@pytest.mark.parametrize("m", [Euclidean(2), Torus(2), Sphere(2), SO3()], ids=str)
def test_coherence_of_bends(m):
    """Points moved by an isometry whose pace changes share their bends: 1, but for the distance of
    five neighbours among 200. The same points drawn anew around one place at each time share
    nothing but what the pairs make of it, which in few dimensions is smooth, too: below 0.6."""
    at = m.origin(np.float32)
    one = lambda c: m.exp(at, m.from_components(at, c))  # noqa: E731
    rng = np.random.default_rng(0)
    spread = lambda: 0.3 * rng.normal(size=(200, m.dim)).astype(np.float32)  # noqa: E731
    first = spread()
    shift = np.zeros(m.dim, np.float32)
    shift[0] = 0.2
    curved = [np.asarray(jax.vmap(one)(first + np.float32(k) * shift)) for k in (0, 1, 4)]
    found = bend_coherence(KEY, m, np.array([0.0, 1.0, 2.0]), curved)
    assert 0.9 < found < 1.05
    noise = [np.asarray(jax.vmap(one)(spread())) for _ in range(3)]
    assert bend_coherence(KEY, m, np.array([0.0, 1.0, 4.0]), noise) < 0.6
    assert bend_coherence(KEY, m, np.array([0.0, 1.0, 4.0]), [c[:5] for c in noise]) is None
    still = [curved[0]] * 3
    assert bend_coherence(KEY, m, np.array([0.0, 1.0, 2.0]), still) is None


@straight
def test_three_snapshots_choose_by_coherence():
    """Bends that neighbours share are motion: splines. In ten dimensions bends of other members
    each time are noise of the pairs: a current, whose law half-way is nearer to the truth."""
    rng = np.random.default_rng(1)
    t = np.array([0.0, 1.0, 2.0])
    turn = lambda a: np.stack([np.cos(a), np.sin(a)])  # noqa: E731
    ring = [(turn(0.8 * s)[None] * 3 + 0.1 * rng.normal(size=(60, 2))).astype("f") for s in t]
    options = {"features": 8, "length": 1.0, "ridge": 1e-2, "rounds": 2}
    with pytest.warns(ScorefoldWarning, match="% of the change of velocity at the middle one"):
        _, history = fit_snapshots(Euclidean(2), t, ring, key=KEY, **options)
    assert history.method == "spline" and history.coherence > 0.8
    late = np.array([0.0, 1.0, 5.0])
    cells = [(0.3 * s + rng.normal(size=(60, 10))).astype("f") for s in late]
    law, history = fit_snapshots(Euclidean(10), late, cells, key=KEY, **options)
    assert history.method == "current" and history.coherence < 0.5
    truth = 0.3 * 3.0 + rng.normal(size=(60, 10))
    bent, _ = fit_splines(Euclidean(10), late, cells, key=KEY)

    def apart(model):
        """W₁ to the truth at t = 3."""
        gaps = cdist(np.asarray(model.sample_at(KEY, 3.0, 60)), truth)
        return gaps[linear_sum_assignment(gaps)].mean()

    assert apart(law) < apart(bent)


@pytest.mark.parametrize("t", [-0.1, 3.1, np.nan])
def test_times_outside_are_refused(t):
    paths, _ = fit_splines(Euclidean(1), TIMES, moving(Euclidean(1), n=4), key=KEY)
    with pytest.raises(ValueError, match="is outside the snapshots, 0 to 3"):
        paths.sample_at(KEY, t, 3)
    with pytest.raises(ValueError, match="n must be 1 or more"):
        paths.sample_at(KEY, 1.0, 0)


@straight
def test_a_rate_that_is_stated_is_kept():
    clouds = [c[:12] for c in moving(Euclidean(1), times=TIMES[:3])]
    law, history = fit_snapshots(
        Euclidean(1), TIMES[:3], clouds, key=KEY, method="current", rate=0.05, features=8
    )
    assert float(law.rate) == pytest.approx(0.05) and len(history.course.trials) == 7


@straight
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_zero_nothing_is_lost(dtype):
    """Moving everything moves the law of splines, and no distance."""
    m = Euclidean(2)
    near = [c.astype(np.float64) for c in moving(m)]
    far = [(c + 1e6).astype(dtype) for c in near]
    law, history = fit_snapshots(m, TIMES, far, key=KEY, method="spline")
    base, known = fit_snapshots(m, TIMES, near, key=KEY, method="spline")
    rounding = 0.1 if dtype == np.float32 else 1e-6
    np.testing.assert_allclose(history.compared["spline"], known.compared["spline"], atol=rounding)
    drawn = np.asarray(law.sample_at(KEY, 1.5, 24), np.float64) - 1e6
    assert (
        np.abs(drawn.mean(axis=0) - np.asarray(base.sample_at(KEY, 1.5, 24)).mean(axis=0)).max()
        < 0.2
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [0.0, 1.0], "points": 2}, "times: two snapshots do not tell how paths bend"),
        ({"times": [0.0, 2.0, 1.0, 3.0]}, "times"),
        ({"times": [0.0, 1.0, 1.0, 3.0]}, "times"),
        ({"points": 3}, "points: 4 times need as many snapshots, got 3"),
        ({"one": True}, r"points\[1\]: a snapshot needs 2 points or more, got 1"),
        ({"method": "spline", "at_most": 1}, "at_most"),
        ({"method": "spline", "rate": 1.0}, "rate: is no option of the method 'spline'"),
    ],
)
def test_bad_input_is_one_line(change, message):
    clouds = moving(Euclidean(2), n=5)
    change = {"times": TIMES, "method": "best", **change}
    clouds = clouds[: change.pop("points", 4)]
    if change.pop("one", False):
        clouds[1] = clouds[1][:1]
    times = change.pop("times")
    with pytest.raises(ValueError, match=message) as raised:
        fit_snapshots(Euclidean(2), times, clouds, key=KEY, **change)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five tables of a cloud on a circle, by the command line: the best method, and its page."""
    folder = tmp_path_factory.mktemp("snapshots")
    rng = np.random.default_rng(1)
    files = []
    for k in range(5):
        centre = [np.cos(0.6 * k), np.sin(0.6 * k)]
        rows = pd.DataFrame(centre + 0.1 * rng.normal(size=(40, 2)), columns=["u", "v"])
        files.append(str(folder / f"day{k}.csv"))
        rows.to_csv(files[-1], index=False)
    out = folder / "run"
    words = ["bridge", *files, "--manifold", "R^2", "--method", "current", "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    return folder, files, out


def test_the_command_line_follows_a_current(run, capsys):
    folder, files, out = run
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["method"] == metrics["method_asked"] == "current"
    assert metrics["inner_times"] == [1.0, 2.0, 3.0]
    assert set(metrics["inner_w1"]) == {"current", PAIRS}
    assert metrics["rate"] > 0 and set(metrics["speeds"]) == {
        "speed",
        "rotation",
        "gradient",
        "rest",
    }
    # A turn of .6 a day at distance 1.
    assert abs(metrics["speeds"]["speed"] - 0.6) < 0.15
    page = (out / "report.html").read_text()
    assert "a current through 5 snapshots" in page and "What the current does" in page
    assert (out / "the-current.png").exists()
    there = folder / "there.csv"
    words = ["carry", str(out), files[1], "--from", "1", "--at", "3", "--out", str(there)]
    assert main(words) == 0
    found = pd.read_csv(there)
    assert list(found.columns) == ["u", "v"]
    np.testing.assert_allclose(found.mean(), [np.cos(1.8), np.sin(1.8)], atol=0.1)
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 0
    assert "method" in capsys.readouterr().out


def test_a_run_with_other_options_is_not_gone_on_with(run, capsys):
    _, files, out = run
    words = ["bridge", *files, "--manifold", "R^2", "--method", "current", "--out", str(out)]
    assert main([*words, "--growth", "--resume"]) == 2
    assert "settings.growth" in capsys.readouterr().err


def test_the_command_line_takes_splines(run):
    folder, files, _ = run
    out = folder / "splines"
    words = ["bridge", *files, "--manifold", "R^2", "--method", "spline", "--out", str(out)]
    assert main([*words, "--quiet", "--no-report"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["method"] == "spline" and metrics["rate"] is None and metrics["epsilon"] > 0
    course = json.loads((out / "history.json").read_text())
    assert course["method"] == "spline" and course["course"]["chosen"] == 0
    there = folder / "back.csv"
    assert (
        main(["carry", str(out), files[4], "--backward", "--out", str(there), "--paths", "3"]) == 0
    )
    assert len(pd.read_csv(there)) == 40 * 4
