"""``scorefold bridge``: the files it leaves, their keys, and errors of one line."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from scorefold.bridges import GaussianBridge
from scorefold.cli import main
from scorefold.fitting import History, load

GAP = {"miss", "miss_floor", "missed"}

pytestmark = pytest.mark.usefixtures("settings_of_users")


def tables(folder):
    rng = np.random.default_rng(0)
    for name, centre in (("a", 0.0), ("b", 2.0)):
        np.save(folder / f"{name}.npy", centre + 0.3 * rng.normal(size=(120, 2)))
    return [str(folder / "a.npy"), str(folder / "b.npy"), "--manifold", "R^2"]


def explored(page):
    """What the page of a run holds to be explored."""
    return json.loads(re.search(r'id="scene">(.*?)</script>', page)[1])


def test_a_bridge_between_two_files(tmp_path, capsys):
    """The contract of metrics.json; held-out points two units apart come to lie within a third of
    that of the other end (the mean of 12 points of std 0.3 is known to 0.1); the model in the file
    carries points of A to the mean of B; a second run into the folder is refused."""
    out = tmp_path / "run"
    command = ["bridge", *tables(tmp_path), "--variance", "0.3", "--steps", "60", "--quiet",
               "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr()
    assert "W₁ at b.npy" in said.out and "written to" in said.out
    metrics = json.loads((out / "metrics.json").read_text())
    assert {
        "model", "datasets", "manifold", "protocol", "seed", "variance", "n_train", "n_val",
        "n_test", "ends", "path_energy", "path_energy_standard_error", "steps", "best_step",
        "stopped", "train_seconds", "compile_seconds", "evaluate_seconds", "warnings",
        "model_sha256", "command", "versions", "device", "git",
    } == set(metrics)  # fmt: skip
    assert metrics["model"] == "light" and metrics["datasets"] == ["a.npy", "b.npy"]
    assert metrics["variance"] == 0.3 and metrics["steps"] == 60
    for end in metrics["ends"].values():
        assert set(end) == {"w1", "floor", "ratio", "ratio_std", "unbridged", "n", *GAP}
        assert end["missed"] is False and end["miss"] < end["miss_floor"]
        assert end["w1"] < 1.0 < 2.0 < end["unbridged"] and end["floor"] < 0.6
    # A drift that moves points by (2, 2) costs |(2, 2)|²/2S = 13 nats, less what noise does.
    assert 8 < metrics["path_energy"] < 16
    for name in ("report.html", "history.json", "run.json", "paths.png", "training.png"):
        assert (out / name).stat().st_size > 60
    page = (out / "report.html").read_text()
    assert "Both ends, on held-out points" in page and "The bridge arrives at b.npy" in page
    # Points on their way, from t = 0 to 1 in 61 pictures.
    (stage,) = explored(page)["stages"]
    layers = {layer["name"]: layer for layer in (*stage["layers"], *stage["bodies"][0]["layers"])}
    assert {"a.npy, held out", "b.npy, held out", "points on their way"} < set(layers)
    times = layers["points on their way"]["times"]
    assert len(times) == 61 and (times[0], times[-1]) == (0.0, 1.0)
    drawn = load(out / "model.safetensors").couple(np_key(), np.zeros((400, 2), np.float32))
    assert np.abs(np.asarray(drawn).mean(0) - 2.0).max() < 0.25
    assert main(command) == 2
    assert "already holds a finished run" in capsys.readouterr().err
    # Other points, or another variance, are another run: refused, and nothing changes.
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    at = command.index("0.3")
    assert main([*command[:at], "0.4", *command[at + 1 :], "--resume"]) == 2
    assert "settings.variance: 0.3 there, 0.4 here" in capsys.readouterr().err
    b = np.load(tmp_path / "b.npy")
    np.save(tmp_path / "b.npy", b + 1.0)
    assert main([*command, "--resume"]) == 2
    assert "belongs to another run: points.train.1" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert main(["evaluate", str(out)]) == 2
    assert "b.npy has changed since" in capsys.readouterr().err
    np.save(tmp_path / "b.npy", b)
    check_again(out, metrics, capsys)
    check_carried(tmp_path, out, capsys)


def check_again(out, metrics, capsys):
    """evaluate says the numbers that bridge wrote, and measures them anew, the same, where they are
    not there; report draws the page again; points are for carry."""
    assert main(["evaluate", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == metrics
    (out / "metrics.json").rename(out / "other.json")
    assert main(["evaluate", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ends"] == metrics["ends"] and "measured now" in said.err
    (out / "other.json").rename(out / "metrics.json")
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    assert "Both ends, on held-out points" in (out / "report.html").read_text()
    assert main(["evaluate", str(out), "x.csv"]) == 2
    assert "carry moves" in capsys.readouterr().err


def check_carried(folder, run, capsys):
    """The points of A reach the mean of B and those of B that of A; at half way, where the law of
    a bridge between N(0, σ²) and N(2, σ²) has mean 1; whole paths begin where the points are."""
    a = np.load(folder / "a.npy")
    for words, mean in (([], 2.0), (["--at", "0.5"], 1.0), (["--backward"], 0.0)):
        points = folder / ("b.npy" if "--backward" in words else "a.npy")
        words = ["carry", str(run), str(points), "--out", str(folder / "there.csv"), *words]
        assert main(words) == 0
        found = pd.read_csv(folder / "there.csv")
        assert list(found.columns) == ["c0", "c1"] and len(found) == 120
        # The mean of 120 draws with deviation .3 to .5 is known to .05; .15 is left to the fit.
        np.testing.assert_allclose(found.to_numpy().mean(0), mean, atol=0.3)
    words = ["carry", str(run), str(folder / "a.npy"), "--out", str(folder / "paths.csv")]
    assert main([*words, "--paths", "4"]) == 0
    found = pd.read_csv(folder / "paths.csv")
    assert list(found.columns) == ["point", "t", "c0", "c1"] and len(found) == 5 * 120
    begun = found[found.t == 0.0]
    np.testing.assert_array_equal(begun.point, np.arange(120))
    np.testing.assert_allclose(begun[["c0", "c1"]], a, rtol=1e-6, atol=1e-6)
    capsys.readouterr()
    for more, message in (
        (["--at", "2"], "the bridge lasts from 0 to 1"),
        (["--from", "0.5"], "--from 0.5 is no time of the data: 0, 1"),
        (["--at", "0"], "is where POINTS are"),
    ):
        assert main([*words, *more]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


def np_key():
    import jax

    return jax.random.key(0)


@pytest.mark.parametrize(
    "words, message",
    [
        (["A"], "needs two data sets, got 1"),
        (["A", "B", "--times", "0,1"], "--times: an option of three or more snapshots only"),
        (["A", "B", "A", "--times", "0,2,1"], "--times must be 3 numbers that increase"),
        (
            ["A", "B", "A", "--survivors", "--method", "bridge"],
            "have no labels that say who survives",
        ),
        (
            ["A", "B", "A", "--survivors"],
            "--survivors is an option of --method bridge; the method is best, the default",
        ),
        (
            ["A", "B", "A", "--steps", "5", "--method", "spline"],
            "--steps is an option of --method bridge; the method is spline",
        ),
        (
            ["A", "B", "A", "--variance", "5", "--method", "momentum"],
            "--variance is no option of --method momentum",
        ),
        (["A", "B", "--method", "spline"], "--method: an option of three or more snapshots only"),
        (["petal", "--times", "0,1"], "petal has its own times"),
        (["A", "B", "--variance", "-1"], "argument --variance: '-1' is not a number"),
        (["A", "torus-2"], "on R^2, torus-2 on T^2"),
        (["A", "B", "--model", "lite"], "Did you mean 'light'?"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, words, message):
    a, b, *reading = tables(tmp_path)
    names = {"A": a, "B": b}
    words = [names.get(word, word) for word in words]
    reading = [] if words[0] == "petal" else reading
    assert main(["bridge", *words, *reading, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_budget_is_refused_where_there_is_none(tmp_path, capsys):
    """Half-steps have no budget: said before anything is trained."""
    command = ["bridge", *tables(tmp_path), "--model", "imf", "--budget", "5", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "give --steps" in capsys.readouterr().err


def test_learned_bridges_have_the_same_numbers(tmp_path, capsys):
    """--model imf: the keys of the light bridge and two more; 16 steps are two for each of the 8
    half-steps, and its samplers carry A to B, from the closed Gaussian start on."""
    out = tmp_path / "run"
    command = ["bridge", *tables(tmp_path), "--variance", "0.3", "--model", "imf", "--steps", "16"]
    assert main([*command, "--quiet", "--no-report", "--out", str(out)]) == 0
    capsys.readouterr()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["half_steps"] == 8 and metrics["steps"] == 16
    assert metrics["evaluations"] > 0 and metrics["compile_seconds"] is None
    for end in metrics["ends"].values():
        assert end["w1"] < 1.0 < 2.0 < end["unbridged"]


@pytest.fixture
def by_moments(monkeypatch):
    """Each interval has the exact bridge of normal laws with the moments of its ends, and nothing
    is trained."""

    def fit_bridge(bridge, a, b, *, key, val, **settings):
        laws = [(np.mean(x, axis=0), np.cov(np.asarray(x, np.float64).T)) for x in (a, b)]
        two, numbers = np.arange(2), np.arange(2.0)
        steps = settings.get("steps", 1)
        history = History(two, numbers, two, numbers, steps, 1, "steps", 0.0, 0.0, 0.0, (0,))
        return GaussianBridge(bridge.reference, *laws[0], *laws[1]), history

    # The package has the function under the name of its module.
    monkeypatch.setattr(
        sys.modules["scorefold.bridges.snapshots.fit_intervals"], "fit_bridge", fit_bridge
    )


def test_a_bridge_through_three_files(tmp_path, capsys, by_moments):
    """Snapshots at times 0, 2, 4 around (0, 0), (2, 2) and (0, 0) with std 0.3: every arrival is
    within a third of what is not bridged, forwards and backwards; paths that start in the first
    snapshot return to it, and are half way to the second at time 1. The folder has what two
    snapshots give."""
    a, b, *reading = tables(tmp_path)
    out = tmp_path / "run"
    command = ["bridge", a, b, a, *reading, "--method", "bridge", "--times", "0,2,4",
               "--variance", "0.4", "--steps",
               "40", "--quiet", "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "W₁ at b.npy" in said and "0.1 per unit of time" in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["times"] == [0.0, 2.0, 4.0] and metrics["rate"] == 0.1
    assert metrics["steps"] == [40, 40] and metrics["n_train"] == [96, 96, 96]
    assert metrics["lost"] == [0, 0]
    assert [row["time"] for row in metrics["arrivals"]] == [2.0, 4.0]
    for row in metrics["arrivals"]:
        for name in ("from_before", "from_first", "back"):
            more = GAP if name == "from_before" else set()
            assert set(row[name]) == {"w1", "floor", "ratio", "ratio_std", "n", *more}
            assert row[name]["w1"] < 1.0 < 2.0 < row["unbridged"]["w1"]
    for name in ("report.html", "history.json", "run.json", "paths.png"):
        assert (out / name).stat().st_size > 60
    words = ["carry", str(out), b, "--from", "2", "--at", "0", "--out", str(tmp_path / "0.npy")]
    assert main(words) == 0
    np.testing.assert_allclose(np.load(tmp_path / "0.npy").mean(axis=0), 0.0, atol=0.25)
    bridge = load(out / "model.safetensors")
    paths = bridge.sample_paths(np_key(), np.zeros((400, 2), np.float32), [1.0, 2.0, 4.0])
    np.testing.assert_allclose(np.asarray(paths).mean(axis=(0, 2)), [1.0, 2.0, 0.0], atol=0.25)


def test_points_are_carried_in_the_units_of_the_table(tmp_path, capsys, monkeypatch):
    """A bridge on the sphere between tables in degrees, fitted for a moment: longitude before
    latitude in the second table and in the points, 0…360 as in the first, one row is enough, and
    rows keep their order."""
    rng = np.random.default_rng(0)
    for name, lon in (("a", 340.0), ("b", 350.0)):
        table = pd.DataFrame({"lat": rng.normal(40, 2, 60), "lon": rng.normal(lon, 2, 60)})
        table[["lon", "lat"] if name == "b" else ["lat", "lon"]].to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    a, b, out = str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), str(tmp_path / "run")
    assert main(["bridge", a, b, "--steps", "40", "--quiet", "--no-report", "--out", out]) == 0
    pd.DataFrame({"lon": [-20.0], "lat": [40.0]}).to_csv(tmp_path / "one.csv", index=False)
    for points, count in (("one.csv", 1), ("a.csv", 60)):
        words = ["carry", out, str(tmp_path / points), "--out", str(tmp_path / "there.csv")]
        assert main(words) == 0
        found = pd.read_csv(tmp_path / "there.csv")
        assert list(found.columns) == ["lat", "lon"] and len(found) == count
        assert found.lon.between(330, 360).all() and found.lat.between(25, 55).all()
    assert "in degrees) carried from time 0 to 1" in capsys.readouterr().out
    capsys.readouterr()
    for table in (a, str(tmp_path / "one.csv")):
        before = (tmp_path / table).read_bytes()
        assert main(["carry", out, str(tmp_path / "one.csv"), "--out", table]) == 2
        assert "is a table of points: choose another name" in capsys.readouterr().err
        assert (tmp_path / table).read_bytes() == before
    assert main(["carry", out, str(tmp_path / "none.csv"), "--out", str(tmp_path / "t.csv")]) == 2
    assert main(["sample", out, "--out", str(tmp_path / "t.csv")]) == 2
    assert "carry moves points along it" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.slow
def test_a_recorded_set_of_snapshots(tmp_path, capsys, by_moments):
    """The synthetic petal by its name: five times, members with labels that nobody loses; here
    each interval has the exact bridge of normal laws with the moments of its ends, which are round
    about the origin. With radius r the snapshot at r/3 has variance r²/2 along each axis; left
    out, the middle one is drawn from a normal law of radius near 1.5: W₂ from the ring of radius
    1.5 is about 1.5·√(2 − √π) = 0.72, the distance of a normal law from its ring (± 0.3)."""
    out = tmp_path / "run"
    command = [
        "bridge",
        "petal",
        "--method",
        "bridge",
        "--survivors",
        "--leave-out",
        "--no-report",
        "--quiet",
    ]
    assert main([*command, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "W₁ at petal at 1" in said and "left out, optimal pairs" in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["times"] == [0.0, 0.25, 0.5, 0.75, 1.0] and metrics["lost"] == [0] * 4
    assert metrics["survivors"] and [row["snapshot"] for row in metrics["left_out"]] == [1, 2, 3]
    methods = [row["method"] for row in metrics["left_out_methods"]]
    assert methods[:5] == ["best", "current", "momentum", "spline", "bridge"] and len(methods) == 9
    assert abs(metrics["left_out"][1]["w2"] - 1.5 * (2 - np.pi**0.5) ** 0.5) < 0.3
