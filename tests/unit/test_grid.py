"""``scorefold grid``: tables of one's own, made in this process, in others or on Ray."""

import os
import pickle
import signal
import sys

import numpy as np
import pytest

from scorefold._warnings import ScorefoldWarning
from scorefold.bench import Cell, Measurement, Results, TableRequest, find_table, run_table
from scorefold.bench.grid import grid_table
from scorefold.bench.registry import ABOUT
from scorefold.bench.workers import in_pool, in_turn, on_ray
from scorefold.cli import main
from scorefold.data import DataError

pytestmark = pytest.mark.usefixtures("settings_of_users")

GRID = """title = "Two laws"
data = [{name = "mine", file = "t.csv", manifold = "R^2", columns = "x,y"},
  {name = "u", file = "u.csv", manifold = "R^2", columns = "x,y"}]
protocols = ["random"]
seeds = 2

[methods.kde]

[methods."small steps"]
model = "kernel"
steps = [2, 3]
width = 8
"""


@pytest.fixture
def folder(tmp_path):
    rows = np.random.default_rng(0).normal(size=(120, 2))
    for name, some in (("t.csv", rows), ("u.csv", rows[:60])):
        np.savetxt(tmp_path / name, some, delimiter=",", header="x,y", comments="")
    (tmp_path / "two.toml").write_text(GRID)
    return tmp_path


def test_a_file_is_a_table(folder):
    table = grid_table(folder / "two.toml")
    cells = list(table.wanted(TableRequest()))
    assert table.title == "Two laws"
    assert table.methods == ("kde", "small steps, steps 2", "small steps, steps 3")
    assert {c.name for c in cells} == {
        (d, "random", m, s) for d in ("mine", "u") for m in table.methods for s in (0, 1)
    }
    assert None not in {cell.file for cell in cells}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "protocols =",
            "protocol =",
            "line 4: Unknown key of a grid 'protocol'. Did you me",
        ),
        ('"random"', '"randon"', "line 4: Unknown protocol 'randon'. Did you mean 'random'"),
        ("seeds = 2", "seeds = 0", "line 5: seeds: 0 is not a whole number from 1 to 1,000"),
        (
            "width = 8",
            "widht = 8",
            "line 12: Unknown option of kernel 'widht'. Did you mean",
        ),
        ("width = 8", "width = 0", "line 12: width: 0 is not a whole number"),
        ("width = 8", "n = true", "line 12: Unknown option of kernel 'n'"),
        ('"kernel"', '"kernle"', "line 10: Unknown model 'kernle'. Did you mean 'kernel'"),
        ("columns =", "colums =", "line 2: Unknown key of data 'colums'. Did you mean 'columns'"),
        ("u.csv", "airprots", "line 3: no file"),
        ("title =", "title", "Expected '='"),
        ('["random"]', '["random", "random"]', "line 4: protocols: one stands there twice"),
        ("[2, 3]", "[]", "line 11: steps: the list is empty"),
        ("[2, 3]", "[2, 2]", "two of them are called 'small steps, steps 2'"),
        ('"small steps"', '"a|b"', "methods: 'a|b' is no name"),
        ('columns = "x,y"},', "columns = 3},", "line 2: columns: 3 is not text"),
        ('columns = "x,y"},', 'drop = "no"},', "line 2: drop: 'no' is not true or false"),
        ('{name = "mine"', '{name = "volcano"', "line 2: data: 'volcano' is a known data set"),
        ("seeds = 2", "seeds = " + "[" * 3000, "two.toml: "),
        ("[methods.kde]", "[other]", "line 7: Unknown key of a grid 'other'"),
        ('{name = "mine"', '{name = "u"', "line 2: data: two of them have one name"),
    ],
)
def test_mistakes_have_a_line(folder, old, new, words, capsys):
    assert old in GRID
    (folder / "two.toml").write_text(GRID.replace(old, new))
    assert main(["grid", str(folder / "two.toml"), "--out", str(folder / "out")]) == 2
    said = capsys.readouterr().err
    assert any(word in said for word in words.split("|")), said
    assert said.count("\n") == 1 and not (folder / "out").exists()


def test_no_file_and_two_executors(tmp_path, capsys):
    assert main(["grid", str(tmp_path / "no.toml")]) == 2
    assert "no.toml: is no file" in capsys.readouterr().err
    assert main(["grid", "x.toml", "--workers", "0"]) == 2
    assert main(["grid", "x.toml", "--workers", "2", "--ray"]) == 2


def kept(folder):
    return Results(grid_table(folder.parent / "two.toml"), "default", folder).runs


def numbers(folder):
    table = grid_table(folder.parent / "two.toml")
    return {run.name: run.values for run in run_table(table, folder, TableRequest()).runs}


