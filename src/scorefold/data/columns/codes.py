"""Numbers that mean no number: codes for missing values, constant columns, numbered rows."""

from typing import NamedTuple

import numpy as np

from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.names import read_name

_INDEX = {"index", "id", "unnamed0", "row", "rowid", "rownames", "rownumber", "idx", "objectid"}
_USUAL = {
    sign * value
    for value in (99.0, 99.9, 99.99, 999.0, 999.25, 999.9, 999.99, 9999.0, 9999.9, 99999.0,
                  999999.0, 777.0, 888.0, 7777.0, 8888.0, 32767.0, 32768.0, 65535.0, 2147483647.0,
                  2147483648.0, 1e20, 1e30)
    for sign in (-1.0, 1.0)
}  # fmt: skip
_FEWEST = 10
"""Rows, and different values of a column, below which nothing is said."""
_REPEATS = 5.0
"""Times the repeats of other values."""
_FAR = 3.0
"""Of the range of the others, where these are few: how far beyond them a usual code lies."""
_OUTSIDE = 0.25
"""Of the range of the others: how far beyond them a code lies."""
_INSIDE = 0.02
"""Of the range of the others: how far from its neighbours on both sides a code lies."""


class Codes(NamedTuple):
    """``values``: for each column the numbers that may stand for "no value", with the share of
    rows that hold them; ``null_island``: the share of rows at latitude 0, longitude 0, where that
    looks like a code; ``constant``: columns with one value; ``numbering``: columns that number
    the rows; ``zeros``: for other curved factors, the columns that are 0 together (the quaternion
    of no rotation) and the share of rows, where that looks like a code."""

    values: dict[str, dict[float, float]]
    null_island: float
    constant: tuple[str, ...]
    numbering: tuple[str, ...]
    zeros: dict[str, float]

    def lines(self) -> tuple[str, ...]:
        """One line for each finding, with the remedy."""
        out = [
            f"column {column!r}: {value:.9g} in {100 * share:.3g} % of the rows lies apart from "
            f"all other values: if it stands for no value, drop_value={value:.9g} "
            f"(--drop-value {value:.9g}) leaves these rows out"
            for column, found in self.values.items()
            for value, share in found.items()
        ]
        if self.null_island:
            out.append(
                f"{100 * self.null_island:.3g} % of the rows are at latitude 0, longitude 0: if "
                "that stands for no position, leave these rows out"
            )
        out += [
            f"{100 * share:.3g} % of the rows have {columns}: if that stands for no value, leave "
            "these rows out"
            for columns, share in self.zeros.items()
        ]
        out += [f"column {column!r} is constant" for column in self.constant]
        out += [
            f"column {column!r} numbers the rows: leave it out by columns= (--columns)"
            for column in self.numbering
        ]
        return tuple(out)


def codes_of(coordinates: Coordinates, values: np.ndarray) -> Codes:
    """The codes, constant columns and row numbers among the columns of a table.

    A number is a code if it repeats more than five times as often as other values do and lies
    apart: beyond all others by a quarter of their range, or between them with a gap of a fiftieth
    of it on both sides; two or three codes may lie side by side. Usual codes (±99, ±999, ±9999,
    99.99, 1e20, 1e30, …), and numbers farther than three ranges from others that hardly ever
    repeat, need to repeat only twice; usual codes at an end, ten times there or more and five times
    as often as any other number, need a gap of a fiftieth only; −1 and −9 may lie near numbers that
    are never negative. Where a column has fewer than ten values, only these are named, if farther
    than three ranges. Values of a lattice repeat alike and lie side by side: they are no codes.
    """
    found: dict[str, dict[float, float]] = {}
    constant, index = [], []
    flat = {place for part in coordinates.parts if part.manifold.euclidean for place in part.places}
    if len(values) < _FEWEST:
        return Codes({}, 0.0, (), (), {})
    for j, column in enumerate(coordinates.columns):
        numbers, counts = np.unique(values[:, j], return_counts=True)
        if len(numbers) == 1:
            constant.append(column)
        elif j in flat and _numbers_rows(column, numbers, counts, len(coordinates.columns)):
            index.append(column)
        elif codes := _apart(numbers, counts):
            found[column] = {v: c / len(values) for v, c in codes}
    island, zeros = _zeros(coordinates, values)
    return Codes(found, island, tuple(constant), tuple(index), zeros)


