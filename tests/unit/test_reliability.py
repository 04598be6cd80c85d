"""docs/reliability.md is what the marks on the tests say, and every kind of fault has a test."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    before = list(sys.path)
    yield runpy.run_path(str(ROOT / "scripts" / "reliability.py"))
    sys.path[:] = before


def rows(text):
    """{(number, words, test): cases} as printed."""
    found, number = {}, 0
    for line in text.splitlines():
        if head := re.match(r"\*\*(\d+)\. ", line):
            number = int(head[1])
        if row := re.match(r"\| (.*) \| (\d+) \| `(.*)` \|$", line):
            found[number, row[1].replace("\\|", "|"), f"tests/{row[3]}"] = int(row[2])
    return found


def test_the_page_is_that_of_the_tests(script, request, collected):
    """Which tests stand there is compared with the source; the numbers of cases with what
    this session collected, for the tests that are in it."""
    page = script["PAGE"].read_text()
    found = rows(page)
    assert set(found) == script["written"](), "run scripts/reliability.py"
    if not any("::" in word for word in request.config.args):
        cases = script["counted"](collected)
        assert {k: found[k] for k in cases} == cases, "run scripts/reliability.py"
    assert script["page"](found) == page, "run scripts/reliability.py"


def test_every_fault_has_a_test_or_a_reason(script):
    tried = {number for number, _, _ in script["written"]()}
    numbers = [n for room in script["ROOMS"].values() for n in room]
    assert numbers == sorted(script["FAULTS"]) == list(range(1, 60))
    assert set(numbers) == tried | set(script["UNTESTED"])


def test_slow_cases_are_cases(collected, slow_cases):
    """Each line of tests/slow_cases.txt names a test, where its file was collected."""
    names = [item.nodeid for item in collected]
    for line, pattern in slow_cases.items():
        if any(name.startswith(f"tests/{line.split('::')[0]}::") for name in names):
            assert any(pattern.fullmatch(name) for name in names), line
