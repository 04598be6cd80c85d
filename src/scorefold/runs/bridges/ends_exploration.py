"""What is explored of a bridge between two tables: points on their way, over both ends."""

import jax
import numpy as np

from scorefold import report
from scorefold.bridges import AlternationHistory, MultiMarginalBridge
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.runs.axes import axes_of
from scorefold.runs.bridges.ends_measures import MeasuredBridge
from scorefold.runs.bridges.findings import arrival_findings
from scorefold.runs.course_curves import course_curves
from scorefold.runs.exploration import Exploration
from scorefold.runs.request import Finished

_PATHS, _STEPS = 800, 100


def explored_ends(done: Finished[MeasuredBridge], ends: tuple[Dataset, Dataset]) -> Exploration:
    """Paths of test points of the first end, and of others after them where they are few."""
    a, b = ends
    bridge, course = done.subject.bridge, done.course
    key = jax.random.fold_in(jax.random.key(done.metrics["seed"]), 8)
    start = np.concatenate([a.test, a.train])[:_PATHS]
    # Through at the very times that are shown, whatever the levels of the walk are.
    times = np.linspace(0.0, 1.0, _STEPS + 1)
    whole = MultiMarginalBridge((0.0, 1.0), [bridge], [start])
    paths = np.asarray(whole.sample_paths(key, start, times, steps=_STEPS // 2))
    names = (a.name, b.name)
    curves: list[report.Curves] = []
    if isinstance(course, History | AlternationHistory):
        curves = course_curves(course, "held-out loss (nats)", names)
    found = done.metrics["ends"] or {}
    return Exploration(
        a.manifold, report.Explored(ways=paths, times=times.tolist()),
        {f"{end.name}, held out": np.asarray(end.test) for end in ends}, curves,
        arrival_findings([(end.name, found[which]) for end, which in ((b, "b"), (a, "a"))
                          if which in found]),
        axes_of(a.coordinates), done.earth,
    )  # fmt: skip
