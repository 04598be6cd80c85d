"""Data sets that are known by name, and coordinates of columns whose meaning is known."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.data._errors import DataError, nearest
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.names import read_name
from scorefold.data.columns.reading import coordinates_for
from scorefold.data.columns.roles import assign
from scorefold.data.dataset import Dataset
from scorefold.data.laws.synthetic import target
from scorefold.data.sources.assembling import Rows, dataset_of
from scorefold.data.sources.download import locate
from scorefold.data.sources.registry import Entry
from scorefold.data.tables.readers import numbers, read_table
from scorefold.manifolds import Manifold, manifold_from_name

if TYPE_CHECKING:
    import pandas as pd


def synthetic(name: str, protocol: str, seed: int, n: int) -> Dataset:
    """n draws of a synthetic target."""
    if protocol.startswith("published"):
        raise DataError(f"{name!r} is drawn anew: it has no published split. Use 'random'.")
    law_key, draw_key = jax.random.split(jax.random.key(seed))
    made = target(name)
    law = made.make(law_key)
    draws = np.asarray(law.sample(draw_key, n), np.float64).reshape(n, -1)
    columns = [f"x{i}" for i in range(draws.shape[1])]
    coordinates = _coordinates(law.manifold, columns, draws, degrees=False)
    found = dataset_of(name, Rows(coordinates, draws), protocol, seed)
    return replace(found, title=made.title, licence="none needed: synthetic", law=law)


def registered(
    entry: Entry, protocol: str, seed: int, data_dir: str | os.PathLike | None
) -> Dataset:
    """The table of an entry."""
    if protocol not in entry.protocols:
        raise nearest(f"protocol for {entry.name!r}:", protocol, entry.protocols)
    table = _airports() if entry.package else _file(entry, data_dir)
    values, _ = numbers(table, entry.columns, entry.name)
    groups = None
    if entry.group is not None:
        groups = table[entry.group].astype(str).str.split().str[0].to_numpy(str)
    blocks = numbers(table, entry.blocks, entry.name)[0] if entry.blocks else None
    manifold = manifold_from_name(entry.manifold)
    coordinates = _coordinates(manifold, entry.columns, values, entry.units == "degrees")
    return replace(
        dataset_of(entry.name, Rows(coordinates, values, groups, blocks), protocol, seed),
        title=entry.title,
        licence=entry.licence,
        citation=entry.citation,
        note=entry.note,
        protocols=entry.protocols,
    )


def plain_coordinates(manifold: Manifold) -> Coordinates:
    """Coordinates for points that came from no table: latitude and longitude in degrees on S²,
    elsewhere the numbers of a point, x0, x1, …"""
    how = manifold.systems[0] if len(manifold.factors) == 1 else None
    if how is not None and how.columns:
        zeros = np.zeros((1, len(how.roles)))
        return _coordinates(manifold, how.columns, zeros, how.unit == "degrees")
    columns = [f"x{i}" for i in range(math.prod(manifold.shape))]
    point = np.asarray(manifold.origin(jnp.float32), np.float64)
    return _coordinates(manifold, columns, point.reshape(1, -1), False)


def _coordinates(
    manifold: Manifold, columns: Sequence[str], values: np.ndarray, degrees: bool
) -> Coordinates:
    names = [read_name(column) for column in columns]
    return coordinates_for(manifold, names, assign(manifold, names, chosen=True), values, degrees)


def _file(entry: Entry, data_dir: str | os.PathLike | None) -> pd.DataFrame:
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
