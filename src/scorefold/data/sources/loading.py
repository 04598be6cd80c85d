"""``load``: a name or a path in, a split data set out."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold import manifolds
from scorefold.data._errors import DataError, nearest, rows
from scorefold.data.columns.codes import codes_of
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.digits import (
    check_digits,
    check_range,
    dependent,
    far_rows,
    merged_numbers,
)
from scorefold.data.columns.names import Name, read_name
from scorefold.data.columns.reading import (
    Choice,
    choices,
    coordinates_for,
    refuse_directions,
    refuse_minutes,
    remarks,
)
from scorefold.data.columns.roles import Assignment, assign, assign_like, is_latlon
from scorefold.data.dataset import Dataset
from scorefold.data.laws.synthetic import SYNTHETIC, is_synthetic, target
from scorefold.data.sources.download import locate
from scorefold.data.sources.registry import REGISTRY, Entry
from scorefold.data.splits.protocols import Split, split
from scorefold.data.tables.readers import numbers, read_table
from scorefold.data.tables.source import is_stream
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "load_points", "plain_coordinates"]

_SHARES = (0.8, 0.1, 0.1)
_MANY = 50
"""Rows from which the sizes of parts are compared with their shares."""


def load(
    name: str | os.PathLike,
    *,
    protocol: str = "grouped",
    seed: int = 0,
    data_dir: str | os.PathLike | None = None,
    manifold: str | Manifold | None = None,
    columns: str | Sequence[str] | None = None,
    degrees: bool | None = None,
    group: str | None = None,
    drop: bool = False,
    drop_value: str | float | Sequence[str | float] | None = None,
    like: Coordinates | Dataset | None = None,
    n: int | None = None,
) -> Dataset:
    """A registered data set, a synthetic target, or a table of your own, as points split 80/10/10.

    **Arguments:**

    - ``name``: a name of ``datasets()``, the path of a table, or ``"-"`` for standard input; see
      ``read_table``.
    - ``protocol``, ``seed``: how rows are split; see ``scorefold.data.splits.protocols``.
    - ``data_dir``: folder with registered files (default: SCOREFOLD_DATA_DIR).
    - ``like``: coordinates (or a data set) of another table: this one is read in the same way, its
      columns found by the names of the other, in the same units (unless its names state others,
      which are converted) and around the same origin.

    For a synthetic target:

    - ``n``: number of draws (default 10 000). ``seed`` fixes the law as well as the points.

    For a file of your own:

    - ``manifold``: a name such as ``"S^2"`` or a manifold. It may be left out only when the
      columns are called latitude and longitude (degrees unless stated otherwise).
    - ``columns``: the coordinate columns, as a list or ``"lat,lon"``; default all columns, or
      those with names of the field (``lat``, ``qw``, ``r11``, …). Names decide which is which; a
      column is given another one by ``"lat=north,lon=east"``.
    - ``degrees``: the unit of angles, which is never guessed; names may state it: ``ra (hours)``.
    - ``group``: a column whose equal entries are kept in one part by ``"grouped"``.
    - ``drop``: leave out rows that are not finite or out of range, which are an error otherwise;
      the audit names them.
    - ``drop_value``: leave out rows with this number in a coordinate column (``9999``), or in one
      of them (``"phi=9999"``), or with any of several.

    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    own = {"manifold": manifold, "columns": columns, "degrees": degrees, "group": group,
           "drop_value": drop_value}  # fmt: skip
    if name in REGISTRY or is_synthetic(name):
        stated = [key for key, value in own.items() if value is not None]
        if stated:
            raise DataError(f"{name!r} is known by name: {', '.join(stated)} cannot be changed.")
    if is_synthetic(name):
        return _synthetic(name, protocol, seed, 10_000 if n is None else n)
    if n is not None:
        raise DataError(f"n is the number of draws from a synthetic target; {name!r} is a table.")
    if name in REGISTRY:
        return _registered(REGISTRY[name], protocol, seed, data_dir)
    table = _own(name)
    try:
        found = _reading(table, manifold, columns, degrees, group, drop, drop_value, like)
        title = "stdin" if name == "-" else Path(name).name
        return _dataset(title, protocol=protocol, seed=seed, **found)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def load_points(
    name: str | os.PathLike,
    *,
    like: Coordinates,
    columns: str | Sequence[str] | None = None,
    drop: bool = False,
    drop_value: str | float | Sequence[str | float] | None = None,
    data_dir: str | os.PathLike | None = None,
) -> tuple[Array, tuple[str, ...]]:
    """All points of a table in their order, not split, shape ``(n, *manifold.shape)``, and a line
    for each thing that should be known of how they were read.

    **Arguments:** those of ``load``: the table is read as another was, in its units.
    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    if name in REGISTRY or is_synthetic(name):
        dataset = load(name, data_dir=data_dir)
        if dataset.manifold.name != like.manifold.name:
            raise DataError(f"{name} is on {dataset.manifold.name}, not on {like.manifold.name}.")
        return dataset.coordinates.to_points(dataset.values), dataset.warnings
    table = _own(name)
    try:
        found = _reading(table, None, columns, None, None, drop, drop_value, like)
        coordinates, values = found["coordinates"], found["values"]
        dtype = np.dtype(jnp.result_type(float))
        check_range(coordinates, values, dtype)
        points = coordinates.to_points(values)
        labels = coordinates.labels(values, np.asarray(points))
        said = check_digits(coordinates, values, labels, dtype)
        codes = codes_of(coordinates, values).lines()
        return points, (*found["remarks"], *said, *codes)
    except (DataError, ValueError) as error:
        raise DataError(f"{name}: {error}") from error


def _own(name: str) -> pd.DataFrame:
    """A table of one's own."""
    if not _is_path(name):
        raise nearest("data set (and no such file):", name, (*REGISTRY, *SYNTHETIC))
    table = read_table(name)
    table.columns = [str(column) for column in table.columns]
    return table


