"""Learning curves of several methods, against seconds of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scorefold.bench.contract import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(runs: Mapping[str, Result], title: str, label: str) -> Figure:
    """Validation on the way, with the step that was returned marked. Seconds are those of the
    steps, spread evenly over them."""
    from scorefold.report.panels import new_figure

    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    lowest = []
    for k, (name, run) in enumerate(runs.items()):
        steps, values = np.asarray(run.more["curve"], np.float64).T
        seconds = steps / max(run.more["steps"], 1) * run.more["train_seconds"]
        axes.plot(seconds, values, "-", marker="os^vDP*X"[k % 8], ms=3, lw=1.2, label=name)
        lowest.append(values.min())
    low, high = min(lowest), max(lowest)
    axes.set_ylim(low - 0.2, high + 1.5)
    axes.set_xlabel("seconds of training")
    axes.set_ylabel(label)
    axes.grid(color="0.9")
    axes.legend(fontsize=8)
    axes.set_title(title, fontsize=10)
    return figure
