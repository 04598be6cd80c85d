"""Snapshots: one cloud of points for each of a few times, whose members may come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scorefold.data._errors import DataError
from scorefold.manifolds import Manifold, PointsError, check_points


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Points of ``manifold`` seen at times t_0 < … < t_K, in ``unit``.

    ``points``: K + 1 arrays of shape ``(n_k, *manifold.shape)``, float64 NumPy; ``ids``: K + 1
    arrays of n_k labels where members are known again from one snapshot to the next, or ``None``.
    Sizes may differ: ``lost`` and ``gained`` say by how much, nothing is normalised.

    **Raises:** ``DataError`` for times that do not increase, arrays that are not points, labels
    that do not fit or repeat within a snapshot.
    """

    name: str
    manifold: Manifold
    times: tuple[float, ...]
    points: tuple[np.ndarray, ...]
    ids: tuple[np.ndarray, ...] | None = None
    unit: str = ""
    licence: str = "none needed: synthetic"
    citation: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        times = np.asarray(self.times, np.float64)
        if len(times) != len(self.points) or len(times) < 2:
            raise DataError(f"{self.name}: needs as many times as snapshots, and at least 2.")
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
            raise DataError(f"{self.name}: times must increase, got {list(self.times)}.")
        try:
            clean = tuple(
                np.asarray(check_points(self.manifold, p, f"points[{k}]"), np.float64)
                for k, p in enumerate(self.points)
            )
        except PointsError as error:
            raise DataError(f"{self.name}: {error}") from error
        object.__setattr__(self, "points", clean)
        if self.ids is None:
            return
        for k, (own, rows) in enumerate(zip(self.ids, clean, strict=True)):
            if len(own) != len(rows) or len(np.unique(own)) != len(own):
                raise DataError(f"{self.name}: ids[{k}] must be {len(rows)} different labels.")

    @property
    def mass(self) -> tuple[int, ...]:
        """n_k, the number of members seen at each time."""
        return tuple(len(p) for p in self.points)

    @property
    def lost(self) -> tuple[int, ...]:
        """How many members each interval lost: by label where there are labels, else
        max(n_k − n_{k+1}, 0)."""
        return self._change(0)

    @property
    def gained(self) -> tuple[int, ...]:
        """The same for members that were not there before."""
        return self._change(1)

    def survivors(self, k: int, last: int | None = None) -> np.ndarray:
        """Weights 1 or 0 for the points of snapshot k: whether that member is still seen at
        snapshot ``last`` (default k + 1).

        **Raises:** ``DataError`` without labels: then nobody knows who is missing.
        """
        if self.ids is None:
            raise DataError(f"{self.name}: members have no ids, so survivors are not known.")
        return np.isin(self.ids[k], self.ids[k + 1 if last is None else last]).astype(np.float64)

    def paths(self, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The members seen at every snapshot up to ``last`` (default all): their tracks, shape
        ``(m, last + 1, *manifold.shape)``, and their labels, shape (m,)."""
        if self.ids is None:
            raise DataError(f"{self.name}: members have no ids, so their paths are not known.")
        stop = len(self.times) if last is None else last + 1
        common = self.ids[0]
        for own in self.ids[1:stop]:
            common = common[np.isin(common, own)]
        rows = []
        for own, points in zip(self.ids[:stop], self.points[:stop], strict=True):
            order = np.argsort(own)
            rows.append(points[order[np.searchsorted(own[order], common)]])
        return np.stack(rows, axis=1), common

    def split(
        self, seed: int, shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    ) -> tuple[Snapshots, Snapshots, Snapshots]:
        """Training, validation and test snapshots. Members with labels stay in one part with all
        their points; without labels every snapshot is cut by itself."""
        if min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-9:
            raise DataError(f"shares must be ≥ 0 and add up to 1, got {shares}.")
        rng = np.random.default_rng(seed)
        if self.ids is None:
            parts = [_cut(rng.permutation(n), shares) for n in self.mass]
        else:
            names = np.unique(np.concatenate(self.ids))
            cut = [names[rows] for rows in _cut(rng.permutation(len(names)), shares)]
            parts = [[np.flatnonzero(np.isin(own, c)) for c in cut] for own in self.ids]
        for t, rows in zip(self.times, parts, strict=True):
            sizes = [len(part) for part in rows]
            if 0 in sizes:
                shown = "/".join(map(str, sizes))
                raise DataError(
                    f"{self.name}: the {sum(sizes)} points at t = {t:g} are too few for three "
                    f"parts ({shown} to train, validate and test): join snapshots, or leave this "
                    "one out."
                )
        train, val, test = (self.rows([p[j] for p in parts]) for j in range(3))
        return train, val, test

    def rows(self, rows: Sequence[np.ndarray]) -> Snapshots:
        """The same snapshots with only these rows of each (an array of row numbers per time)."""
        points = tuple(p[r] for p, r in zip(self.points, rows, strict=True))
        ids = None
        if self.ids is not None:
            ids = tuple(own[r] for own, r in zip(self.ids, rows, strict=True))
        return replace(self, points=points, ids=ids)

    def without(self, k: int) -> Snapshots:
        """All snapshots but number k."""
        keep = [j for j in range(len(self.times)) if j != k]
        return replace(
            self,
            times=tuple(self.times[j] for j in keep),
            points=tuple(self.points[j] for j in keep),
            ids=None if self.ids is None else tuple(self.ids[j] for j in keep),
        )

    def _change(self, side: int) -> tuple[int, ...]:
        labels = self.ids or tuple(map(np.arange, self.mass))
        pairs = zip(labels[side:], labels[1 - side :], strict=False)
        return tuple(int((~np.isin(there, other)).sum()) for there, other in pairs)

    def __repr__(self) -> str:
        sizes = "/".join(map(str, self.mass))
        return f"Snapshots({self.name!r}, {self.manifold.name}, {sizes} points at {self.times})"


def _cut(order: np.ndarray, shares: tuple[float, float, float]) -> list[np.ndarray]:
    ends = np.round(np.cumsum(shares)[:2] * len(order)).astype(int)
    return [np.sort(part) for part in np.split(order, ends)]