def _synthetic(name: str, protocol: str, seed: int, n: int) -> Dataset:
    if protocol.startswith("published"):
        raise DataError(f"{name!r} is drawn anew: it has no published split. Use 'random'.")
    law_key, draw_key = jax.random.split(jax.random.key(seed))
    made = target(name)
    law = made.make(law_key)
    draws = np.asarray(law.sample(draw_key, n), np.float64).reshape(n, -1)
    columns = [f"x{i}" for i in range(draws.shape[1])]
    coordinates = _known(law.manifold, columns, draws, degrees=False)
    facts: dict[str, Any] = {"title": made.title, "licence": "none needed: synthetic"}
    return _dataset(
        name, coordinates=coordinates, values=draws, protocol=protocol, seed=seed, law=law, **facts
    )


def _registered(entry: Entry, protocol: str, seed: int, data_dir) -> Dataset:
    if protocol not in entry.protocols:
        raise nearest(f"protocol for {entry.name!r}:", protocol, entry.protocols)
    table = _airports() if entry.package else _file(entry, data_dir)
    values, _ = numbers(table, entry.columns, entry.name)
    groups = None
    if entry.group is not None:
        groups = table[entry.group].astype(str).str.split().str[0].to_numpy(str)
    blocks = numbers(table, entry.blocks, entry.name)[0] if entry.blocks else None
    manifold = manifolds.manifold_from_name(entry.manifold)
    coordinates = _known(manifold, entry.columns, values, entry.units == "degrees")
    facts: dict[str, Any] = {
        key: getattr(entry, key) for key in ("title", "licence", "citation", "note")
    }
    return _dataset(
        entry.name,
        coordinates=coordinates,
        values=values,
        protocol=protocol,
        seed=seed,
        groups=groups,
        blocks=blocks,
        protocols=entry.protocols,
        **facts,
    )


def _file(entry: Entry, data_dir) -> pd.DataFrame:
    path, source = locate(entry, data_dir)
    table = read_table(path)
    if len(table.columns) != len(source.columns):
        raise DataError(
            f"{path}: {len(table.columns)} columns where {len(source.columns)} were expected."
        )
    table.columns = list(source.columns)
    if entry.where is not None:
        column, value = entry.where
        table = table[table[column] == value].reset_index(drop=True)
    return table


def _airports() -> pd.DataFrame:
    import airportsdata
    import pandas as pd

    airports = airportsdata.load("IATA")
    return pd.DataFrame([airports[code] for code in sorted(airports)])[["lat", "lon"]]


