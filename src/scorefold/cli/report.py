"""The pictures and the page of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from scorefold import report
from scorefold.cli.axes import axes_of
from scorefold.cli.generalisation import HEADING, generalisation_rows
from scorefold.cli.run import Run
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.models import KernelModel, Model, ScoreModel

__all__ = ["write_run_report"]

_FILM = 1000
_STEPS = 100
_VALIDATION = "NLL of validation points while training\n(nats, approximate)"
_RTOL = 1e-3
"""For pictures: errors of some hundredths of a nat cannot be seen."""

Density = Callable[[Any], Any]


def write_run_report(
    run: Run,
    model: Model,
    dataset: Dataset,
    metrics: dict[str, Any],
    history: History,
    samples: np.ndarray,
    *,
    earth: bool = False,
) -> Path:
    """Density, samples, training curves, what is particular to the model, measures of
    generalisation and the audit of the data, in one page. ``earth``: with coastlines."""
    parts = _PARTS.get(type(model), _ANY)
    drawn: dict[str, Any] = {"axes": axes_of(dataset.coordinates), "earth": earth}
    figures = _laws(parts.density(model), dataset, samples, drawn)
    if history.steps:
        figures["Training"] = report.training_curves(
            history, validation=_VALIDATION, chosen=metrics["val_nll"]
        )
    figures |= parts.figures(model, jax.random.key(metrics["seed"]), drawn)
    shown = {k: v for k, v in metrics.items() if k != "generalisation"}
    tables = {}
    if metrics.get("generalisation") is not None:
        rows = generalisation_rows(metrics["generalisation"])
        tables["Memorisation and generalisation"] = [HEADING, *rows]
    return report.write_report(
        run.folder, title=f"{dataset.title}: {metrics['model']} model", metrics=shown,
        figures=figures, notes=_notes(dataset), audit=dataset.audit, tables=tables,
    )  # fmt: skip


def _laws(
    density: Density, dataset: Dataset, samples: np.ndarray, drawn: dict[str, Any]
) -> dict[str, Any]:
    manifold = dataset.manifold
    sets = {"training data": np.asarray(dataset.train), "test data": np.asarray(dataset.test)}
    log_prob = density if manifold.dim <= 2 else None
    globes = {}
    if manifold.picture == "sphere":
        log_prob = report.tabulated(density, manifold)
        fresh = {"test data": sets["test data"]}
        globes = {
            "Seen from space": report.globes(log_prob=log_prob, data=fresh, earth=drawn["earth"])
        }
    laws = report.picture(
        manifold, log_prob=log_prob, samples=samples, data=sets, pixels=90, **drawn
    )
    return {"Density, data and samples": laws, **globes}


def _notes(dataset: Dataset) -> list[str]:
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
    return notes


# -- what differs between models -------------------------------------------------------------------
class _Parts(NamedTuple):
    """log p for pictures, and the figures that only this kind of model has."""

    density: Callable[[Any], Density]
    figures: Callable[[Any, Any, dict[str, Any]], dict[str, Any]]


def _coarse(model: ScoreModel) -> Density:
    return lambda x: model.density(x, rtol=_RTOL).log_prob


def _film(model: ScoreModel, key: Any, drawn: dict[str, Any]) -> dict[str, Any]:
    levels, frames = model.trajectory(key, _FILM, frames=6, steps=_STEPS)
    manifold, path = model.manifold, np.asarray(frames)
    if not report.views_of(manifold, [path[-1]]) and manifold.dim > 1:
        return {}
    times = np.asarray(jax.vmap(model.noising.schedule.t)(levels))
    return {"From noise to data": report.film(manifold, path, times=times, **drawn)}


def _kernels(model: KernelModel, key: Any, drawn: dict[str, Any]) -> dict[str, Any]:
    if model.mixture is None:
        return {}
    return {"Kernels": report.kernel_shapes(model.mixture_in_units(), **drawn)}


_PARTS: dict[type[Model], _Parts] = {
    ScoreModel: _Parts(_coarse, _film),
    KernelModel: _Parts(lambda model: model.log_prob, _kernels),
}
_ANY = _Parts(lambda model: model.log_prob, lambda model, key, drawn: {})
