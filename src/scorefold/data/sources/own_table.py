"""Tables of one's own: which rows and columns are points, and what was taken for granted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold._blocks import listed
from scorefold.data._errors import DataError, nearest, rows
from scorefold.data.columns.by_name import is_latlon
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.digits import merged_numbers
from scorefold.data.columns.names import Name, read_name
from scorefold.data.columns.reading import (
    choices,
    coordinates_for,
    refuse_directions,
    refuse_minutes,
    remarks,
)
from scorefold.data.columns.roles import Assignment, assign
from scorefold.data.columns.second_table import assign_like
from scorefold.data.laws.synthetic import SYNTHETIC
from scorefold.data.sources.assembling import Rows
from scorefold.data.sources.registry import REGISTRY
from scorefold.data.tables.readers import numbers, read_table
from scorefold.data.tables.source import is_stream
from scorefold.manifolds import Manifold, manifold_from_name

if TYPE_CHECKING:
    import pandas as pd

Dropped = str | float | Sequence[str | float] | None
"""Numbers, or ``COLUMN=NUMBER``, by which rows are left out."""


def own_table(name: str) -> pd.DataFrame:
    """The table at a path, its columns named by strings."""
    is_path = is_stream(name) or os.path.exists(name) or os.path.dirname(name) or Path(name).suffix
    if not is_path:
        raise nearest("data set (and no such file):", name, (*REGISTRY, *SYNTHETIC))
    table = read_table(name)
    table.columns = [str(column) for column in table.columns]
    return table


def rows_of(
    table: pd.DataFrame,
    *,
    manifold: str | Manifold | None = None,
    columns: str | Sequence[str] | None = None,
    degrees: bool | None = None,
    group: str | None = None,
    drop: bool = False,
    drop_value: Dropped = None,
    weights: str | None = None,
    like: Coordinates | None = None,
    beside: Sequence[str] = (),
) -> Rows:
    """How a table is read, and what is left out of it. Arguments as for ``load``; ``beside``:
    columns that are no coordinates, handed on row by row."""
    own = list(table.columns)
    others = [*beside] if group is None else [*beside, group]
    if weights is not None:
        if weights not in own:
            raise nearest("column of weights= (--weights)", weights, own)
        others.append(weights)
    for other in others:
        if other not in own:
            raise nearest("column", other, own)
        if own.count(other) > 1:
            raise DataError(f"more than one column is called {other!r}.")
    names = _picked(table, columns, others)
    if weights in [name.text for name in names]:
        raise _taken(str(weights))

    def read(names: list[Name]) -> tuple[Manifold, Assignment]:
        space = _space(manifold, names, columns is not None, own, like)
        if like is None:
            return space, _assigned(space, names, columns is not None, table)
        return space, assign_like(like, names)

    try:
        space, found = read(names)
    except DataError:
        if weights is not None and _is_read(
            read, _picked(table, columns, [other for other in others if other != weights])
        ):
            raise _taken(weights) from None
        raise
    used = tuple(names[j].text for j in found.used)
    latlon = "latlon" in found.systems
    refuse_minutes([names[j] for j in found.used], list(map(read_name, own)), latlon)
    values, problems = numbers(table, used, "table")
    keep, problems = _kept(table, used, values, problems, drop, drop_value, weights)
    w = None
    if weights is not None:
        w, keep, more = _weights(table, weights, keep, drop)
        problems = (*problems, *more)
    coordinates = coordinates_for(
        space, names, found, values[keep], degrees, like=like, centred=True
    )
    if latlon:
        texts = {c: table[c][keep] for c in own if c not in used and _is_text(table[c])}
        for part in coordinates.parts:
            if part.system == "latlon":
                pair = [(coordinates.columns[p], values[keep][:, p]) for p in part.places]
                refuse_directions(pair, texts)
    outside = coordinates.outside(values) & keep
    if outside.all() and drop:
        raise DataError("all rows are out of the range of the coordinates.")
    if drop and outside.any():
        problems = (*problems, f"{rows(outside)}: out of the range of the coordinates")
        keep &= ~outside
    said = (*table.attrs.get("notes", ()), *merged_numbers(table, used))
    if not keep.all():
        said = (*said, f"{int((~keep).sum())} of {len(keep)} rows are left out: "
                       f"{'; '.join(problems)}")  # fmt: skip
    elif drop_value is not None and problems:
        said = (*said, f"no row is left out by drop_value (--drop-value): {'; '.join(problems)}")
    values = values[keep]
    return Rows(
        coordinates,
        values,
        groups=None if group is None else table[group].astype(str).to_numpy(str)[keep],
        problems=problems,
        remarks=(*said, *found.notes, *remarks(coordinates, values)),
        own=True,
        beside={other: table[other].to_numpy()[keep] for other in beside},
        kept=np.flatnonzero(keep),
        weights=None if w is None else w[keep],
        weights_column=weights,
    )


def _picked(
    table: pd.DataFrame, columns: str | Sequence[str] | None, others: Sequence[str]
) -> list[Name]:
    """The columns stated, or those of points: all but the ``others`` where the table does not
    say."""
    own = list(table.columns)
    if columns is None:
        points = table.attrs.get("points", own)
        return [read_name(column) for column in points if column not in others]
    picked = choices(columns, own)
    stated = [name.text for name in picked]
    for column in stated:
        if column not in own:
            raise nearest("column", column, own)
    twice = next((column for column in stated if stated.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"columns= (--columns) names {twice!r} twice.")
    return picked


def _space(
    manifold: str | Manifold | None,
    names: Sequence[Name],
    chosen: bool,
    own: Sequence[str],
    first: Coordinates | None,
) -> Manifold:
    """The manifold that is stated, that of the first table, or S² by the names."""
    if manifold is None:
        if first is not None:
            return first.manifold
        if not is_latlon(names) or (chosen and len(names) != 2):
            raise DataError(
                "state manifold= (--manifold), such as S^2, T^3 or SO(3); it is read off the "
                "columns only when they are called lat and lon (start_lat, city_lon …). Columns: "
                f"{', '.join(n[:40] for n in own[:8])}{', …' if len(own) > 8 else ''}."
            )
        return manifold_from_name("S^2")
    if isinstance(manifold, str):
        try:
            manifold = manifold_from_name(manifold)
        except ValueError as error:
            raise DataError(str(error)) from error
    if first is not None and first.manifold.name != manifold.name:
        raise DataError(f"it cannot be on {manifold.name} and read like {first.manifold.name}.")
    return manifold


def _assigned(
    space: Manifold, names: Sequence[Name], chosen: bool, table: pd.DataFrame
) -> Assignment:
    """``assign``, with the likely columns in the message where text columns are too many."""
    try:
        return assign(space, names, chosen=chosen)
    except DataError as error:
        text = [_is_text(table[name.text]) for name in names]
        left = [name for name, other in zip(names, text, strict=True) if not other]
        if not any(text) or not left:
            raise
        try:
            found = assign(space, left, chosen=chosen)
        except DataError:
            raise error from None
        likely = ",".join(left[j].text for j in found.used)
        label = next(name.text for name, other in zip(names, text, strict=True) if other)
        raise DataError(
            f"{len(names)} columns were given for {space.name}: "
            f"{', '.join(name.text for name in names)}; did you mean columns={likely!r}, "
            f"group={label!r} (--columns {likely} --group {label})?"
        ) from error


def _is_text(series: pd.Series | pd.DataFrame) -> bool:
    """Whether a column holds no numbers."""
    import pandas as pd

    if isinstance(series, pd.DataFrame) or getattr(series.dtype, "kind", "O") in "biufcmM":
        return False
    return bool(pd.to_numeric(series, errors="coerce").isna().all())


def _kept(
    table: pd.DataFrame,
    used: tuple[str, ...],
    values: np.ndarray,
    problems: tuple[str, ...],
    drop: bool,
    drop_value: Dropped,
    weights: str | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which rows are kept, and those left out in words."""
    finite = np.isfinite(values)
    for j, column in enumerate(used):
        if not finite[:, j].any():
            raise DataError(
                f"column {column!r} holds no numbers (first value: "
                f"{str(table[column].iloc[0])[:40]!r}): choose the coordinate columns by columns= "
                "(--columns)."
            )
    beside = () if weights is None else (weights,)
    read = np.column_stack([values, numbers(table, beside, "table")[0]])
    coded, lines = _coded(read, (*used, *beside), drop_value)
    keep, lost = finite.all(axis=1) & ~coded, ~finite.all(axis=1) & ~coded
    if lost.any() and not drop:
        advice = "repair these rows, or leave them out: drop=True (--drop)."
        if not keep.any():
            advice = "no row would be left without them: choose other columns= (--columns)."
        raise DataError(f"{problems[0]}; {advice}")
    if not keep.any():
        raise DataError("no row is left.")
    return keep, (*problems, *lines) if lost.any() else lines


