"""What is wrong with a table before anything is learned from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.columns.codes import Codes
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.splits.protocols import Split, split
from scorefold.manifolds import Manifold, nearest

__all__ = ["Audit", "audit_of"]

_QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_FINEST = 9


@runtime_checkable
class Rows(Protocol):
    """What is audited: the rows of a data set and how they are split (``Dataset``)."""

    @property
    def name(self) -> str: ...
    @property
    def manifold(self) -> Manifold: ...
    @property
    def coordinates(self) -> Coordinates: ...
    @property
    def values(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def indices(self) -> Split: ...
    @property
    def groups(self) -> np.ndarray | None: ...
    @property
    def blocks(self) -> np.ndarray | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def protocols(self) -> tuple[str, ...]: ...
    @property
    def problems(self) -> tuple[str, ...]: ...
    @property
    def codes(self) -> Codes: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Audit:
    """The facts that decide how far a likelihood can be trusted.

    ``leak``: share of test rows whose point is also a training point; ``leaks``: the same for
    every protocol that applies, at the seed of the data set; ``nearest``: quantiles of the
    distance to the nearest other row (radians on spheres, tori and SO(3), the product distance on
    products, the straight distance of the coordinates elsewhere); ``nearest_test``: from test rows
    to training rows; ``resolution``: for each column the largest power of ten of which all but 1 %
    of its values are multiples; ``whole``: rows in which every coordinate is a whole number;
    ``problems``: rows that were left out, in words; ``units``: of each column; ``codes``: for each
    column the numbers that may stand for "no value" with the share of rows that hold them;
    ``constant`` and ``index``: columns with one value, and columns that number the rows;
    ``warnings``: these and what was taken for granted in reading the table, in words.
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
    units: dict[str, str]
    codes: dict[str, dict[str, float]]
    constant: tuple[str, ...]
    index: tuple[str, ...]
    warnings: tuple[str, ...]
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
            unit = "" if self.units[column] == "none" else f" {self.units[column]}"
            lines.append((column, f"{low:.9g} … {high:.9g}{unit}, resolution {step:g}"))
        if self.whole:
            lines.append(("rows of whole numbers", f"{self.whole}"))
        lines.extend(("warning", warning) for warning in self.warnings)
        lines.extend(("left out", problem) for problem in self.problems)
        width = max(len(title) for title, _ in lines)
        head = f"{self.name} on {self.manifold}"
        return "\n".join([head, *(f"  {title:<{width}}  {text}" for title, text in lines)])


def audit_of(data: Rows) -> Audit:
    """The audit of all rows of a data set under its split, and of its other protocols."""
    coordinates, values, indices = data.coordinates, data.values, data.indices
    groups = data.groups
    positions, labels = coordinates.positions(values), data.labels
    multiplicity = np.bincount(labels)
    between, to_train = _nearest(data, positions)
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
        nearest=_quantiles(between),
        nearest_test=_quantiles(to_train),
        resolution={c: _resolution(values[:, j]) for j, c in enumerate(columns)},
        ranges={
            c: (float(values[:, j].min()), float(values[:, j].max())) for j, c in enumerate(columns)
        },
        whole=int((values == np.round(values)).all(axis=1).sum()),
        units=dict(zip(columns, coordinates.column_units, strict=True)),
        codes={c: {f"{v:.9g}": s for v, s in f.items()} for c, f in data.codes.values.items()},
        constant=data.codes.constant,
        index=data.codes.numbering,
        warnings=data.warnings,
        problems=data.problems,
    )


def _leaks(data: Rows, positions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = {}
    for protocol in data.protocols:
        try:
            indices = split(
                protocol, positions, data.seed,
                labels=labels, groups=data.groups, blocks=data.blocks,
            )  # fmt: skip
        except DataError:
            continue  # Too few rows, groups or cells for this one.
        found[protocol] = _leak(labels, indices)
    return found


def _leak(labels: np.ndarray, indices: Split) -> float:
    """Share of test rows whose label is also the label of a training row."""
    return float(np.isin(labels[indices.test], labels[indices.train]).mean())


def _nearest(data: Rows, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances of each row to the nearest other row, and of test rows to training rows."""
    from scipy.spatial import cKDTree

    indices, coordinates = data.indices, data.coordinates
    if len(coordinates.parts) > 1:
        points = np.asarray(coordinates.to_points(data.values), np.float64)
        train, test = points[indices.train], points[indices.test]
        between = nearest(data.manifold, points, points, 1, exclude_self=True)[1]
        return between[:, 0], nearest(data.manifold, train, test, 1)[1][:, 0]
    places, period, to_distance = _metric(coordinates, positions)
    between = cKDTree(places, boxsize=period).query(places, k=2)[0][:, 1]
    tree = cKDTree(places[indices.train], boxsize=period)
    return to_distance(between), to_distance(tree.query(places[indices.test])[0])


def _metric(
    coordinates: Coordinates, positions: np.ndarray
) -> tuple[np.ndarray, float | None, Callable[[np.ndarray], np.ndarray]]:
    """Where rows lie for a search of neighbours, the period of that space, and how a distance
    there becomes a geodesic distance."""
    if coordinates.manifold.toral:
        cosine, sine = np.split(positions, 2, axis=1)
        angles = np.arctan2(sine, cosine)
        return np.remainder(np.remainder(angles, 2 * np.pi), 2 * np.pi), 2 * np.pi, lambda r: r
    return positions, None, coordinates.parts[0].how.arc


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