def _known(
    manifold: Manifold, columns: Sequence[str], values: np.ndarray, degrees: bool
) -> Coordinates:
    """Coordinates of columns that are known to be those of the manifold."""
    names = [read_name(column) for column in columns]
    found = assign(manifold, names, chosen=True)
    return coordinates_for(manifold, names, found, values, degrees)


def plain_coordinates(manifold: Manifold) -> Coordinates:
    """Coordinates for points that came from no table: latitude and longitude in degrees on S²,
    elsewhere the numbers of a point, x0, x1, …"""
    how = manifold.systems[0] if len(manifold.factors) == 1 else None
    if how is not None and how.columns:
        return _known(manifold, how.columns, np.zeros((1, len(how.roles))), how.unit == "degrees")
    columns = [f"x{i}" for i in range(math.prod(manifold.shape))]
    point = np.asarray(manifold.origin(jnp.float32), np.float64)
    return _known(manifold, columns, point.reshape(1, -1), False)


# -- tables of one's own -------------------------------------------------------------------------
def _reading(
    table: pd.DataFrame,
    manifold: str | Manifold | None,
    columns: str | Sequence[str] | None,
    degrees: bool | None,
    group: str | None,
    drop: bool,
    drop_value: str | float | Sequence[str | float] | None,
    like: Coordinates | Dataset | None,
) -> dict[str, Any]:
    """How a table is read, and what is left out of it: arguments of ``_dataset``."""
    own = list(table.columns)
    if group is not None and group not in own:
        raise nearest("column", group, own)
    if columns is None:
        points = table.attrs.get("points", own)
        picked = [Choice(column, read_name(column)) for column in points if column != group]
    else:
        picked = choices(columns, own)
    for choice in picked:
        if choice.column not in own:
            raise nearest("column", choice.column, own)
    columns_of = [choice.column for choice in picked]
    twice = [column for column in dict.fromkeys(columns_of) if columns_of.count(column) > 1]
    if twice and columns is not None:
        raise DataError(f"columns= (--columns) names {twice[0]!r} twice.")
    names = [choice.name for choice in picked]
    first = like.coordinates if isinstance(like, Dataset) else like
    space = _space(manifold, names, columns, own, first)
    if first is None:
        found = _assigned(space, names, columns is not None, table, picked)
    else:
        found = assign_like(first, names)
    used = tuple(picked[j].column for j in found.used)
    latlon = "latlon" in found.systems
    every = [read_name(column) for column in own]
    refuse_minutes([names[j] for j in found.used], every, latlon)
    values, problems = numbers(table, used, "table")
    keep, problems = _kept(table, used, values, problems, drop, drop_value)
    coordinates = coordinates_for(
        space, names, found, values[keep], degrees, like=first, centred=True
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
    return {
        "coordinates": coordinates,
        "values": values[keep],
        "groups": None if group is None else table[group].astype(str).to_numpy(str)[keep],
        "problems": problems,
        "remarks": (*said, *found.notes, *remarks(coordinates, values[keep])),
        "checked": True,
    }


def _space(
    manifold: str | Manifold | None,
    names: Sequence[Name],
    columns: str | Sequence[str] | None,
    own: Sequence[str],
    first: Coordinates | None,
) -> Manifold:
    if manifold is None:
        if first is not None:
            return first.manifold
        if not is_latlon(names) or (columns is not None and len(names) != 2):
            raise DataError(
                "state manifold= (--manifold), such as S^2, T^3 or SO(3); it is read off the "
                "columns only when they are called lat and lon (start_lat, city_lon …). Columns: "
                f"{', '.join(n[:40] for n in own[:8])}{', …' if len(own) > 8 else ''}."
            )
        return manifolds.manifold_from_name("S^2")
    if isinstance(manifold, str):
        try:
            manifold = manifolds.manifold_from_name(manifold)
        except ValueError as error:
            raise DataError(str(error)) from error
    if first is not None and first.manifold.name != manifold.name:
        raise DataError(f"it cannot be on {manifold.name} and read like {first.manifold.name}.")
    return manifold


def _assigned(
    space: Manifold,
    names: Sequence[Name],
    chosen: bool,
    table: pd.DataFrame,
    picked: Sequence[Choice],
) -> Assignment:
    """``assign``, with the likely columns in the message where text columns are too many."""
    try:
        return assign(space, names, chosen=chosen)
    except DataError as error:
        text = [_is_text(table[choice.column]) for choice in picked]
        left = [name for name, other in zip(names, text, strict=True) if not other]
        if not any(text) or not left:
            raise
        try:
            found = assign(space, left, chosen=chosen)
        except DataError:
            raise error from None
        likely = ",".join(left[j].text for j in found.used)
        labels = [c.column for c, other in zip(picked, text, strict=True) if other]
        raise DataError(
            f"{len(names)} columns were given for {space.name}: "
            f"{', '.join(c.column for c in picked)}; did you mean columns={likely!r}, "
            f"group={labels[0]!r} (--columns {likely} --group {labels[0]})?"
        ) from error


def _is_text(series: Any) -> bool:
    """Whether a column holds no numbers."""
    import pandas as pd

    if getattr(series, "ndim", 1) != 1 or getattr(series.dtype, "kind", "O") in "biufcmM":
        return False
    return bool(pd.to_numeric(series, errors="coerce").isna().all())


def _kept(
    table: pd.DataFrame,
    used: tuple[str, ...],
    values: np.ndarray,
    problems: tuple[str, ...],
    drop: bool,
    drop_value: str | float | Sequence[str | float] | None,
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
    coded, lines = _coded(values, used, drop_value)
    open_ = ~finite.all(axis=1) & ~coded
    if not open_.any():
        problems = ()
    if open_.any() and not drop:
        advice = "repair these rows, or leave them out: drop=True (--drop)."
        if not (finite.all(axis=1) & ~coded).any():
            advice = "no row would be left without them: choose other columns= (--columns)."
        raise DataError(f"{problems[0]}; {advice}")
    keep = finite.all(axis=1) & ~coded
    if not keep.any():
        raise DataError("no row is left.")
    return keep, (*problems, *lines)


def _coded(
    values: np.ndarray, used: tuple[str, ...], stated: str | float | Sequence[str | float] | None
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


def _dataset(
    name: str,
    *,
    coordinates: Coordinates,
    values: np.ndarray,
    protocol: str,
    seed: int,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    title: str = "",
    remarks: tuple[str, ...] = (),
    checked: bool = False,
    **facts: Any,
) -> Dataset:
    """``checked``: whether it is a table of one's own, whose digits are looked at."""
    if len(values) == 0:
        raise DataError("no usable rows.")
    dtype = np.dtype(jnp.result_type(float))
    if checked:
        check_range(coordinates, values, dtype)
    try:
        points = np.asarray(coordinates.to_points(values))
    except ValueError as error:
        taken = f" ({remarks[0]})" if remarks else ""
        raise DataError(f"{error}{taken}") from error
    labels = coordinates.labels(values, points)
    if checked:
        remarks = (*remarks, *check_digits(coordinates, values, labels, dtype))
        remarks = (*remarks, *dependent(coordinates, values), *far_rows(coordinates, values))
    indices = split(
        protocol, coordinates.positions(values), seed, labels=labels, groups=groups, blocks=blocks
    )
    return Dataset(
        name=name,
        title=title or name,
        manifold=coordinates.manifold,
        train=jnp.asarray(points[indices.train]),
        val=jnp.asarray(points[indices.val]),
        test=jnp.asarray(points[indices.test]),
        protocol=protocol,
        seed=seed,
        indices=indices,
        values=values,
        coordinates=coordinates,
        labels=labels,
        groups=groups,
        blocks=blocks,
        remarks=(*remarks, *_uneven(protocol, indices, groups)),
        **facts,
    )


def _uneven(protocol: str, indices: Split, groups: np.ndarray | None) -> tuple[str, ...]:
    """A line where whole groups make parts far from 80/10/10."""
    sizes = [len(part) for part in indices]
    n = sum(sizes)
    even = all(0.5 < size / (share * n) < 2 for size, share in zip(sizes, _SHARES, strict=True))
    if protocol != "grouped" or n < _MANY or even:
        return ()
    why = "groups" if groups is not None else "repeated rows"
    return (
        f"training, validation and test parts have {'/'.join(map(str, sizes))} rows, far from "
        f"80/10/10: {why} stay whole. protocol='random' (--protocol random) splits row by row.",
    )


def _is_path(name: str) -> bool:
    return (
        is_stream(name)
        or os.path.exists(name)
        or os.path.dirname(name) != ""
        or Path(name).suffix != ""
    )
