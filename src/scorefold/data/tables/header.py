"""Which line of a text table holds the names of its columns, if one does."""

import re
from collections import Counter
from dataclasses import dataclass

from scorefold.data._errors import DataError
from scorefold.data.tables.number_text import is_missing, is_number
from scorefold.data.tables.records import BLANKS
from scorefold.data.tables.sample import Sample, bare, sample_of

_MOSTLY = 0.8
"""Share of a column that has to be numbers for the column to be one of numbers."""


@dataclass(frozen=True)
class Names:
    """The names of all columns; ``least`` of them without the unnamed ones at the end. They stand
    in the first record if ``header``; ``notes`` say what was guessed."""

    header: bool
    names: tuple[str, ...]
    least: int
    notes: tuple[str, ...]


def names_of(sample: Sample, where: str) -> Names:
    """The names of the columns.

    **Raises:** ``DataError`` for a header without rows, a row of units below it, row names of R,
    and names that occur twice.
    """
    first, body = sample.records[0], sample.records[1:]
    header, notes = _is_header(sample)
    if header:
        if not body:
            raise DataError(f"{where}: a header ({', '.join(first)}) and no rows of data.")
        _refuse_units(sample, where)
        _refuse_row_names(bare(first), body, where)
        given = first
    else:
        found = _from_comments(sample)
        given = [""] * len(first) if found is None else found
        notes.append(
            "no header: columns are called c0, c1, …"
            if found is None
            else f"names from a comment line: {', '.join(found)}"
        )
    least = len(bare(given if any(given) else first))
    names = list(given)
    for j, name in enumerate(given):
        if not name:
            names[j] = next(n for n in (f"c{j}", f"c{j}_", f"column {j}") if n not in names)
            if header and j < least:
                notes.append(f"column {j} has no name: called {names[j]}")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(f"{where}: more than one column is called {twice[0]!r}.")
    return Names(header, tuple(names), least, tuple(notes))


def _is_header(sample: Sample) -> tuple[bool, list[str]]:
    """Whether the first record holds names, and what is to be said about it.

    It does if it has words where the columns below have numbers, in more columns than it has
    numbers there; if all of it is quoted and the next record is not; and if it counts the
    columns 0, 1, … over numbers that are not whole.
    """
    first, body = sample.records[0], sample.records[1:]
    if not any(is_number(field) for field in first) and not body:
        return not all(map(is_missing, first)), []
    numeric = _numeric(first, body)
    names = sum(not is_number(first[j]) and not is_missing(first[j]) for j in numeric)
    values = sum(is_number(first[j]) for j in numeric)
    listed = ", ".join(first)
    if body and _all_quoted(sample, 0) and not _all_quoted(sample, 1) and values and not names:
        return True, [f"the first line is quoted, so it holds names: {listed}"]
    if _counts(sample, numeric):
        return True, [f"the first line counts the columns, so it holds names: {listed}"]
    if names > values:
        numbers = any(is_number(field) for field in first)
        return True, [f"names from the first line: {listed}"] if numbers else []
    if numeric:
        return False, []
    return not any(is_number(field) or is_missing(field) for field in first if field), []


def _numeric(first: list[str], rows: list[list[str]]) -> list[int]:
    """The columns of numbers, of those that the first record has."""
    found = []
    for j in range(len(first)):
        cells = [row[j] for row in rows if j < len(row) and not is_missing(row[j])]
        if cells and sum(map(is_number, cells)) >= _MOSTLY * len(cells):
            found.append(j)
    return found


def _counts(sample: Sample, numeric: list[int]) -> bool:
    """0, 1, 2, … as pandas writes columns without names (its index may stand before them), over
    columns of which some are never whole and the others always."""
    first, body = sample.records[0], sample.records[1:]
    counted = first[1:] if not first[0] else first
    if len(counted) < 2 or counted != [str(j) for j in range(len(counted))]:
        return False
    whole = [{c.lstrip("+-").isdigit() for r in body for c in r[j : j + 1] if c} for j in numeric]
    return {False} in whole and {True, False} not in whole


def _all_quoted(sample: Sample, k: int) -> bool:
    between = r"[ \t]+" if sample.delimiter == BLANKS else rf" *{re.escape(sample.delimiter)} *"
    field = r'"[^"]*(?:""[^"]*)*"'
    return bool(re.fullmatch(rf"\s*{field}(?:{between}{field})*\s*", sample.raw[k]))


def _from_comments(sample: Sample) -> list[str] | None:
    """The names in the last comment line above the table that has a word for each column."""
    width = len(bare(sample.records[0]))
    delimiters = (sample.delimiter, BLANKS) if sample.delimiter == "\t" else (sample.delimiter,)
    for comment in reversed(sample.comments):
        text = comment.lstrip().lstrip("#").encode()
        for delimiter in delimiters:
            try:
                read = sample_of(text, "utf-8", 0, delimiter, "a comment").records
            except DataError:
                continue
            names = bare(read[0]) if len(read) == 1 else []
            if len(names) == width == len(set(names)) and not any(map(is_number, names)):
                return names
    return None


def _refuse_units(sample: Sample, where: str) -> None:
    second, rest = sample.records[1], sample.records[2:]
    numeric = _numeric(second, rest)
    words = [second[j] for j in numeric if not is_number(second[j])]
    if len(words) == len(numeric) and any(not is_missing(word) for word in words):
        raise DataError(
            f"{where}: line {sample.starts[1]} ({', '.join(second)}) holds words where the lines "
            "below hold numbers (units?). Delete it, or begin it with '#'."
        )


def _refuse_row_names(first: list[str], body: list[list[str]], where: str) -> None:
    if all(len(bare(row)) == len(first) + 1 for row in body):
        raise DataError(
            f"{where}: {len(first)} names for {len(first) + 1} columns (row names of R? write "
            "them with row.names = FALSE, or name the first column)."
        )
