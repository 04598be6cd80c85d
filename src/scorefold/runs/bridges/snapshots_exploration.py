"""What is explored of a law of paths through snapshots: points on their way, over all of them."""

import itertools

import jax
import numpy as np

from scorefold import report
from scorefold.bridges import CurrentHistory, SnapshotHistory, SplineHistory
from scorefold.runs.bridges.findings import arrival_findings
from scorefold.runs.bridges.snapshots_measures import FittedSnapshots
from scorefold.runs.course_curves import course_curves
from scorefold.runs.exploration import Exploration
from scorefold.runs.request import Finished

_PATHS, _LEVELS, _NAMED = 800, 12, 4


def explored_snapshots(done: Finished[FittedSnapshots], axes: report.Axes) -> Exploration:
    """Paths of held-out points of the first snapshot, and of others after them where they are few.
    Of many snapshots some are shown as data, evenly taken."""
    metrics, (train, _, test) = done.metrics, done.subject.parts
    bridge, names = done.subject.bridge, metrics["snapshots"]
    key = jax.random.fold_in(jax.random.key(metrics["seed"]), 8)
    start = np.concatenate([test.points[0], train.points[0]])[:_PATHS].astype(np.float32)
    at = np.unique(np.concatenate([np.linspace(a, b, _LEVELS + 1) for a, b in
                                   itertools.pairwise(bridge.times)]))  # fmt: skip
    paths = np.asarray(bridge.sample_paths(key, start, at))
    shown = np.unique(np.linspace(0, len(names) - 1, _NAMED).round().astype(int))
    curves = []
    assert isinstance(done.course, SnapshotHistory)
    course = done.course.course
    if not isinstance(course, CurrentHistory | SplineHistory):
        for k, one in enumerate(course):
            ends = (names[k], names[k + 1])
            curves += [
                report.Curves(f"{chart.title}, {ends[0]} to {ends[1]}", chart.x, chart.y,
                              chart.series)
                for chart in course_curves(one, "held-out loss (nats)", ends)
            ]  # fmt: skip
    rows = metrics["arrivals"] or []
    return Exploration(
        bridge.manifold, report.Explored(ways=paths, times=at.tolist()),
        {f"{names[k]}, held out": np.asarray(test.points[k]) for k in shown}, curves,
        arrival_findings([(row["snapshot"], row["from_before"]) for row in rows]), axes, done.earth,
    )  # fmt: skip
