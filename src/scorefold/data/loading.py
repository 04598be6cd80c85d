"""``load``: a name or a path in, a split data set out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from scorefold import manifolds
from scorefold.data._errors import DataError, nearest, rows
from scorefold.data.coordinates import Coordinates, coordinates_for, infer_latlon
from scorefold.data.dataset import Dataset
from scorefold.data.download import locate
from scorefold.data.readers import numbers, read_table
from scorefold.data.registry import REGISTRY, Entry
from scorefold.data.splits import split
from scorefold.data.synthetic import SYNTHETIC, is_synthetic, target
from scorefold.data.tables.source import is_stream
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


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
    n: int | None = None,
) -> Dataset:
    """A registered data set, a synthetic target, or a table of your own, as points split 80/10/10.

    **Arguments:**

    - ``name``: a name of ``datasets()``, the path of a table, or ``"-"`` for standard input; see
      ``read_table``.
    - ``protocol``, ``seed``: how rows are split; see ``scorefold.data.splits``.
    - ``data_dir``: folder with registered files (default: SCOREFOLD_DATA_DIR).
    - ``drop``: leave out rows that are not finite or out of range, which are an error otherwise;
      the audit names them.

    For a synthetic target:

    - ``n``: number of draws (default 10 000). ``seed`` fixes the law as well as the points.

    For a file of your own:

    - ``manifold``: a name such as ``"S^2"`` or a manifold. It may be left out only when the
      columns are called latitude and longitude (degrees unless stated otherwise).
    - ``columns``: the coordinate columns, as a list or ``"lat,lon"``; default all columns.
    - ``degrees``: the unit of angles, which is never guessed.
    - ``group``: a column whose equal entries are kept in one part by ``"grouped"``.

    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    own = {"manifold": manifold, "columns": columns, "degrees": degrees, "group": group}
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
    if not _is_path(name):
        raise nearest("data set (and no such file):", name, (*REGISTRY, *SYNTHETIC))
    return _own(name, protocol, seed, manifold, columns, degrees, group, drop)


def _synthetic(name: str, protocol: str, seed: int, n: int) -> Dataset:
    if protocol.startswith("published"):
        raise DataError(f"{name!r} is drawn anew: it has no published split. Use 'random'.")
    law_key, draw_key = jax.random.split(jax.random.key(seed))
    made = target(name)
    law = made.make(law_key)
    draws = np.asarray(law.sample(draw_key, n), np.float64).reshape(n, -1)
    columns = tuple(f"x{i}" for i in range(draws.shape[1]))
    coordinates = coordinates_for(law.manifold, columns, draws, degrees=False)
    facts: dict[str, Any] = {"title": made.title, "licence": "none needed: synthetic"}
    return _dataset(name, coordinates, draws, protocol, seed, law=law, **facts)


def _registered(entry: Entry, protocol: str, seed: int, data_dir) -> Dataset:
    if protocol not in entry.protocols:
        raise nearest(f"protocol for {entry.name!r}:", protocol, entry.protocols)
    table = _airports() if entry.package else _file(entry, data_dir)
    values, _ = numbers(table, entry.columns, entry.name)
    groups = None
    if entry.group is not None:
        groups = table[entry.group].astype(str).str.split().str[0].to_numpy(str)
    blocks = numbers(table, entry.blocks, entry.name)[0] if entry.blocks else None
    coordinates = coordinates_for(
        manifolds.manifold_from_name(entry.manifold),
        entry.columns,
        values,
        entry.units == "degrees",
    )
    facts: dict[str, Any] = {
        key: getattr(entry, key) for key in ("title", "licence", "citation", "note")
    }
    return _dataset(
        entry.name,
        coordinates,
        values,
        protocol,
        seed,
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


def _own(
    name: str,
    protocol: str,
    seed: int,
    manifold: str | Manifold | None,
    columns: str | Sequence[str] | None,
    degrees: bool | None,
    group: str | None,
    drop: bool,
) -> Dataset:
    table = read_table(name)
    table.columns = names = [str(column) for column in table.columns]
    if isinstance(columns, str):
        columns = [column.strip() for column in columns.split(",")]
    pair = infer_latlon(names if columns is None else list(columns))
    if manifold is None:
        if pair is None or (columns is not None and len(columns) != 2):
            raise DataError(
                f"{name}: state manifold= (--manifold), such as S^2, T^3 or SO(3); it is read off "
                f"the columns only when they are called lat and lon. Columns: {', '.join(names)}."
            )
        manifold = "S^2"
    if isinstance(manifold, str):
        try:
            manifold = manifolds.manifold_from_name(manifold)
        except ValueError as error:
            raise DataError(str(error)) from error
    if columns is None:
        points = table.attrs.get("points", names)
        columns = pair if pair and manifold.name == "S^2" else [n for n in points if n != group]
    columns = tuple(columns)
    if group is not None and group not in names:
        raise nearest(f"column in {name}:", group, names)
    values, problems = numbers(table, columns, name)
    keep = np.isfinite(values).all(axis=1)
    if problems and not (drop and keep.any()):
        raise DataError(f"{name}: {problems[0]}. Drop or repair these rows first (drop=True).")
    coordinates = coordinates_for(manifold, columns, values[keep], degrees)
    if drop:
        outside = coordinates.outside(values)
        if outside.any():
            problems = (*problems, f"{rows(outside)}: out of the range of the coordinates")
        keep &= ~outside
    return _dataset(
        "stdin" if name == "-" else Path(name).name,
        coordinates,
        values[keep],
        protocol,
        seed,
        groups=None if group is None else table[group].astype(str).to_numpy(str)[keep],
        problems=problems,
    )


def _dataset(
    name: str,
    coordinates: Coordinates,
    values: np.ndarray,
    protocol: str,
    seed: int,
    *,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    title: str = "",
    **facts: Any,
) -> Dataset:
    if len(values) == 0:
        raise DataError(f"{name}: no usable rows.")
    try:
        points = np.asarray(coordinates.to_points(values))
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error
    indices = split(protocol, coordinates.positions(values), seed, groups=groups, blocks=blocks)
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
        groups=groups,
        blocks=blocks,
        **facts,
    )


def _is_path(name: str) -> bool:
    return (
        is_stream(name)
        or os.path.exists(name)
        or os.path.dirname(name) != ""
        or Path(name).suffix != ""
    )
