"""ArviZ: draws as its data, with the names of the coordinates, angles marked as circular."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from scorefold._types import Values
from scorefold.data import Coordinates, plain_coordinates
from scorefold.data.columns.coordinates import Part
from scorefold.interop._needed import needed
from scorefold.manifolds import Manifold
from scorefold.manifolds._check import as_numbers
from scorefold.manifolds.points import exact_points

if TYPE_CHECKING:
    import xarray
    from arviz import InferenceData


def to_arviz(
    draws: Values, like: Manifold | Coordinates, *, group: str = "posterior"
) -> InferenceData:
    """Draws as data of ArviZ: one variable a column, dimensions ``(chain, draw)``.

        data = to_arviz(model.sample(key, 4000), dataset.coordinates)
        arviz.summary(data, circ_var_names=circular_names(data))

    **Arguments:** ``draws``: shape ``(n, *shape)``, one chain of independent draws, or ``(chains,
    n, *shape)``; ``like``: names the columns: the coordinates of a data set, or a manifold
    (latitude and longitude on S², the numbers of a point elsewhere).
    **Returns:** variables of float64. Angles are in radians, which the circular statistics of ArviZ
    take, with the attributes ``units = "radian"`` and ``circular`` (1: closes after a whole turn,
    as longitude and torsions do; 0: does not, as latitude).
    **Raises:** ``ValueError`` for another shape, ``PointsError`` naming rows that are no points.
    """
    arviz, xarray = needed("arviz", "arviz"), needed("xarray", "arviz")
    coordinates = _in_radians(like)
    manifold = coordinates.manifold
    points = as_numbers("draws", draws)
    if points.ndim == 1 + len(manifold.shape):
        points = points[None]
    if points.shape[2:] != manifold.shape or 0 in points.shape:
        form = ", ".join(map(str, manifold.shape))
        raise ValueError(
            f"draws: has shape {np.shape(draws)}; draws on {manifold.name} have shape "
            f"(n, {form}) or (chains, n, {form})."
        )
    chains, n = points.shape[:2]
    flat = points.reshape(chains * n, *manifold.shape)
    flat = np.asarray(exact_points(manifold, flat, "draws"))
    columns = coordinates.to_columns(flat).reshape(chains, n, -1)
    circular = _circular(coordinates)
    variables = {
        name: (("chain", "draw"), columns[..., k], _attributes(unit, circular[k]))
        for k, (name, unit) in enumerate(
            zip(coordinates.columns, coordinates.column_units, strict=True)
        )
    }
    axes = {"chain": np.arange(chains), "draw": np.arange(n)}
    found = xarray.Dataset(variables, axes, {"manifold": manifold.name})
    if hasattr(arviz, "InferenceData"):
        return arviz.InferenceData(**{group: found})
    return xarray.DataTree.from_dict({group: found})


def from_arviz(
    data: InferenceData, like: Manifold | Coordinates, *, group: str = "posterior"
) -> np.ndarray:
    """The points of such data, shape ``(chains, n, *shape)``, float64 as far as JAX's default float
    goes.

    **Raises:** ``ValueError`` for a group or a column that is not there, for angles that are not
    in radians, and for rows that are no points.
    """
    coordinates = _in_radians(like)
    found = _group(data, group)
    names = [str(name) for name in found.data_vars]
    for name, unit in zip(coordinates.columns, coordinates.column_units, strict=True):
        if name not in names:
            raise ValueError(f"data: has no variable {name!r}, but {', '.join(names[:20])}.")
        stated = found[name].attrs.get("units", unit)
        if unit == "radians" and stated not in ("radian", "radians", "rad"):
            raise ValueError(
                f"data: {name!r} is in {str(stated)[:40]!r}; angles are read in radians."
            )
    for name in coordinates.columns:
        if set(found[name].dims) != {"chain", "draw"}:
            raise ValueError(
                f"data: {name!r} must have the dimensions (chain, draw), not {found[name].dims}."
            )
    ordered = [found[name].transpose("chain", "draw") for name in coordinates.columns]
    columns = np.stack([np.asarray(one) for one in ordered], axis=-1)
    chains, n, k = columns.shape
    points = np.asarray(coordinates.to_points(columns.reshape(-1, k)))
    return points.reshape(chains, n, *coordinates.manifold.shape)


def circular_names(data: InferenceData, *, group: str = "posterior") -> list[str]:
    """The variables that are circular, for ``arviz.summary(…, circ_var_names=…)`` and the like."""
    found = _group(data, group)
    return [str(name) for name in found.data_vars if found[name].attrs.get("circular") == 1]


def _group(data: InferenceData, group: str) -> xarray.Dataset:
    try:
        found = data[group]
    except KeyError:
        raise ValueError(f"data: has no group {group!r}.") from None
    return found.to_dataset() if hasattr(found, "to_dataset") else found


def _in_radians(like: Manifold | Coordinates) -> Coordinates:
    """The coordinates with all angles in radians in (−π, π]."""
    found = plain_coordinates(like) if isinstance(like, Manifold) else like
    if not isinstance(found, Coordinates):
        raise TypeError(f"like: a manifold or Coordinates, got {type(like).__name__}.")
    return dataclasses.replace(found, parts=tuple(map(_part_in_radians, found.parts)))


def _part_in_radians(part: Part) -> Part:
    units = tuple("none" if unit == "none" else "radians" for unit in part.units)
    return dataclasses.replace(part, units=units, turns=(False,) * len(units))


def _circular(coordinates: Coordinates) -> list[bool]:
    found = [False] * len(coordinates.columns)
    for part in coordinates.parts:
        for place, circular in zip(part.places, part.how.circular, strict=True):
            found[place] = circular
    return found


def _attributes(unit: str, circular: bool) -> dict[str, str | int]:
    return {} if unit == "none" else {"units": "radian", "circular": int(circular)}