def _apart(numbers: np.ndarray, counts: np.ndarray) -> list[tuple[float, int]]:
    """(number, how often) for the numbers that repeat and lie apart, outermost first."""
    codes: list[tuple[float, int]] = []
    while found := _outermost(numbers, counts):
        codes += [(float(numbers[at]), int(counts[at])) for at in found]
        numbers, counts = np.delete(numbers, found), np.delete(counts, found)
    at = int(np.argmax(counts)) if len(numbers) > _FEWEST else 0
    if 0 < at < len(numbers) - 1:
        gap = min(numbers[at] - numbers[at - 1], numbers[at + 1] - numbers[at])
        if (
            gap > _INSIDE * (numbers[-1] - numbers[0])
            and gap > _REPEATS * np.median(np.diff(numbers))
            and counts[at] >= max(_FEWEST, 0.01 * counts.sum())
            and counts[at] > _REPEATS * np.delete(counts, at).max()
        ):
            codes.append((float(numbers[at]), int(counts[at])))
    return codes


def _outermost(numbers: np.ndarray, counts: np.ndarray) -> list[int]:
    """The numbers at one end that are codes: one, or two or three side by side."""
    for size in (1, 2, 3):
        n = len(numbers) - size
        if n < 2:
            return []
        for own, near, rest in (
            (list(range(size)), size - 1, slice(size, None)),
            (list(range(n, n + size)), n, slice(None, n)),
        ):
            others = numbers[rest]
            width = others[-1] - others[0]
            gap = float(np.abs(others - numbers[near]).min())
            few = len(numbers) < _FEWEST
            # Of few different values only usual codes far away are told.
            usual = all(numbers[at] in _USUAL for at in own) and gap > _FAR * width
            negative = own == [0] and numbers[0] in (-1.0, -9.0) and others[0] >= 0 and not few
            # A usual code that is there far more often than any other number needs no more than a
            # gap that no lattice has: 999 beside depths to 820.
            often = counts[own[0]] > _REPEATS * counts[rest].max() and counts[own[0]] >= _FEWEST
            known = size == 1 and numbers[own[0]] in _USUAL and often and gap > _INSIDE * width
            apart = usual if few else gap > _OUTSIDE * width or negative or known
            inside = np.ptp(numbers[own]) <= max(width, gap)
            unique = np.quantile(counts[rest], 0.9) == 1
            far = bool((gap > _FAR * width and unique) or (negative and counts[0] >= 3))
            if apart and inside and all(_repeats(numbers, counts, at, own, far) for at in own):
                return own
    return []


def _repeats(numbers: np.ndarray, counts: np.ndarray, at: int, own: list[int], far: bool) -> bool:
    if far or numbers[at] in _USUAL or np.abs(numbers[at]) >= 1e30:
        return bool(counts[at] >= 2)
    others = np.delete(counts, own)
    return bool(counts[at] >= 3 and counts[at] > _REPEATS * np.median(others))


def _numbers_rows(column: str, numbers: np.ndarray, counts: np.ndarray, width: int) -> bool:
    if counts.max() > 1 or (numbers != np.round(numbers)).any():
        return False
    running = bool((np.diff(numbers) == 1).all())
    return (running and width > 1) or read_name(column).key in _INDEX


def _zeros(c: Coordinates, values: np.ndarray) -> tuple[float, dict[str, float]]:
    """The share of rows at latitude 0 and longitude 0, and that of rows which are 0 in all columns
    of another curved factor, where they repeat far more often than other points do."""
    island, found = 0.0, {}
    for part in c.parts:
        if part.manifold.euclidean or part.system in ("vector", "matrix", "hyperboloid"):
            continue
        own = values[:, list(part.places)]
        target = np.zeros(own.shape[1])
        if part.system == "quaternion":
            target[0] = 1.0
        here = (own == target).all(axis=1)
        if here.sum() < 3 or here.all():
            continue
        others = np.unique(own[~here], axis=0, return_counts=True)[1]
        if here.sum() <= _REPEATS * np.quantile(others, 0.99):
            continue
        if part.system == "latlon":
            island = float(here.mean())
        else:
            names = [c.columns[place] for place in part.places[:6]]
            words = ", ".join(f"{n} = {v:g}" for n, v in zip(names, target, strict=False))
            found[words] = float(here.mean())
    return island, found
