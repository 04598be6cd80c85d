"""Tables of results: runs are made once and kept, names are checked, means are means."""

import dataclasses
import json

import numpy as np
import pytest

from scorefold._warnings import ScorefoldWarning
from scorefold.bench import (
    Cell,
    Measurement,
    Published,
    Table,
    TableMeasure,
    TableRequest,
    run_table,
)
from scorefold.bench.bridge import TABLE as BRIDGE
from scorefold.bench.markdown import markdown
from scorefold.bench.registry import ABOUT, find_table
from scorefold.bench.results import Results
from scorefold.cli import main
from scorefold.data import DataError

NOTE = "Somebody 2020, Table 1; ± is a standard deviation."


def table(make, name="toy"):
    def cells(request):
        for data in ("a", "b"):
            for seed in range(request.seeds or 3):
                yield Cell(data, "random", "kernel", seed, lambda d=data, s=seed: make(d, s))

    nll = TableMeasure("NLL (nats)")
    return Table(
        name, "Toys", {"nll": nll}, ("a", "b"), ("random",), ("kernel",), cells,
        published=(Published("theirs", "random", {"b": "0.5 ± 0.1"}, NOTE, "nll"),),
    )  # fmt: skip


def test_runs_are_made_once_and_kept(tmp_path):
    made = []

    def make(data, seed):
        made.append((data, seed))
        if seed == 2 and len(made) < 4:
            raise KeyboardInterrupt
        return Measurement({"nll": float(seed)}, {"nll": -1.0}, seconds=2.0, nfe=10.0)

    with pytest.raises(KeyboardInterrupt):
        run_table(table(make), tmp_path)
    results = run_table(table(make), tmp_path)
    assert made == [("a", 0), ("a", 1), ("a", 2), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    run_table(table(make), tmp_path)
    assert len(made) == 7
    # Mean and standard deviation of 0, 1, 2.
    text = (tmp_path / "table.md").read_text()
    assert text == markdown(results.table, results.runs)
    assert "| kernel | 1.000 ± 1.000 | 1.000 ± 1.000 | 10 | 2.0 |" in text
    assert "| *floor: a perfect method* | −1.000 | −1.000 |" in text
    assert "| theirs (published)[^1] |  | 0.5 ± 0.1 |" in text and f"[^1]: {NOTE}" in text
    assert "over 3 seeds" in text
    document = json.loads((tmp_path / "results.json").read_text())
    first = document["runs"][0]
    assert (document["table"], document["length"]) == ("toy", "default")
    assert (first["method"], first["data"], first["seed"]) == ("kernel", "a", 0)
    assert {"split", "nfe", "seconds", "compile_seconds", "parameters", "stopped"} <= set(first)
    assert {"versions", "device", "git", "load", "date"} == set(first["source"])


def test_fewer_seeds_are_said():
    runs = []
    for data, seeds in (("a", 2), ("b", 1)):
        for seed in range(seeds):
            results = Results(table(None), "default")
            found = Measurement({"nll": float(seed)})
            runs.append(results.add((data, "random", "kernel", seed), found, {}))
    text = markdown(table(None), runs)
    assert "| kernel | 0.500 ± 0.707 | 0.000 (1) |" in text and "(n) where fewer" in text


def test_a_run_that_fails_is_left_out_and_tried_again(tmp_path):
    def make(data, seed):
        if (data, seed) == ("a", 1) and not (tmp_path / "mended").exists():
            raise ValueError("a reason")
        return Measurement({"nll": 0.0})

    with pytest.warns(ScorefoldWarning, match="kernel on a, random, seed 1 failed .* a reason"):
        results = run_table(table(make), tmp_path)
    assert len(results.runs) == 5 and results.failed == 1
    (tmp_path / "mended").touch()
    assert len(run_table(table(make), tmp_path).runs) == 6


def test_data_that_cannot_be_used_are_said_once(tmp_path):
    def make(data, seed):
        if data == "a":
            raise DataError("a: no usable rows.")
        return Measurement({"nll": 0.0})

    with pytest.warns(ScorefoldWarning, match="a is left out: a: no usable rows") as said:
        results = run_table(table(make), tmp_path)
    assert len(said) == 1 and results.failed == 1 and len(results.runs) == 3
    # Asked for by its name, it is an error, and so is nothing at all.
    with pytest.raises(DataError, match="no usable rows"):
        run_table(table(make), tmp_path, TableRequest(data=("a", "b")))
    assert len(run_table(table(make), tmp_path, TableRequest(data=("b",))).runs) == 3
    nothing = dataclasses.replace(table(lambda d, s: make("a", s)), name="nothing")
    with pytest.warns(ScorefoldWarning), pytest.raises(DataError, match="no usable rows"):
        run_table(nothing)


def test_a_file_that_changed_is_measured_again(tmp_path):
    def of(content):
        cell = Cell("b", "random", "kernel", 0, lambda: Measurement({"nll": content}), str(content))
        return dataclasses.replace(table(None), cells=lambda request: iter([cell]))

    found = [run_table(of(content), tmp_path).runs for content in (1.0, 1.0)]
    assert found[0] == found[1]
    with pytest.warns(ScorefoldWarning, match="b has changed since 1 of its runs were made"):
        (run,) = run_table(of(2.0), tmp_path).runs
    assert run.values == {"nll": 2.0} and run.more["file"] == "2.0"


def test_what_is_not_measured_has_a_reason():
    found = Measurement({"nll": float("nan"), "mass": 1.0})
    assert found.values == {"nll": None, "mass": 1.0}
    assert found.missing == {"nll": "not finite (nan)"}
    with pytest.raises(ValueError, match="nll: None needs a reason in missing"):
        Measurement({"nll": None})
    run = Results(table(None), "default").add(("a", "random", "kernel", 0), found, {})
    assert "- kernel, a, random: nll: not finite (nan)" in markdown(table(None), [run])


@pytest.mark.parametrize("asked, words", [
    (TableRequest(data=("c",)), "--data: table toy has no 'c'; choices: a; b."),
    (TableRequest(protocols=("grouped",)), "--protocols: table toy has no 'grouped'; choices: r"),
    (TableRequest(methods=("score",)), "--methods: table toy has no 'score'; choices: kernel."),
])  # fmt: skip
def test_names_that_are_not_there(asked, words):
    with pytest.raises(ValueError) as caught:
        run_table(table(None), request=asked)
    assert words in str(caught.value)


def test_another_folder_is_not_gone_on_with(tmp_path):
    run_table(table(lambda d, s: Measurement({"nll": 0.0})), tmp_path)
    with pytest.raises(ValueError, match=r"holds table toy, length default; .* another --out"):
        run_table(table(None, "other"), tmp_path)
    with pytest.raises(ValueError, match="asked for is table toy, length quick"):
        run_table(table(None), tmp_path, TableRequest(length="quick"))
    for text in ("{", "[]", '{"table": "toy", "length": "default", "runs": [{"data": 1, "x": 2}]}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(ValueError, match="is not a file of results"):
            run_table(table(None), tmp_path)


def test_what_json_cannot_hold_is_null_or_plain(tmp_path):
    odd = {"x": float("nan"), "n": np.int64(3), "list": [np.float32(0.5), float("inf")]}
    found = Measurement({"nll": np.float64(1.0)}, {"nll": float("nan")}, more=odd)
    results = run_table(table(lambda d, s: found), tmp_path)
    assert len(results.runs) == 6
    (first, *_) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert first["more"] == {"x": None, "n": 3, "list": [0.5, None]}


@pytest.mark.parametrize("change", [
    {"seed": "0"}, {"values": None}, {"values": []}, {"values": {"nll": "1"}}, {"data": ["a"]},
    {"method": "a|b"}, {"source": None}, {"values": {}}, {"values": {"other": 1.0}},
    {"seconds": True}, {"floors": {"nll": float("nan")}},
])  # fmt: skip
def test_damaged_results_are_refused_in_a_line(change, tmp_path):
    run_table(table(lambda d, s: Measurement({"nll": 0.0})), tmp_path)
    path = tmp_path / "results.json"
    document = json.loads(path.read_text())
    document["runs"][0] |= change
    path.write_text(text := json.dumps(document))
    with pytest.raises(ValueError, match="is not a file of results") as caught:
        run_table(table(None), tmp_path)
    assert "\n" not in str(caught.value) and path.read_text() == text


@pytest.mark.parametrize("text", ["[" * 200_000, "1" * 5000, "null"])
def test_hostile_results_are_refused_in_a_line(text, tmp_path):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="is not a file of results"):
        run_table(table(None), tmp_path)


@pytest.mark.parametrize("words, said", [
    (["nonsense"], "no choice 'nonsense'"),
    (["bridge", "--methods", "kent"], "--methods: table bridge has no 'kent'; choices: moments; "),
    (["bridge", "--quick", "--full"], "not allowed with argument"),
    (["bridge", "--gpu"], "--gpu: JAX has no GPU here, only cpu: leave --gpu out."),
    (["bridge", "--seeds", "0"], "--seeds"),
    (["theory", "--seeds", "2"], "--seeds: each run of table theory is made once"),
    (["bridge", "--methods", ";"], "holds no name"),
    (["bridge", "--methods", "moments", "--protocols", "plans"], "no run has these names together"),
    (["all", "--quick", "--methods", "moments", "--protocols", "targets"], "all: no table has"),
])  # fmt: skip
def test_one_line_on_the_command_line(words, said, tmp_path, capsys):
    assert main(["bench", *words, "--out", str(tmp_path / "out")]) == 2
    found = capsys.readouterr().err
    assert said in found and found.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ABOUT)
