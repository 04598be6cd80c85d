"""``load``: a name or a path in, a split data set out."""

import os
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.data._errors import DataError
from scorefold.data.columns.codes import codes_of
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.digits import check_digits, check_range
from scorefold.data.dataset import Dataset
from scorefold.data.laws.synthetic import is_synthetic
from scorefold.data.sources.assembling import dataset_of
from scorefold.data.sources.known import registered, synthetic
from scorefold.data.sources.own_table import Dropped, own_table, rows_of
from scorefold.data.sources.registry import REGISTRY
from scorefold.manifolds import Manifold


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
    drop_value: Dropped = None,
    weights: str | None = None,
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
    - ``weights``: a column of numbers ≥ 0, in any unit: a row of weight 2 counts as the row twice,
      one of weight 0 is left out. The shares 80/10/10 are of weight (docs/data.md).

    **Raises:** ``DataError``, with one line that says what to change.
    """
    name = os.fspath(name)
    own = {"manifold": manifold, "columns": columns, "degrees": degrees, "group": group,
           "drop_value": drop_value, "weights": weights}  # fmt: skip
    if name in REGISTRY or is_synthetic(name):
        stated = [key for key, value in own.items() if value is not None]
        if stated:
            raise DataError(f"{name!r} is known by name: {', '.join(stated)} cannot be changed.")
    if is_synthetic(name):
        return synthetic(name, protocol, seed, 10_000 if n is None else n)
    if n is not None:
        raise DataError(f"n is the number of draws from a synthetic target; {name!r} is a table.")
    if name in REGISTRY:
        return registered(REGISTRY[name], protocol, seed, data_dir)
    table = own_table(name)
    try:
        rows = rows_of(
            table,
            manifold=manifold,
            columns=columns,
            degrees=degrees,
            group=group,
            drop=drop,
            drop_value=drop_value,
            weights=weights,
            like=like.coordinates if isinstance(like, Dataset) else like,
        )
        return dataset_of("stdin" if name == "-" else Path(name).name, rows, protocol, seed)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def load_points(
    name: str | os.PathLike,
    *,
    like: Coordinates,
    columns: str | Sequence[str] | None = None,
    drop: bool = False,
    drop_value: Dropped = None,
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
    table = own_table(name)
    try:
        rows = rows_of(table, columns=columns, drop=drop, drop_value=drop_value, like=like)
        coordinates, values = rows.coordinates, rows.values
        dtype = np.dtype(jnp.result_type(float))
        check_range(coordinates, values, dtype)
        points = coordinates.to_points(values)
        labels = coordinates.labels(values, np.asarray(points))
        said = check_digits(coordinates, values, labels, dtype)
        codes = codes_of(coordinates, values).lines()
        return points, (*rows.remarks, *said, *codes)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error