def _is_read(read: Callable[[list[Name]], object], names: list[Name]) -> bool:
    try:
        read(names)
    except DataError:
        return False
    return True


def _taken(column: str) -> DataError:
    return DataError(
        f"weights= (--weights): column {column!r} is also a coordinate (columns=, --columns); name "
        "another column of weights, or leave it out of the coordinates."
    )


def _weights(
    table: pd.DataFrame, column: str, keep: np.ndarray, drop: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The weights of all rows; which rows are kept: of those that were, the ones of positive
    weight; and which others are not, in words."""
    (values,), problems = numbers(table, (column,), "table")[0].T, []
    name = f"weights= (--weights): column {column!r}"
    lost = ~np.isfinite(values) & keep
    if lost.any() and not drop:
        raise DataError(
            f"{name} has {int(lost.sum())} entries that are not finite numbers (rows "
            f"{listed(np.flatnonzero(lost))}); repair them, or leave these rows out: drop=True "
            "(--drop)."
        )
    negative = (values < 0) & keep
    if negative.any():
        raise DataError(
            f"{name} has {int(negative.sum())} negative entries (rows "
            f"{listed(np.flatnonzero(negative))}); weights are ≥ 0, and 0 leaves a row out."
        )
    none = (values == 0) & keep
    keep = keep & ~lost & ~none
    if not keep.any():
        raise DataError(f"{name} has no positive entry, so no row counts: choose another column.")
    if lost.any():
        problems.append(f"{rows(lost)}: no finite weight in column {column!r}")
    if none.any():
        problems.append(f"{rows(none)}: weight 0")
    return values, keep, tuple(problems)


def _coded(
    values: np.ndarray, used: tuple[str, ...], stated: Dropped
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows that hold a number to be dropped, and how many did, in words."""
    out, lines = np.zeros(len(values), dtype=bool), []
    if stated is None:
        return out, ()
    for word in [stated] if isinstance(stated, str | float | int) else stated:
        column, equals, number = str(word).rpartition("=")
        try:
            code = float(number)
        except ValueError:
            code = np.nan
        if not np.isfinite(code):
            raise DataError(
                f"drop_value (--drop-value) must be a number or COLUMN=NUMBER, got {str(word)!r}."
            )
        if equals and column not in used:
            raise nearest("coordinate column", column, used)
        own = values[:, [used.index(column)]] if equals else values
        # As read from float32, 1e30 is 1.0000000150474662e30.
        hit = (np.abs(own - code) <= 1e-6 * abs(code)).any(axis=1)
        lines.append(f"{int(hit.sum())} rows: {'' if not equals else column + ' = '}{code:.9g}")
        out |= hit
    return out, tuple(lines)
