"""The pictures and the page of one bridge through many snapshots."""

import itertools
from pathlib import Path

import jax
import numpy as np

from scorefold import report
from scorefold._types import Document, ReadOnlyDocument
from scorefold.data import Snapshots
from scorefold.runs.axes import Shown
from scorefold.runs.bridges.arrivals import miss, ratio, text
from scorefold.runs.bridges.ends_page import arrival_figure, training_figure
from scorefold.runs.bridges.snapshots_measures import FittedSnapshots
from scorefold.runs.request import Finished, Tables

_FILM, _LEVELS, _FRAMES, _MOST = 800, 12, 7, 12


def write_snapshots_page(done: Finished[FittedSnapshots], axes: report.Axes) -> Path:
    """Arrivals at each snapshot beside held-out points, the film and the paths through all
    intervals, training curves. ``axes``: of the table."""
    metrics, shown_on = done.metrics, Shown(axes=axes, earth=done.earth)
    histories = done.course if isinstance(done.course, tuple) else ()
    bridge, (train, _, test) = done.subject.bridge, done.subject.parts
    manifold, times, names = bridge.manifold, bridge.times, metrics["snapshots"]
    key = jax.random.fold_in(jax.random.key(metrics["seed"]), 8)
    start = np.concatenate([test.points[0], train.points[0]])[:_FILM].astype(np.float32)
    at = np.unique(np.concatenate([np.linspace(a, b, _LEVELS + 1) for a, b in
                                   itertools.pairwise(times)]))  # fmt: skip
    paths = np.asarray(bridge.sample_paths(key, start, at, steps=2 * _LEVELS))
    figures = {}
    for k in range(1, len(times)):
        fresh = {f"{names[k]}, held out": test.points[k]}
        drawn = {f"from {names[0]}": paths[:, int(np.argmin(np.abs(at - times[k])))]}
        figures[f"At {names[k]}"] = arrival_figure(manifold, drawn, fresh, shown_on)
    if manifold.picture != "factors":
        frames = _frames(times)
        near = [int(np.argmin(np.abs(at - t))) for t in frames]
        passed = sum(t in times for t in frames)
        heading = "Through all snapshots"
        if passed < len(times):
            heading = f"Through {passed} of {len(times)} snapshots"
        figures[heading] = report.film(
            manifold, paths[:, near].swapaxes(0, 1), frames=len(near),
            titles=[f"t = {t:.6g} {metrics['unit']}".strip() for t in frames],
            data={names[-1]: test.points[-1]}, **shown_on,
        )  # fmt: skip
        figures["Paths"] = report.trajectories(
            manifold, paths, times=at, ends=(names[0], names[-1]), at_most=40, **shown_on
        )
    for k, history in enumerate(histories):
        a, b = names[k], names[k + 1]
        figures[f"Training, {a} to {b}"] = training_figure(history, (a, b))
    title = f"{names[0]} to {names[-1]}: {metrics['model']} bridge through {len(names)} snapshots"
    shown = {k: ", ".join(map(str, v)) if isinstance(v, list) else v
             for k, v in metrics.items() if k not in ("arrivals", "left_out")}  # fmt: skip
    return report.write_report(
        done.folder, title=title, metrics=shown, figures=figures, notes=_notes(train, metrics),
        tables=done.tables,
    )  # fmt: skip


def _frames(times: tuple[float, ...]) -> np.ndarray:
    """The snapshots, with times between if they are few, evenly taken ones if they are many."""
    if len(times) > _MOST:
        return np.asarray(times)[np.linspace(0, len(times) - 1, _MOST).round().astype(int)]
    between = [0.5 * (a + b) for a, b in itertools.pairwise(times)]
    return np.sort([*times, *between]) if 2 * len(times) - 1 <= _FRAMES else np.asarray(times)


def snapshot_tables(metrics: ReadOnlyDocument) -> Tables:
    """How near the bridge comes to each snapshot, and to those that were left out."""
    rows: list[tuple[str, ...]] = [
        ("snapshot", "W₁ from the one before", "from the first", "of fresh points", "ratio",
         "unbridged", "worst line, in deviations")
    ]  # fmt: skip
    for row in metrics["arrivals"] or []:
        near = row["from_before"]
        rows.append((
            f"{row['snapshot']} ({near['n']} points)", text(near["w1"], "g"),
            text(row["from_first"]["w1"], "g"), text(near["floor"], "g"), ratio(near),
            text(row["unbridged"]["w1"], "g"), miss(near),
        ))  # fmt: skip
    tables = {"Arrivals, on held-out points": rows}
    if metrics.get("left_out"):
        tables["Left out in turn"] = [
            ("snapshot", "W₂", "of fresh points", "W₁", "of fresh points"),
            *(
                (metrics["snapshots"][row["snapshot"]], f"{row['w2']:.4g}",
                 f"{row['floor_w2']:.4g}", f"{row['w1']:.4g}", f"{row['floor_w1']:.4g}")
                for row in metrics["left_out"]
            ),
        ]  # fmt: skip
    return tables


def _notes(train: Snapshots, metrics: Document) -> list[str]:
    lost, gained = (", ".join(map(str, metrics[name])) for name in ("lost", "gained"))
    facts = f"{train.name}. Licence: {train.licence}. {train.citation}".strip()
    between = (
        "An interval joins the members that are seen at both its ends."
        if metrics["survivors"]
        else "An interval joins all that are seen at its ends: where members are lost, others "
        "move into their place."
    )
    return [
        *([facts] if train.citation else []),
        "The diffusion closest to Brownian motion of variance "
        f"{metrics['rate']:.4g} per unit of time among those that have the law of each snapshot "
        "at its time: bridges of consecutive snapshots, one after the other. Held-out points of a "
        "snapshot are carried to the next, and those of the first through all intervals.",
        f"Training points lost in each interval: {lost}; gained: {gained}. Laws are of those that "
        f"are seen. {between}",
    ]
