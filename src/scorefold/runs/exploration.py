"""What the page of a run lets its reader explore, of one run or of several side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scorefold import report
from scorefold.manifolds import Manifold


@dataclass(frozen=True)
class Exploration:
    """Of one run: what is ``shown`` of its model or bridge, over ``data`` by name; the ``curves``
    of its training; what its numbers say (``findings``); ``axes`` and ``earth`` as in pictures;
    ``cells``: rows of the grid of its density."""

    manifold: Manifold
    shown: report.Explored
    data: Mapping[str, np.ndarray]
    curves: Sequence[report.Curves]
    findings: Sequence[report.Finding]
    axes: report.Axes
    earth: bool
    cells: int = 60


def scene_of_run(run: Exploration) -> report.Scene:
    """What is explored of one run."""
    return scene_of_runs({"": run}, run.data)


def scene_of_runs(runs: Mapping[str, Exploration], data: Mapping[str, np.ndarray]) -> report.Scene:
    """Of several runs on one manifold, by their names, over the same ``data``; charts of one
    heading are one."""
    first = next(iter(runs.values()))
    curves: dict[str, report.Curves] = {}
    for name, run in runs.items():
        for chart in run.curves:
            series = [replace(one, name=", ".join(w for w in (one.name, name) if w))
                      for one in chart.series]  # fmt: skip
            if chart.title in curves:
                series = [*curves[chart.title].series, *series]
            curves[chart.title] = replace(chart, series=series)
    return report.scene_of(
        first.manifold, [replace(run.shown, name=name) for name, run in runs.items()], data=data,
        curves=list(curves.values()), axes=first.axes, earth=any(r.earth for r in runs.values()),
        cells=min(run.cells for run in runs.values()),
    )  # fmt: skip
