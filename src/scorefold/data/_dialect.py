"""How a text table is written: encoding, delimiter, and where its names are."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from scorefold.data._errors import DataError
from scorefold.data._number_text import is_missing, is_number
from scorefold.data._records import BLANKS, ONE_COLUMN, Lines, records

__all__ = ["MAX_COLUMNS", "Dialect", "find_dialect"]

MAX_COLUMNS = 2**15
_DELIMITERS = ("\t", ";", "|", ",", BLANKS)
_SAMPLE = 60
_CELLS = 64
"""Fields of a record that are looked at to find the delimiter."""
_MOSTLY = 0.8
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SEP = re.compile(r'[\s]*"?sep=(.)"?[ ;,\t|]*[\r\n]*', re.IGNORECASE)
_ENDS = re.compile(r"\r\n?|\n")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written, found once and used for all of it.

    ``skipped`` lines stand before everything (``sep=;``). ``names`` are the columns, ``least``
    of them without the unnamed ones at the end; they are those of the first record if ``header``,
    of a comment line, or ``c0``, ``c1``, … ``notes`` say what was guessed.
    """

    encoding: str
    skipped: int
    delimiter: str
    header: bool
    names: tuple[str, ...]
    least: int
    notes: tuple[str, ...]


class _TooWide(DataError):
    """More columns than any delimiter would excuse."""


@dataclass(frozen=True)
class _Sample:
    delimiter: str
    records: list[list[str]]
    raw: list[str]
    starts: list[int]
    comments: list[str]


def find_dialect(content: bytes, where: str) -> Dialect:
    """The dialect of a text.

    Each delimiter is tried on the first 60 records, read by the tokenizer that will read all of
    them. Taken is the one with the largest share of records of the commonest length times share
    of fields below the first record that are numbers; text that holds other delimiters breaks
    ties, then the order tab, semicolon, bar, comma, blanks, none.

    **Raises:** ``DataError`` for a binary file, an unknown encoding, no records, a row of units
    under the header, and names that occur twice.
    """
    encoding, notes = _encoding(content, where)
    first = content[:400].decode(encoding, "ignore")
    stated = _SEP.fullmatch(_ENDS.split(first, maxsplit=1)[0])
    skipped = int(stated is not None)
    tried = [stated.group(1)] if stated else [*_DELIMITERS, ONE_COLUMN]
    if stated and stated.group(1) in '"\r\n':
        raise DataError(f"{where}: the first line names no delimiter.")
    samples, failed = [], None
    for delimiter in tried:
        try:
            samples.append(_sample(content, encoding, skipped, delimiter, where))
        except _TooWide:
            raise
        except DataError as error:
            failed = failed or error
    if not samples:
        raise failed or DataError(f"{where}: no rows of data, only comments or blank lines.")
    sample = max(samples, key=_score)
    if not sample.records:
        raise DataError(f"{where}: no rows of data, only comments or blank lines.")
    return _names(sample, encoding, skipped, notes, where)


def _encoding(content: bytes, where: str) -> tuple[str, tuple[str, ...]]:
    wide = next((name for bom, name in _BOMS if content.startswith(bom)), None)
    if wide is None and _BINARY.search(content.rstrip(b"\x1a")):
        hint = ""
        if content[1:40:2].count(0) > 10 or content[:40:2].count(0) > 10:
            hint = " It looks like UTF-16 without its mark: save it as UTF-8."
        raise DataError(f"{where}: a binary file, not text.{hint}")
    encoding = wide or "utf-8"
    try:
        if not content.isascii():
            content.decode(encoding)
    except UnicodeDecodeError as error:
        if wide is None and _is_windows(content):
            return "cp1252", (f"not UTF-8 (byte {error.start}): read as Windows-1252",)
        raise DataError(
            f"{where}: not UTF-8 text (byte {error.start}). Save the table as UTF-8."
        ) from error
    return encoding, ()


