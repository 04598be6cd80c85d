"""What pictures write on their axes: the table's names, units and ranges; and coastlines or not."""

from __future__ import annotations

import argparse
import math
from typing import Any

from scorefold.data import Coordinates
from scorefold.manifolds import Manifold, Product
from scorefold.report import Axes

__all__ = ["add_earth_option", "axes_of", "on_earth"]

_OF_THE_EARTH = ("airports", "earthquake", "fire", "flood", "hurricanes", "volcano")
_ANGULAR = ("angles", "euler")


def add_earth_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--earth",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="coastlines in pictures of S^2 (default: for known data sets of the Earth)",
    )


def on_earth(stated: bool | None, *names: str) -> bool:
    """Whether coastlines are drawn: as stated, or if all data sets are known ones of the Earth."""
    return all(name in _OF_THE_EARTH for name in names) if stated is None else stated


def axes_of(coordinates: Coordinates) -> Axes:
    """The columns of a table as axes; those of the factors of a product within it."""
    c = coordinates
    units = (c.units if c.units != "none" else "",) * len(c.columns)
    if isinstance(c.manifold, Product):
        return Axes(factors=tuple(_ambient(c.manifold, c.columns)))
    return _axes(c.system, c.columns, units, c.turns)


def _axes(
    system: str,
    names: tuple[str, ...],
    units: tuple[str, ...],
    turns: tuple[bool, ...],
    origin: tuple[float, ...] = (),
) -> Axes:
    """Of one space: angles and flat coordinates are drawn as the table has them; other systems in
    coordinates of the picture's own."""
    if system in _ANGULAR:
        return Axes(names, units, turns, convention="ZXZ" if system == "euler" else None)
    return Axes(names, origin=origin) if system == "ambient" else Axes()


def _ambient(manifold: Manifold, names: tuple[str, ...]) -> Any:
    first = 0
    for factor in manifold.factors:  # type: ignore[attr-defined]
        size = math.prod(factor.shape)
        yield Axes(names[first : first + size])
        first += size
