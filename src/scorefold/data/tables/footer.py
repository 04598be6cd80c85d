"""What the footer of a Parquet file claims: Thrift's compact protocol, read here.

pyarrow ends the whole process on some damaged footers (an exception of C++ that nobody catches)
when asked for the metadata of a column.
"""

from typing import Any, NamedTuple

from scorefold.data._errors import DataError

_LONGEST = 2**26
_DEEPEST = 32
_FIXED = {3: 1, 7: 8}
"""Bytes of a byte and of a double. Other numbers are written in groups of seven bits."""
_NO_SIZE = (1, 2)
_VARINTS = (4, 5, 6)
_BINARY, _LIST, _SET, _MAP, _STRUCT = 8, 9, 10, 11, 12


Struct = dict[int, Any]
"""Values by the number of their field: numbers, lists, structs."""


class Claims(NamedTuple):
    """Rows, columns, values of all columns, and bytes before compression."""

    rows: int
    columns: int
    values: int
    size: int


def claims_of(content: bytes, where: str) -> Claims:
    """The claims of the footer. **Raises:** ``DataError`` if it is damaged."""
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != b"PAR1" or not 0 < length <= min(len(content) - 12, _LONGEST):
        raise DataError(f"{where}: damaged Parquet file (it does not end in a footer).")
    try:
        footer = _Thrift(content[-8 - length : -8]).struct(0)
        chunks = [[c[3] for c in group[1]] for group in footer[4]]
        found = Claims(
            footer[3],
            max(map(len, chunks), default=0),
            sum(chunk[5] for group in chunks for chunk in group),
            sum(chunk[6] for group in chunks for chunk in group),
        )
        sound = min(found) >= 0 and all(c[5] >= 0 <= c[6] for group in chunks for c in group)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: damaged Parquet file (its footer).") from error
    if not sound:
        raise DataError(f"{where}: damaged Parquet file (negative sizes in its footer).")
    return found


class _Thrift:
    """Structs as dicts by field number; text and the contents of maps are passed over."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self, depth: int) -> Struct:
        found: Struct = {}
        number = 0
        while True:
            head = self.byte()
            if head == 0:
                return found
            number = number + (head >> 4) if head >> 4 else self.signed()
            found[number] = self.value(head & 15, depth + 1)

    def value(self, kind: int, depth: int) -> int | list | Struct | None:
        if depth > _DEEPEST:
            raise ValueError("too deep")
        if kind in _NO_SIZE:
            return kind == 1
        if kind in _VARINTS:
            return self.signed()
        if kind in _FIXED or kind == _BINARY:
            self.skip(_FIXED[kind] if kind in _FIXED else self.unsigned())
            return None
        if kind in (_LIST, _SET):
            head = self.byte()
            n = head >> 4 if head >> 4 < 15 else self.unsigned()
            return [self.entry(head & 15, depth + 1) for _ in range(self.at_most(n))]
        if kind == _MAP:
            n = self.at_most(self.unsigned())
            kinds = self.byte() if n else 0
            for _ in range(n):
                self.entry(kinds >> 4, depth + 1)
                self.entry(kinds & 15, depth + 1)
            return None
        if kind == _STRUCT:
            return self.struct(depth)
        raise ValueError("no such type")

    def entry(self, kind: int, depth: int) -> int | list | Struct | None:
        """An entry of a list or map, in which a truth value takes a byte."""
        return self.byte() == 1 if kind in _NO_SIZE else self.value(kind, depth)

    def at_most(self, n: int) -> int:
        """Each entry takes a byte at least."""
        if n > len(self.content) - self.at:
            raise ValueError("too many entries")
        return n

    def byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def skip(self, n: int) -> None:
        self.at += self.at_most(n)

    def unsigned(self) -> int:
        found = shift = 0
        while True:
            byte = self.byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
            if shift > 63:
                raise ValueError("too long a number")

    def signed(self) -> int:
        n = self.unsigned()
        return (n >> 1) ^ -(n & 1)
