"""Write docs/reliability.md from the marks ``@pytest.mark.fault(number, words)`` on the tests.

Run from the root of the checkout: ``python scripts/reliability.py``. Only the files that hold a
mark are collected; nothing is run.
"""

from __future__ import annotations

import ast
import contextlib
import io
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
sys.path.insert(0, str(ROOT / "tests" / "faults"))

from faults import FAULTS, ROOMS, UNTESTED  # noqa: E402

Mark = tuple[int, str, str]
"""Number, words, and ``tests/…/file.py::test``."""

_HEAD = """\
# Reliability

What can go wrong, what is tried, and how often. This page is made from the tests by
`scripts/reliability.py`. A row is one test; *cases* are the inputs it is run with, and where a
property is tried on generated inputs, their number. Tests in `tests/slow`, and cases marked slow,
take minutes and are run by hand (`pytest tests/slow`, `pytest -m slow`); all others run with every
change.
"""


def written() -> set[Mark]:
    """The marks that stand in the source of the tests, read without importing it."""
    found = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if "mark.fault(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            for mark in getattr(node, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    number, words = map(ast.literal_eval, mark.args)
                    found.add((number, words, f"{path.relative_to(ROOT)}::{node.name}"))
    return found


def counted(items: list) -> Counter[Mark]:
    """Cases of each mark among collected tests."""
    cases: Counter[Mark] = Counter()
    for item in items:
        settings = getattr(item.function, "_hypothesis_internal_use_settings", None)
        for mark in item.iter_markers("fault"):
            number, words = mark.args
            where = f"{Path(item.path).relative_to(ROOT)}::{item.originalname}"
            cases[number, words, where] += 1 if settings is None else settings.max_examples
    return cases


def page(cases: Counter[Mark]) -> str:
    """The whole page."""
    lines = [_HEAD]
    for room, numbers in ROOMS.items():
        lines.append(f"## {room}\n")
        for number in numbers:
            rows = sorted((mark[2], mark[1], n) for mark, n in cases.items() if mark[0] == number)
            lines.append(f"**{number}. {FAULTS[number]}**\n")
            if not rows:
                lines.append(f"No test: {UNTESTED.get(number, 'no reason is stated.')}\n")
                continue
            lines += ["| what is tried | cases | test |", "|---|---|---|"]
            lines += [
                f"| {words.replace('|', chr(92) + '|')} | {n} | `{where.removeprefix('tests/')}` |"
                for where, words, n in rows
            ]
            lines.append("")
    return "\n".join(lines)


def collect() -> list:
    """The tests of all files that hold a mark, not run."""
    import pytest

    class Keep:
        def __init__(self) -> None:
            self.items: list = []

        def pytest_collection_finish(self, session: pytest.Session) -> None:
            self.items = list(session.items)

    keep = Keep()
    files = sorted({str(ROOT / where.partition("::")[0]) for _, _, where in written()})
    options = ["--collect-only", "-qq", "-o", "addopts=", "-p", "no:cacheprovider", *files]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = pytest.main(options, plugins=[keep])
    if code != 0:
        raise SystemExit(f"The tests could not be collected:\n{told.getvalue()}")
    return keep.items


if __name__ == "__main__":
    PAGE.write_text(page(counted(collect())))
    print(f"{PAGE.relative_to(ROOT)}: {len(written())} tests")
