"""The first records of a text, as one delimiter would cut them."""

from dataclasses import dataclass
from itertools import islice

from scorefold.data._errors import DataError
from scorefold.data.tables.records import Lines, records

MAX_COLUMNS = 2**15
_RECORDS = 60


class TooWide(DataError):
    """More columns than any delimiter would excuse."""


@dataclass(frozen=True)
class Sample:
    """Trimmed fields of the first records with entries, their text, the number of the first line
    of each, and the comments above them."""

    delimiter: str
    records: list[list[str]]
    raw: list[str]
    starts: list[int]
    comments: list[str]


def sample_of(content: bytes, encoding: str, skipped: int, delimiter: str, where: str) -> Sample:
    """The first 60 records. **Raises:** ``TooWide``, and as ``records``."""
    lines = Lines(content, encoding, skipped, where)
    found = Sample(delimiter, [], [], [], lines.comments)
    for fields in islice(records(lines, delimiter), _RECORDS):
        if len(fields) > MAX_COLUMNS:
            raise TooWide(
                f"{where}: line {lines.start} has {len(fields)} columns: more than {MAX_COLUMNS} "
                "are not read."
            )
        fields = [field.strip() for field in fields]
        if any(fields):
            found.records.append(fields)
            found.raw.append(lines.raw)
            found.starts.append(lines.start)
    return found


def bare(fields: list[str]) -> list[str]:
    """The fields without empty ones at the end; one is left."""
    last = max((j for j, field in enumerate(fields) if field), default=0)
    return fields[: last + 1]
