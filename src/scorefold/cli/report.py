"""The pictures and the page of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold import report
from scorefold.cli.run import Run
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.manifolds import Sphere
from scorefold.models import ScoreModel

__all__ = ["write_run_report"]

_SAMPLES = 4000
_FILM = 1000
_STEPS = 100
_RTOL = 1e-3
"""For pictures: errors of some hundredths of a nat cannot be seen."""


def write_run_report(
    run: Run, model: ScoreModel, dataset: Dataset, metrics: dict[str, Any], history: History
) -> Path:
    """Density, samples, training curves, film strip and the audit of the data, in one page."""
    manifold = dataset.manifold
    key, paths = jax.random.split(jax.random.key(metrics["seed"]))
    samples = np.asarray(model.sample(key, _SAMPLES, steps=_STEPS))
    sets = {"training data": np.asarray(dataset.train), "test data": np.asarray(dataset.test)}
    title = f"{dataset.title}: {metrics['model']} model"
    drawn = lambda x: model.density(x, rtol=_RTOL).log_prob  # noqa: E731
    log_prob: Callable[[Any], Any] | None = drawn if manifold.dim == 2 else None
    on_sphere = isinstance(manifold, Sphere) and manifold.d == 2
    if isinstance(manifold, Sphere) and manifold.d == 2:
        log_prob = report.tabulated(drawn, manifold)
    figures = {
        "Density, data and samples": report.picture(
            manifold, log_prob=log_prob, samples=samples, data=sets, pixels=90
        )
    }
    if on_sphere:
        figures["Seen from space"] = report.globes(log_prob=log_prob, data=sets["test data"])
    figures["Training"] = report.training_curves(history)
    levels, frames = model.trajectory(paths, _FILM, frames=6, steps=_STEPS)
    times = np.asarray(jax.vmap(model.noising.schedule.t)(levels))
    if report.views_of(manifold, [samples]) or manifold.dim == 1:
        figures["From noise to data"] = report.film(manifold, np.asarray(frames), times=times)
    notes = [
        f"{dataset.title}. Licence: {dataset.licence}. {dataset.citation}".strip(),
        "Likelihoods are densities with respect to Riemannian volume, in nats; lower negative "
        "log-likelihood is better.",
    ]
    if dataset.audit.leak > 0.01:
        notes.append(
            f"{100 * dataset.audit.leak:.0f} % of the test points coincide with a training point "
            f"under the protocol {dataset.protocol!r}: this likelihood rewards memory. Compare "
            "with the protocol 'grouped' or 'dedup'."
        )
    return report.write_report(
        run.folder, title=title, metrics=metrics, figures=figures, notes=notes,
        audit=dataset.audit,
    )  # fmt: skip
