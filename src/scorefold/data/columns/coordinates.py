"""From the columns of a table to points of a manifold, and back in the units that came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._systems import System
from scorefold._types import Document, ReadOnlyDocument, Values
from scorefold.data._errors import DataError
from scorefold.data.columns.names import DEGREES
from scorefold.data.splits.protocols import equal_rows, joined
from scorefold.manifolds import Manifold, check_points, manifold_from_name
from scorefold.manifolds._check import as_numbers

T = TypeVar("T")
_ROUNDING = 1e-10
"""Curved points whose positions differ by less are the same point, written differently."""
_KINDS = {"places": int, "units": str, "turns": bool, "origin": float}
"""The fields of a ``Part`` that have an entry for each role."""


@dataclass(frozen=True)
class Part:
    """How one factor of a manifold is read: the ``system`` (a name in ``manifold.systems``), and
    for each of its roles the number of the ``places`` column, the ``units`` (of angles, or
    ``none``), whether angles are written in [0, 360) rather than (−180, 180] (``turns``), and the
    number that is subtracted from a flat column before points are made (``origin``)."""

    manifold: Manifold
    system: str
    places: tuple[int, ...]
    units: tuple[str, ...]
    turns: tuple[bool, ...]
    origin: tuple[float, ...]

    @property
    def how(self) -> System:
        return system_of(self.manifold, self.system)

    @property
    def degrees(self) -> bool:
        """Whether the system is given degrees: unless all its angles are in radians."""
        return any(unit not in ("none", "radians") for unit in self.units)

    def inward(self, values: np.ndarray) -> np.ndarray:
        """The factor's columns in the order of its roles, centred, all angles in one unit."""
        return (values[:, list(self.places)] - np.array(self.origin)) * self._scale()

    def outward(self, columns: np.ndarray) -> np.ndarray:
        """The inverse of ``inward``, with angles in the range that came in."""
        columns = columns / self._scale()
        full = np.array([360.0 / DEGREES.get(unit, 1.0) for unit in self.units])
        wrapped = np.where(columns < 0, columns + full, columns)
        return np.where(np.array(self.turns), wrapped, columns) + np.array(self.origin)

    def points(self, values: np.ndarray) -> Array:
        """Points of the factor, shape ``(n, *manifold.shape)``."""
        own = self.inward(values)
        if self.how.read is None:
            return check_points(self.manifold, own.reshape(-1, *self.manifold.shape), "points")
        return self.how.read(own, self.degrees)

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Coordinates in which distance is a chord; see ``Coordinates.positions``."""
        return self.how.place(self.inward(values), self.degrees)

    def _scale(self) -> np.ndarray:
        return np.array([DEGREES.get(unit, 1.0) if self.degrees else 1.0 for unit in self.units])


@dataclass(frozen=True)
class Coordinates:
    """How n rows of k numbers are points of a manifold.

    ``columns``: the names of the columns, in the order in which values come and go; ``parts``: one
    ``Part`` for each factor of the manifold (one where it is no product). Which column is which is
    decided by names where they are those of the field, see ``scorefold.data.columns.vocabulary``.
    """

    manifold: Manifold
    columns: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def system(self) -> str:
        """The name of the coordinate system; those of the factors, joined by `` x ``."""
        return " x ".join(part.system for part in self.parts)

    @property
    def column_units(self) -> tuple[str, ...]:
        """The unit of each column as it came in; ``none`` for what is no angle."""
        return self._by_column(lambda part: part.units, "none")

    @property
    def units(self) -> str:
        """Units of the columns as they came in: one word if the angles share one and nothing else
        is there, otherwise one for each column."""
        units = self.column_units
        return units[0] if len(set(units)) == 1 else ", ".join(units)

    @property
    def origin(self) -> tuple[float, ...]:
        """What is subtracted from each column before points are made: 0 for ordinary tables."""
        return self._by_column(lambda part: part.origin, 0.0)

    def to_points(self, values: np.ndarray) -> Array:
        """Points, shape ``(n, *manifold.shape)``, from float64 columns of shape (n, k).

        Origins are subtracted in float64, before the cast to JAX's default float.
        """
        values = np.asarray(values, np.float64)
        if len(self.parts) == 1:
            return self.parts[0].points(values)
        found = []
        for i, part in enumerate(self.parts):
            try:
                found.append(part.points(values))
            except ValueError as error:
                raise DataError(f"factor {i} ({part.manifold.name}): {error}") from error
        return jnp.concatenate([p.reshape(len(values), -1) for p in found], axis=1)

    def to_columns(self, points: Values) -> np.ndarray:
        """Columns (n, k), float64, in the units and the range that came in."""
        points = as_numbers("points", points).astype(np.float64)
        points = points.reshape(len(points), *self.manifold.shape)
        out = np.empty((len(points), len(self.columns)))
        for part, own in zip(self.parts, self.manifold.split(points), strict=True):
            out[:, list(part.places)] = part.outward(part.how.write(own, part.degrees))
        return out

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Rows out of the range of these coordinates; False for rows that are not finite."""
        bad = np.zeros(len(values), dtype=bool)
        finite = np.isfinite(values).all(axis=1)
        for part in self.parts:
            bad[finite] |= part.how.outside(part.inward(values[finite]), part.degrees)
        return bad

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Float64 coordinates in which equal points are equal rows, to rounding, and distance is a
        chord; those of the factors side by side."""
        return np.concatenate([part.positions(values) for part in self.parts], axis=1)

    def labels(self, values: np.ndarray, points: Values | None = None) -> np.ndarray:
        """A label 0, 1, … for each row; rows of one point have one label.

        Rows written differently can be one point: whole turns, q and −q, longitudes at a pole,
        Euler angles at gimbal lock. With ``points`` (``to_points(values)``) so are rows that only
        the digits lost there told apart: those are the points that are computed with.
        """
        each = []
        for part in self.parts:
            position = part.positions(values)
            labels = equal_rows(position)
            each.append(_nearly(position, labels) if part.how.ambiguous else labels)
        written = each[0] if len(each) == 1 else equal_rows(np.stack(each, axis=1))
        if points is None:
            return written
        return joined(written, equal_rows(np.asarray(points).reshape(len(values), -1) + 0.0))

    # -- plain JSON ------------------------------------------------------------------------------
    def to_dict(self) -> Document:
        """Names, numbers and lists, for JSON."""
        parts = [
            {"system": part.system, **{key: list(getattr(part, key)) for key in _KINDS}}
            for part in self.parts
        ]
        return {"manifold": self.manifold.name, "columns": list(self.columns), "parts": parts}

    @classmethod
    def from_dict(cls, fields: object) -> Coordinates:
        """The inverse of ``to_dict``. **Raises:** ``DataError`` if ``fields`` are not of that
        form."""
        what = "The description of the coordinates is damaged"
        if not isinstance(fields, Mapping):
            raise DataError(f"{what}: not an object.")
        name, columns, parts = (fields.get(key) for key in ("manifold", "columns", "parts"))
        if not isinstance(name, str) or len(name) > 1000:
            raise DataError(f"{what}: no name of a manifold.")
        if not _list_of(columns, str) or not _list_of(parts, dict):
            raise DataError(f"{what}: columns must be names, and parts objects.")
        try:
            manifold = manifold_from_name(name)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{what}: {error}") from error
        factors = manifold.factors
        if len(factors) != len(parts):
            raise DataError(f"{what}: {len(parts)} parts for the {len(factors)} of {name[:60]}.")
        made = tuple(_part(m, part, what) for m, part in zip(factors, parts, strict=True))
        if sorted(i for part in made for i in part.places) != list(range(len(columns))):
            raise DataError(f"{what}: each column must have one place.")
        return cls(manifold, tuple(columns), made)

    def _by_column(self, field: Callable[[Part], tuple[T, ...]], empty: T) -> tuple[T, ...]:
        out = [empty] * len(self.columns)
        for part in self.parts:
            for place, value in zip(part.places, field(part), strict=True):
                out[place] = value
        return tuple(out)


def system_of(manifold: Manifold, name: str) -> System:
    """The coordinate system of that name."""
    return next(system for system in manifold.systems if system.name == name)


def _nearly(positions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``labels`` joined where positions differ by rounding."""
    from scipy.spatial import cKDTree

    first = np.unique(labels, return_index=True)[1]
    pairs = cKDTree(positions[first]).query_pairs(_ROUNDING, output_type="ndarray")
    if len(pairs) == 0:
        return labels
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(first), len(first)))
    return connected_components(links, directed=False)[1][labels]


def _part(manifold: Manifold, fields: ReadOnlyDocument, what: str) -> Part:
    system = fields.get("system")
    if not isinstance(system, str) or system not in [s.name for s in manifold.systems]:
        raise DataError(f"{what}: {manifold.name} is not read as {str(system)[:40]!r}.")
    width = len(system_of(manifold, system).roles)
    for key, type_ in _KINDS.items():
        if not _list_of(fields.get(key), type_) or len(fields[key]) != width:
            raise DataError(f"{what}: {key!r} must be {width} values of type {type_.__name__}.")
    if not set(fields["units"]) <= {"none", *DEGREES}:
        raise DataError(f"{what}: units must be none, {', '.join(DEGREES)}.")
    if not np.isfinite(fields["origin"]).all():
        raise DataError(f"{what}: an origin is not finite.")
    return Part(manifold, system, *(tuple(fields[key]) for key in _KINDS))


def _list_of(value: object, type_: type) -> TypeGuard[list]:
    return isinstance(value, list) and all(
        isinstance(v, (int, float) if type_ is float else type_)
        and (type_ is bool or not isinstance(v, bool))
        for v in value
    )
