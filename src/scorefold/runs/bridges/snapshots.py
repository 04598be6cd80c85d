"""``scorefold bridge A B C …``: many snapshots in; one bridge through all of them out."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold import data
from scorefold._provenance import provenance
from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    BridgeMatching,
    DiffusionSchrodingerBridge,
    LightBridge,
    MultiMarginalBridge,
    arrival,
    fit_snapshots,
    snapshot_rate,
)
from scorefold.cli.parser import READING, UsageError, data_options
from scorefold.data import Dataset, Snapshots, plain_coordinates
from scorefold.data.laws.evolutions import EVOLUTIONS
from scorefold.fitting import save
from scorefold.metrics import end_distance, leave_one_out
from scorefold.report import Axes
from scorefold.runs.axes import axes_of, on_earth
from scorefold.runs.bridges.arrivals import gap_numbers, missed_line, text
from scorefold.runs.bridges.choices import (
    described_bridge,
    folder_of,
    half_step_settings,
    interrupted,
)
from scorefold.runs.bridges.snapshots_page import write_snapshot_report
from scorefold.runs.folder import Run, settled

__all__ = ["bridge_snapshots", "is_snapshots", "snapshot_names"]

_KINDS = {"light": LightBridge, "imf": BridgeMatching, "dsb": DiffusionSchrodingerBridge}
_WALK = 60

Parts = tuple[Snapshots, Snapshots, Snapshots]


def is_snapshots(names: list[str]) -> bool:
    """Whether ``names`` stand for more than two snapshots: three or more, or a recorded set."""
    return len(names) > 2 or (len(names) == 1 and names[0] in snapshot_names())


def snapshot_names() -> list[str]:
    """The sets of snapshots that are known by name."""
    return [*data.SNAPSHOTS, *EVOLUTIONS]


def bridge_snapshots(arguments: argparse.Namespace, datasets: list[Dataset]) -> int:
    """The command, once it is known that there are many snapshots: ``datasets`` of files and
    names, none for a recorded set."""
    labels, parts = _parts(arguments, datasets)
    train = parts[0]
    duration = train.times[-1] - train.times[0]
    rate = (
        snapshot_rate(train.manifold, train.times, train.points)
        if arguments.variance is None
        else arguments.variance / duration
    )
    run = Run(arguments.out or folder_of(arguments, *arguments.data))
    earth = on_earth(arguments.earth, *([d.name for d in datasets] or arguments.data))
    points = {name: list(part.points)
              for name, part in zip(("train", "val", "test"), parts, strict=True)}  # fmt: skip
    coordinates = datasets[0].coordinates if datasets else plain_coordinates(train.manifold)
    described = described_bridge(
        arguments, labels, points, earth, coordinates, times=train.times, rate=rate
    )
    with settled({run: described}, arguments.resume):
        for name, *rows in zip(labels, *(p.points for p in parts), strict=True):
            sizes = "/".join(str(len(r)) for r in rows)
            print(f"{name} on {train.manifold.name}: {sizes} points to train, validate and test",
                  file=sys.stderr)  # fmt: skip
        if any(train.lost):
            print(f"lost from one snapshot to the next: {', '.join(map(str, train.lost))} training "
                  f"points; {_meaning(arguments.survivors)}", file=sys.stderr)  # fmt: skip
        arguments.stops.note = interrupted(run)
        fitted, histories = _fit(arguments, parts, rate, {"out": run.checkpoints,
                                                          "resume": arguments.resume})  # fmt: skip
        run.write("history.json", {"intervals": [json.loads(h.to_json()) for h in histories]})
        save(run.model_file, fitted)
        arguments.stops.check()
        metrics = _measure(arguments, fitted, parts, labels, rate, histories)
        if arguments.leave_out:
            metrics["left_out"] = _left_out(arguments, parts, rate)
        run.write("metrics.json", metrics)
        if not arguments.no_report:
            axes = axes_of(datasets[0].coordinates) if datasets else Axes()
            write_snapshot_report(run, fitted, parts, metrics, histories, axes=axes, earth=earth)
    print(_lines(metrics, run.folder))
    return 0


# -- data ------------------------------------------------------------------------------------------
def _parts(arguments: argparse.Namespace, datasets: list[Dataset]) -> tuple[list[str], Parts]:
    """What to call the snapshots; and those of the members to train, to validate and to test."""
    if not datasets:
        return _recorded(arguments)
    times = _times(arguments.times, len(datasets))
    if arguments.survivors:
        raise UsageError("--survivors: rows of files have no labels that say who survives.")
    name = ", ".join(d.name for d in datasets)
    train, val, test = (
        Snapshots(name, datasets[0].manifold, times,
                  tuple(np.asarray(getattr(d, part)) for d in datasets))
        for part in ("train", "val", "test")
    )  # fmt: skip
    return [d.name for d in datasets], (train, val, test)


def _recorded(arguments: argparse.Namespace) -> tuple[list[str], Parts]:
    if arguments.times is not None:
        raise UsageError(f"--times: {arguments.data[0]} has its own times.")
    options = data_options(arguments)
    stated = [f"--{word.replace('_', '-')}" for word in (*READING, "protocol") if word in options]
    if stated:
        raise UsageError(f"{stated[0]}: not an option for {arguments.data[0]}, which is read as "
                         "recorded; members stay in one part of the split.")  # fmt: skip
    snapshots = data.load_snapshots(
        arguments.data[0], seed=arguments.seed, data_dir=arguments.data_dir
    )
    if arguments.survivors and snapshots.ids is None:
        raise UsageError(f"--survivors: members of {snapshots.name} have no labels.")
    names = [f"{snapshots.name} at {t:g} {snapshots.unit}".strip() for t in snapshots.times]
    return names, snapshots.split(arguments.seed)


def _times(text: str | None, count: int) -> tuple[float, ...]:
    if text is None:
        return tuple(map(float, range(count)))
    try:
        times = tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(f"--times must be numbers with commas between, got {text!r}.") from error
    if len(times) != count or not (np.diff(times) > 1e-30).all() or not np.isfinite(times).all():
        raise UsageError(f"--times must be {count} numbers that increase, one for each snapshot; "
                         f"got {text!r}.")  # fmt: skip
    return times


def _single(points: Any) -> list[np.ndarray]:
    return [np.asarray(rows, np.float32) for rows in points]


# -- fitting and numbers ---------------------------------------------------------------------------
def _fit(arguments: argparse.Namespace, parts: Parts, rate: float, keeping: dict) -> Any:
    train, val, _ = parts
    settings: dict[str, Any] = {"progress": not arguments.quiet, **keeping}
    if arguments.steps is not None:
        settings["steps"] = arguments.steps
    if arguments.budget is not None:
        settings["budget"] = arguments.budget / (len(train.times) - 1)
    if arguments.model != "light":
        settings = half_step_settings(settings)
    return fit_snapshots(
        train.manifold, train.times, _single(train.points), val=_single(val.points),
        ids=train.ids, val_ids=val.ids, survivors=arguments.survivors, rate=rate,
        key=jax.random.key(arguments.seed), bridge=_KINDS[arguments.model], **settings,
    )  # fmt: skip


def _measure(
    arguments: argparse.Namespace,
    fitted: MultiMarginalBridge,
    parts: Parts,
    labels: list[str],
    rate: float,
    histories: tuple[Any, ...],
) -> dict[str, Any]:
    train, _, test = parts
    started, key = time.perf_counter(), jax.random.fold_in(jax.random.key(arguments.seed), 7)
    first = _single(test.points)
    # Enough paths for any later snapshot, however small the first is.
    most = max(map(len, first))
    start = first[0][np.arange(max(most, len(first[0]))) % len(first[0])]
    walked = fitted.sample_paths(key, start, train.times[1:], steps=_WALK)
    rows = []
    for k in range(1, len(train.times)):
        into, back, judge = jax.random.split(jax.random.fold_in(key, k), 3)
        low, high = train.times[k - 1], train.times[k]
        there = fitted.sample_paths(into, first[k - 1], [high], start=low, steps=_WALK)[:, 0]
        home = fitted.sample_paths(back, first[k], [low], start=high, steps=_WALK)[:, 0]
        near = _distance(fitted, there, parts, k, judge)
        worth = 1.0 / (1.0 / len(train.points[k]) + 1.0 / len(train.points[k - 1]))
        gap = arrival(fitted.bridges[k - 1], "b", there, first[k], key=judge, learned_from=worth)
        if gap.missed:
            warnings.warn(missed_line(labels[k], gap), ScorefoldWarning, stacklevel=2)
        found = {
            "from_before": {**near, **gap_numbers(gap)},
            "from_first": _distance(fitted, walked[:, k - 1], parts, k, judge),
            "back": _distance(fitted, home, parts, k - 1, judge),
            "unbridged": _distance(fitted, first[k - 1], parts, k, judge),
        }
        rows.append({"snapshot": labels[k], "time": high, **found})
    return {
        "model": arguments.model,
        "snapshots": labels,
        "times": list(train.times),
        "unit": train.unit,
        "manifold": train.manifold.name,
        "seed": arguments.seed,
        "rate": rate,
        "survivors": arguments.survivors,
        **{f"n_{name}": list(part.mass)
           for name, part in zip(("train", "val", "test"), parts, strict=True)},
        "lost": list(train.lost),
        "gained": list(train.gained),
        "arrivals": rows,
        "steps": [_steps(h) for h in histories],
        "train_seconds": float(sum(np.sum(h.seconds) for h in histories)),
        "evaluate_seconds": time.perf_counter() - started,
        "command": "scorefold " + shlex.join(sys.argv[1:]),
        **provenance(),
    }  # fmt: skip


def _steps(history: Any) -> int:
    return int(history.steps) if hasattr(history, "steps") else len(history.toward)


def _distance(fitted: MultiMarginalBridge, drawn: Any, parts: Parts, k: int, key: Any) -> dict:
    train, _, test = parts
    found = end_distance(fitted.manifold, drawn, test.points[k], train.points[k], key=key)
    return {"w1": found.value, "floor": found.floor, "ratio": found.ratio,
            "ratio_std": found.ratio_std, "n": found.n}  # fmt: skip


def _left_out(arguments: argparse.Namespace, parts: Parts, rate: float) -> list[dict]:
    """Each inner snapshot left out. The reference is Markov: the two neighbours are enough."""
    train, val, test = parts
    # Nothing of the snapshot that is left out is seen: all of it judges, but for the half of its
    # training points that fresh points are drawn from, which the floor needs.
    judging, fresh = _halves(train, val, test)
    found = []
    for k in range(1, len(train.times) - 1):
        pair = [k - 1, k + 1]

        def fit(_: Snapshots, pair: list[int] = pair) -> MultiMarginalBridge:
            near = (_only(train, pair), _only(val, pair), test)
            return _fit(arguments, near, rate, {"check": False})[0]

        key = jax.random.fold_in(jax.random.key(arguments.seed), 9)
        found += [row._asdict() for row in leave_one_out(fresh, judging, fit, key=key, which=[k])]
    return found


def _halves(*parts: Snapshots) -> tuple[Snapshots, Snapshots]:
    """Every snapshot whole, in two halves of its rows in an order of their own: members to judge
    by, and fresh ones for the floor."""
    halves: tuple[list, list] = [], []
    for k, rows in enumerate(zip(*(p.points for p in parts), strict=True)):
        whole = np.concatenate([np.asarray(r) for r in rows])
        order = np.random.default_rng(k).permutation(len(whole))
        for half, at in zip(halves, np.array_split(order, 2), strict=True):
            half.append(whole[at])
    first = parts[0]
    judging, fresh = (
        Snapshots(first.name, first.manifold, first.times, tuple(half)) for half in halves
    )
    return judging, fresh


def _only(snapshots: Snapshots, keep: list[int]) -> Snapshots:
    for k in reversed(range(len(snapshots.times))):
        if k not in keep:
            snapshots = snapshots.without(k)
    return snapshots


def _meaning(survivors: bool) -> str:
    if survivors:
        return "an interval joins those seen at both its ends (--survivors)."
    return "all that are seen are joined, and others move into their place."


def _lines(metrics: dict[str, Any], folder: Path) -> str:
    lines = [
        (f"W₁ at {row['snapshot']}",
         f"{row['from_before']['w1']:.4g} from the snapshot before, "
         f"{row['from_first']['w1']:.4g} from the first; fresh points "
         f"{row['from_before']['floor']:.4g} (ratio {text(row['from_before']['ratio'])} ± "
         f"{text(row['from_before']['ratio_std'])}); unbridged {row['unbridged']['w1']:.4g}"
         + (f"; MISSED by {row['from_before']['miss']:.2g} standard deviations"
            if row["from_before"]["missed"] else ""))
        for row in metrics["arrivals"]
    ]  # fmt: skip
    lines += [
        (f"left out: {metrics['snapshots'][row['snapshot']]}",
         f"W₂ {row['w2']:.4g}, fresh points {row['floor_w2']:.4g}")
        for row in metrics.get("left_out", [])
    ]  # fmt: skip
    unit = metrics["unit"] or "unit of time"
    lines += [("rate", f"{metrics['rate']:.4g} per {unit}"),
              ("time", f"{metrics['train_seconds']:.1f} s, compiling included"),
              ("written to", str(folder))]  # fmt: skip
    width = max(len(name) for name, _ in lines) + 1
    return "\n".join(f"{name:<{width}} {text}" for name, text in lines)
