"""The documentation names things that exist: Python names, command lines, options, files, links."""

import argparse
import ast
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scorefold.cli.commands import build_parser

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": ROOT / "README.md"}
PAGES |= {p.relative_to(ROOT / "docs").as_posix(): p for p in sorted(ROOT.glob("docs/**/*.md"))}
TEXT = {name: page.read_text() for name, page in PAGES.items()}


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT[name], flags=re.S | re.M)


def exists(path):
    """Whether a dotted name is a module, or an attribute of what stands before the last dot."""
    try:
        return bool(importlib.import_module(path))
    except ModuleNotFoundError:
        return hasattr(pkgutil.resolve_name(path.rpartition(".")[0]), path.rpartition(".")[2])


def subcommands():
    (commands,) = [
        a.choices for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)
    ]
    for command in commands.values():
        command.complete()
    return commands


@pytest.mark.parametrize("name", TEXT)
def test_python_compiles_and_its_names_exist(name):
    """Every attribute of scorefold and every name imported from it, without running anything."""
    for code in blocks(name, "python"):
        for node in ast.walk(ast.parse(code)):
            words = ast.unparse(node) if isinstance(node, ast.Attribute | ast.ImportFrom) else ""
            if isinstance(node, ast.ImportFrom) and words.startswith("from scorefold"):
                for alias in node.names:
                    assert exists(f"{node.module}.{alias.name}"), words
            elif re.fullmatch(r"sf(\.\w+)+", words):
                assert exists(words.replace("sf", "scorefold", 1)), words


@pytest.mark.parametrize("name", TEXT)
def test_command_lines_parse(name):
    """argparse raises RunError for a command or an option that does not exist."""
    lines = [line for code in blocks(name, "sh") for line in code.splitlines()]
    for line in lines:
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words[:1] == ["scorefold"]:
                build_parser().parse_args(words[1:])


def test_every_option_is_documented_and_exists():
    """docs/cli.md and the parser agree, both ways."""
    page = TEXT["cli.md"]
    options = {o for c in subcommands().values() for a in c._actions for o in a.option_strings}
    options |= {"--version", "--install-completion"}
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))
    assert documented - options == set()
    assert {o for o in options if o.startswith("--")} - documented == set()
    assert set(subcommands()) == set(re.findall(r"^\| `scorefold (\w+)", page, flags=re.M))


def test_registered_names_protocols_and_licences_are_listed():
    from scorefold.data import PROTOCOLS, REGISTRY, SYNTHETIC

    page = TEXT["data.md"].replace("`-32`, `-64`", "`so3-mixture-32`, `so3-mixture-64`")
    words = set(re.findall(r"`([^`\n]+)`", page))
    assert not {*PROTOCOLS, *REGISTRY, *SYNTHETIC} - words


@pytest.mark.parametrize("name", TEXT)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT[name]):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_uniform_laws_in_the_table_of_conventions():
    """log 4π, log 2π and log 8π² as printed in docs/numerics.md."""
    import math

    page = TEXT["numerics.md"]
    for value in (4 * math.pi, 2 * math.pi, 8 * math.pi**2):
        assert f"−{math.log(value):.3f}" in page


def test_results_hold_no_path_of_one_machine():
    found = [
        f"{path.name}: {match}"
        for path in sorted((ROOT / "benchmarks" / "results").rglob("*.json"))
        for match in re.findall(r'"/(?:work|tmp|home|root|Users|mnt)/[^"]*"', path.read_text())
    ]
    assert not found


def test_the_page_of_benchmarks_says_what_results_do():
    """docs/benchmarks.md and every table.md are what scripts/benchmarks.py makes of the results."""
    command = [sys.executable, str(ROOT / "scripts" / "benchmarks.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
