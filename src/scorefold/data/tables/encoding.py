"""The encoding of a text."""

import codecs
import re

from scorefold.data._errors import DataError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def encoding_of(content: bytes, where: str) -> tuple[str, tuple[str, ...]]:
    """Python's name of the encoding, and a note if it was guessed.

    UTF-8, or what a byte-order mark says; otherwise Windows-1252, if that is plausible.
    **Raises:** ``DataError`` for bytes that are no text.
    """
    wide = next((name for bom, name in _BOMS if content.startswith(bom)), None)
    if wide is None and _BINARY.search(content.rstrip(b"\x1a")):
        hint = ""
        if content[1:40:2].count(0) > 10 or content[:40:2].count(0) > 10:
            hint = " It looks like UTF-16 without its mark: save it as UTF-8."
        raise DataError(f"{where}: a binary file, not text.{hint}")
    encoding = wide or "utf-8"
    name = encoding.removesuffix("-sig").upper()
    try:
        if not content.isascii():
            content.decode(encoding)
    except UnicodeDecodeError as error:
        if wide is None and _is_windows(content):
            return "cp1252", (f"not UTF-8 (byte {error.start}): read as Windows-1252",)
        raise DataError(
            f"{where}: not {name} text (byte {error.start}). Save the table as UTF-8."
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
