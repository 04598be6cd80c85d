"""The share of points that are inside a region, and its error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Values
from scorefold._weights import counted, effective_number, rows_that_count


class Held(NamedTuple):
    """Values of the points that count, their weights (None: alike) and whole numbers for their
    groups (None: independent)."""

    values: np.ndarray
    weights: np.ndarray | None
    groups: np.ndarray | None

    @staticmethod
    def of(values: np.ndarray, weights: Values | None, groups: Values | None) -> Held:
        kept, w = rows_that_count("weights", weights, values.size)
        if groups is None:
            return Held(counted(values, kept), w, None)
        labels = np.asarray(groups)
        if labels.shape != (values.size,):
            raise ValueError(
                f"groups: one label for each of {values.size} points is needed, got an array of "
                f"shape {labels.shape}."
            )
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            rows = listed(np.flatnonzero(np.isnan(labels)))
            raise ValueError(f"groups: rows {rows} have no label; give each of them its own.")
        try:
            found = np.unique(counted(labels, kept), return_inverse=True)[1].reshape(-1)
        except TypeError:
            raise ValueError(
                "groups: labels of one kind are needed, all numbers or all text; some are None or "
                "of another kind."
            ) from None
        if found.max(initial=0) < 1:
            raise ValueError("groups: all points are of one group, which has no error: give two.")
        return Held(counted(values, kept), w, found)

    def share_error(self, m: float) -> float:
        """One standard error of the share of weight of ``values`` (whether a point is inside) that
        is m on average."""
        if self.groups is None:
            worth = self.values.size if self.weights is None else effective_number(self.weights)
            return math.sqrt(m * (1.0 - m) / worth)
        w = np.ones(self.values.size) if self.weights is None else self.weights
        sums = np.bincount(self.groups, w * (self.values - m))
        return math.sqrt(sums.size / (sums.size - 1) * float(sums @ sums)) / float(w.sum())
