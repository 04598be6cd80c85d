"""What is wrong with a table before anything is learned from it."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from scorefold._html import html_table
from scorefold._types import Document
from scorefold._weights import average
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.splits.protocols import Split
from scorefold.manifolds import nearest

_QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_FINEST = 9


@dataclass(frozen=True)
class WeightsAudit:
    """Weights w of rows: the name of their ``column``; ``total``: Σw; ``effective``: (Σw)²/Σw²,
    the number of rows of equal weight whose mean is as certain; ``heaviest``: the largest w over
    Σw; ``parts``: the shares of weight to train, validate and test."""

    column: str
    total: float
    effective: float
    heaviest: float
    parts: tuple[float, ...]


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
    ``weights``: of rows that carry some; ``leak`` and ``leaks`` are shares of weight then, and all
    other numbers count rows; ``warnings``: these and what was taken for granted in reading the
    table, in words.
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
    weights: WeightsAudit | None = None

    def to_dict(self) -> Document:
        """The same as plain numbers, strings, lists and dicts, for JSON."""
        return json.loads(json.dumps(asdict(self)))

    def __str__(self) -> str:
        lines = self._lines()
        width = max(len(title) for title, _ in lines)
        head = f"{self.name} on {self.manifold}"
        return "\n".join([head, *(f"  {title:<{width}}  {text}" for title, text in lines)])

    def _repr_html_(self) -> str:
        return html_table(f"{self.name} on {self.manifold}", self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        """The facts in words, with their titles."""
        most = self.largest_multiplicity
        leaks = [f"{name} {100 * share:.1f} %" for name, share in self.leaks.items()]
        lines = [
            ("rows", f"{self.rows}"),
            ("different points", f"{self.unique}"),
            ("repeated rows", f"{self.duplicates} (largest multiplicity {most})"),
            ("train / val / test", " / ".join(map(str, self.parts))),
            ("test points seen in training", f"{100 * self.leak:.1f} %"),
            ("the same by protocol", ", ".join(leaks)),
        ]
        if self.weights is not None:
            w = self.weights
            shares = " / ".join(f"{100 * share:.1f} %" for share in w.parts)
            lines.append((
                "weights",
                f"column {w.column!r}, total {w.total:.6g}, worth {w.effective:.1f} rows of equal "
                f"weight, the heaviest row {100 * w.heaviest:.2g} % of all; {shares} to train, "
                "validate and test",
            ))  # fmt: skip
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
        return lines


def leak(labels: np.ndarray, indices: Split, weights: np.ndarray | None = None) -> float:
    """Share of test rows (of their weight) whose label is also the label of a training row."""
    seen = np.isin(labels[indices.test], labels[indices.train])
    return float(average(seen, None if weights is None else weights[indices.test]))


def spacing(
    coordinates: Coordinates, values: np.ndarray, indices: Split
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of each row to the nearest other row, and of test rows to training rows."""
    from scipy.spatial import cKDTree

    if len(coordinates.parts) > 1:
        points = np.asarray(coordinates.to_points(values), np.float64)
        train, test = points[indices.train], points[indices.test]
        between = nearest(coordinates.manifold, points, points, 1, exclude_self=True)[1]
        return between[:, 0], nearest(coordinates.manifold, train, test, 1)[1][:, 0]
    places, period, arc = coordinates.positions(values), None, coordinates.parts[0].how.arc
    if coordinates.manifold.toral:
        cosine, sine = np.split(places, 2, axis=1)
        period = 2 * np.pi
        places = np.remainder(np.remainder(np.arctan2(sine, cosine), period), period)
    between = cKDTree(places, boxsize=period).query(places, k=2)[0][:, 1]
    tree = cKDTree(places[indices.train], boxsize=period)
    to_train = tree.query(places[indices.test])[0]
    return (between, to_train) if period else (arc(between), arc(to_train))


def quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, _QUANTILES)
    return {f"{100 * q:g}%": float(v) for q, v in zip(_QUANTILES, found, strict=True)}


def resolution(values: np.ndarray) -> float:
    """The largest power of ten of which all but 1 % of the values are multiples, or 0."""
    for digits in range(-3, _FINEST + 1):
        step = 10.0**-digits
        scaled = values / step
        error = np.abs(scaled - np.round(scaled)) > 1e-6 + 4e-16 * np.abs(scaled)
        if error.mean() <= 0.01:
            return step
    return 0.0
