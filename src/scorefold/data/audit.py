"""What is wrong with a table before anything is learned from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.coordinates import Coordinates
from scorefold.data.splits import Split, equal_rows, split

if TYPE_CHECKING:
    from scorefold.data.dataset import Dataset

__all__ = ["Audit", "audit_of"]

_QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_FINEST = 9


@dataclass(frozen=True)
class Audit:
    """The facts that decide how far a likelihood can be trusted.

    ``leak``: share of test rows whose point is also a training point; ``leaks``: the same for
    every protocol that applies, at the seed of the data set; ``nearest``: quantiles of the
    distance to the nearest other row (radians on spheres, tori and SO(3), the straight distance
    of the coordinates elsewhere); ``nearest_test``: from test rows to training rows;
    ``resolution``: for each column the largest power of ten of which all but 1 % of its values
    are multiples; ``whole``: rows in which every coordinate is a whole number; ``problems``:
    rows that were left out, in words.
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
    leaks: dict[str, float]
    straddling_groups: int
    nearest: dict[str, float]
    nearest_test: dict[str, float]
    resolution: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    whole: int
    units: str
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings, lists and dicts, for JSON."""
        return json.loads(json.dumps(asdict(self)))

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
            (
                "the same by protocol",
                ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.leaks.items()),
            ),
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
        lines.extend(("left out", problem) for problem in self.problems)
        width = max(len(title) for title, _ in lines)
        head = f"{self.name} on {self.manifold}"
        return "\n".join([head, *(f"  {title:<{width}}  {text}" for title, text in lines)])


def audit_of(data: Dataset) -> Audit:
    """The audit of all rows of a data set under its split, and of its other protocols."""
    from scipy.spatial import cKDTree

    coordinates, values, indices = data.coordinates, data.values, data.indices
    groups = data.groups
    positions = coordinates.positions(values)
    labels = equal_rows(positions)
    multiplicity = np.bincount(labels)
    places, period, to_distance = _metric(coordinates, positions)
    pairs = cKDTree(places, boxsize=period).query(places, k=2)[0][:, 1]
    train = cKDTree(places[indices.train], boxsize=period)
    to_train = train.query(places[indices.test])[0]
    straddling, number = 0, None
    if groups is not None:
        number = len(np.unique(groups))
        in_train = np.isin(groups[indices.test], groups[indices.train])
        straddling = len(np.unique(groups[indices.test][in_train]))
    columns = coordinates.columns
    return Audit(
        name=data.name,
        manifold=coordinates.manifold.name,
        rows=len(values),
        unique=len(multiplicity),
        duplicates=len(values) - len(multiplicity),
        largest_multiplicity=int(multiplicity.max()),
        groups=number,
        parts=(len(indices.train), len(indices.val), len(indices.test)),
        leak=_leak(labels, indices),
        leaks=_leaks(data, positions, labels),
        straddling_groups=straddling,
        nearest=_quantiles(to_distance(pairs)),
        nearest_test=_quantiles(to_distance(to_train)),
        resolution={c: _resolution(values[:, j]) for j, c in enumerate(columns)},
        ranges={
            c: (float(values[:, j].min()), float(values[:, j].max())) for j, c in enumerate(columns)
        },
        whole=int((values == np.round(values)).all(axis=1).sum()),
        units=coordinates.units,
        problems=data.problems,
    )


def _leaks(data: Dataset, positions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = {}
    for protocol in data.protocols:
        try:
            indices = split(protocol, positions, data.seed, groups=data.groups, blocks=data.blocks)
        except DataError:
            continue  # Too few rows, groups or cells for this one.
        found[protocol] = _leak(labels, indices)
    return found


def _leak(labels: np.ndarray, indices: Split) -> float:
    """Share of test rows whose label is also the label of a training row."""
    return float(np.isin(labels[indices.test], labels[indices.train]).mean())


def _metric(
    coordinates: Coordinates, positions: np.ndarray
) -> tuple[np.ndarray, float | None, Callable[[np.ndarray], np.ndarray]]:
    """Where rows lie for a search of neighbours, the period of that space, and how a distance
    there becomes a geodesic distance."""
    name = coordinates.manifold.name
    if name.startswith("T^"):
        d = coordinates.manifold.dim
        angles = np.arctan2(positions[:, d:], positions[:, :d])
        return np.remainder(np.remainder(angles, 2 * np.pi), 2 * np.pi), 2 * np.pi, lambda r: r
    if name.startswith("S^"):
        return positions, None, lambda chord: 2 * np.arcsin(np.minimum(chord / 2, 1))
    if name == "SO(3)":
        return positions, None, lambda chord: 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1))
    return positions, None, lambda chord: chord


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
