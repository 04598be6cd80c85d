"""The one tokenizer of text tables: bytes to records, whatever stands between the fields."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from scorefold.data._errors import DataError

BLANKS = " "
"""The delimiter of tables in which any number of blanks or tabs stands between fields."""
ONE_COLUMN = "\x1f"
"""The delimiter of tables without one: a control character that text does not hold."""

_LONGEST = 2**23
_LONGEST_QUOTED = 2**20
_COMMENT = re.compile(r"[ \t]*#(?!(?:N/A|NUM!|DIV/0!|VALUE!|REF!|NAME\?|NULL!))")
_KEPT_COMMENTS = 200
_BETWEEN = re.compile(r"[ \t]+")
_EDGES = " \t\r\n"


class Lines:
    """Physical lines of a text (ended by LF, CRLF or CR alone), as an iterator.

    Between records (``fresh``), blank lines and lines that begin with ``#`` are left out; within
    quotes they are part of a field. ``start`` is the number of the first line of the record,
    ``raw`` its text. ``comments`` are those before the first record, ``later`` counts the others.
    """

    def __init__(self, content: bytes, encoding: str, skipped: int, where: str) -> None:
        self._file = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="")
        self.where = where
        self.number = self.start = 0
        self.fresh = True
        self.raw = ""
        self.comments: list[str] = []
        self.later = 0
        for _ in range(skipped):
            self._next()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._next()
        if not self.fresh:
            if not line:
                raise DataError(f"{self.where}: the quote in line {self.start} is never closed.")
            self.raw += line
            return line
        while line:
            if _COMMENT.match(line):
                if self.start:
                    self.later += 1
                elif len(self.comments) < _KEPT_COMMENTS:
                    self.comments.append(line.strip(_EDGES))
            elif line.strip(_EDGES):
                self.start, self.raw, self.fresh = self.number, line, False
                return line
            line = self._next()
        raise StopIteration

    def _next(self) -> str:
        line = self._file.readline(_LONGEST + 1)
        if len(line) > _LONGEST:
            raise DataError(
                f"{self.where}: line {self.number + 1} is longer than {_LONGEST} characters: "
                "refused."
            )
        self.number += 1
        return line


def records(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    """The fields of one record after another.

    A field may stand in double quotes, and then hold delimiters, line breaks, and quotes written
    twice. Blanks before a field are no part of it.

    **Raises:** ``DataError`` for a quote that is never closed, and for fields (between blanks,
    records with quotes) that are too long.
    """
    if delimiter == BLANKS:
        split = _blank_records(lines)
    else:
        split = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        while True:
            lines.fresh = True
            fields = next(split, None)
            if fields is None:
                return
            yield fields
    except csv.Error as error:
        raise DataError(f"{lines.where}: line {lines.start}: {error}.") from error


def _blank_records(lines: Lines) -> Iterator[list[str]]:
    for line in lines:
        if '"' not in line:
            yield _BETWEEN.split(line.strip(_EDGES))
            continue
        fields: list[str] = []
        field: list[str] = []
        begun, quoted, size, i = False, False, 0, 0
        while True:
            if i == len(line):
                if not quoted:
                    break
                line, i = next(lines), 0
            c = line[i]
            i += 1
            if quoted:
                if c == '"' and line[i : i + 1] != '"':
                    quoted = False
                    continue
                i += c == '"'
                field.append(c)
            elif c in _EDGES:
                if begun:
                    fields.append("".join(field))
                field, begun = [], False
            elif c == '"' and not begun:
                begun = quoted = True
            else:
                begun = True
                field.append(c)
            size += 1
            if size > _LONGEST_QUOTED:
                raise DataError(f"{lines.where}: line {lines.start} is too long for its quotes.")
        yield [*fields, "".join(field)] if begun else fields
