"""Checks at the public edge: what is wrong, in which rows, and how to mend it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

__all__ = [
    "PointsError",
    "as_numbers",
    "read_array",
    "read_columns",
    "refuse_rows",
    "require_rows",
    "sine_cosine",
]


class PointsError(ValueError):
    """Data that cannot be points of the manifold they were given as."""


def _rows(bad: np.ndarray) -> str:
    index = np.flatnonzero(bad)
    shown = ", ".join(str(i) for i in index[:10])
    more = f", … ({len(index)} rows in all)" if len(index) > 10 else ""
    return f"row{'s' if len(index) > 1 else ''} {shown}{more}"


def refuse_rows(name: str, bad: np.ndarray, values: np.ndarray, what: str, hint: str) -> None:
    """Raise ``PointsError`` naming the argument, the rows where ``bad`` holds, and the remedy."""
    rows = np.asarray(np.any(np.reshape(bad, (len(values), -1)), axis=1))
    if rows.any():
        first = np.asarray(values)[int(np.flatnonzero(rows)[0])]
        shown = np.array2string(np.asarray(first), precision=6, threshold=12)
        raise PointsError(f"{name}: {_rows(rows)} {what} (first value: {shown}). {hint}")


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
            name,
            ~np.isfinite(array),
            array,
            "not finite (NaN or inf)",
            "Drop or repair these rows first.",
        )
        out.append(array)
    return tuple(out)


def read_array(name: str, values, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """An array of shape ``shape`` or ``(n, *shape)`` as float64; refuses text, NaN, inf, another
    shape and no rows at all."""
    array = as_numbers(name, values).astype(np.float64)
    if array.shape != shape and array.shape[1:] != shape:
        form = ", ".join(str(n) for n in shape)
        raise PointsError(
            f"{name}: has shape {array.shape}, needs (n, {form}) or ({form},): {meaning}."
        )
    require_rows(name, array.reshape(-1, *shape))
    return array


def require_rows(name: str, rows: np.ndarray) -> None:
    """Refuse an array without rows and rows that are not finite."""
    if len(rows) == 0:
        raise PointsError(f"{name}: is empty; give at least one row.")
    hint = "Drop or repair these rows first."
    refuse_rows(name, ~np.isfinite(rows), rows, "not finite (NaN or inf)", hint)


def as_numbers(name: str, values) -> np.ndarray:
    """Lists, arrays and data frames as a NumPy array of real numbers; text and complex numbers
    are refused."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        text = [v for v in array.ravel() if isinstance(v, str | bytes)]
        if text:
            raise PointsError(f"{name}: contains text (first: {text[0]!r}). Convert it to numbers.")
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise PointsError(f"{name}: not an array of numbers ({error}).") from None
    if array.dtype == jnp.bfloat16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise PointsError(f"{name}: has dtype {array.dtype}; real numbers are needed.")
    return array


def sine_cosine(angles: np.ndarray, degrees: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine, the same bits for angles that differ by whole turns."""
    full = 360.0 if degrees else 2 * np.pi
    # To 1e-9 of a degree: −0.1 and 359.9 differ in the last bit otherwise.
    fraction = np.remainder(np.round(np.remainder(angles / full, 1.0), 11), 1.0)
    return np.sin(2 * np.pi * fraction), np.cos(2 * np.pi * fraction)
