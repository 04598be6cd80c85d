"""Tutorials, scripts in the percent format of Jupytext, as pages and as notebooks.

``python scripts/tutorials.py FOLDER`` writes a notebook for each of ``examples/tutorials``;
``jupytext --to notebook`` does the same. The site has both (``scripts/site_hooks.py``).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples" / "tutorials").glob("*.py"))
_CELL = re.compile(r"^# %%( \[markdown\])?\n", flags=re.M)


def cells(script: str) -> list[tuple[str, str]]:
    """("markdown" or "code", text) of every cell."""
    parts = _CELL.split(script)[1:]
    found = []
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        body = body.strip("\n")
        if mark:
            body = "\n".join(re.sub(r"^# ?", "", line) for line in body.split("\n"))
        found.append(("markdown" if mark else "code", body.strip("\n")))
    return found


def page(script: str) -> str:
    """The tutorial as Markdown."""
    return "\n\n".join(
        text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells(script)
    )


def notebook(script: str) -> str:
    """The tutorial as a notebook that has not been run; links to figures are those of the page."""
    rows = []
    for number, (kind, text) in enumerate(cells(script)):
        cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell |= {"source": text.splitlines(keepends=True)}
        rows.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {
        "cells": rows, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in SCRIPTS:
        there = folder / f"{path.stem}.ipynb"
        there.write_text(notebook(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(there)
