"""What is explored of a model: its density, draws and kernels over its data."""

import numpy as np

from scorefold import report
from scorefold.fitting import History
from scorefold.runs.axes import axes_of
from scorefold.runs.course_curves import course_curves
from scorefold.runs.exploration import Exploration
from scorefold.runs.models.choices import ModelChoice
from scorefold.runs.models.findings import model_findings
from scorefold.runs.models.measures import MeasuredModel
from scorefold.runs.request import Finished

_FINE, _COARSE, _KERNELS = 120, 60, 2000
"""Rows of the grid of a density that is cheap, and of one that takes a network many
times; training points up to which one of more dimensions is cheap."""


def explored_model(done: Finished[MeasuredModel], choice: ModelChoice) -> Exploration:
    """Of three dimensions or more the density is left out where it is not cheap: where it takes a
    network many times, or is of very many kernels."""
    model, dataset, history = done.subject.model, done.subject.data, done.course
    manifold = dataset.manifold
    cheap = (done.metrics.get("nfe") or 1.0) <= 1.0
    cells = _FINE if cheap else _COARSE
    few = cheap and len(dataset.train) <= _KERNELS
    density = choice.density(model)
    if manifold.picture == "sphere":
        density = report.tabulated(density, manifold, rows=cells)
    curves = [] if not isinstance(history, History) else course_curves(
        history, "approximate NLL (nats)"
    )  # fmt: skip
    return Exploration(
        manifold,
        report.Explored(
            log_prob=density if manifold.dim <= 2 or few else None,
            draws=done.subject.draws, kernels=choice.kernels(model),
        ),
        {"training data": np.asarray(dataset.train), "test data": np.asarray(dataset.test)},
        curves, model_findings(done.metrics, dataset.audit.leak), axes_of(dataset.coordinates),
        done.earth, cells,
    )  # fmt: skip
