"""Delimited text of unknown dialect."""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from scorefold.data._errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_text"]

_DELIMITERS = ("\t", ";", "|", ",")
_SAMPLE = 50
_GZIP_RATIO = 100
_GZIP_FLOOR = 2**26
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-"}


def read_text(path: Path, max_bytes: int) -> pd.DataFrame:
    """The table in a text file; see ``read_table``."""
    import pandas as pd

    lines = [
        line
        for line in _decode(_content(path, max_bytes), path).splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise DataError(f"{path}: no rows of data, only comments or blank lines.")
    delimiter = _delimiter(lines[:_SAMPLE])
    decimal = "," if delimiter == ";" and _decimal_commas(lines[:_SAMPLE]) else "."
    first = _fields(lines[0], delimiter)
    header = not any(_is_number(field, decimal) for field in first)
    if header and len(lines) == 1:
        raise DataError(f"{path}: a header ({', '.join(first)}) and no rows of data.")
    names = first if header else [f"c{i}" for i in range(len(first))]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: more than one column is called {twice!r}.")
    body = io.StringIO("\n".join(lines[1:] if header else lines))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                body,
                sep=delimiter or r"\s+",
                header=None,
                names=names,
                index_col=False,
                decimal=decimal,
                skipinitialspace=True,
                na_values=sorted(_MISSING - {""}),
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: rows of different lengths; the first has {len(names)} fields ({reason})."
        ) from error


def _content(path: Path, max_bytes: int) -> bytes:
    if not path.name.lower().endswith(".gz"):
        return path.read_bytes()
    limit = min(max_bytes, max(_GZIP_FLOOR, _GZIP_RATIO * path.stat().st_size))
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}).") from error
    if len(content) > limit:
        raise DataError(
            f"{path}: expands to more than {limit} bytes from {path.stat().st_size}: refused."
        )
    return content


def _decode(content: bytes, path: Path) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if not wide and b"\0" in content:
        raise DataError(f"{path}: a binary file, not text.")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}). Save the table as UTF-8."
        ) from error


def _delimiter(lines: list[str]) -> str | None:
    """The character that cuts all lines alike into the most fields; ``None`` for blanks."""
    best, count = None, 1
    for delimiter in _DELIMITERS:
        widths = {len(_fields(line, delimiter)) for line in lines}
        if max(widths) > count and (len(widths) == 1 or min(widths) > 1):
            best, count = delimiter, max(widths)
            if delimiter == ";":
                break  # A comma beside semicolons is a decimal comma.
    return best


def _decimal_commas(lines: list[str]) -> bool:
    text = "\n".join(lines)
    return bool(re.search(r"\d,\d", text)) and not re.search(r"\d\.\d", text)


def _fields(line: str, delimiter: str | None) -> list[str]:
    return [field.strip().strip('"').strip() for field in line.strip("\r\n").split(delimiter)]


def _is_number(field: str, decimal: str) -> bool:
    try:
        float(field.replace(decimal, "."))
    except ValueError:
        return False
    return field.casefold() not in _MISSING
