"""Torsion angles: RNA, lysine, cysteine, and tables of the user's."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scorefold import data
from scorefold.bench.contract import Cell, Measurement, TableRequest
from scorefold.bench.fitted import Method, file_hash, likelihood, seeds_of, trained
from scorefold.data import DataError, Dataset
from scorefold.data.columns.names import read_name

NAMES = ("rna", "lysine", "cysteine")
PROTOCOLS = ("random", "grouped")
_TURN = 360.0
_SEEDS = {("rna", "random"): 3}
"""More than one where others print numbers."""


_trained = functools.partial(trained, 60.0, {"budget": 4.0})
METHODS: dict[str, Method] = {
    "kernel": Method("kernel"),
    "wrapped-normal": Method("wrapped-normal", {"components": (25, 50, 100, 200)}),
    "score": Method("score", trained=_trained(steps=100_000, batch_size=512)),
    "flow-matching": Method("flow-matching", trained=_trained(steps=500_000)),
    "moser": Method("moser", trained=_trained(steps=100_000)),
}
_QUICK = ("score", "flow-matching")


def cells(request: TableRequest, known: tuple[str, ...]) -> Iterator[Cell]:
    """Of the sets above, or of those named that are in no list: files."""
    quick = request.length == "quick"
    asked = NAMES if request.data is None else request.data
    names = [name for name in asked if name in NAMES or name not in known]
    if quick and request.data is None:
        names = []  # data files may not be there
    files = {name: file_hash(name) for name in names if name not in NAMES and Path(name).is_file()}
    for seed in seeds_of(request, 1 if quick else max(_SEEDS.values())):
        for name in names:
            for protocol in PROTOCOLS:
                usual = 1 if quick else _SEEDS.get((name, protocol), 1)
                if seed not in seeds_of(request, usual):
                    continue
                for method in METHODS:
                    if quick and request.methods is None and method not in _QUICK:
                        continue
                    make = functools.partial(_measure, request, name, protocol, method, seed)
                    yield Cell(name, protocol, method, seed, make, files.get(name))


def _measure(
    request: TableRequest, name: str, protocol: str, method: str, seed: int
) -> Measurement:
    if name in NAMES:
        dataset = data.load(name, protocol=protocol, seed=seed, data_dir=request.data_dir)
    else:
        dataset = own_angles(name, protocol, seed)
    chosen = METHODS[method]

    def more(model: object) -> dict[str, float]:
        return {"d": dataset.manifold.dim}

    return likelihood(chosen, dataset, request.length, more=more)


def own_angles(path: str, protocol: str, seed: int) -> Dataset:
    """A table whose numbers are all angles: in degrees unless the name of a column states
    radians, hours or turns. Columns of text are left out.

    **Raises:** ``DataError`` for numbers that are no angles in degrees.
    """
    table = data.read_table(path)
    table.columns = [str(column) for column in table.columns]
    columns = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    if not columns:
        raise DataError(f"{path}: has no column of numbers; columns: {', '.join(table.columns)}.")
    _refuse_others(path, table, columns)
    plain = [c for c in columns if read_name(c).unit is None]
    far = 0.0
    for column in plain:
        reach = np.abs(table[column].to_numpy(np.float64))
        if np.nanmax(reach) > _TURN:
            row = int(np.nanargmax(reach))
            raise DataError(
                f"{path}: column {column!r} has {reach[row]:g} in row {row}: no angle in degrees. "
                "Leave out columns that are no angles, or state the unit, as in 'phi (rad)'."
            )
        far = max(far, float(np.nanmax(reach)))
    if plain and far <= 2.0 * np.pi:
        raise DataError(
            f"{path}: the numbers of {', '.join(plain)} reach {far:.3g} only, as radians do. State "
            "the unit in the names of the columns: 'phi (rad)' or 'phi (deg)'."
        )
    manifold = f"T^{len(columns)}"
    degrees = None if len(plain) < len(columns) and not plain else True
    if plain and len(plain) < len(columns):
        units = {read_name(c).unit for c in columns} - {None, "degrees"}
        if units:
            raise DataError(
                f"{path}: {', '.join(plain)} state no unit beside columns of {', '.join(units)}: "  # type: ignore[arg-type]
                "state that of all, as in 'phi (deg)'."
            )
    return data.load(
        path, manifold=manifold, columns=columns, degrees=degrees, protocol=protocol, seed=seed
    )


_TURNS = {"radians": 2.0 * np.pi, "degrees": _TURN, "hours": 24.0, "turns": 1.0}


def _refuse_others(path: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """**Raises:** ``DataError`` for a column of numbers with text among them, for one that numbers
    the rows, and for angles beyond a turn of the unit that their column states."""
    for column in table.columns:
        found = pd.to_numeric(table[column], errors="coerce")
        wrong = np.flatnonzero(found.isna() & table[column].notna())
        if column not in columns and 0 < len(wrong) < len(found) / 2:
            raise DataError(
                f"{path}: column {column!r} has numbers, and {table[column].iloc[wrong[0]]!r} in "
                f"row {wrong[0]}: mend it, or leave the column out."
            )
        if column in columns and len(found) > 2 and (np.diff(found) == 1.0).all():
            raise DataError(f"{path}: column {column!r} numbers the rows: leave it out.")
        most = _TURNS.get(str(read_name(column).unit), np.inf)
        if column in columns and found.abs().max() > most * (1.0 + 1e-6):
            row = int(found.abs().argmax())
            raise DataError(
                f"{path}: column {column!r} has {found.iloc[row]:g} in row {row}, beyond a turn of "
                "the unit that it states."
            )


def as_data(name: str) -> str:
    """What a set is called in figures."""
    return name if name in NAMES else Path(name).name
