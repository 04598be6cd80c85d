"""Whether the floats that are computed with still tell the rows of a table apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError, rows
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.names import DEGREES

if TYPE_CHECKING:
    import pandas as pd

_LONG = re.compile(r"[+-]?(?=(?:\.?[0-9]){16,40}(?![0-9.]))[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,3})?")
_EXACT = 2**53
_WIDEST = 200
"""Flat columns beyond which linear dependence is not looked for: images have thousands."""
_LONELY = 1e4
_MATERIAL = 0.01
_CHANCE = 10.0
_COARSE = 1e-3


def check_range(coordinates: Coordinates, values: np.ndarray, dtype: np.dtype) -> None:
    """**Raises:** ``DataError`` for flat columns beyond the largest number of ``dtype``."""
    top = float(np.finfo(dtype).max)
    for part in coordinates.parts:
        if part.system == "flat":
            for place, own in zip(part.places, part.inward(values).T, strict=True):
                far = np.abs(own) > top
                if far.any():
                    raise DataError(
                        f"column {coordinates.columns[place]!r}, {rows(far)}: beyond the largest "
                        f"{dtype} ({top:.3g}). Divide the column by a constant first."
                    )


def check_digits(
    coordinates: Coordinates, values: np.ndarray, labels: np.ndarray, dtype: np.dtype
) -> tuple[str, ...]:
    """A line if different rows of the table became one point in ``dtype``.

    **Raises:** ``DataError`` if that happened to more than 1 % of the different rows, and not by
    chance: to more than ten times n·Π ulp/range over the columns, or because the range of a column
    is less than a thousand ulp.
    """
    written = coordinates.labels(values)
    different, points = int(written.max()) + 1, int(labels.max()) + 1
    lost = different - points
    if lost == 0:
        return ()
    share = lost / different
    steps = _steps(coordinates, values, dtype)
    by_chance = max(steps) < _COARSE and share <= _CHANCE * different * np.prod(steps)
    if share <= _MATERIAL or by_chance:
        return (f"{lost} different rows are one point in {dtype}: counted as repeats",)
    first = np.unique(written, return_index=True)[1]
    together = np.bincount(labels[first])
    bad = np.zeros(len(values), dtype=bool)
    bad[first] = together[labels[first]] > 1
    column = _coarsest(coordinates, values, dtype)
    raise DataError(
        f"{dtype} cannot tell {different} different rows apart, only {points} points are left "
        f"({rows(bad)[:120]}; column {column!r} loses most). Compute with 64-bit floats "
        "(JAX_ENABLE_X64=1), or leave out the rows that lie far from all others."
    )


def merged_numbers(table: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """A line for each column whose different numbers become fewer as 64-bit floats.

    **Raises:** ``DataError`` if they become fewer than half.
    """
    out = []
    for column in columns:
        series = table[column]
        kind = getattr(series.dtype, "kind", "O")
        if kind in "iu":
            whole = series.dropna().to_numpy()
            if not len(whole) or max(abs(int(whole.min())), abs(int(whole.max()))) <= _EXACT:
                continue
            before, after = len(np.unique(whole)), len(np.unique(whole.astype(np.float64)))
        elif kind == "O":
            words = {w.strip() for w in series if isinstance(w, str)}
            exact = {Decimal(w) for w in words if _LONG.fullmatch(w)}
            before, after = len(exact), len({float(w) for w in exact})
        elif column in table.attrs.get("merged", {}):
            before, after = table.attrs["merged"][column]
        else:
            continue
        line = (
            f"column {column!r}: {before} different numbers of 16 digits and more become {after} "
            "as 64-bit floats: subtract a constant first"
        )
        if after < before / 2:
            raise DataError(f"{line}.")
        if after < before:
            out.append(line)
    return tuple(out)


def far_rows(coordinates: Coordinates, values: np.ndarray) -> tuple[str, ...]:
    """A line for each flat column with numbers farther from its median than 10⁴ times the distance
    of its first and last decile."""
    out = []
    for place in (p for part in coordinates.parts if part.system == "flat" for p in part.places):
        column = values[:, place]
        low, middle, high = np.quantile(column, [0.1, 0.5, 0.9])
        gap = np.abs(column - middle)
        far = gap > _LONELY * (high - low)
        if high > low and far.any():
            name, most, wide = coordinates.columns[place], gap.max(), high - low
            out.append(
                f"column {name!r}, {rows(far)[:60]}: {most:.2g} from the median, where four fifths "
                f"of the column lie within {wide:.2g}: a density spends itself on such numbers. If "
                "they are wrong, leave them out"
            )
    return tuple(out)


def dependent(coordinates: Coordinates, values: np.ndarray) -> tuple[str, ...]:
    """A line if flat columns are linearly dependent to a millionth of their spread."""
    flat = [p for part in coordinates.parts if part.system == "flat" for p in part.places]
    own = values[:, flat] - values[:, flat].mean(axis=0)
    size = own.std(axis=0)
    moving = np.flatnonzero(size > 0)
    if not 1 < len(moving) <= min(_WIDEST, len(values) - 2):
        return ()
    _, spread, axes = np.linalg.svd(own[:, moving] / size[moving], full_matrices=False)
    if spread[-1] > 1e-6 * spread[0]:
        return ()
    part = moving[np.abs(axes[-1]) > 1e-3]
    named = ", ".join(repr(coordinates.columns[flat[j]][:40]) for j in part[:4])
    return (
        f"columns {named}{', …' if len(part) > 4 else ''} are linearly dependent: a density over "
        "all of them follows from the smallest width of the model alone. Leave one out",
    )


def _steps(c: Coordinates, values: np.ndarray, dtype: np.dtype) -> list[float]:
    """ulp/range of each column that is not constant."""
    eps, out = float(np.finfo(dtype).eps), [0.0]
    for part in c.parts:
        own = part.inward(values)
        for r, unit in enumerate(part.units):
            low, high = np.quantile(own[:, r], (0.01, 0.99))
            size = np.abs(own[:, r]).max() if part.system == "flat" else 1.0
            if unit != "none":
                size = 180.0 if part.degrees else np.pi
            if high > low:
                out.append(eps * size / (high - low))
    return out[1:] or out


def _coarsest(c: Coordinates, values: np.ndarray, dtype: np.dtype) -> str:
    kept = np.ones(len(c.columns))
    for part in c.parts:
        own = part.inward(values)
        for r, place in enumerate(part.places):
            scale = 1.0 / DEGREES["radians"] if part.degrees and part.units[r] != "none" else 1.0
            cast = (own[:, r] * scale).astype(dtype)
            kept[place] = len(np.unique(cast)) / len(np.unique(own[:, r]))
    return c.columns[int(np.argmin(kept))]
