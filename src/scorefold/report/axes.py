"""How points of a manifold are written in a table: the names, units and ranges of its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scorefold.report._text import plain

_SIGNS = {"degrees": "°", "radians": "rad", "hours": "h"}
_TURNS = {"degrees": 360.0, "radians": 2.0 * math.pi, "hours": 24.0}


@dataclass(frozen=True)
class Axes:
    """What pictures write on their axes.

    One entry a column of the table: ``names``; ``units`` (``"degrees"``, ``"radians"``,
    ``"hours"``, or ``""``); ``turns``: whether angles are written from 0 to a full turn rather than
    from minus half a turn to half a turn; ``origin``: the number that has been subtracted from a
    flat column. ``convention``: of Euler angles, ``"ZXZ"``, where the table has them.
    ``factors``: the same for each factor of a product. What is empty is as the manifold has it.
    """

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    turns: tuple[bool, ...] = ()
    origin: tuple[float, ...] = ()
    convention: str | None = None
    factors: tuple[Axes, ...] = ()

    def name(self, k: int, otherwise: str) -> str:
        return plain(self.names[k]) if k < len(self.names) else otherwise

    def unit(self, k: int, otherwise: str = "") -> str:
        return self.units[k] if k < len(self.units) and self.units[k] else otherwise

    def label(self, k: int, name: str, unit: str = "") -> str:
        """Name and unit of an axis; ``name`` and ``unit`` where the table says nothing."""
        of = self.unit(k, unit)
        return f"{self.name(k, name)} ({_SIGNS.get(of, plain(of))})" if of else self.name(k, name)

    def shift(self, k: int) -> float:
        return self.origin[k] if k < len(self.origin) else 0.0

    def turn(self, k: int, unit: str) -> tuple[float, float]:
        """(lowest angle, full turn) in the unit of the column."""
        full = _TURNS.get(self.unit(k, unit), 360.0)
        from_zero = k < len(self.turns) and self.turns[k]
        return (0.0 if from_zero else -0.5 * full), full

    def factor(self, k: int) -> Axes:
        return self.factors[k] if k < len(self.factors) else Axes()


UNNAMED = Axes()