def test_cells_have_the_names_of_their_table(name):
    """Every cell of every length can be asked for by its names, once."""
    found = find_table(name)
    assert found.name == name
    for length in ("quick", "default", "full"):
        cells = list(found.cells(TableRequest(length=length)))
        names = [cell.name for cell in cells]
        assert cells and len(set(names)) == len(names)
        assert {cell.data for cell in cells} <= set(found.data)
        assert {cell.protocol for cell in cells} <= set(found.protocols)
        assert {cell.method for cell in cells} <= set(found.methods)
        assert list(found.wanted(TableRequest(length=length)))
    for row in found.published:
        assert set(row.cells) <= set(found.data) and row.measure in found.measures


def test_normal_laws_from_moments_are_at_the_floor():
    """The first row: KL × 1000 of 10,000 carried points from the exact bridge in R⁵, coordinate by
    coordinate. A normal law with n draws has 1000 · d/n = 0.5 in the mean (moments have d/2n for
    the mean and d/2n for the variance), and moments of the ends that are estimated as much again
    at most; 1.2 is what the best published method has."""
    first = next(BRIDGE.wanted(TableRequest(methods=("moments",))))
    assert first.name == ("normal laws, d = 5", "normal laws", "moments", 0)
    found = first.make()
    assert 0.1 < found.floors["kl"] < 1.0
    assert 0.1 < found.values["kl"] < 1.2


def test_runs_that_cannot_be_drawn_are_said_in_a_line(tmp_path):
    """What a caption reads of a run may be damaged as well: nothing is lost."""

    def caption(runs):
        return [f"{run.more['d']} angles" for run in runs]

    made = dataclasses.replace(
        table(lambda d, s: Measurement({"nll": 0.0}, more={"d": 3})), caption=caption
    )
    run_table(made, tmp_path)
    path = tmp_path / "results.json"
    path.write_text(text := path.read_text().replace('"d": 3', '"e": 3'))
    with pytest.raises(ValueError, match=r"no table can be written .*KeyError: 'd'"):
        run_table(made, tmp_path)
    assert path.read_text() == text


def test_a_bar_in_the_name_of_a_table(tmp_path):
    """It is no end of a cell, and the folder is gone on with."""

    def of(data):
        cell = Cell(data, "random", "kernel", 0, lambda: Measurement({"nll": 1.0}))
        return dataclasses.replace(table(None), cells=lambda request: iter([cell]))

    run_table(of("a|b.csv"), tmp_path)
    assert len(run_table(of("a|b.csv"), tmp_path).runs) == 1
    assert "| method | a\\|b.csv |" in (tmp_path / "table.md").read_text()
