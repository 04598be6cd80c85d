"""What pictures write on their axes: the table's names, units and ranges; and coastlines or not."""

from typing import TypedDict

from scorefold.data import Coordinates
from scorefold.data.columns.coordinates import Part
from scorefold.data.sources.registry import REGISTRY
from scorefold.data.sources.snapshot_loading import SNAPSHOTS
from scorefold.report import Axes


class Shown(TypedDict):
    """Keywords of pictures."""

    axes: Axes
    earth: bool


_ANGULAR = ("angles", "euler")


def on_earth(stated: bool | None, *names: str) -> bool:
    """Whether coastlines are drawn: as stated, or if all data sets are known ones of the Earth."""
    known = {**REGISTRY, **SNAPSHOTS}
    return all(n in known and known[n].earth for n in names) if stated is None else stated


def axes_of(coordinates: Coordinates) -> Axes:
    """The columns of a table as axes; those of the factors of a product within it."""
    each = tuple(_axes(coordinates.columns, part) for part in coordinates.parts)
    return Axes(factors=each) if coordinates.manifold.picture == "factors" else each[0]


def _axes(columns: tuple[str, ...], part: Part) -> Axes:
    """Of one space: angles and flat coordinates are drawn as the table has them; other systems in
    coordinates of the picture's own."""
    names = tuple(columns[k] for k in part.places)
    units = tuple("" if unit == "none" else unit for unit in part.units)
    if part.system in _ANGULAR:
        bunge = "ZXZ" if part.system == "euler" else None
        return Axes(names, units, part.turns, convention=bunge)
    return Axes(names, origin=part.origin) if part.system == "flat" else Axes()
