"""How a text table is written: encoding, delimiter, and where its names are."""

import re
from collections import Counter
from dataclasses import dataclass

from scorefold.data._errors import DataError
from scorefold.data.tables.encoding import encoding_of
from scorefold.data.tables.header import Names, names_of
from scorefold.data.tables.number_text import is_missing, is_number
from scorefold.data.tables.records import BLANKS, ONE_COLUMN
from scorefold.data.tables.sample import Sample, TooWide, bare, sample_of

_DELIMITERS = ("\t", ";", "|", ",", BLANKS)
_CELLS = 64
"""Fields of a record that are looked at to find the delimiter."""
_SEP = re.compile(r'\s*"?sep=(.)"?[ ;,\t|]*', re.IGNORECASE)
_ENDS = re.compile(r"\r\n?|\n")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written, found once and used for all of it. ``skipped`` lines stand
    before everything (``sep=;``)."""

    encoding: str
    skipped: int
    delimiter: str
    names: Names
    notes: tuple[str, ...]


def find_dialect(content: bytes, where: str) -> Dialect:
    """The dialect of a text.

    Each delimiter is tried on the first 60 records, read by the tokenizer that will read all of
    them. Taken is the one with the largest share of records of the commonest length times share
    of fields below the first record that are numbers; text that holds other delimiters breaks
    ties, then the order tab, semicolon, bar, comma, blanks, none.

    **Raises:** ``DataError`` for bytes that are no text, no records, more than ``MAX_COLUMNS``
    columns, and as ``names_of``.
    """
    encoding, notes = encoding_of(content, where)
    first = content[:400].decode(encoding, "ignore")
    stated = _SEP.fullmatch(_ENDS.split(first, maxsplit=1)[0])
    skipped = int(stated is not None)
    tried = [stated.group(1)] if stated else [*_DELIMITERS, ONE_COLUMN]
    if stated and stated.group(1) in '"\r\n':
        raise DataError(f"{where}: the first line names no delimiter.")
    samples: list[Sample] = []
    failed: DataError | None = None
    for delimiter in tried:
        try:
            samples.append(sample_of(content, encoding, skipped, delimiter, where))
        except TooWide:
            raise
        except DataError as error:
            failed = failed or error
    if not samples:
        raise failed or DataError(f"{where}: no rows of data, only comments or blank lines.")
    sample = max(samples, key=_score)
    if not sample.records:
        raise DataError(f"{where}: no rows of data, only comments or blank lines.")
    names = names_of(sample, where)
    return Dialect(encoding, skipped, sample.delimiter, names, (*notes, *names.notes))


def _score(sample: Sample) -> tuple[float, ...]:
    if not sample.records:
        return (-1.0,)
    cut = [bare(fields) for fields in sample.records]
    counts = Counter(len(fields) for fields in cut)
    width = max(counts, key=lambda n: (counts[n], n))
    if width < 2 and sample.delimiter != ONE_COLUMN:
        return (-1.0,)
    share = counts[width] / len(cut)
    cells = [
        cell
        for fields in (cut[1:] or cut)
        if len(fields) == width
        for cell in fields[:_CELLS]
        if not is_missing(cell)
    ]
    words = [cell for cell in cells if not is_number(cell)]
    numeric = 1 - len(words) / len(cells) if cells else 0.0
    if sample.delimiter == ONE_COLUMN and not is_number(cut[0][0]) and "," in cut[0][0]:
        numeric = 0.0  # A comma in the names is no decimal comma.
    clean = -sum(bool(re.search(r"[\t;|, ]", word)) for word in words) / max(len(cells), 1)
    return (share * numeric, share, clean)
