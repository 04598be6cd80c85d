"""Folders of runs: nothing changes in one before it is known whose it is, what was trained is kept
whatever comes after it, and everything in it is whole or absent."""

import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scorefold import report
from scorefold.cli import main
from scorefold.manifolds import Euclidean
from scorefold.report import training_curves
from scorefold.runs import comparison, documents
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration
from scorefold.runs.folder import Run
from scorefold.runs.models.summary import summary, verdict_summary

PAGE = "scorefold.runs.models.request.write_model_page"

pytestmark = pytest.mark.usefixtures("settings_of_users")


def write_table(path, seed, rows=40):
    table = np.random.default_rng(seed).normal(size=(rows, 2))
    pd.DataFrame(table, columns=["x", "y"]).to_csv(path, index=False)
    return path


def words_of(data, out, *more):
    return ["fit", str(data), "--manifold", "R^2", "--model", "kde", "--no-report", "--quiet",
            "--out", str(out), *more]  # fmt: skip


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, settings_of_users):
    """Two tables, runs of the first with one seed (run) and with two (seeds)."""
    folder = tmp_path_factory.mktemp("runs")
    write_table(folder / "a.csv", 0)
    write_table(folder / "b.csv", 1)
    assert main(words_of(folder / "a.csv", folder / "run")) == 0
    assert main(words_of(folder / "a.csv", folder / "seeds", "--seeds", "2")) == 0
    return folder


@pytest.fixture
def own(fitted, tmp_path):
    """A copy to change, its run reading the table beside it."""
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("run.json"):
        path.write_text(path.read_text().replace(str(fitted), str(tmp_path)))
    return tmp_path


