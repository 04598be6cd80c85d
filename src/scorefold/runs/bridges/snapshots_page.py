"""The pictures and the page of one bridge through many snapshots."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold import report
from scorefold.data import Snapshots
from scorefold.runs.bridges.arrivals import text
from scorefold.runs.bridges.snapshots_measures import FittedSnapshots
from scorefold.runs.request import Finished

__all__ = ["snapshot_tables", "write_snapshots_page"]

_FILM, _LEVELS, _FRAMES, _MOST = 800, 12, 7, 12


def write_snapshots_page(
    done: Finished[FittedSnapshots],
    tables: dict[str, list[tuple[str, ...]]],
    axes: report.Axes,
) -> Path:
    """Arrivals at each snapshot beside held-out points, the film and the paths through all
    intervals, training curves. ``axes``: of the table."""
    metrics, earth = done.metrics, done.earth
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
        if manifold.picture == "sphere":
            figures[f"At {names[k]}"] = report.globes(samples=drawn, data=fresh, earth=earth)
        else:
            figures[f"At {names[k]}"] = report.picture(
                manifold, samples=drawn, data=fresh, axes=axes, earth=earth
            )
    if manifold.picture != "factors":
        frames = _frames(times)
        shown = [int(np.argmin(np.abs(at - t))) for t in frames]
        seen = sum(t in times for t in frames)
        heading = "Through all snapshots"
        if seen < len(times):
            heading = f"Through {seen} of {len(times)} snapshots"
        figures[heading] = report.film(
            manifold, paths[:, shown].swapaxes(0, 1), frames=len(shown),
            titles=[_when(t, metrics["unit"]) for t in frames], axes=axes, earth=earth,
            data={names[-1]: test.points[-1]},
        )  # fmt: skip
        figures["Paths"] = report.trajectories(
            manifold,
            paths,
            times=at,
            ends=(names[0], names[-1]),
            at_most=40,
            axes=axes,
            earth=earth,
        )
    for k, history in enumerate(histories):
        ends = (names[k], names[k + 1])
        figures[f"Training, {ends[0]} to {ends[1]}"] = (
            report.half_steps(history, ends=ends)
            if hasattr(history, "toward")
            else report.training_curves(history, validation="held-out loss (nats)")
        )
    return report.write_report(
        done.folder,
        title=f"{names[0]} to {names[-1]}: {metrics['model']} bridge through "
        f"{len(names)} snapshots",
        metrics=_shown(metrics),
        figures=figures,
        notes=_notes(train, metrics),
        tables=tables,
    )


def _when(t: float, unit: str) -> str:
    return f"t = {t:.6g} {unit}".strip()


def _frames(times: tuple[float, ...]) -> np.ndarray:
    """The snapshots, with times between if they are few, evenly taken ones if they are many."""
    if len(times) > _MOST:
        return np.asarray(times)[np.linspace(0, len(times) - 1, _MOST).round().astype(int)]
    between = [0.5 * (a + b) for a, b in itertools.pairwise(times)]
    return np.sort([*times, *between]) if 2 * len(times) - 1 <= _FRAMES else np.asarray(times)


def _shown(metrics: dict[str, Any]) -> dict[str, Any]:
    shown = {k: v for k, v in metrics.items() if k not in ("arrivals", "left_out")}
    return {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in shown.items()}


def snapshot_tables(metrics: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """How near the bridge comes to each snapshot, and to those that were left out."""
    rows: list[tuple[str, ...]] = [
        ("snapshot", "W₁ from the one before", "from the first", "of fresh points", "ratio",
         "unbridged", "worst line, in deviations")
    ]  # fmt: skip
    for row in metrics["arrivals"] or []:
        near = row["from_before"]
        rows.append(
            (
                f"{row['snapshot']} ({near['n']} points)",
                text(near["w1"], "g"),
                text(row["from_first"]["w1"], "g"),
                text(near["floor"], "g"),
                f"{text(near['ratio'])} ± {text(near['ratio_std'])}",
                text(row["unbridged"]["w1"], "g"),
                f"{text(near['miss'])} (chance below {text(near['miss_floor'])})"
                + (": MISSED" if near["missed"] else ""),
            )
        )
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


def _notes(train: Snapshots, metrics: dict[str, Any]) -> list[str]:
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