def _is_windows(content: bytes) -> bool:
    """Whether bytes that are no UTF-8 are plain Western text: every such byte is a character of
    Windows-1252, there are few, and none of them are a sequence of UTF-8 or a byte-order mark."""
    if re.search(rb"\xff\xfe|\xfe\xff", content):
        return False
    high = re.findall(rb"[\x80-\xff]+", content)
    if sum(map(len, high)) > 0.3 * len(content):
        return False
    for run in high:
        try:
            run.decode("cp1252")
        except UnicodeDecodeError:
            return False
        try:
            run.decode()
        except UnicodeDecodeError:
            continue
        return False
    return True


def _sample(content: bytes, encoding: str, skipped: int, delimiter: str, where: str) -> _Sample:
    lines = Lines(content, encoding, skipped, where)
    found = _Sample(delimiter, [], [], [], lines.comments)
    for fields in islice(records(lines, delimiter), _SAMPLE):
        if len(fields) > MAX_COLUMNS:
            raise _TooWide(
                f"{where}: line {lines.start} has {len(fields)} columns: more than {MAX_COLUMNS} "
                "are not read."
            )
        fields = [field.strip() for field in fields]
        if any(fields):
            found.records.append(fields)
            found.raw.append(lines.raw)
            found.starts.append(lines.start)
    return found


def _score(sample: _Sample) -> tuple[float, ...]:
    if not sample.records:
        return (-1.0,)
    bare = [_bare(fields) for fields in sample.records]
    counts = Counter(len(fields) for fields in bare)
    width = max(counts, key=lambda n: (counts[n], n))
    if width < 2 and sample.delimiter != ONE_COLUMN:
        return (-1.0,)
    share = counts[width] / len(bare)
    cells = [
        cell
        for fields in (bare[1:] or bare)
        if len(fields) == width
        for cell in fields[:_CELLS]
        if not is_missing(cell)
    ]
    words = [cell for cell in cells if not is_number(cell)]
    numeric = 1 - len(words) / len(cells) if cells else 0.0
    if sample.delimiter == ONE_COLUMN and not is_number(bare[0][0]) and "," in bare[0][0]:
        numeric = 0.0  # A comma in the names is no decimal comma.
    clean = -sum(bool(re.search(r"[\t;|, ]", word)) for word in words) / max(len(cells), 1)
    return (share * numeric, share, clean)


def _bare(fields: list[str]) -> list[str]:
    n = len(fields)
    while n > 1 and not fields[n - 1]:
        n -= 1
    return fields[:n]


# -- names ---------------------------------------------------------------------------------------


def _names(
    sample: _Sample, encoding: str, skipped: int, notes: tuple[str, ...], where: str
) -> Dialect:
    first, body = sample.records[0], sample.records[1:]
    header, note = _is_header(sample)
    said = [*notes, *note]
    if header:
        if not body:
            listed = ", ".join(first)
            raise DataError(f"{where}: a header ({listed}) and no rows of data.")
        given = list(first)
        _refuse_units(sample, where)
        _refuse_row_names(_bare(first), body, where)
    else:
        found = _from_comments(sample)
        given = [""] * len(first) if found is None else found
        if found is None:
            said.append("no header: columns are called c0, c1, …")
        else:
            said.append(f"names from a comment line: {', '.join(given)}")
    least = len(_bare(given if any(given) else first))
    names = list(given)
    for j, name in enumerate(given):
        if not name:
            names[j] = next(n for n in (f"c{j}", f"c{j}_", f"column {j}") if n not in names)
            if header and j < least:
                said.append(f"column {j} has no name: called {names[j]}")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(f"{where}: more than one column is called {twice[0]!r}.")
    return Dialect(encoding, skipped, sample.delimiter, header, tuple(names), least, tuple(said))


