"""A data set, split: points of a manifold and everything needed to say where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scorefold._html import html_table
from scorefold._types import NumPyOrJax, Values
from scorefold._weights import effective_number
from scorefold.data._errors import DataError
from scorefold.data.columns.audit import Audit, WeightsAudit, leak, quantiles, resolution, spacing
from scorefold.data.columns.codes import Codes, codes_of
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.laws.law import Law
from scorefold.data.splits.protocols import GENERAL, Split, joined, split
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Dataset:
    """Points of ``manifold`` in three parts; made by ``load``.

    ``train``, ``val``, ``test``: arrays of shape ``(n_part, *manifold.shape)``, of ``load`` JAX
    arrays in its default float type; ``indices``: the row numbers of each part, counted from 0 in
    the table as read; ``values``: all rows of the table's coordinate columns, float64, in the units
    of ``coordinates``; ``labels``: a number for each row, the same for rows of one point;
    ``groups``: a label for each row, or ``None``; ``blocks``: positions for spatial splits, or
    ``None``; ``protocols``: the splits that apply; ``problems``: rows that were left out, in
    words; ``weights``: of each row, float64, positive, or ``None``, with the name of their column
    in ``weights_column``; ``remarks``: what was taken for granted in reading the table, in words;
    ``law``: the exact law of a synthetic target, or ``None``.
    """

    name: str
    title: str
    manifold: Manifold
    train: NumPyOrJax
    val: NumPyOrJax
    test: NumPyOrJax
    protocol: str
    seed: int
    indices: Split
    values: np.ndarray
    coordinates: Coordinates
    labels: np.ndarray
    groups: np.ndarray | None = None
    blocks: np.ndarray | None = None
    protocols: tuple[str, ...] = GENERAL
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    law: Law | None = None
    weights: np.ndarray | None = None
    weights_column: str | None = None
    licence: str = "unknown"
    citation: str = ""
    note: str = ""

    def weights_of(self, part: str) -> np.ndarray | None:
        """Weights of the rows of ``train``, ``val`` or ``test``, or ``None``."""
        return None if self.weights is None else self.weights[getattr(self.indices, part)]

    def groups_of(self, part: str) -> np.ndarray | None:
        """Labels of the rows of ``train``, ``val`` or ``test`` that depend on each other: rows of
        one point, or of one of ``groups``. ``None`` where each row stands alone."""
        together = self.labels if self.groups is None else joined(self.labels, self.groups)
        own = together[getattr(self.indices, part)]
        return None if len(np.unique(own)) == len(own) else own

    @cached_property
    def audit(self) -> Audit:
        """Duplicates, leaks from training to test, spacing and resolution of the rows."""
        values, indices, groups = self.values, self.indices, self.groups
        columns = list(zip(self.coordinates.columns, values.T, strict=True))
        multiplicity = np.bincount(self.labels)
        between, to_train = spacing(self.coordinates, values, indices)
        straddling, number = 0, None
        if groups is not None:
            number = len(np.unique(groups))
            in_train = np.isin(groups[indices.test], groups[indices.train])
            straddling = len(np.unique(groups[indices.test][in_train]))
        return Audit(
            name=self.name,
            manifold=self.manifold.name,
            rows=len(values),
            unique=len(multiplicity),
            duplicates=len(values) - len(multiplicity),
            largest_multiplicity=int(multiplicity.max()),
            groups=number,
            parts=(len(indices.train), len(indices.val), len(indices.test)),
            leak=leak(self.labels, indices, self.weights),
            leaks=self._leaks(),
            straddling_groups=straddling,
            nearest=quantiles(between),
            nearest_test=quantiles(to_train),
            resolution={name: resolution(column) for name, column in columns},
            ranges={name: (float(own.min()), float(own.max())) for name, own in columns},
            whole=int((values == np.round(values)).all(axis=1).sum()),
            units=dict(zip(self.coordinates.columns, self.coordinates.column_units, strict=True)),
            codes={c: {f"{v:.9g}": s for v, s in f.items()} for c, f in self.codes.values.items()},
            constant=self.codes.constant,
            index=self.codes.numbering,
            warnings=self.warnings,
            problems=self.problems,
            weights=None if self.weights is None else self._weights_in_words(),
        )

    @cached_property
    def codes(self) -> Codes:
        """Numbers that may stand for "no value", constant columns and row numbers."""
        return codes_of(self.coordinates, self.values)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before anything is fitted, a line each: how columns were read where
        their names left that open, and ``codes``."""
        return (*self.remarks, *self.codes.lines())

    def _leaks(self) -> dict[str, float]:
        """The leak under each protocol, unless there are too few rows, groups or cells for it."""
        positions, found = self.coordinates.positions(self.values), {}
        for protocol in self.protocols:
            try:
                indices = split(
                    protocol, positions, self.seed,
                    labels=self.labels, groups=self.groups, blocks=self.blocks,
                    weights=self.weights,
                )  # fmt: skip
            except DataError:
                continue
            found[protocol] = leak(self.labels, indices, self.weights)
        return found

    def _weights_in_words(self) -> WeightsAudit:
        assert self.weights is not None
        total = float(self.weights.sum())
        return WeightsAudit(
            column=self.weights_column or "",
            total=total,
            effective=effective_number(self.weights),
            heaviest=float(self.weights.max()) / total,
            parts=tuple(float(self.weights[rows].sum()) / total for rows in self.indices),
        )

    def to_units(self, points: Values) -> pd.DataFrame:
        """A float64 ``pandas.DataFrame`` of points (for example samples of a model) with the column
        names, their order, units and ranges of the table that was read; origins are added in
        float64."""
        import pandas as pd

        columns = self.coordinates.to_columns(points)
        return pd.DataFrame(columns, columns=list(self.coordinates.columns))

    def __repr__(self) -> str:
        sizes = "/".join(str(len(part)) for part in self.indices)
        return (
            f"Dataset({self.name!r}, {self.manifold.name}, {sizes} rows, "
            f"protocol={self.protocol!r}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("manifold", self.manifold.name),
            ("train / val / test", " / ".join(str(len(part)) for part in self.indices)),
            ("protocol, seed", f"{self.protocol}, {self.seed}"),
            ("columns", ", ".join(self.coordinates.columns)),
            *([("licence", self.licence)] if self.licence else []),
            *(("warning", line) for line in self.warnings),
        ]
        return html_table(self.title, rows)
