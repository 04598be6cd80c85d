"""The pictures and the page of one bridge through many snapshots."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold import report
from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges import (
    CurrentHistory,
    DriftParts,
    SnapshotCurrent,
    SnapshotHistory,
    SplineHistory,
)
from scorefold.data import Snapshots
from scorefold.runs.axes import Shown
from scorefold.runs.bridges.arrivals import miss, ratio, text
from scorefold.runs.bridges.ends_page import arrival_figure, training_figure
from scorefold.runs.bridges.snapshots_measures import PLAIN, FittedSnapshots
from scorefold.runs.exploration import Exploration, scene_of_run
from scorefold.runs.meanings import MEANINGS
from scorefold.runs.request import Finished, Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAMES, _MOST = 7, 12
_ARROWS = 150
_IN_TABLES = ("arrivals", "left_out", "left_out_methods", "inner_w1", "speeds")


def write_snapshots_page(done: Finished[FittedSnapshots], explored: Exploration) -> Path:
    """What can be explored; arrivals at each snapshot beside held-out points, the film and the
    paths through all intervals, training curves."""
    metrics, shown_on = done.metrics, Shown(axes=explored.axes, earth=done.earth)
    assert isinstance(done.course, SnapshotHistory)
    course = done.course.course
    histories = () if isinstance(course, CurrentHistory | SplineHistory) else course
    bridge, (train, _, test) = done.subject.bridge, done.subject.parts
    manifold, times, names = bridge.manifold, bridge.times, metrics["snapshots"]
    paths, at = np.asarray(explored.shown.ways), np.asarray(explored.shown.times)
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
    drawn_flat = manifold.dim > 1 and manifold.picture != "factors"
    if isinstance(bridge, SnapshotCurrent) and drawn_flat:
        figures["The current"] = _current_figure(bridge, train, shown_on)
    if isinstance(bridge, SnapshotCurrent) and len(set(bridge.mass)) > 1:
        figures["Members"] = _mass_figure(bridge, metrics["unit"])
    title = f"{names[0]} to {names[-1]}: {_TITLES[metrics['method']]} {len(names)} snapshots"
    shown = {k: ", ".join(map(str, v)) if isinstance(v, list) else v
             for k, v in metrics.items() if k not in _IN_TABLES}  # fmt: skip
    return report.write_report(
        done.folder, title=title, metrics=shown, figures=figures, notes=_notes(train, metrics),
        tables=done.tables, findings=explored.findings, meanings=MEANINGS,
        scene=scene_of_run(explored),
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
    tables: Tables = {"Arrivals, on held-out points": rows}
    if metrics["inner_w1"]:
        names = [f"t = {t:g}" for t in metrics["inner_times"]]
        tables["Inner snapshots of the training points, left out in turn: W₁"] = [
            ("method", "mean", *names),
            *((name, *(text(one, "g") for one in (_mean(each), *each)))
              for name, each in metrics["inner_w1"].items()),
            ("fresh points", *(text(one, "g") for one in (_mean(metrics["inner_floor"]),
                                                          *metrics["inner_floor"]))),
        ]  # fmt: skip
    if metrics.get("left_out_methods"):
        floors = metrics["left_out_methods"][0]
        tables["Left out in turn, on points that no method has seen"] = [
            ("method", "W₁", "W₂", *(f"{name}, W₁" for name in metrics["snapshots"][1:-1])),
            *((row["method"], text(row["w1"], "g"), text(row["w2"], "g"),
               *(text(one, "g") for one in row["each_w1"]))
              for row in metrics["left_out_methods"]),
            ("fresh points", *(text(floors[name], "g") for name in ("floor_w1", "floor_w2")),
             *(text(one, "g") for one in floors["each_floor_w1"])),
        ]  # fmt: skip
    if metrics.get("speeds"):
        tables["What the current does, root mean square speeds"] = [
            ("all", "motion as one body", "gradient of a potential", "the rest"),
            tuple(text(metrics["speeds"][name], "g") for name in DriftParts._fields),
        ]
    return tables


def _mean(each: list[float | None]) -> float | None:
    return None if None in each else float(np.mean(each))  # type: ignore[arg-type]


def _current_figure(bridge: SnapshotCurrent, train: Snapshots, shown_on: Shown) -> Figure:
    """The drift in the middle of the times, at points of all snapshots: it is the same always."""
    rng = np.random.default_rng(0)
    every = np.concatenate(train.points).astype(np.float32)
    some = every[rng.permutation(len(every))[:_ARROWS]]
    t = 0.5 * (bridge.times[0] + bridge.times[-1])
    return report.arrows(bridge.manifold, some, bridge.velocity(t, some), background=every,
                         **shown_on)  # fmt: skip


def _mass_figure(bridge: SnapshotCurrent, unit: str) -> Figure:
    """How many members there are at every time, and how many the snapshots have."""
    at = np.unique(np.concatenate([np.linspace(a, b, 9) for a, b in
                                   itertools.pairwise(bridge.times)]))  # fmt: skip
    return report.against_time(
        at, [bridge.mass_at(float(t)) for t in at], seen=(bridge.times, bridge.mass),
        label="members", unit=unit,
    )  # fmt: skip


_TITLES = {
    "bridge": "bridges through",
    "current": "a current through",
    "spline": "splines through",
    "momentum": "splines with noise through",
}


def _held_out_notes(metrics: ReadOnlyDocument) -> list[str]:
    """How the method that was asked for did on snapshots that it had not seen, beside the best of
    the plain ones."""
    rows = {row["method"]: row["w1"] for row in metrics.get("left_out_methods") or []}
    plain = {name: rows[name] for name in PLAIN if name in rows}
    ours = rows.get(metrics["method_asked"])
    if ours is None or not plain:
        return [metrics["left_out_reason"]] if metrics.get("left_out_reason") else []
    best = min(plain, key=lambda name: plain[name])
    way = "It LOST against" if ours > plain[best] else "It was ahead of"
    return [
        f"On snapshots left out whole, {metrics['method_asked']} has W₁ {ours:.4g}. {way} the best "
        f"plain method, {best} ({plain[best]:.4g})."
    ]


def _notes(train: Snapshots, metrics: Document) -> list[str]:
    lost, gained = (", ".join(map(str, metrics[name])) for name in ("lost", "gained"))
    facts = f"{train.name}. Licence: {train.licence}. {train.citation}".strip()
    notes = [facts] if train.citation else []
    if metrics["method"] == "bridge":
        notes.append(
            f"The diffusion closest to Brownian motion of variance {metrics['rate']:.4g} per unit "
            "of time among those that have the law of each snapshot at its time: bridges of "
            "consecutive snapshots, one after the other."
        )
        between = (
            "An interval joins the members that are seen at both its ends."
            if metrics["survivors"]
            else "An interval joins all that are seen at its ends: where members are lost, others "
            "move into their place."
        )
    elif metrics["method"] == "current":
        notes.append(
            f"The process closest to Brownian motion of variance {metrics['rate']:.4g} per unit of "
            "time with a drift among those that have the law of each snapshot at its time; the "
            "drift, one for all intervals, is learned from all snapshots together."
        )
        between = (
            "Where members multiply or vanish was learned; between snapshots their number follows "
            "it."
            if metrics.get("growth_kept")
            else "Every member of a snapshot counts the same: the law says nothing of births and "
            "deaths (--growth)."
        )
    else:
        notes.append(
            "Paths of least bending through one point of every snapshot (integrated Brownian "
            f"motion, dv = √ε dW, ε = {metrics['epsilon']:.4g}): {metrics['paths']} of them, "
            "joined by exact assignment. A point that is carried follows one of them, moved to "
            "pass through it."
        )
        between = "Points of large snapshots were drawn, those of small ones repeated."
    if metrics["method_asked"] == "best" and metrics["inner_w1"]:
        coherence, lines = metrics["bend_coherence"], _mean(metrics["inner_w1"]["optimal pairs"])
        shared = "no known part" if coherence is None else f"{100 * coherence:.0f} %"
        notes.append(
            f"Lines between optimal pairs miss inner snapshots by {text(lines, 'g')}, fresh points "
            f"by {text(_mean(metrics['inner_floor']), 'g')}, and neighbours have {shared} of the "
            "change of velocity there in common. Where that is a fifth more and a half or more, "
            "bends are taken for motion, and splines for the method, else for noise, and a "
            "current; unless inner snapshots, each left out in turn, are nearer to another by a "
            "sixth and by two standard errors, or to lines than to splines."
        )
        if len(metrics["times"]) == 3:
            notes.append("With one of three snapshots left out paths are straight, so no snapshot "
                         "tests how they bend.")  # fmt: skip
    notes += _held_out_notes(metrics)
    if metrics["inner_w1"]:
        means = {name: _mean(each) for name, each in metrics["inner_w1"].items()}
        ours, plain = means[metrics["method"]], means["optimal pairs"]
        if ours is not None and plain is not None and ours > plain:
            notes.append(
                f"It LOST against straight lines between optimal pairs on those: W₁ {ours:.4g} "
                f"against {plain:.4g}."
            )
    return [
        *notes,
        "Held-out points of a snapshot are carried to the next, and those of the first through all "
        f"intervals. Training points lost in each interval: {lost}; gained: {gained}. Laws are of "
        f"those that are seen. {between}",
    ]
