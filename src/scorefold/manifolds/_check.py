"""Checks at the public edge: what is wrong, in which rows, and how to mend it."""

from __future__ import annotations

import numpy as np

__all__ = ["PointsError", "read_columns", "refuse_rows"]


class PointsError(ValueError):
    """Data that cannot be points of the manifold they were given as."""


def _rows(bad: np.ndarray) -> str:
    index = np.flatnonzero(bad)
    shown = ", ".join(str(i) for i in index[:10])
    more = f", … ({len(index)} rows in all)" if len(index) > 10 else ""
    return f"row{'s' if len(index) > 1 else ''} {shown}{more}"


def refuse_rows(name: str, bad: np.ndarray, values: np.ndarray, what: str, hint: str) -> None:
    """Raise ``PointsError`` naming the argument, the rows where ``bad`` holds, and the remedy."""
    bad = np.asarray(bad).reshape(len(values), -1).any(axis=1)
    if bad.any():
        first = np.asarray(values)[int(np.flatnonzero(bad)[0])]
        shown = np.array2string(np.asarray(first), precision=6, threshold=12)
        raise PointsError(f"{name}: {_rows(bad)} {what} (first value: {shown}). {hint}")


def read_columns(**columns) -> tuple[np.ndarray, ...]:
    """Columns of numbers as float64 arrays of one length; refuses NaN, inf and text by row."""
    out = []
    length = None
    for name, values in columns.items():
        try:
            array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise PointsError(f"{name}: not numbers ({error}).") from None
        if length is None:
            length = array.shape[0]
        elif array.shape[0] != length:
            raise PointsError(
                f"{name}: has {array.shape[0]} rows where the column before it has {length}."
            )
        refuse_rows(
            name, ~np.isfinite(array), array, "not finite (NaN or inf)",
            "Drop or repair these rows first.",
        )
        out.append(array)
    return tuple(out)