def test_the_command_line_in_this_process_and_in_others(folder, capsys):
    """The same numbers; what was made is not made again; a file that has changed is."""
    (folder / "two.toml").write_text(GRID.split('[methods."small')[0])
    words = ["grid", str(folder / "two.toml"), "--out"]
    assert main([*words, str(folder / "turn")]) == 0
    said = capsys.readouterr().out
    assert "## random: test NLL (nats)" in said and "kde" in said
    assert (folder / "turn" / "random-test-nll.png").exists()
    assert main([*words, str(folder / "pool"), "--workers", "2"]) == 0
    capsys.readouterr()
    first, second = numbers(folder / "turn"), numbers(folder / "pool")
    assert len(first) == 4 and first.keys() == second.keys()
    for name, values in first.items():
        assert second[name] == pytest.approx(values, abs=1e-4), name
    assert main([*words, str(folder / "turn")]) == 0
    assert "seed 0  test" not in capsys.readouterr().out
    text = (folder / "two.toml").read_text()
    (folder / "two.toml").write_text(text.replace('"x,y"}]', '"y,x"}]'))
    assert main([*words, str(folder / "turn")]) == 0
    said = capsys.readouterr()
    assert "u has changed since 2 of its runs were made" in said.err
    assert said.out.count("seed 0  test") == 1
    # Fewer seeds of other options: no run of the old ones is averaged with the new.
    fewer = GRID.split("[methods.kde]")[0].replace("seeds = 2", "seeds = 1")
    (folder / "two.toml").write_text(fewer + '[methods.kde]\nmodel = "wrapped-normal"\n')
    assert main([*words, str(folder / "turn")]) in (0, 1)
    assert "kde on mine: options have changed since 2 of its runs" in capsys.readouterr().err
    assert all(run.seed == 0 for run in kept(folder / "turn"))
    (folder / "two.toml").write_text(text)
    assert main([*words, str(folder / "turn")]) == 0
    capsys.readouterr()
    rows = np.random.default_rng(1).normal(size=(120, 2))
    np.savetxt(folder / "t.csv", rows, delimiter=",", header="x,y", comments="")
    assert main([*words, str(folder / "turn")]) == 0
    assert "mine has changed since 2 of its runs were made" in capsys.readouterr().err


# -- workers: cells of any kind --------------------------------------------------------------------
def good(value):
    return Measurement({"test_nll": value})


def bad():
    raise ZeroDivisionError("one over nothing")


def no_data():
    raise DataError("rows [3] are not finite")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


class Make:
    """A function and its arguments, by name, as it can be sent."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __call__(self):
        return self.function(*self.arguments)


CELLS = [
    Cell("a", "p", "m", 0, Make(good, 1.0)), Cell("b", "p", "m", 0, Make(killed)),
    Cell("c", "p", "m", 0, Make(bad)), Cell("d", "p", "m", 0, Make(no_data)),
    Cell("e", "p", "m", 0, Make(good, 2.0)), Cell("f", "p", "m", 0, Make(good, 3.0)),
]  # fmt: skip


def checked(found):
    done = {one.cell.data: one for one in found}
    assert {name: one.kind for name, one in done.items()} == {
        "a": "", "b": "failed", "c": "failed", "d": "data", "e": ""
    }  # fmt: skip
    assert done["c"].error == "ZeroDivisionError: one over nothing"
    assert done["d"].error == "rows [3] are not finite"
    assert done["e"].measured.values == {"test_nll": 2.0}
    return done


def test_a_killed_cell_loses_no_other():
    found = checked(in_pool(2)(CELLS, lambda cell: cell.data != "f"))
    assert found["b"].error == "its process ended (signal SIGKILL)"
    turn = list(in_turn([c for c in CELLS if c.data != "b"], lambda cell: cell.data != "f"))
    assert [one.kind for one in turn] == ["", "failed", "data", ""]


@pytest.mark.slow
def test_on_a_local_ray_cluster(folder, capsys, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where these cells are found
    checked(on_ray()(CELLS, lambda cell: cell.data != "f"))
    words = ["grid", str(folder / "two.toml"), "--out"]
    assert main([*words, str(folder / "ray"), "--ray"]) == 0
    assert main([*words, str(folder / "turn")]) == 0
    first, second = numbers(folder / "turn"), numbers(folder / "ray")
    assert all(second[name] == pytest.approx(first[name], abs=1e-4) for name in first)
    assert main([*words, str(folder / "no"), "--ray", "127.0.0.1:1"]) == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ABOUT)
def test_cells_of_all_tables_can_be_sent(name):
    for cell in find_table(name).wanted(TableRequest("quick")):
        pickle.dumps(cell.make)


def test_a_refused_data_set_is_said_once(tmp_path):
    """Where it is not named: the others go on."""
    table = grid_table(_toml(tmp_path))
    assert table.methods == ("kde",)
    with pytest.warns(ScorefoldWarning, match="t is left out"):
        results = run_table(table, tmp_path / "out", TableRequest())
    assert {run.data for run in results.runs} == {"u"} and results.failed == 1


def _toml(folder):
    (folder / "t.csv").write_text("x,y\n" + "nan,1\n" * 30)
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(folder / "u.csv", rows, delimiter=",", header="x,y", comments="")
    (folder / "g.toml").write_text(
        "data = ["
        '{file = "t.csv", manifold = "R^2", columns = "x,y"},'
        '{file = "u.csv", manifold = "R^2", columns = "x,y"}]\n[methods.kde]\n'
    )
    return folder / "g.toml"
