"""``load``: a name or a path in, a split data set out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from scorefold import manifolds
from scorefold.data._errors import DataError, nearest
from scorefold.data.coordinates import Coordinates, coordinates_for, infer_latlon
from scorefold.data.dataset import Dataset
from scorefold.data.download import locate
from scorefold.data.readers import numbers, read_table
from scorefold.data.registry import REGISTRY, Entry
from scorefold.data.splits import split
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
) -> Dataset:
    """A registered data set, or a table of your own, as points split 80/10/10.

    **Arguments:**

    - ``name``: a name of ``datasets()`` or the path of a CSV, TSV, Parquet, NPY or NPZ file.
    - ``protocol``, ``seed``: how rows are split; see ``scorefold.data.splits``.
    - ``data_dir``: folder with registered files (default: SCOREFOLD_DATA_DIR).

    For a file of your own:

    - ``manifold``: a name such as ``"S^2"`` or a manifold. It may be left out only when the
      columns are called latitude and longitude (degrees unless stated otherwise).
    - ``columns``: the coordinate columns, as a list or ``"lat,lon"``; default all columns.
    - ``degrees``: the unit of angles, which is never guessed.
    - ``group``: a column whose equal entries are kept in one part by ``"grouped"``.

    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    if name in REGISTRY:
        own = {"manifold": manifold, "columns": columns, "degrees": degrees, "group": group}
        stated = [key for key, value in own.items() if value is not None]
        if stated:
            raise DataError(f"{name!r} is registered: {', '.join(stated)} cannot be changed.")
        return _registered(REGISTRY[name], protocol, seed, data_dir)
    if not _is_path(name):
        raise nearest("data set (and no such file):", name, REGISTRY)
    return _own(name, protocol, seed, manifold, columns, degrees, group)


def _registered(entry: Entry, protocol: str, seed: int, data_dir) -> Dataset:
    if protocol not in entry.protocols:
        raise nearest(f"protocol for {entry.name!r}:", protocol, entry.protocols)
    table = _airports() if entry.package else _file(entry, data_dir)
    values = numbers(table, entry.columns, entry.name)
    groups = None
    if entry.group is not None:
        groups = table[entry.group].astype(str).str.split().str[0].to_numpy(str)
    blocks = numbers(table, entry.blocks, entry.name) if entry.blocks else None
    coordinates = coordinates_for(
        _manifold_from_name(entry.manifold),
        entry.columns,
        values,
        entry.units == "degrees",
    )
    facts = {key: getattr(entry, key) for key in ("title", "licence", "citation", "note")}
    return _dataset(entry.name, coordinates, values, protocol, seed, groups, blocks, **facts)


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


def _own(name, protocol, seed, manifold, columns, degrees, group) -> Dataset:
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
            manifold = _manifold_from_name(manifold)
        except ValueError as error:
            raise DataError(str(error)) from error
    if columns is None:
        columns = pair if pair and manifold.name == "S^2" else [n for n in names if n != group]
    columns = tuple(columns)
    values = numbers(table, columns, name)
    groups = None
    if group is not None:
        if group not in names:
            raise nearest(f"column in {name}:", group, names)
        groups = table[group].astype(str).to_numpy(str)
    coordinates = coordinates_for(manifold, columns, values, degrees)
    return _dataset(Path(name).name, coordinates, values, protocol, seed, groups, None)


def _dataset(
    name: str,
    coordinates: Coordinates,
    values: np.ndarray,
    protocol: str,
    seed: int,
    groups: np.ndarray | None,
    blocks: np.ndarray | None,
    **facts: str,
) -> Dataset:
    try:
        points = np.asarray(coordinates.to_points(values))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error
    indices = split(protocol, coordinates.positions(values), seed, groups=groups, blocks=blocks)
    return Dataset(
        name=name,
        title=facts.pop("title", name),
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
        **facts,
    )


def _manifold_from_name(name):
    if name == "S^2":
        return manifolds.Sphere(2)
    return manifolds.manifold_from_name(name)


def _is_path(name: str) -> bool:
    return os.path.exists(name) or os.path.dirname(name) != "" or Path(name).suffix != ""
