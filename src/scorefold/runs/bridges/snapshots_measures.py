"""What is measured of every bridge through many snapshots: a new number is an entry of
``SNAPSHOT_MEASURES``."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Literal

import jax
import numpy as np

from scorefold._types import Document, Key, NumPyOrJax
from scorefold._warnings import warn
from scorefold._weights import systematic
from scorefold.bridges import (
    MultiMarginalBridge,
    SnapshotBridge,
    SnapshotCurrent,
    SnapshotMixture,
    arrival,
    end_gap,
    interpolate_snapshots,
)
from scorefold.bridges.fit_snapshots import Contest
from scorefold.data import Snapshots
from scorefold.metrics import end_distance, leave_one_out
from scorefold.metrics.leave_one_out import SnapshotSampler
from scorefold.runs.bridges.arrivals import distance_numbers, gap_numbers, missed_line
from scorefold.runs.measures import Measure

Parts = tuple[Snapshots, Snapshots, Snapshots]
"""Those of the members to train, to validate and to test."""


def single_points(points: Iterable[NumPyOrJax]) -> list[np.ndarray]:
    """Points in single precision, in which bridges are trained and measured."""
    return [np.asarray(rows, np.float32) for rows in points]


class FittedSnapshots:
    """A law of paths beside the snapshots that it goes through. ``method``: that was asked for;
    ``bridged`` fits bridges to other snapshots, to train and to validate, and ``moving`` all other
    methods."""

    def __init__(
        self,
        bridge: SnapshotBridge,
        labels: tuple[str, ...],
        parts: Parts,
        seed: int,
        method: str,
        bridged: Callable[[Snapshots, Snapshots], SnapshotBridge],
        moving: Callable[[Snapshots], Contest],
    ):
        self.bridge, self.labels, self.parts, self.method = bridge, labels, parts, method
        self.bridged, self.moving = bridged, moving
        self.key, self.key_left_out = (
            jax.random.fold_in(jax.random.key(seed), which) for which in (7, 9)
        )

    def distance(self, drawn: NumPyOrJax, k: int, key: Key) -> Document:
        """W₁ of drawn points to the test points of snapshot k, and its floor."""
        train, _, test = self.parts
        found = end_distance(self.bridge.manifold, drawn, test.points[k], train.points[k], key=key)
        return distance_numbers(found)


def _arrivals(fitted: FittedSnapshots) -> Document:
    """Where test points come to lie, carried from the snapshot before, from the first and back."""
    bridge, labels = fitted.bridge, fitted.labels
    train, _, test = fitted.parts
    points = single_points(test.points)
    # Enough paths for any later snapshot, however small the first is.
    most = max(map(len, points))
    start = points[0][np.arange(max(most, len(points[0]))) % len(points[0])]
    walked = _from_first(bridge, fitted.key, start)
    rows = []
    for k, (low, high) in enumerate(itertools.pairwise(train.times), start=1):
        into, back, judge = jax.random.split(jax.random.fold_in(fitted.key, k), 3)
        begun = _multiplied(bridge, points[k - 1], low)
        there = bridge.sample_paths(into, begun, [high], start=low)[:, 0]
        home = bridge.sample_paths(back, points[k], [low], start=high)[:, 0]
        home = _multiplied(bridge, home, low, -1.0)
        worth = 1.0 / (1.0 / len(train.points[k]) + 1.0 / len(train.points[k - 1]))
        if isinstance(bridge, MultiMarginalBridge):
            own = bridge.bridges[k - 1]
            gap = arrival(own, "b", there, points[k], key=judge, learned_from=worth)
        else:
            gap = end_gap(bridge.manifold, there, points[k], learned_from=worth)
        if gap.missed:
            bridged = isinstance(bridge, MultiMarginalBridge)
            advice = () if bridged else ("Take another --method, or more points.",)
            warn(missed_line(labels[k], gap, *advice))
        rows.append({
            "snapshot": labels[k],
            "time": high,
            "from_before": {**fitted.distance(there, k, judge), **gap_numbers(gap)},
            "from_first": fitted.distance(walked[:, k - 1], k, judge),
            "back": fitted.distance(home, k - 1, judge),
            "unbridged": fitted.distance(points[k - 1], k, judge),
        })  # fmt: skip
    return {"arrivals": rows}


def _multiplied(
    bridge: SnapshotBridge, rows: NumPyOrJax, start: float, power: float = 1.0
) -> NumPyOrJax:
    """As many members as ``rows``, each in proportion to its descendants at the next snapshot: the
    law of those whose lines go on. With ``power`` −1 from this back to the law of members."""
    if not isinstance(bridge, SnapshotCurrent):
        return rows
    weights = bridge.descendants(rows, start) ** power
    return rows[systematic(weights / weights.sum(), len(rows))]


def _from_first(bridge: SnapshotBridge, key: Key, rows: NumPyOrJax) -> NumPyOrJax:
    """Paths from the first snapshot at each later one, shape ``(n, K, *shape)``."""
    if not isinstance(bridge, SnapshotCurrent):
        return bridge.sample_paths(key, rows, bridge.times[1:])
    found = []
    for k, (low, high) in enumerate(itertools.pairwise(bridge.times)):
        begun, own = _multiplied(bridge, rows, low), jax.random.fold_in(key, k)
        rows = bridge.sample_paths(own, begun, [high], start=low)[:, 0]
        found.append(np.asarray(rows))
    return np.stack(found, axis=1)


PLAIN = ("optimal pairs", "random pairs", "neighbours mixed by time", "previous snapshot")
"""Methods that learn nothing, by which others are judged."""
_SHOWN = ("w1", "w2", "floor_w1", "floor_w2")


def _left_out(fitted: FittedSnapshots) -> Document:
    """Each inner snapshot left out, by every method and by plain ones; the rows of the method that
    was asked for by themselves, too."""
    train, val, test = fitted.parts
    # Nothing of the snapshot that is left out is seen: all of it judges, but for the half of its
    # training points that fresh points are drawn from, which the floor needs.
    judging, fresh = _halves(train, val, test)
    found: dict[str, list[Document]] = {}
    for k in range(1, len(train.times) - 1):
        for name, law in _laws_without(fitted, k).items():
            fit = functools.partial(_given, law)
            rows = leave_one_out(fresh, judging, fit, key=fitted.key_left_out, which=[k])
            found.setdefault(name, []).append(rows[0]._asdict())
    means = [
        {"method": name, **{key: float(np.mean([row[key] for row in rows])) for key in _SHOWN},
         "each_w1": [row["w1"] for row in rows],
         "each_floor_w1": [row["floor_w1"] for row in rows]}
        for name, rows in found.items()
    ]  # fmt: skip
    numbers: Document = {"left_out": found.get(fitted.method), "left_out_methods": means}
    if fitted.method not in found:
        why = (f"{fitted.method} has no row: with one of three snapshots left out two are left, "
               "which do not tell how paths move between.")  # fmt: skip
        numbers["left_out_reason"] = why
    return numbers


def _given(law: SnapshotSampler, _: Snapshots) -> SnapshotSampler:
    return law


def _laws_without(fitted: FittedSnapshots, k: int) -> dict[str, SnapshotSampler]:
    """All methods, from the other training snapshots. ``best`` is what other inner snapshots
    choose, each left out in turn of those that are left."""
    train, val, _ = fitted.parts
    rest, pair = train.without(k), [k - 1, k + 1]
    near = _only(train, pair)
    key, points = fitted.key_left_out, single_points(near.points)
    laws: dict[str, SnapshotSampler] = {}
    if len(rest.times) > 2:
        tried = fitted.moving(rest)
        laws = {"best": tried.fitted[tried.best][0]}
        laws |= {name: law for name, (law, _) in tried.fitted.items()}
    # Of bridges the two neighbours are enough: their reference is Markov.
    laws["bridge"] = fitted.bridged(near, _only(val, pair))
    pairings: tuple[Literal["optimal", "random"], ...] = ("optimal", "random")
    for pairing in pairings:
        laws[f"{pairing} pairs"] = interpolate_snapshots(
            near.manifold, near.times, points, key=key, pairing=pairing
        )
    laws["neighbours mixed by time"] = SnapshotMixture(near.times, points)
    laws["previous snapshot"] = SnapshotMixture(near.times, points, previous=True)
    return laws


def _halves(*parts: Snapshots) -> tuple[Snapshots, Snapshots]:
    """Every snapshot whole, in two halves of its rows in an order of their own: members to judge
    by, and fresh ones for the floor."""
    halves: tuple[list, list] = [], []
    for k, rows in enumerate(zip(*(p.points for p in parts), strict=True)):
        whole = np.concatenate([np.asarray(r) for r in rows])
        order = np.random.default_rng(k).permutation(len(whole))
        for half, at in zip(halves, np.array_split(order, 2), strict=True):
            half.append(whole[at])
    first = parts[0]
    judging, fresh = (
        Snapshots(first.name, first.manifold, first.times, tuple(half)) for half in halves
    )
    return judging, fresh


def _only(snapshots: Snapshots, keep: list[int]) -> Snapshots:
    for k in reversed(range(len(snapshots.times))):
        if k not in keep:
            snapshots = snapshots.without(k)
    return snapshots


SNAPSHOT_MEASURES: dict[str, Measure[FittedSnapshots]] = {
    "arrivals": Measure("how near the bridge comes to each snapshot", ("arrivals",), _arrivals),
}
LEFT_OUT = {
    "left_out": Measure(
        "every method on snapshots left out in turn", ("left_out", "left_out_methods"), _left_out
    )
}
"""What is measured where it is asked for."""
