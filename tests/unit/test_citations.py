"""BibTeX: every source that a docstring names is an entry, and models have those of their parts."""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

import scorefold as sf
from scorefold.citations import citations, references, sources_of
from scorefold.citations.sources import passages
from scorefold.cli import main

SOURCE = Path(sf.__file__).parent
_NAME = r"(?:De |van den |Uribe )?[A-ZÀ-Ý][\w'’À-ž-]+"
WORK = re.compile(rf"({_NAME}(?:, {_NAME})*(?: (?:&|and) {_NAME}| et al\.)?)\s((?:1[89]|20)\d\d)\b")
NO_WORK = {"Manual 1987"}


@functools.cache
def docstrings():
    return list(_docstrings())


def _docstrings():
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                yield path, ast.get_docstring(node) or ""


def test_every_source_is_an_entry():
    names = {name for work in references().values() for name in work.names}
    named, missing = set(), set()
    for path, text in docstrings():
        for passage in passages(text):
            for authors, year in WORK.findall(" ".join(passage.split())):
                found = {n for n in names if f"{authors} {year}".endswith(n)}
                named |= found
                if not found and f"{authors} {year}" not in NO_WORK:
                    missing.add((path.name, f"{authors} {year}"))
    assert not missing
    # Few entries that no passage names in these words; nothing is kept for later.
    text = " ".join(" ".join(t.split()) for _, t in docstrings())
    assert not [n for n in names - named if n not in text]


def test_entries_are_bibtex():
    for key, work in references().items():
        assert re.fullmatch(r"[a-z]+\d{4}[a-z]*", key)
        fields = set(re.findall(r"^  (\w+) = ", work.bibtex, re.MULTILINE))
        assert {"author", "title", "year"} <= fields and "shorthand" not in fields
        assert fields & {"journal", "booktitle", "publisher"}
        assert work.bibtex.count("{") == work.bibtex.count("}")


@pytest.mark.parametrize(
    "thing, keys",
    [
        (sf.KernelModel(sf.Sphere(2)), {"zhang2024wasserstein", "bengio2006nonlocal"}),
        (sf.MoserFlow(sf.Torus(2)), {"rozen2021moser"}),
        (sf.FlowMatching(sf.Sphere(2)), {"chen2024flow", "liu2023flow"}),
        (sf.KentMixture(sf.Sphere(2)), {"kent1982fisher", "peel2001fitting"}),
        (sf.Denoising(), {"debortoli2022riemannian", "vincent2011connection"}),
        (sf.proximal.ProximalStep, {"tan2024noise", "tan2025preconditioned"}),
    ],
)  # fmt: skip
def test_models_have_the_sources_of_their_parts(thing, keys):
    text = citations(thing)
    assert text.startswith("@software{scorefold,") and text.endswith("}\n")
    assert keys <= set(re.findall(r"^@\w+\{([\w-]+),", text, re.MULTILINE))


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"citations: models, bridges.* not int"):
        citations(3)
    assert sources_of(int) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(shell, tmp_path, monkeypatch, capsys):
    for name in ("HOME", "XDG_DATA_HOME", "ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    assert main(["--install-completion"]) == 0
    said = capsys.readouterr().out
    path = Path(re.search(r"Written: (\S+)\. ", said)[1])
    text = path.read_text()
    assert path.is_relative_to(tmp_path) and "evaluate" in text and "protocol" in text
    if shell == "bash":
        words = "COMP_WORDS=(scorefold eva); COMP_CWORD=1; _shtab_scorefold scorefold eva scorefold"
        done = subprocess.run(["bash", "-c", f"source {path}; {words}; echo ${{COMPREPLY[@]}}"],
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert done.stdout.split() == ["evaluate"]


def test_completion_of_another_shell_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["--install-completion"]) == 2
    assert "tcsh is not known ($SHELL): say bash, zsh, fish" in capsys.readouterr().err