def _is_header(sample: _Sample) -> tuple[bool, tuple[str, ...]]:
    """Whether the first record holds names, and what is to be said about it.

    It does if it has words where the columns below have numbers, in more columns than it has
    numbers there; if all of it is quoted and the next record is not; and if it counts the
    columns 0, 1, … over numbers that are not whole.
    """
    first, body = sample.records[0], sample.records[1:]
    if not any(is_number(field) for field in first) and not body:
        return not all(map(is_missing, first)), ()
    numeric = [j for j in range(len(first)) if _numeric([r[j] for r in body if j < len(r)])]
    names = sum(not is_number(first[j]) and not is_missing(first[j]) for j in numeric)
    values = sum(is_number(first[j]) for j in numeric)
    listed = ", ".join(first)
    if body and _all_quoted(sample, 0) and not _all_quoted(sample, 1) and values and not names:
        return True, (f"the first line is quoted, so it holds names: {listed}",)
    if _counts(sample, numeric):
        return True, (f"the first line counts the columns, so it holds names: {listed}",)
    if names > values:
        numbers = any(is_number(field) for field in first)
        return True, (f"names from the first line: {listed}",) if numbers else ()
    if numeric:
        return False, ()
    return not any(is_number(field) or is_missing(field) for field in first if field), ()


def _numeric(cells: list[str]) -> bool:
    present = [cell for cell in cells if not is_missing(cell)]
    return bool(present) and sum(map(is_number, present)) >= _MOSTLY * len(present)


def _counts(sample: _Sample, numeric: list[int]) -> bool:
    """0, 1, 2, … as pandas writes columns without names (its index may stand before them), over
    columns of which some are never whole and the others always."""
    first, body = sample.records[0], sample.records[1:]
    counted = first[1:] if not first[0] else first
    if len(counted) < 2 or counted != [str(j) for j in range(len(counted))]:
        return False
    whole = [{c.lstrip("+-").isdigit() for r in body for c in r[j : j + 1] if c} for j in numeric]
    return {False} in whole and {True, False} not in whole


def _all_quoted(sample: _Sample, k: int) -> bool:
    between = r"[ \t]+" if sample.delimiter == BLANKS else rf" *{re.escape(sample.delimiter)} *"
    field = r'"[^"]*(?:""[^"]*)*"'
    return bool(re.fullmatch(rf"\s*{field}(?:{between}{field})*\s*", sample.raw[k]))


def _from_comments(sample: _Sample) -> list[str] | None:
    """The names in the last comment line above the table that has a word for each column."""
    width = len(_bare(sample.records[0]))
    delimiters = (sample.delimiter, BLANKS) if sample.delimiter == "\t" else (sample.delimiter,)
    for comment in reversed(sample.comments):
        text = comment.lstrip().lstrip("#").encode()
        for delimiter in delimiters:
            try:
                read = _sample(text, "utf-8", 0, delimiter, "a comment").records
            except DataError:
                continue
            names = _bare(read[0]) if len(read) == 1 else []
            if len(names) == width == len(set(names)) and not any(map(is_number, names)):
                return names
    return None


def _refuse_units(sample: _Sample, where: str) -> None:
    body = sample.records[1:]
    rest = body[1:]
    numeric = [j for j in range(len(body[0])) if _numeric([row[j] for row in rest if j < len(row)])]
    words = [body[0][j] for j in numeric if not is_number(body[0][j])]
    if len(words) == len(numeric) and any(not is_missing(word) for word in words):
        raise DataError(
            f"{where}: line {sample.starts[1]} ({', '.join(body[0])}) holds words where the lines "
            "below hold numbers (units?). Delete it, or begin it with '#'."
        )


def _refuse_row_names(first: list[str], body: list[list[str]], where: str) -> None:
    if all(len(_bare(row)) == len(first) + 1 for row in body):
        raise DataError(
            f"{where}: {len(first)} names for {len(first) + 1} columns (row names of R? write "
            "them with row.names = FALSE, or name the first column)."
        )
