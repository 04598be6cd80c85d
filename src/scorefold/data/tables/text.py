"""Delimited text of unknown dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.tables.column import Column, pointed
from scorefold.data.tables.dialect import Dialect, find_dialect
from scorefold.data.tables.frame import frame
from scorefold.data.tables.records import Lines, records

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 2**14
_FIELDS = 2**18


def read_text(content: bytes, where: str) -> pd.DataFrame:
    """The table in a text; see ``read_table``."""
    content = content.rstrip(b"\x1a")
    dialect = find_dialect(content, where)
    body = _Body(dialect, where)
    body.read(content)
    commas = [column for column in body.columns if column.comma and not column.text]
    points = any(column.point and not column.text for column in body.columns)
    notes = list(dialect.notes)
    if commas and not points:
        _refuse_doubtful(commas, dialect, where)
        example = commas[0].comma
        notes.append(f"decimal commas: {example} is {pointed(example)}")
    elif commas:
        for column in commas:
            column.text = True
        notes.append(f"numbers with commas ({commas[0].comma}) beside decimal points: kept as text")
    if any(column.text and column.numbers for column in body.columns):
        body.read(content)
    return _table(body, dialect, notes, commas=bool(commas), points=points)


def _table(
    body: _Body, dialect: Dialect, notes: list[str], *, commas: bool, points: bool
) -> pd.DataFrame:
    data: dict[str, np.ndarray] = {}
    for j, (name, column) in enumerate(zip(dialect.names.names, body.columns, strict=True)):
        decimal_commas = not points and (commas or column.mostly_commas())
        if decimal_commas and not commas:
            notes.append(f"column {name!r}: decimal commas")
        values = column.values(decimal_commas)
        if j >= dialect.names.least and values.dtype == np.float64 and np.isnan(values).all():
            continue
        data[name] = values
        notes += column.notes(name)
    left_out = len(body.columns) - len(data)
    if left_out:
        notes.append(f"left out: empty columns at the end ({left_out})")
    if body.empty:
        notes.append(f"left out: rows without entries ({body.empty})")
    if body.comments:
        notes.append(f"left out: lines with '#' below the first line ({body.comments})")
    table = frame(data, notes)
    table.attrs["merged"] = {
        name: found
        for name, column in zip(dialect.names.names, body.columns, strict=True)
        if name in data and (found := column.merged())
    }
    if body.last - body.first == body.n - 1:
        table.attrs["lines"] = (body.first, body.n)
    return table


def _refuse_doubtful(commas: list[Column], dialect: Dialect, where: str) -> None:
    """1,234 in all fields beside semicolons is a decimal comma; elsewhere it may be 1234."""
    if not all(column.doubtful for column in commas):
        return
    if dialect.delimiter == ";" and not any(column.bare for column in commas):
        return
    example = commas[0].comma
    raise DataError(
        f"{where}: {example} may be {pointed(example)} or {example.replace(',', '')}. Write "
        "decimal points, and no thousands separators."
    )


class _Body:
    """The records below the names, column by column."""

    def __init__(self, dialect: Dialect, where: str) -> None:
        self.dialect, self.where = dialect, where
        self.columns = [Column() for _ in dialect.names.names]

    def read(self, content: bytes) -> None:
        """Read all records. **Raises:** ``DataError`` naming the first of another length."""
        self.n = self.empty = self.first = self.last = 0
        for column in self.columns:
            column.restart()
        lines = Lines(content, self.dialect.encoding, self.dialect.skipped, self.where)
        batch: list[list[str]] = []
        width, header = len(self.columns), self.dialect.names.header
        size = max(1, min(_BATCH, _FIELDS // width))
        for record in records(lines, self.dialect.delimiter):
            if not record[0] and not any(field.strip() for field in record):
                self.empty += 1
                continue
            if header:
                header = False
                continue
            fields = record if len(record) == width else self._fitted(record, lines.start)
            self.first = self.first or lines.start
            self.last = lines.start
            self.n += 1
            batch.append(fields)
            if len(batch) == size:
                self._add(batch)
                batch = []
        if batch:
            self._add(batch)
        self.comments = lines.later

    def _add(self, batch: list[list[str]]) -> None:
        for column, cells in zip(self.columns, zip(*batch, strict=True), strict=True):
            column.add(cells)

    def _fitted(self, record: list[str], line: int) -> list[str]:
        """The record without empty fields at its end beyond the table, or with those it lacks."""
        width = len(self.columns)
        if self.dialect.names.least <= len(record) < width:
            return [*record, *[""] * (width - len(record))]
        if len(record) > width and not any(field.strip() for field in record[width:]):
            return record[:width]
        first = "header" if self.dialect.names.header else "first row"
        raise DataError(
            f"{self.where}: rows of different lengths: row {self.n} (line {line}) has "
            f"{len(record)} fields, the {first} {self.dialect.names.least}."
        )
