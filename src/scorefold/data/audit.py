"""What is wrong with a table before anything is learned from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scorefold.data.coordinates import Coordinates
from scorefold.data.splits import Split, equal_rows

__all__ = ["Audit", "audit_values", "leak"]

_QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_FINEST = 9


@dataclass(frozen=True)
class Audit:
    """The facts that decide how far a likelihood can be trusted.

    ``leak``: share of test rows whose point is also a training point; ``nearest``: quantiles of
    the distance to the nearest other row (radians on spheres and tori, Frobenius chord on SO(3),
    the units of the table elsewhere); ``nearest_test``: the same from test rows to training rows;
    ``resolution``: for each column the smallest power of ten of which (all but 1 % of) its values
    are multiples; ``whole``: rows in which every coordinate is a whole number.
    """

    name: str
    manifold: str
    rows: int
    unique: int
    duplicates: int
    largest_multiplicity: int
    groups: int | None
    parts: tuple[int, int, int]
    leak: float
    straddling_groups: int
    nearest: dict[str, float]
    nearest_test: dict[str, float]
    resolution: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    whole: int
    units: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings, lists and dicts, for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        lines = [
            ("rows", f"{self.rows}"),
            ("different points", f"{self.unique}"),
            (
                "repeated rows",
                f"{self.duplicates} (largest multiplicity {self.largest_multiplicity})",
            ),
            ("train / val / test", " / ".join(map(str, self.parts))),
            ("test points seen in training", f"{100 * self.leak:.1f} %"),
        ]
        if self.groups is not None:
            lines.append(("groups", f"{self.groups}, straddling {self.straddling_groups}"))
        for title, table in (
            ("nearest neighbour", self.nearest),
            ("test to nearest training", self.nearest_test),
        ):
            short = ", ".join(f"{q} {table[q]:.3g}" for q in ("1%", "25%", "50%", "99%"))
            lines.append((title, short))
        for column, (low, high) in self.ranges.items():
            step = self.resolution[column]
            lines.append((column, f"{low:g} … {high:g}, resolution {step:g} {self.units}"))
        if self.whole:
            lines.append(("rows of whole numbers", f"{self.whole}"))
        width = max(len(title) for title, _ in lines)
        head = f"{self.name} on {self.manifold}"
        return "\n".join([head, *(f"  {title:<{width}}  {text}" for title, text in lines)])


def audit_values(
    name: str,
    coordinates: Coordinates,
    values: np.ndarray,
    indices: Split,
    groups: np.ndarray | None = None,
) -> Audit:
    """The audit of all rows ``values`` (n, k) of a table under one split."""
    from scipy.spatial import cKDTree

    positions = coordinates.positions(values)
    labels = equal_rows(positions)
    multiplicity = np.bincount(labels)
    distance = _CHORDS.get(coordinates.system, lambda c: c)
    pairs = cKDTree(positions).query(positions, k=2)[0][:, 1]
    to_train = cKDTree(positions[indices.train]).query(positions[indices.test])[0]
    straddling, number = 0, None
    if groups is not None:
        number = len(np.unique(groups))
        in_train = np.isin(groups[indices.test], groups[indices.train])
        straddling = len(np.unique(groups[indices.test][in_train]))
    columns = coordinates.columns
    return Audit(
        name=name,
        manifold=coordinates.manifold.name,
        rows=len(values),
        unique=len(multiplicity),
        duplicates=len(values) - len(multiplicity),
        largest_multiplicity=int(multiplicity.max()),
        groups=number,
        parts=(len(indices.train), len(indices.val), len(indices.test)),
        leak=leak(labels, indices),
        straddling_groups=straddling,
        nearest=_quantiles(distance(pairs)),
        nearest_test=_quantiles(distance(to_train)),
        resolution={c: _resolution(values[:, j]) for j, c in enumerate(columns)},
        ranges={
            c: (float(values[:, j].min()), float(values[:, j].max())) for j, c in enumerate(columns)
        },
        whole=int((values == np.round(values)).all(axis=1).sum()),
        units=coordinates.units,
    )


def leak(labels: np.ndarray, indices: Split) -> float:
    """Share of test rows whose label is also the label of a training row."""
    return float(np.isin(labels[indices.test], labels[indices.train]).mean())


def _great_circle(chord: np.ndarray) -> np.ndarray:
    return 2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))


_CHORDS = {"latlon": _great_circle}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, _QUANTILES)
    return {f"{100 * q:g}%": float(v) for q, v in zip(_QUANTILES, found, strict=True)}


def _resolution(values: np.ndarray) -> float:
    for digits in range(-3, _FINEST + 1):
        step = 10.0**-digits
        scaled = values / step
        error = np.abs(scaled - np.round(scaled)) > 1e-6 + 4e-16 * np.abs(scaled)
        if error.mean() <= 0.01:
            return step
    return 0.0
