"""The pictures and the page of one run."""

from pathlib import Path

import jax
import numpy as np

from scorefold import report
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.report.density import LogProb
from scorefold.runs.axes import Shown, axes_of
from scorefold.runs.exploration import Exploration, scene_of_run
from scorefold.runs.meanings import MEANINGS
from scorefold.runs.models.choices import ModelChoice
from scorefold.runs.models.measures import MeasuredModel
from scorefold.runs.models.pictures import Figures
from scorefold.runs.request import Finished

_VALIDATION = "NLL of validation points while training\n(nats, approximate)"


def write_model_page(
    done: Finished[MeasuredModel], choice: ModelChoice, explored: Exploration
) -> Path:
    """What can be explored; density, samples, training curves, what is particular to the model,
    measures of generalisation and the audit of the data, in one page."""
    model, dataset, samples = done.subject.model, done.subject.data, done.subject.draws
    metrics, history = done.metrics, done.course
    drawn = Shown(axes=axes_of(dataset.coordinates), earth=done.earth)
    density = explored.shown.log_prob if dataset.manifold.dim <= 2 else None
    figures = _laws(density, dataset, samples, drawn)
    if isinstance(history, History) and history.steps:
        figures["Training"] = report.training_curves(
            history, validation=_VALIDATION, chosen=metrics["val_nll"]
        )
    figures |= choice.figures(model, jax.random.key(metrics["seed"]), drawn)
    shown = {k: v for k, v in metrics.items() if k != "generalisation"}
    return report.write_report(
        done.folder, title=f"{dataset.title}: {metrics['model']} model", metrics=shown,
        figures=figures, notes=_notes(dataset), audit=dataset.audit, tables=done.tables,
        findings=explored.findings, meanings=MEANINGS, scene=scene_of_run(explored),
    )  # fmt: skip


def _laws(log_prob: LogProb | None, dataset: Dataset, samples: np.ndarray, drawn: Shown) -> Figures:
    manifold = dataset.manifold
    sets = {"training data": np.asarray(dataset.train), "test data": np.asarray(dataset.test)}
    globes = {}
    if manifold.picture == "sphere":
        fresh = {"test data": sets["test data"]}
        globes = {
            "Seen from space": report.globes(log_prob=log_prob, data=fresh, earth=drawn["earth"])
        }
    laws = report.picture(
        manifold, log_prob=log_prob, samples=samples, data=sets, pixels=90, **drawn
    )
    return {"Density, data and samples": laws, **globes}


def weights_line(dataset: Dataset) -> str:
    """What there is to know of the weights of rows."""
    w = dataset.audit.weights
    assert w is not None
    return (
        f"rows carry weights, column {w.column!r}: {len(dataset.values)} rows are worth "
        f"{w.effective:.1f} of equal weight, the heaviest has {100 * w.heaviest:.2g} % of all."
    )


def _notes(dataset: Dataset) -> list[str]:
    notes = [
        f"{dataset.title}. Licence: {dataset.licence}. {dataset.citation}".strip(),
        "Likelihoods are densities with respect to Riemannian volume, in nats; lower negative "
        "log-likelihood is better.",
    ]
    if dataset.weights is not None:
        line = weights_line(dataset)
        notes.append(f"{line[0].upper()}{line[1:]} Pictures show the points all alike.")
    if dataset.audit.leak > 0.01:
        notes.append(
            f"{100 * dataset.audit.leak:.0f} % of the test points coincide with a training point "
            f"under the protocol {dataset.protocol!r}: this likelihood rewards memory. Compare "
            "with the protocol 'grouped' or 'dedup'."
        )
    return notes
