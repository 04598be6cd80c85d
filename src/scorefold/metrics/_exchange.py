"""Draws beside training points against draws beside held-out points, label by label."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.data.splits.protocols import joined
from scorefold.manifolds import Manifold, nearest
from scorefold.manifolds.neighbours import rows_of

Groups = tuple[Values, Values]
"""Labels of the rows of training points, and of held-out ones: those for testing, then others."""

LEVEL = 0.005
"""p-value at and below which draws are called copies."""
ODDS = 2.0
"""Draws beside training points over draws beside as many held-out ones, from which they are called
copies: the density at the former is twice that at the latter."""
_NEIGHBOURS = 8
_TIED = 1e-6
_LEAST = 10


@dataclass(frozen=True)
class Beside:
    """Of ``n`` draws, how many lie beside a training point, and how many would by chance.

    ``excess``: (observed − expected)/(n (1 − share)), the share of draws that must be copies if
    all others fall as chance has it; ``odds``: draws for each training point over draws for each
    held-out point; ``z``: observed − expected in standard deviations."""

    n: int
    observed: float
    expected: float
    std: float
    share: float

    @property
    def z(self) -> float:
        return (self.observed - self.expected) / self.std if self.std > 0 else 0.0

    @property
    def odds(self) -> float:
        beside = self.observed * (1.0 - self.share)
        apart = (self.n - self.observed) * self.share
        return beside / apart if apart > 1e-9 else math.inf if beside > 0 else 1.0

    @property
    def excess(self) -> float:
        return (self.observed - self.expected) / max(1.0 - self.share, 1e-12)


class Nearest(NamedTuple):
    """``rows``, ``weight``, shape ``(n, k)``: points near each draw, and their shares in being the
    nearest; ``ratio``, shape ``(n,)``: d₁/d₂, the distances to the nearest point and to the next
    that is further."""

    rows: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray


class Pool:
    """Training and held-out points together, with the labels taken off.

    Of draws that have not seen the training points, given where the points lie, each of n + m
    points is as likely a training point as any other: the labels can be exchanged. That holds for
    points that repel each other, gather in clusters or lie on a grid, as it asks nothing of their
    law. Equal rows, or rows of one group, that were split as one are exchanged as one.

    Groups of more rows than half the held-out ones are left out (a split cannot put them there).

    **Raises:** ``ValueError`` for fewer than 10 held-out points, or groups.
    """

    def __init__(
        self,
        manifold: Manifold,
        train: np.ndarray,
        held_out: np.ndarray,
        groups: Groups | None = None,
    ) -> None:
        rows = np.concatenate([train, held_out])
        label = np.arange(len(rows)) < len(train)
        flat = rows.reshape(len(rows), -1) + 0.0
        _, first, point = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        point = point.reshape(-1)
        unit = point if groups is None else joined(point, np.concatenate(groups))
        small = np.bincount(unit)[unit] <= max(1, len(held_out) // 2)
        kept = np.unique(point[small])
        number = np.full(len(first), -1)
        number[kept] = np.arange(len(kept))
        self.manifold = manifold
        self.points = rows[first[kept]]
        self.label = label[small]
        self.point = number[point[small]]
        self.rows = np.bincount(self.point)
        self.unit = np.unique(unit[small], return_inverse=True)[1].reshape(-1)
        held = len(np.unique(self.unit[~self.label]))
        if held < _LEAST:
            what = "points" if groups is None else "groups"
            raise ValueError(
                f"test: {held} different held-out {what}; whether draws lie nearer to training "
                f"points needs at least {_LEAST}."
            )
        if len(self.points) < _NEIGHBOURS or not self.label.any():
            raise ValueError("train: too few different points.")

    def nearest(self, x: np.ndarray) -> Nearest:
        """The points nearest to each draw. Equally near ones share it by their numbers of rows."""
        index, distance = nearest(self.manifold, self.points, x, _NEIGHBOURS)
        tied = distance <= distance[:, :1] * (1.0 + _TIED)
        after = np.where(tied.all(axis=1), -1, np.argmin(tied, axis=1))
        second = distance[np.arange(len(x)), after]
        ratio = np.divide(distance[:, 0], second, out=np.ones(len(x)), where=second > 0)
        weight = np.where(tied, self.rows[index], 0.0)
        return Nearest(index, weight / weight.sum(axis=1, keepdims=True), ratio)

    def counts(self, near: Nearest, chosen: np.ndarray) -> np.ndarray:
        """How many of the chosen draws lie beside each row, shape ``(rows,)``."""
        index, weight = near.rows[chosen].ravel(), near.weight[chosen].ravel()
        of_point = np.bincount(index, weight, minlength=len(self.points))
        return (of_point / self.rows)[self.point]

    def beside(self, counts: np.ndarray) -> Beside:
        """The draws so counted; by exchange of rows or of units, whichever is less clear."""
        found = []
        for total, label in self._exchanged(counts):
            n, mean, share = len(total), total.mean(), label.mean()
            spread = np.sum((total - mean) ** 2) * np.sum((label - share) ** 2) / max(n - 1, 1)
            observed, expected = float(total @ label), float(n * mean * share)
            draws, std = round(float(total.sum())), math.sqrt(spread)
            found.append(Beside(draws, observed, expected, std, float(share)))
        return min(found, key=lambda b: b.z)

    def p_value(
        self,
        levels: Sequence[np.ndarray],
        rng: np.random.Generator,
        *,
        chosen: Sequence[bool] | None = None,
        times: int = 999,
    ) -> float:
        """The share of exchanged labels (the true ones included) whose largest z over the counts
        in ``levels`` reaches that of the true ones over the ``chosen`` levels (default: all): the
        larger of the exchanges of rows and of units."""
        counted = np.ones(len(levels), bool) if chosen is None else np.asarray(chosen)
        p = 0.0
        for exchanged in zip(*map(self._exchanged, levels), strict=True):
            totals, label = np.stack([total for total, _ in exchanged]), exchanged[0][1]
            expected = totals.sum(axis=1) * label.mean()
            spread = np.sqrt(
                np.sum((totals - totals.mean(axis=1, keepdims=True)) ** 2, axis=1)
                * np.sum((label - label.mean()) ** 2) / max(len(label) - 1, 1)
            )  # fmt: skip
            usable = spread > 0
            if not (usable & counted).any():
                return 1.0
            hit = np.flatnonzero(totals.any(axis=0))
            standard = totals[usable][:, hit] / spread[usable, None]
            shift = (expected / np.where(usable, spread, 1.0))[usable]
            top = float(np.max((standard @ label[hit] - shift)[counted[usable]]))
            drawn = np.stack(
                [label[rng.choice(len(label), len(hit), replace=False)] for _ in range(times)]
            )
            null = np.max(drawn @ standard.T - shift, axis=1)
            p = max(p, (1 + int(np.sum(null >= top - 1e-9))) / (times + 1))
        return p

    def _exchanged(self, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(counts, labels) of what is exchanged: rows; and units, where they are not rows."""
        label = self.label.astype(np.float64)
        size = np.bincount(self.unit)
        share = np.bincount(self.unit, label) / size
        larger = len(size) < len(label)
        # Where every unit lies in one part, it was split as one, and rows were not.
        if not larger or np.any((share > 0) & (share < 1)):
            yield counts, label
        if larger:
            yield np.bincount(self.unit, counts), share


def held_out(manifold: Manifold, test: np.ndarray, val: Values | None) -> np.ndarray:
    """The test points, followed by those for validation where there are any."""
    if val is None or not len(np.asarray(val)):
        return test
    return np.concatenate([test, rows_of(manifold, "val", val)])
