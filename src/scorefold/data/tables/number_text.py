"""Numbers as people write them in tables."""

import re

_MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "+nan", "-nan", "null", "none", "-", "--", ".",
     "#num!", "#div/0!", "#value!", "#ref!", "#name?", "#null!")
)  # fmt: skip
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*|,[0-9]+)?|[.,][0-9]+)(?:[eEdD][+-]?[0-9]+)?")
"""A decimal number with a point or a comma, E or (Fortran's) D before the exponent."""
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
DOUBTFUL_COMMA = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
"""1,234 may be 1.234 or 1234; 0,234 and 12,34 are what they are."""
_THOUSANDS = re.compile(
    r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+(?:\.[0-9]*)?|(?:\.[0-9]{3})+(?:,[0-9]*)?"
    r"|(?:[' \u00a0\u2009\u202f][0-9]{3})+(?:[.,][0-9]*)?)"
)


def is_missing(text: str) -> bool:
    """Whether a field, trimmed, says that there is no value."""
    return text.casefold() in _MISSING


def is_number(text: str) -> bool:
    """Whether a field, trimmed, is a number with a point or a comma."""
    text = text.replace("−", "-")
    return bool(NUMBER.fullmatch(text) or _INFINITE.fullmatch(text))


def thousands(text: str) -> bool:
    """Whether a field, trimmed, looks like a number with thousands separators."""
    return bool(_THOUSANDS.fullmatch(text))


def to_float(text: str) -> float | None:
    """The nearest float64 of a number with a decimal point; NaN for a word that says that there
    is none; ``None`` for anything else."""
    text = text.strip().replace("−", "-")
    if is_missing(text):
        return float("nan")
    if _INFINITE.fullmatch(text):
        return float(text)
    if NUMBER.fullmatch(text) and "," not in text:
        return float(text.replace("d", "e").replace("D", "E"))
    return None
