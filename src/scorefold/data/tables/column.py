"""One column of a text table while it is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from scorefold.data.tables.number_text import (
    DOUBTFUL_COMMA,
    NUMBER,
    is_missing,
    is_number,
    to_float,
)

_PLAIN = re.compile(r"[0-9+\-.eE \n]+")
_WHOLE = re.compile(r"(?: *[+-]?[0-9]{1,18} *\n)+")
_PADDED = re.compile(r"^ *[+-]?0[0-9]", re.MULTILINE)
_LONG = re.compile(r"^ *[+-]?[0-9]{16,} *$", re.MULTILINE)
_MANY = re.compile(r"[+-]?(?=(?:\.?[0-9]){17})[0-9]*\.?[0-9]*(?:[eEdD][+-]?[0-9]{1,3})?")
_LONG_RUN = re.compile(r"(?:\.?[0-9]){17}")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_EXACT = 2**53


@dataclass
class Column:
    """Numbers, batch by batch, until a field is none; then text. Whole numbers stay ``int64``,
    those with leading zeros (``007``) and those that float64 cannot hold stay text.

    ``comma`` and ``point`` are examples of numbers with either, ``doubtful`` whether all commas
    may be thousands separators, ``bare`` whether there are numbers without a comma, ``large``
    whether there are whole numbers that float64 does not tell from their neighbours; ``long`` are
    those of 17 digits and more, with decimals.
    """

    text: bool = False
    numbers: list[np.ndarray] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    comma: str = ""
    doubtful: bool = True
    point: str = ""
    bare: bool = False
    large: bool = False
    long: set[str] = field(default_factory=set)

    def add(self, cells: Sequence[str]) -> None:
        """The fields of some more rows."""
        if not self.text:
            found = self._plain(cells)
            found = self._parsed(cells) if found is None else found
            if found is not None:
                self.numbers.append(found)
                if found.dtype == np.int64 and found.size:
                    self.large |= max(-int(found.min()), int(found.max())) > _EXACT
                return
            self.text = True
        self.words += cells

    def restart(self) -> None:
        """Forget what was read, but not whether it is text."""
        self.numbers, self.words, self.long = [], [], set()

    def values(self, decimal_commas: bool) -> np.ndarray:
        """All that was read: int64, float64, or text without blanks at its ends, its numbers with
        decimal points."""
        if not self.text:
            return np.concatenate(self.numbers)
        words = [word.strip() for word in self.words]
        if decimal_commas:
            words = [pointed(w) if "," in w and is_number(w) else w for w in words]
        return np.array(words, object)

    def mostly_commas(self) -> bool:
        """Whether most of a text are numbers, some with a comma that is no thousands separator,
        none with a point."""
        numbers = [word for word in map(str.strip, self.words) if is_number(word)]
        clear = any("," in number and not DOUBTFUL_COMMA.fullmatch(number) for number in numbers)
        points = any("." in number for number in numbers)
        return clear and not points and 2 * len(numbers) > len(self.words)

    def merged(self) -> tuple[int, int] | None:
        """How many different numbers of 17 digits and more there are, and how many floats, where
        these are fewer."""
        if self.text or not self.long:
            return None
        exact = {Decimal(number) for number in self.long}
        after = len({float(number) for number in exact})
        return (len(exact), after) if after < len(exact) else None

    def notes(self, name: str) -> list[str]:
        if not self.large:
            return []
        lost = "kept as text" if self.text else "lose digits as coordinates"
        return [f"column {name!r}: whole numbers beyond 2^53 {lost}"]

    def _plain(self, cells: Sequence[str]) -> np.ndarray | None:
        """The numbers, if all are of digits, points, signs and exponents alone."""
        joined = "\n".join(cells)
        if not _PLAIN.fullmatch(joined):
            return None
        if _WHOLE.fullmatch(f"{joined}\n"):
            if _PADDED.search(joined):
                return None
            self.bare = True
            try:
                return np.array(list(map(int, cells)), np.int64)
            except ValueError:  # A line break within quotes.
                return None
        try:
            found = np.array(list(map(float, cells)))
        except ValueError:
            return None
        if _LONG.search(joined):
            return None
        if _LONG_RUN.search(joined):
            self.long |= {cell for cell in map(str.strip, cells) if _MANY.fullmatch(cell)}
        self.bare, self.point = True, self.point or ("." if "." in joined else "")
        return found

    def _parsed(self, cells: Sequence[str]) -> np.ndarray | None:
        """The numbers, if all are numbers in any spelling or missing."""
        found = np.empty(len(cells))
        for i, cell in enumerate(cells):
            text = cell.strip().replace("−", "-")
            if "," in text:
                if not NUMBER.fullmatch(text):
                    return None
                doubtful = bool(DOUBTFUL_COMMA.fullmatch(text))
                if not self.comma or self.doubtful > doubtful:
                    self.comma, self.doubtful = text, doubtful
                text = pointed(text)
            elif _DIGITS.fullmatch(text):
                self.bare = True
                if _PADDED.match(text):
                    return None
                if len(text) > 15 and (len(text) > 20 or abs(int(text)) > _EXACT):
                    self.large = True
                    return None
            elif not is_missing(text):
                self.bare = True
                self.point = self.point or (text if "." in text else "")
            value = to_float(text)
            if value is None:
                return None
            if "." in text and _MANY.fullmatch(text):
                self.long.add(text.upper().replace("D", "E"))
            found[i] = value
        return found


def pointed(number: str) -> str:
    """A number with its decimal comma as a point."""
    return number.replace(",", ".")
