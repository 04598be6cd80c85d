"""Checks at the public edge: what is wrong, in which rows, and how to mend it."""

import operator

import jax.numpy as jnp
import numpy as np

from scorefold._foreign import plain
from scorefold._types import Values


class PointsError(ValueError):
    """Data that cannot be points of the manifold they were given as."""


def refuse_rows(name: str, bad: np.ndarray, values: np.ndarray, what: str, hint: str) -> None:
    """Raise ``PointsError`` naming the argument, the rows where ``bad`` holds, and the remedy."""
    index = np.flatnonzero(np.any(np.reshape(bad, (len(values), -1)), axis=1))
    if index.size:
        first = np.array2string(np.asarray(values[index[0]]), precision=6, threshold=12)
        rows = f"row{'s' if index.size > 1 else ''} {', '.join(map(str, index[:10]))}"
        more = f", … ({index.size} rows in all)" if index.size > 10 else ""
        raise PointsError(f"{name}: {rows}{more} {what} (first value: {first}). {hint}")


def read_columns(**columns: Values) -> tuple[np.ndarray, ...]:
    """Columns of numbers as float64 arrays of one length; refuses NaN, inf and text by row."""
    out: list[np.ndarray] = []
    for name, values in columns.items():
        values = readable(name, values)
        try:
            array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise PointsError(f"{name}: not numbers ({error}).") from None
        if out and len(array) != len(out[0]):
            raise PointsError(
                f"{name}: has {len(array)} rows where the column before it has {len(out[0])}."
            )
        _require_finite(name, array)
        out.append(array)
    return tuple(out)


def read_array(name: str, values: Values, shape: tuple[int, ...], meaning: str) -> np.ndarray:
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
    _require_finite(name, rows)


def _require_finite(name: str, rows: np.ndarray) -> None:
    hint = "Drop or repair these rows first."
    refuse_rows(name, ~np.isfinite(rows), rows, "not finite (NaN or inf)", hint)


def readable(name: str, values: Values) -> Values:
    """Tensors, rotations and masked arrays as ``plain`` reads them."""
    try:
        return plain(name, values)
    except ValueError as error:
        raise PointsError(str(error)) from None


def as_numbers(name: str, values: Values) -> np.ndarray:
    """Lists, arrays, data frames, tensors, rotations as a real NumPy array; text, complex numbers
    and masked entries are refused."""
    values = readable(name, values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise PointsError(f"{name}: not an array of numbers ({error}).") from None
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


def check_dimension(space: str, d: int, least: int, hint: str = "") -> None:
    """**Raises:** ``ValueError`` unless d is a whole number, ``least`` or more."""
    try:
        whole = operator.index(d)
    except TypeError:
        raise ValueError(f"{space}(d) needs a whole number d, got d={d!r}.") from None
    if whole < least:
        raise ValueError(f"{space}(d) needs d >= {least}, got d={d}{hint}.")
