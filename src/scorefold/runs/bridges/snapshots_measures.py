"""What is measured of every bridge through many snapshots: a new number is an entry of
``SNAPSHOT_MEASURES``."""

import itertools
from collections.abc import Callable, Iterable

import jax
import numpy as np

from scorefold._types import Document, Key, NumPyOrJax
from scorefold._warnings import warn
from scorefold.bridges import MultiMarginalBridge, arrival
from scorefold.data import Snapshots
from scorefold.metrics import end_distance, leave_one_out
from scorefold.runs.bridges.arrivals import distance_numbers, gap_numbers, missed_line
from scorefold.runs.measures import Measure

_WALK = 60

Parts = tuple[Snapshots, Snapshots, Snapshots]
"""Those of the members to train, to validate and to test."""


def single_points(points: Iterable[NumPyOrJax]) -> list[np.ndarray]:
    """Points in single precision, in which bridges are trained and measured."""
    return [np.asarray(rows, np.float32) for rows in points]


class FittedSnapshots:
    """A bridge beside the snapshots that it goes through; ``refit`` fits one to other snapshots, to
    train and to validate."""

    def __init__(
        self,
        bridge: MultiMarginalBridge,
        labels: tuple[str, ...],
        parts: Parts,
        seed: int,
        refit: Callable[[Snapshots, Snapshots], MultiMarginalBridge],
    ):
        self.bridge, self.labels, self.parts, self.refit = bridge, labels, parts, refit
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
    walked = bridge.sample_paths(fitted.key, start, train.times[1:], steps=_WALK)
    rows = []
    for k, (low, high) in enumerate(itertools.pairwise(train.times), start=1):
        into, back, judge = jax.random.split(jax.random.fold_in(fitted.key, k), 3)
        there = bridge.sample_paths(into, points[k - 1], [high], start=low, steps=_WALK)[:, 0]
        home = bridge.sample_paths(back, points[k], [low], start=high, steps=_WALK)[:, 0]
        worth = 1.0 / (1.0 / len(train.points[k]) + 1.0 / len(train.points[k - 1]))
        gap = arrival(bridge.bridges[k - 1], "b", there, points[k], key=judge, learned_from=worth)
        if gap.missed:
            warn(missed_line(labels[k], gap))
        rows.append({
            "snapshot": labels[k],
            "time": high,
            "from_before": {**fitted.distance(there, k, judge), **gap_numbers(gap)},
            "from_first": fitted.distance(walked[:, k - 1], k, judge),
            "back": fitted.distance(home, k - 1, judge),
            "unbridged": fitted.distance(points[k - 1], k, judge),
        })  # fmt: skip
    return {"arrivals": rows}


def _left_out(fitted: FittedSnapshots) -> Document:
    """Each inner snapshot left out. The reference is Markov: the two neighbours are enough."""
    train, val, test = fitted.parts
    # Nothing of the snapshot that is left out is seen: all of it judges, but for the half of its
    # training points that fresh points are drawn from, which the floor needs.
    judging, fresh = _halves(train, val, test)
    found = []
    for k in range(1, len(train.times) - 1):
        pair = [k - 1, k + 1]

        def fit(_: Snapshots, pair: list[int] = pair) -> MultiMarginalBridge:
            return fitted.refit(_only(train, pair), _only(val, pair))

        rows = leave_one_out(fresh, judging, fit, key=fitted.key_left_out, which=[k])
        found += [row._asdict() for row in rows]
    return {"left_out": found}


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
LEFT_OUT = {"left_out": Measure("what is left out", ("left_out",), _left_out)}
"""What is measured where it is asked for."""
