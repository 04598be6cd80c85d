"""Every public name has a page and an example; tables of pages are what results say."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import public_names  # noqa: E402
import run_pages  # noqa: E402
import tutorials  # noqa: E402

MODULES = ["scorefold", *(f"scorefold.{room}" for room in public_names.rooms())]


@cache
def used_on_pages():
    """Names in the Python of the pages, those that are only imported left out."""
    found = set()
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.S | re.M):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.Name):
                    found.add(node.id)
                elif isinstance(node, ast.Attribute):
                    found.add(node.attr)
    return found


def has_example(said, name):
    """Whether a docstring shows the name in code: indented, fenced, or behind ``>>>``."""
    lines = re.findall(r"^(?: {4,}|>>> ).*$", said or "", flags=re.M)
    lines += re.findall(r"^```.*?^```", said or "", flags=re.M | re.S)
    return any(re.search(rf"\b{name}\b", line) for line in lines)


@pytest.mark.parametrize("module", MODULES)
def test_public_names_have_an_example(module):
    """In the docstring, or in a block of Python on a page."""
    without = [
        name
        for name in public_names.names(module)
        if name not in used_on_pages()
        and not has_example(public_names.documentation(module, name), name)
    ]
    assert not without


@pytest.mark.parametrize("module", MODULES)
def test_public_names_have_a_page(module):
    """A room without a file gets its page when the site is built."""
    page = ROOT / "docs" / "reference" / f"{module.rpartition('.')[2]}.md"
    if page.exists():
        assert f"\n::: {module}\n" in page.read_text()


def test_the_tables_of_how_to_choose_say_what_results_do():
    command = [sys.executable, str(ROOT / "scripts" / "choose.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


PAGE = """# A page

```python
x = 2
```

```python
print(x + 1)
```

```text
old
```

```sh
echo "from the shell"
```

```text
```

```text
not an output
```
"""


def test_outputs_are_put_below_their_blocks(tmp_path):
    """Blocks share names; only a block of text right below one that runs is its output."""
    said = run_pages.run(PAGE, "page.md", tmp_path)
    assert said == ["", "3\n", "from the shell\n"]
    after = run_pages.written(PAGE, said)
    assert "```text\n3\n```" in after and "```text\nfrom the shell\n```" in after
    assert "not an output" in after and "old" not in after
    assert run_pages.written(after, said) == after


def test_short_runs_have_ten_steps():
    code = "fit(steps=300, budget=60)  # scorefold fit a --steps 500 --budget 60\nSTEPS = 1500\n"
    short = "fit(steps=10, steps=10)  # scorefold fit a --steps 10 --steps 10\nSTEPS = 10\n"
    assert run_pages.shortened(code) == short


@pytest.mark.parametrize("path", tutorials.SCRIPTS, ids=lambda path: path.stem)
def test_tutorials_are_scripts_pages_and_notebooks(path):
    script = path.read_text()
    kinds, texts = zip(*tutorials.cells(script), strict=True)
    assert kinds[0] == "markdown" and texts[0].startswith("# ")
    document = json.loads(tutorials.notebook(script))
    assert ["".join(cell["source"]) for cell in document["cells"]] == list(texts)
    for kind, text in zip(kinds, texts, strict=True):
        if kind == "code":
            compile(text, path.name, "exec")
    for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", tutorials.page(script)):
        assert (ROOT / "docs" / "tutorials" / link).resolve().exists(), link
