"""The one error of this room."""

import difflib
from collections.abc import Iterable

import numpy as np

from scorefold._oneline import one_line

_COMPARED = 10_000
_NAME = 200


class DataError(ValueError):
    """Data that cannot be used as they are; the message says what is wrong and how to mend it.

    The message is one line of at most 500 characters, with control characters escaped.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message))


def nearest(what: str, given: str, choices: Iterable[str]) -> DataError:
    """The error for a name that is not one of ``choices``, with the nearest one first."""
    choices = list(choices)
    folded = {c[:_NAME].casefold(): c for c in reversed(choices[:_COMPARED])}
    close = difflib.get_close_matches(given[:_NAME].casefold(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
    return DataError(f"Unknown {what} {given!r}.{hint} Choices: {', '.join(map(str, choices))}.")


def rows(bad: np.ndarray) -> str:
    """``row 3`` or ``rows 3, 7, 9`` for the places where ``bad`` holds (the first ten)."""
    index = np.flatnonzero(bad)
    shown = ", ".join(str(i) for i in index[:10])
    more = f", … ({len(index)} in all)" if len(index) > 10 else ""
    return f"row{'s' if len(index) > 1 else ''} {shown}{more}"