def refused(capsys, words, code=2):
    capsys.readouterr()
    assert main([str(w) for w in words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.splitlines()[-1]
    assert last.startswith("scorefold: ") and len(last) <= 520
    return last


# -- whose folder it is ----------------------------------------------------------------------------
@pytest.mark.fault(51, "refused commands and the folder they were given")
@pytest.mark.parametrize(
    ("data", "more", "field"),
    [
        ("b.csv", ["--resume"], "points.train"),
        ("a.csv", ["--resume", "--seed", "1"], "seed"),
        ("a.csv", ["--resume", "--protocol", "random"], "options.protocol"),
        ("a.csv", ["--resume", "--model", "kernel"], "settings.model"),
        ("a.csv", ["--resume", "--seeds", "2"], "seeds"),
        ("a.csv", [], "already holds a finished run"),
        ("b.csv", [], "already holds a finished run"),
    ],
)
def test_a_refused_run_changes_nothing(own, capsys, data, more, field):
    before = contents(own)
    assert field in refused(capsys, [*words_of(own / data, own / "run"), *more])
    assert contents(own) == before
    assert main(["evaluate", str(own / "run")]) == 0


@pytest.mark.parametrize("text", ['{"name": "of another program"}', "{"])
def test_a_folder_of_another_program(fitted, tmp_path, capsys, text):
    (tmp_path / "run.json").write_text(text)
    assert "run.json" in refused(capsys, words_of(fitted / "a.csv", tmp_path))
    assert contents(tmp_path) == {Path("run.json"): text.encode()}


def test_the_same_again_does_nothing(own, capsys):
    """A finished run that is resumed says its numbers, which are in the file already."""
    before = {k: v for k, v in contents(own).items() if k.name not in ("run.json", "run.lock")}
    assert main(words_of(own / "a.csv", own / "run", "--resume")) == 0
    assert "test NLL" in capsys.readouterr().out
    after = contents(own)
    assert {k: after[k] for k in before} == before


def test_changed_data_are_an_error(own, capsys):
    """One number of the table changes: the test points are not those that were judged."""
    lines = (own / "a.csv").read_text().splitlines()
    (own / "a.csv").write_text("\n".join([lines[0], "9.5,1.0", *lines[2:]]) + "\n")
    for command in ("evaluate", "report"):
        message = refused(capsys, [command, own / "run"])
        assert str(own / "a.csv") in message and "changed since" in message
    assert "changed since" in refused(capsys, ["evaluate", own / "seeds"])
    # Draws and other points need no data of the run, and say what they do not know.
    assert main(["sample", str(own / "run"), "-n", "3", "--out", str(own / "x.csv")]) == 0
    assert "warning: " in capsys.readouterr().err
    assert main(["evaluate", str(own / "run"), str(own / "b.csv"), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["n"] == 40 and found["generalisation"] is None
    assert "changed since" in found["generalisation_reason"] and "changed since" in said.err


def test_data_from_a_pipe_are_not_asked_for_again(own, capsys):
    path = own / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "-", "file": "pipe"}))
    assert "give DATA" in refused(capsys, ["evaluate", own / "run"])


def test_names_relative_to_another_folder(tmp_path, monkeypatch, capsys):
    """A run knows its data from wherever it is asked."""
    write_table(tmp_path / "t.csv", 2)
    monkeypatch.chdir(tmp_path)
    assert main(words_of("t.csv", "run")) == 0
    monkeypatch.chdir("/")
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["file"].startswith("sha256:") and described["scorefold"]


@pytest.mark.fault(54, "links in place of the files of a run")
@pytest.mark.parametrize(
    "name",
    ["run.lock", "run.json", "history.json", "metrics.json", "model.safetensors", "report.html",
     "checkpoints"],
)  # fmt: skip
def test_links_are_not_followed(own, capsys, name):
    """A link in the place of a file of the run, to something precious outside of it."""
    precious = own / "precious"
    if name == "checkpoints":
        precious.mkdir()
    else:
        precious.write_text("mine")
    link = own / "run" / name
    link.unlink(missing_ok=True)
    link.symlink_to(precious)
    for words in (
        [*words_of(own / "a.csv", own / "run"), "--resume"],
        words_of(own / "a.csv", own / "run"),
        ["evaluate", own / "run"],
        ["report", own / "run"],
    ):
        assert str(link) in refused(capsys, words)
    assert list(precious.iterdir()) == [] if precious.is_dir() else precious.read_text() == "mine"


# -- what comes after training ---------------------------------------------------------------------
@pytest.mark.fault(56, "a signal while measuring and drawing")
@pytest.mark.parametrize("where", ["scorefold.runs.models.measures.mass_numbers",
                                   PAGE])  # fmt: skip
def test_stopped_after_training(fitted, tmp_path, capsys, monkeypatch, where):
    """SIGTERM while measuring or drawing: one line, exit 143, and the model is there; --resume
    does the rest, without training, and comes to the numbers of a run that was not stopped."""
    words = [w for w in words_of(fitted / "a.csv", tmp_path / "run") if w != "--no-report"]
    with monkeypatch.context() as patch:
        patch.setattr(where, lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        message = refused(capsys, words, 143)
    assert "SIGTERM" in message and "--resume" in message
    there = {p.name for p in (tmp_path / "run").iterdir()}
    assert there - {"metrics.json"} == {"run.json", "run.lock", "history.json", "model.safetensors"}
    monkeypatch.setattr("scorefold.runs.path.Run.keep", None)
    drawn = []
    monkeypatch.setattr(PAGE, lambda *a, **_: drawn.append(a))
    assert main([*words, "--resume"]) == 0
    assert len(drawn) == 1
    found, whole = (json.loads((folder / "run" / "metrics.json").read_text())
                    for folder in (tmp_path, fitted))  # fmt: skip
    for name in ("test_nll", "val_nll", "normalisation", "generalisation", "model_sha256"):
        assert found[name] == whole[name]


@pytest.mark.fault(48, "a measure that fails after training")
def test_what_cannot_be_measured_is_null(fitted, tmp_path, capsys, monkeypatch):
    """A measure that fails costs its number, not the model; so does a number that is no number."""

    def fail(*_, **__):
        raise RuntimeError("no\n\x1b[31mluck")

    monkeypatch.setattr("scorefold.runs.models.measures.mass_numbers", fail)
    monkeypatch.setattr("scorefold.runs.models.measures.measured", lambda *_: {"mmd": float("nan")})
    assert main(words_of(fitted / "a.csv", tmp_path / "run")) == 0
    said = capsys.readouterr()
    assert (
        r"warning: the total mass could not be measured: RuntimeError: no \x1b[31mluck" in said.err
    )
    assert "\x1b" not in said.err and "be measured" in said.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["normalisation"] is None and "luck" in metrics["normalisation_reason"]
    assert metrics["generalisation"] == {"mmd": None, "mmd_reason": "not a finite number"}
    assert len(metrics["warnings"]) == 1


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_too_few_rows(rows, tmp_path, capsys):
    path = write_table(tmp_path / "t.csv", 0, rows)
    words = ["fit", path, "--manifold", "R^2", "--out", tmp_path / "run"]
    message = refused(capsys, words)
    assert f"{rows} rows" in message or "1 training points" in message
    assert not (tmp_path / "run").exists()


def test_few_rows_have_a_simple_model(tmp_path, capsys):
    """Six rows: four to train, one to validate, one to test. The command line says that it takes
    a kernel density, and what one test point cannot tell is null; the kernel model is refused
    where it has no neighbourhoods, before anything is trained."""
    path = write_table(tmp_path / "t.csv", 0, 6)
    words = ["fit", str(path), "--manifold", "R^2", "--no-report", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert "--model kde" in capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["model"] == "kde" and metrics["n_train"] == 4 and metrics["n_test"] == 1
    assert np.isfinite(metrics["test_nll"])
    assert metrics["test_nll_standard_error"] is None
    assert metrics["test_nll_standard_error_reason"] == "1 test point"
    words[-1] = str(tmp_path / "other")
    few = write_table(tmp_path / "t.csv", 0, 5)
    message = refused(capsys, [*words, "--model", "kernel"])
    assert "3 training points" in message and "--model kde" in message and few.exists()
    assert "--floor is not an option of --model kde" in refused(capsys, [*words, "--floor", "1"])
    assert not (tmp_path / "other").exists()


# -- several seeds ---------------------------------------------------------------------------------
def test_seeds_are_one_run(fitted, tmp_path, capsys):
    """The folder above two seeds: means of what stands in each, verdicts counted, draws of both."""
    top = json.loads((fitted / "seeds" / "metrics.json").read_text())
    parts = [json.loads((fitted / "seeds" / f"seed-{s}" / "metrics.json").read_text())
             for s in (0, 1)]  # fmt: skip
    assert top["seed"] == [0, 1] and top["runs"] == parts
    assert top["test_nll"] == pytest.approx(np.mean([p["test_nll"] for p in parts]), rel=1e-12)
    ratio = top["generalisation"]["nearest_ratio"]
    assert ratio["verdicts"] == [p["generalisation"]["nearest_ratio"]["verdict"] for p in parts]
    assert ratio["of"] == 2
    assert main(["evaluate", str(fitted / "seeds"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nll"] == top["test_nll"] and found["normalisation"] == top["normalisation"]
    assert [row["nll"] for row in found["runs"]] == [p["test_nll"] for p in parts]
    out = tmp_path / "x.npy"
    assert main(["sample", str(fitted / "seeds"), "-n", "7", "--out", str(out)]) == 0
    assert "shared among 2 seeds" in capsys.readouterr().out
    draws = np.load(out)
    assert draws.shape == (7, 2)
    assert main(["sample", str(fitted / "seeds" / "seed-0"), "-n", "4", "--out", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out), draws[:4])


def test_runs_are_compared_on_one_page(own, capsys):
    """Side by side over the same points, with a table of their numbers; what cannot be compared is
    refused."""
    shutil.copytree(own / "run", own / "again" / "run")
    out = own / "all.html"
    words = ["report", str(own / "run"), str(own / "again" / "run"), "--out", str(out)]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(out)
    page = out.read_text()
    nll = json.loads((own / "run" / "metrics.json").read_text())["test_nll"]
    row = f'<th scope="row">test NLL (nats)</th><td>{nll:.5g}</td><td>{nll:.5g}</td>'
    assert row in page and "The points are the same for all runs" in page
    scene = json.loads(re.search(r'id="scene">(.*?)</script>', page)[1])
    (stage,) = scene["stages"]
    assert [body["title"] for body in stage["bodies"]] == [f"{own.name}/run", "again/run"]
    assert [layer["name"] for layer in stage["layers"]] == ["training data", "test data"]
    assert list(own.glob("*.png")) == []
    before = out.read_bytes()
    for more, message in (
        ([own / "run"], "a run is named twice"),
        ([own / "nothing"], "no folder"),
    ):
        assert message in refused(capsys, ["report", own / "run", *more, "--out", out])
    assert "must be one of .html" in refused(capsys, [*words[:3], "--out", own / "all.csv"])
    assert "--out: an option of two or more" in refused(
        capsys, ["report", own / "run", "--out", out]
    )
    assert out.read_bytes() == before


@pytest.mark.parametrize("field, words", [("origin", " from "), ("columns", "has columns z")])
def test_runs_of_other_frames_are_not_drawn_on_each_other(own, capsys, field, words):
    """Points are drawn less their origin, under the names of one table."""
    shutil.copytree(own / "run", own / "away")
    path = own / "away" / "run.json"
    found = json.loads(path.read_text())
    if field == "origin":
        found["coordinates"]["parts"][0]["origin"][0] += 1e4
    else:
        found["coordinates"]["columns"][0] = "z"
    path.write_text(json.dumps(found))
    out = own / "all.html"
    said = refused(capsys, ["report", own / "run", own / "away", "--out", out])
    assert "run has columns" in said and words in said and "origin of one table" in said
    assert not out.exists()


def test_runs_of_other_points_are_not_compared_by_likelihood():
    """The data of each are shown under its name; of the same points the likeliest run is named."""
    law = report.Explored(draws=np.zeros((3, 2)))
    runs = {
        name: Exploration(Euclidean(2), law, {"train": x, "test": x + 1}, [], [], report.Axes(),
                          False) for name, x in (("a", np.zeros((4, 2))), ("b", np.ones((5, 2))))
    }  # fmt: skip
    numbers = {"a": {"test_nll": 1.0}, "b": {"test_nll": 0.25}}
    apart = comparison._data(runs, same=False)
    assert {name: len(x) for name, x in apart.items()} == {"test of a": 4, "test of b": 5}
    assert list(comparison._data(runs, same=True)) == ["train", "test"]
    (other,) = comparison._findings(runs, numbers, same=False)
    assert other.state == "bad" and "cannot be compared" in other.text
    (best,) = comparison._findings(runs, numbers, same=True)
    assert best.text.startswith("b gives") and "0.750 below a" in best.text
    with pytest.raises(RunError, match=r"a is on R\^2, b is on S\^2: only one"):
        comparison._alike({"a": "R^2", "b": "S^2"}, "is on", "only one")


def test_each_seed_has_its_report(own, capsys, monkeypatch):
    monkeypatch.setattr(PAGE, lambda done, *_: done.folder)
    monkeypatch.setattr("scorefold.runs.models.measures.draw_samples", lambda *_: np.zeros((1, 2)))
    assert main(["report", str(own / "seeds")]) == 0
    pages = [str(own / "seeds" / f"seed-{s}") for s in (0, 1)]
    assert capsys.readouterr().out.split() == pages


def test_the_picture_says_what_the_table_says():
    """Training judges by what is near; the table by the whole density: the mark has that number."""
    history = SimpleNamespace(step=[1, 2], loss=[3.0, 2.0], val_step=[0, 2], val_nll=[2.5, 1.25])
    for chosen, said in ((None, "best: 1.250 at step 2"), (1.5, "model: 1.500 at step 2")):
        figure = training_curves(history, chosen=chosen)
        legends = [t.get_text() for a in figure.axes for t in a.get_legend().get_texts()]
        assert said in legends


def test_the_worst_verdict_is_shown():
    def found(*verdicts):
        return [{"mmd": {"verdict": v}, "leak": 0.1} if v else None for v in verdicts]

    fine, odd, copies = "consistent with fresh data", "differs", "copies training points"
    few = "too few points to tell"
    for verdicts, worst, count in [((fine, fine), fine, 0), ((fine, odd, None), odd, 1),
                                   ((copies, odd, fine), copies, 2), ((few, odd), odd, 1),
                                   ((odd, few), odd, 1), ((few, fine), few, 0)]:  # fmt: skip
        row = verdict_summary(found(*verdicts))["mmd"]
        assert (row["verdict"], row["departing"]) == (worst, count)
        assert row["verdicts"] == list(verdicts)


def test_whole_numbers_of_several_seeds_are_means_where_they_differ():
    """What is the same in all seeds stays as it is."""
    found = summary([
        {"seed": 0, "n_test": 15, "steps": 400, "train_seconds": 1.0},
        {"seed": 1, "n_test": 15, "steps": 1600, "train_seconds": 3.0},
    ])  # fmt: skip
    assert (found["seed"], found["n_test"]) == ([0, 1], 15)
    assert (found["steps"], found["train_seconds"]) == (1000.0, 2.0)
    assert found["steps_std"] == pytest.approx(1200 / np.sqrt(2))


def test_fit_and_evaluate_say_one_number(fitted, capsys):
    metrics = json.loads((fitted / "run" / "metrics.json").read_text())
    assert main(["evaluate", str(fitted / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nll"] == metrics["test_nll"]
    for name in ("normalisation", "normalisation_error", "generalisation", "nfe"):
        assert found[name] == metrics[name]


def test_numbers_of_another_model_are_not_used(own, capsys):
    """The model of seed 1 in the place of that of seed 0: measured anew, with a word."""
    for name in ("model.safetensors",):
        shutil.copy(own / "seeds" / "seed-1" / name, own / "seeds" / "seed-0" / name)
    words = ["evaluate", str(own / "seeds" / "seed-0"), "--json", "--no-samples"]
    assert main(words) == 0
    said = capsys.readouterr()
    metrics = json.loads((own / "seeds" / "seed-0" / "metrics.json").read_text())
    assert json.loads(said.out)["nll"] != metrics["test_nll"]
    assert "no numbers of the model" in said.err


def test_draws_of_the_other_sign_are_said(tmp_path, capsys):
    """A skewed column of positive numbers beside one that has both signs."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"k": np.exp(1.5 * rng.normal(size=80)), "z": rng.normal(size=80)})
    table.to_csv(tmp_path / "soil.csv", index=False)
    words = ["fit", str(tmp_path / "soil.csv"), "--manifold", "R^2", "--model", "kde", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert "draws are negative where no row is: " in said
    assert "'k'" in (line := said.split("where no row is")[1].splitlines()[0]) and "'z'" not in line
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["negative_draws"]
    assert set(found) == {"k"} and 0.01 <= found["k"] < 0.6
    assert "have a negative k, which no row has" in (tmp_path / "run" / "report.html").read_text()


# -- whole or absent -------------------------------------------------------------------------------
@pytest.mark.fault(53, "draws on a full disk, every format")
@pytest.mark.parametrize("ending", ["csv", "tsv", "npy", "parquet"])
def test_draws_in_blocks_and_a_full_disk(fitted, tmp_path, capsys, monkeypatch, ending):
    """The same table in blocks of 64 as at once, for the first block; and where the disk holds
    fewer bytes than it takes, the file that was there before, and nothing else."""
    monkeypatch.setattr("scorefold.runs.models.draws._BLOCK", 64)
    out = tmp_path / f"x.{ending}"
    words = ["sample", str(fitted / "run"), "-n", "150", "--out", str(out)]
    assert main(words) == 0
    read = {"csv": pd.read_csv, "tsv": lambda p: pd.read_csv(p, sep="\t"), "npy": np.load,
            "parquet": pd.read_parquet}[ending]  # fmt: skip
    table = np.asarray(read(out))
    assert table.shape == (150, 2) and table.dtype == np.float64 and np.isfinite(table).all()
    before = out.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        message = refused(capsys, [*words, "--seed", "1"], 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(out) in message
    assert out.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [out.name]


@pytest.mark.fault(53, "a run on a full disk")
def test_a_full_disk_leaves_no_half_run(fitted, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        message = refused(capsys, words_of(fitted / "a.csv", tmp_path / "run"), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path / "run" / "run.json") in message
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["run.lock"]


# -- documents -------------------------------------------------------------------------------------
VALUES = [None, True, -1, 10**30, 1.5, "", "x", "\x1b]0;x\x07" * 300, [], [None], [[]], {},
          {"x": {}}]  # fmt: skip


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "history.json"])
def test_documents_with_other_values(own, capsys, monkeypatch, name):
    """Entries of each document replaced by values of other types: a result, or one line. Every
    eleventh pair of a place and a value here, all of them in tests/slow."""
    try_documents(own, capsys, monkeypatch, name, every=11)


def try_documents(own, capsys, monkeypatch, name, every):
    monkeypatch.setattr(PAGE, lambda *_, **__: own)
    monkeypatch.setattr("scorefold.runs.models.measures.draw_samples", lambda *_: np.zeros((1, 2)))
    monkeypatch.setattr("scorefold.runs.models.measures.held_out", None)
    path = own / "run" / name
    good = json.loads(path.read_text())
    places = [(key,) for key in good]
    places += [(key, inner) for key in good if isinstance(good[key], dict) for inner in good[key]]
    cases = [(place, value) for place in places for value in VALUES][::every]
    count = 0
    for k, (place, value) in enumerate(cases):
        bad = json.loads(json.dumps(good))
        inner = bad if len(place) == 1 else bad[place[0]]
        inner[place[-1]] = value
        path.write_text(json.dumps(bad))
        command = ["evaluate", "report"][k % 2] if name != "history.json" else "report"
        capsys.readouterr()
        code = main([command, str(own / "run")])
        assert code in (0, 2), (place, value)
        if code == 2:
            count += 1
            line = capsys.readouterr().err.splitlines()[-1]
            assert len(line) <= 520 and line.isprintable(), (place, value)
    assert count > len(cases) // 4


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"seed": NaN}', b'{"seed": 1e999}',
     b"[" * 100_000, b'{"a": ' * 100_000, b" " * (9 * 2**20), b'{"seed": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_documents_that_are_none(text, tmp_path):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(RunError, match=r"x\.json is damaged"):
        documents.read(tmp_path / "x.json", documents.METRICS)


def test_everything_can_be_written(tmp_path):
    """What a computation may return: written, with null and a reason for what is no number."""
    document = {"a": np.float32("nan"), "b": [1.0, np.inf], "c": np.arange(2), "d": object(),
                "e": {1: None}, "f": 10**400, "g": True, "h": None}  # fmt: skip
    documents.write(tmp_path / "x.json", document)
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["a"] is None and found["a_reason"] == "not a finite number"
    assert found["b"] == [1.0, None] and "b_reason" in found
    assert found["c"] == [0, 1] and found["e"] == {"1": None} and found["g"] is True
    assert found["h"] is None and "h_reason" not in found


def test_a_lock_is_held_while_a_run_is_written(own, capsys):
    with Run(own / "run").writing():
        message = refused(capsys, ["report", own / "run"])
    assert f"in use by the run of process {os.getpid()}" in message


def test_regions_are_refused_where_they_cannot_be_written(fitted, tmp_path, capsys):
    """Outlines off the sphere, of several seeds, under another ending."""
    for words, said in (
        (["run", "--out", "x.geojson"], "GeoJSON is of S^2, and the model is on R^2"),
        (["seeds", "--out", "x.json"], "holds several seeds"),
        (["run", "--out", "x.csv"], "the ending must be one of .geojson, .json"),
    ):
        folder, option, name = words
        assert main(["regions", str(fitted / folder), option, str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["regions", str(fitted / "run"), "--out", str(tmp_path / "x.json"),
                 "-n", "1000"]) == 0  # fmt: skip
    assert len(json.loads((tmp_path / "x.json").read_text())["regions"]) == 2
