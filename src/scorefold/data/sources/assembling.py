"""From the rows of a table to a data set in three parts."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from scorefold._blocks import device
from scorefold.data._errors import DataError
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.digits import check_digits, check_range, dependent, far_rows
from scorefold.data.dataset import Dataset
from scorefold.data.splits.protocols import Split, split

_SHARES = (0.8, 0.1, 0.1)
_MANY = 50
"""Rows from which the sizes of parts are compared with their shares."""


class Rows(NamedTuple):
    """Rows of a table and how they are points; fields as in ``Dataset``. ``own``: whether it is a
    table of one's own, whose digits are looked at; ``beside``: other columns of the same rows;
    ``kept``: their numbers in the table as read; ``weights``: of the rows, positive, with the name
    of their column."""

    coordinates: Coordinates
    values: np.ndarray
    groups: np.ndarray | None = None
    blocks: np.ndarray | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    own: bool = False
    beside: Mapping[str, np.ndarray] | None = None
    kept: np.ndarray | None = None
    weights: np.ndarray | None = None
    weights_column: str | None = None


def points_of(rows: Rows) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The points of all rows, a number for each that is the same for rows of one point, and what
    was taken for granted.

    **Raises:** ``DataError`` for rows that are no points, or that JAX's default float cannot tell
    apart.
    """
    coordinates, values, remarks = rows.coordinates, rows.values, rows.remarks
    if len(values) == 0:
        raise DataError("no usable rows.")
    dtype = np.dtype(jnp.result_type(float))
    if rows.own:
        check_range(coordinates, values, dtype)
    try:
        points = np.asarray(coordinates.to_points(values))
    except ValueError as error:
        taken = f" ({remarks[0]})" if remarks else ""
        raise DataError(f"{error}{taken}") from error
    labels = coordinates.labels(values, points)
    if rows.own:
        remarks += check_digits(coordinates, values, labels, dtype)
        remarks += dependent(coordinates, values) + far_rows(coordinates, values)
    return points, labels, remarks


def dataset_of(name: str, rows: Rows, protocol: str, seed: int) -> Dataset:
    """The data set of these rows. **Raises:** as ``points_of`` and ``split``."""
    coordinates, values = rows.coordinates, rows.values
    points, labels, remarks = points_of(rows)
    positions = coordinates.positions(values)
    indices = split(
        protocol, positions, seed, labels=labels, groups=rows.groups, blocks=rows.blocks,
        weights=rows.weights,
    )  # fmt: skip
    return Dataset(
        name=name,
        title=name,
        manifold=coordinates.manifold,
        train=device(points[indices.train]),
        val=device(points[indices.val]),
        test=device(points[indices.test]),
        protocol=protocol,
        seed=seed,
        indices=indices,
        values=values,
        coordinates=coordinates,
        labels=labels,
        groups=rows.groups,
        blocks=rows.blocks,
        problems=rows.problems,
        remarks=remarks + _uneven(protocol, indices, rows.groups, rows.weights),
        weights=rows.weights,
        weights_column=rows.weights_column,
    )


def _uneven(
    protocol: str, indices: Split, groups: np.ndarray | None, weights: np.ndarray | None
) -> tuple[str, ...]:
    """A line where whole groups make parts far from 80/10/10."""
    sizes = [len(part) for part in indices]
    n = sum(sizes)
    if weights is not None and n >= _MANY:
        total = weights.sum()
        shares = [float(weights[part].sum() / total) for part in indices]
        if all(0.5 < share / usual < 2 for share, usual in zip(shares, _SHARES, strict=True)):
            return ()
        shown = "/".join(f"{100 * share:.0f}" for share in shares)
        return (
            f"training, validation and test parts have {shown} % of the weight, far from 80/10/10: "
            "heavy rows, repeated rows and groups stay whole.",
        )
    even = all(0.5 < size / (share * n) < 2 for size, share in zip(sizes, _SHARES, strict=True))
    if protocol != "grouped" or n < _MANY or even:
        return ()
    why = "groups" if groups is not None else "repeated rows"
    return (
        f"training, validation and test parts have {'/'.join(map(str, sizes))} rows, far from "
        f"80/10/10: {why} stay whole. protocol='random' (--protocol random) splits row by row.",
    )
