"""Every numeric option has a range, and what --help says is what docs/cli.md says."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import scorefold as sf
from scorefold._oneline import one_line
from scorefold.cli import main
from scorefold.cli.commands import build_parser
from scorefold.runs import MODELS, RunError

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = {
    "fit": ["fit", "no.csv"],
    "bridge": ["bridge", "no.csv", "no.csv"],
    "sample": ["sample", "no", "--out", "x.csv"],
    "regions": ["regions", "no", "--out", "x.json"],
    "evaluate": ["evaluate", "no"],
    "serve": ["serve", "no"],
    "carry": ["carry", "no", "no.csv", "--out", "x.csv"],
    "audit": ["audit", "no.csv"],
    "bench": ["bench", "wpo"],
    "grid": ["grid", "no.toml"],
}
REAL = ["nan", "inf", "-inf", "1e400", "-1", "one", "", "1e39", "\x1b[31m1"]
COUNT = ["0", "-3", "1.5", "nan", "1e3", "²", "10" * 2500, "", "one", str(10**12)]
NUMERIC = {
    ("fit", "--floor"): [*REAL, "0", "1e-40"],
    ("fit", "--s-min"): [*REAL, "0"],
    ("fit", "--budget"): [*REAL, "0"],
    ("fit", "--learning-rate"): [*REAL, "0", "100"],
    ("fit", "--weight-decay"): [*REAL, "1e9"],
    ("fit", "--seed"): [*COUNT[1:], str(10**40), str(2**31)],
    ("fit", "--seeds"): [*COUNT, "100000"],
    ("fit", "--steps"): COUNT,
    ("fit", "--batch-size"): [*COUNT, str(10**9)],
    ("fit", "--coupling"): [*REAL, "0"],
    ("fit", "--width"): [*COUNT, str(10**7)],
    ("fit", "--depth"): [*COUNT, str(10**6)],
    ("fit", "--components"): COUNT,
    ("fit", "--starts"): COUNT,
    ("fit", "--start-laws"): COUNT,
    ("fit", "--devices"): [*COUNT, "some"],
    ("fit", "--distributed"): ["", "auto,1", "host", "host:1,2,2", "host:1,-1,2", "h:1,0,0"],
    ("bridge", "--devices"): COUNT,
    ("sample", "--devices"): COUNT,
    ("evaluate", "--devices"): COUNT,
    ("bridge", "--variance"): [*REAL, "0"],
    ("bridge", "--budget"): [*REAL, "0"],
    ("bridge", "--steps"): COUNT,
    ("bridge", "--seed"): [*COUNT[1:], str(10**40)],
    ("sample", "-n"): COUNT,
    ("sample", "--seed"): [*COUNT[1:], str(10**40)],
    ("sample", "--steps"): COUNT,
    ("regions", "--mass"): [*REAL, "0", "1", "90", ".5,2", ".5,", "0.9995"],
    ("regions", "-n"): [*COUNT, "100"],
    ("regions", "--seed"): [*COUNT[1:], str(10**40)],
    ("regions", "--resolution"): [*COUNT, "1", "4097"],
    ("regions", "--devices"): COUNT,
    ("serve", "--port"): [*COUNT[1:], "-1", "65536"],
    ("carry", "--from"): [v for v in REAL if v != "-1"],
    ("carry", "--at"): [v for v in REAL if v != "-1"],
    ("carry", "--paths"): [*COUNT, "1000000"],
    ("carry", "--seed"): [*COUNT[1:], str(10**40)],
    ("audit", "--seed"): [*COUNT[1:], str(10**40)],
    ("bench", "--seeds"): COUNT,
    ("bench", "--workers"): COUNT,
    ("grid", "--workers"): COUNT,
}


@pytest.fixture(scope="module")
def commands():
    (found,) = [
        a.choices for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)
    ]
    for command in found.values():
        command.complete()
    return found


@pytest.mark.fault(59, "every numeric option, beyond its range")
def test_numbers_out_of_range():
    """A line that names the option, before a file is looked for."""
    parser = build_parser()
    for (command, option), values in NUMERIC.items():
        for value in values:
            word = f"{option}={value}" if option.startswith("--") else f"{option}{value}"
            with pytest.raises(RunError, match=re.escape(option)):
                parser.parse_args([*COMMANDS[command], word])


@pytest.mark.parametrize("word", ["--seed=\x1b[31m", "--floor=nan", f"--width={10**7}"])
def test_a_number_out_of_range_is_one_line(word, capsys):
    assert main([*COMMANDS["fit"], word]) == 2
    said = capsys.readouterr().err
    assert word.split("=")[0] in said and said.count("\n") == 1
    assert len(said) <= 520 and "\x1b" not in said


def test_every_number_is_tried(commands):
    """A new option with a type is a new line above."""
    found = {
        (name, a.option_strings[0])
        for name, command in commands.items()
        for a in command._actions
        if a.option_strings and a.type is not None and a.dest != "model"
    }
    assert found == set(NUMERIC)
    assert all(a.type not in (int, float) for c in commands.values() for a in c._actions)


def test_good_numbers_pass(capsys):
    """The same options with ordinary values: what is missing is the file."""
    words = ["--floor", ".1", "--learning-rate", "1e-3", "--weight-decay", "0", "--seed",
             "2147483647", "--width", "8", "--depth", "1", "--batch-size", "1"]  # fmt: skip
    assert main([*COMMANDS["fit"], *words]) == 2
    assert "No file no.csv" in capsys.readouterr().err
    assert main([*COMMANDS["fit"], "--seed", "2147483647", "--seeds", "2"]) == 2
    assert "below 2^31" in capsys.readouterr().err


def test_help_says_what_the_page_says(commands):
    """Options of these commands by their rows in docs/cli.md: every number and every word in `code`
    of the column of defaults is in the text of --help."""
    checked = 0
    for name in ("fit", "sample", "regions", "evaluate", "serve", "export"):
        section = PAGE.split(f"## `scorefold {name}`")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `(-[^|]*)\| ([^|]*) \| ([^|]*)\|$", section, flags=re.M)
        for option in commands[name]._actions:
            word = next((o for o in option.option_strings if o not in ("-h", "--help")), None)
            row = next((r for r in rows if word and re.search(rf"{word}\b", r[0])), None)
            if row is None:
                continue
            text = f"{option.help} {option.default}"
            for default in re.findall(r"`([^`]+)`|(\d[\d.e-]*)", row[2]):
                assert (default[0] or default[1]) in text, (name, word, row[2], text)
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3. TiB for an array"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4096 bytes"),
        MemoryError("Out of memory with batch_size=512: lower batch_size, or the width of the "
                    "network. The last checkpoint is untouched."),
    ],
)  # fmt: skip
def test_out_of_memory_names_options(error, capsys, monkeypatch):
    def full(*_, **__):
        raise error

    monkeypatch.setattr("scorefold.data.load", full)
    assert main(["fit", "x.csv"]) == 1
    said = capsys.readouterr().err
    assert "--batch-size" in said and said.count("\n") == 1 and "memory" in said


def test_lines_are_lines():
    """Whatever is said is one printable line of at most 500 characters, its ends kept."""
    line = one_line("start \x1b]0;x\x07\n\u2028\u202e" + "é" * 10**6 + " end")
    assert len(line) <= 500 and line.isprintable()
    assert line.startswith(r"start \x1b]0;x\x07") and line.endswith("end")
    rng = np.random.default_rng(0)
    for _ in range(50):
        text = "".join(map(chr, rng.integers(0, 0xD7FF, 700)))
        assert one_line(text).isprintable() and len(one_line(text)) <= 500


def test_the_defaults_on_the_page_of_models_are_those_of_the_descriptions():
    """Sizes of networks, steps, batch and rate of every name of ``--model`` that trains."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    section = page.split("## Where nothing is stated")[1].split("## Flows")[0]
    rows = {
        cells[1].strip(" `"): [c.strip() for c in cells[2:-1]]
        for cells in (line.split("|") for line in section.splitlines() if line.startswith("| "))
    }
    sphere = sf.Sphere(2)
    train = np.asarray(jax.vmap(sphere.uniform)(jax.random.split(jax.random.key(0), 40)))
    made = {
        "kernel": sf.KernelModel(sphere),
        "score": sf.ScoreModel(sf.default_noising(sphere, train)),
        "mixtures": sf.KentMixture(sphere),
        "flow-matching": sf.FlowMatching(sphere),
        "continuous-flow": sf.ContinuousFlow(sphere),
        "moser": sf.MoserFlow(sphere),
        "pushforward": sf.PushforwardScoreModel(sphere),
    }
    stated = {name: (getattr(one, "network", one), one.defaults) for name, one in made.items()}
    # Without fitting what is below them.
    stated["flow-map"] = sf.FlowMap.network, sf.FlowMap.defaults.fget(None)
    stated["informed"] = sf.InformedModel.network, sf.InformedModel.defaults.fget(None)
    assert rows.keys() == stated.keys() | {""}
    for name, (network, defaults) in stated.items():
        size, steps, batch, rate, stops = rows[name]
        if size:
            assert size == f"{network.width} × {network.depth}"
        assert (int(steps), int(batch), float(rate)) == (
            defaults.steps, defaults.batch_size, defaults.learning_rate
        )  # fmt: skip
        if name in MODELS and MODELS[name].budget:
            assert f"command line: {MODELS[name].budget:.0f} seconds" == stops
    kernel = made["kernel"].defaults
    assert f"up to {kernel.longest} steps" in rows["kernel"][4]
    assert rows["kernel"][4].startswith(f"{kernel.patience} validations")
    assert set(re.findall(r"^\| `([a-z-]+)` \| `\w+`", page, flags=re.M)) == set(MODELS)


def test_the_module_is_the_command():
    words = [sys.executable, "-m", "scorefold", "--version"]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"scorefold \d+\S+", found.stdout.strip()) and not found.stderr


def test_help_needs_no_jax():
    """``scorefold --help`` and mistakes in the command are said before JAX is imported."""
    code = (
        "import sys; from scorefold.cli import main; "
        "found = [main(words) for words in (['--help'], ['--version'], ['ft'])]; "
        "assert found == [0, 0, 2] and 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
