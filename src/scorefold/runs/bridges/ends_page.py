"""The pictures and the page of one bridge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold import report
from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges import AlternationHistory, SnapshotHistory
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.manifolds import Manifold
from scorefold.runs.axes import Shown
from scorefold.runs.bridges.arrivals import miss, ratio, text
from scorefold.runs.bridges.ends_measures import MeasuredBridge
from scorefold.runs.exploration import Exploration, scene_of_run
from scorefold.runs.meanings import MEANINGS
from scorefold.runs.request import Finished, Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAMES = 6


def write_bridge_page(
    done: Finished[MeasuredBridge], ends: tuple[Dataset, Dataset], explored: Exploration
) -> Path:
    """What can be explored; both ends beside held-out points, the film from A to B, paths, training
    curves."""
    a, b = ends
    metrics, history = done.metrics, done.course
    drawn, shown_on = done.subject.held, Shown(axes=explored.axes, earth=done.earth)
    paths, times = np.asarray(explored.shown.ways), np.asarray(explored.shown.times)
    figures = {
        f"At {end.name}": arrival_figure(
            a.manifold, {f"bridged from {other.name}": drawn[name]},
            {f"{end.name}, held out": np.asarray(end.test)}, shown_on,
        )
        for name, end, other in (("b", b, a), ("a", a, b))
    }  # fmt: skip
    if a.manifold.picture != "factors":
        at = np.linspace(0, len(times) - 1, _FRAMES).round().astype(int)
        figures[f"From {a.name} to {b.name}"] = report.film(
            a.manifold, paths[:, at].swapaxes(0, 1), times=times[at],
            data={b.name: np.asarray(b.test)}, **shown_on,
        )  # fmt: skip
        figures["Paths"] = report.trajectories(
            a.manifold, paths, times=times, ends=(a.name, b.name), at_most=40, **shown_on
        )
    if not isinstance(history, SnapshotHistory):
        figures["Training"] = training_figure(history, (a.name, b.name))
    shown = {k: v for k, v in metrics.items() if k != "ends"}
    lists = ("datasets", "n_train", "n_val", "n_test", "weights", "n_train_effective")
    shown |= {k: ", ".join(map(str, shown[k])) for k in lists if k in shown}
    return report.write_report(
        done.folder, title=f"{a.title} to {b.title}: {metrics['model']} bridge", metrics=shown,
        figures=figures, notes=_notes(ends, metrics), tables=done.tables,
        findings=explored.findings, meanings=MEANINGS, scene=scene_of_run(explored),
    )  # fmt: skip


def end_tables(ends: tuple[Dataset, Dataset], metrics: ReadOnlyDocument) -> Tables:
    """How near the bridge comes to its ends."""
    a, b = ends
    if metrics["ends"] is None:
        return {}
    rows: list[tuple[str, ...]] = [
        ("end", "W₁ of bridged points", "of fresh points", "ratio", "unbridged",
         "worst line, in deviations")
    ]  # fmt: skip
    for dataset, name in ((b, "b"), (a, "a")):
        end = metrics["ends"][name]
        rows.append((
            f"{dataset.name} ({end['n']} points)", text(end["w1"], "g"), text(end["floor"], "g"),
            ratio(end), text(end["unbridged"], "g"), miss(end),
        ))  # fmt: skip
    return {"Both ends, on held-out points": rows}


def arrival_figure(
    manifold: Manifold,
    drawn: Mapping[str, np.ndarray],
    fresh: Mapping[str, np.ndarray],
    shown_on: Shown,
) -> Figure:
    """Points that were carried somewhere, beside real ones there."""
    if manifold.picture == "sphere":
        return report.globes(samples=drawn, data=fresh, earth=shown_on["earth"])
    return report.picture(manifold, samples=drawn, data=fresh, **shown_on)


def training_figure(history: History | AlternationHistory, ends: tuple[str, str]) -> Figure:
    if isinstance(history, AlternationHistory):
        return report.half_steps(history, ends=ends)
    return report.training_curves(history, validation="held-out loss (nats)")


def _notes(ends: tuple[Dataset, Dataset], metrics: Document) -> list[str]:
    facts = [f"{d.title}. Licence: {d.licence}. {d.citation}".strip() for d in ends]
    facts += [
        f"Rows of {d.name} carry weights, column {d.weights_column!r}: points are those rows, "
        "drawn in proportion to their weights."
        for d in ends
        if d.weights is not None
    ]
    measured = metrics["ends"] or {}
    missed = [d.name for d, name in zip(ends, "ab", strict=True)
              if measured and measured[name]["missed"]]  # fmt: skip
    if missed:
        facts.insert(
            0, f"The bridge misses {' and '.join(missed)}: points carried there differ from real "
            "ones beyond chance. Its other numbers are of a bridge between other laws.",
        )  # fmt: skip
    return [
        *facts,
        "A Schrödinger bridge is the diffusion closest to Brownian motion of variance-time "
        f"{metrics['variance']:.4g} among those that carry the first law to the second. Held-out "
        "points of one end are carried to the other and compared with held-out points there by "
        "the Wasserstein distance with geodesic cost; fresh points of that end give the floor.",
    ]
