"""``scorefold bridge A B``: two data sets in; a bridge, its numbers and a report out. More than two
go to ``bridge_snapshots``."""

from __future__ import annotations

import argparse
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
from scorefold.bridges import Bridge, arrival
from scorefold.cli.arrivals import gap_numbers, missed_line, text
from scorefold.cli.axes import add_earth_option, on_earth
from scorefold.cli.bridge_report import write_bridge_report
from scorefold.cli.bridge_snapshots import bridge_snapshots, is_snapshots, snapshot_names
from scorefold.cli.bridges import (
    BRIDGES,
    Fitted,
    Task,
    described_bridge,
    folder_of,
    half_step_settings,
    interrupted,
)
from scorefold.cli.facts import say_warnings
from scorefold.cli.parser import (
    READING,
    UsageError,
    add_reading_options,
    count,
    data_options,
    positive,
)
from scorefold.cli.run import Run, settled
from scorefold.data import Dataset
from scorefold.data.laws.synthetic import is_synthetic
from scorefold.manifolds import pairwise
from scorefold.metrics import end_distance, path_energy

__all__ = ["add_commands"]

_SHARE = 0.1
"""Of the mean squared distance of the ends per dimension: the variance when none is stated."""
_LEAST = 1e-5
"""Of the same: the smallest variance that a walk can follow; its inverse is the largest."""
_WALK = 60
_FEW = 200
_ENERGY = 128


def add_commands(commands: Any) -> None:
    parser = commands.add_parser("bridge", help="a Schrödinger bridge between data sets")
    parser.add_argument("data", metavar="DATA", nargs="+",
                        help="two or more names (scorefold datasets) or files, or the name of a "
                        "set of snapshots")  # fmt: skip
    add_reading_options(parser)
    add_earth_option(parser)
    parser.add_argument("--model", default="light", choices=list(BRIDGES), help="default: light")
    parser.add_argument("--variance", type=positive, metavar="S",
                        help="of Brownian motion from A to B, or from the first snapshot to the "
                        "last (default: from the data)")  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", type=positive, metavar="SECONDS", help="training time")
    length.add_argument("--steps", type=count, metavar="N", help="training steps")
    many = parser.add_argument_group("three or more snapshots")
    many.add_argument("--times", metavar="T,T,…", help="of the snapshots (default: 0,1,2,…)")
    many.add_argument("--leave-out", action="store_true",
                      help="also fit without each inner snapshot in turn, and measure")  # fmt: skip
    many.add_argument("--survivors", action="store_true",
                      help="join members seen at both ends of an interval")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="default: runs/bridge-A-B-MODEL-SEED")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--no-report", action="store_true", help="numbers only")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(command=_bridge)


def _bridge(arguments: argparse.Namespace) -> int:
    if arguments.model != "light":
        half_step_settings({"budget": arguments.budget} if arguments.budget else {})
    if is_snapshots(arguments.data):
        datasets = _datasets(arguments) if len(arguments.data) > 1 else []
        return bridge_snapshots(arguments, datasets)
    for option in ("times", "leave_out", "survivors"):
        if getattr(arguments, option):
            name = option.replace("_", "-")
            raise UsageError(f"--{name}: an option of three or more snapshots only.")
    if len(arguments.data) != 2:
        raise UsageError(
            f"bridge: needs two data sets, got 1 ({arguments.data[0]}), or the name of a set of "
            f"snapshots: {', '.join(snapshot_names())}."
        )
    a, b = _datasets(arguments)
    variance = _variance(arguments.variance, a, b)
    run = Run(arguments.out or folder_of(arguments, a.name, b.name))
    earth = on_earth(arguments.earth, a.name, b.name)
    parts = {name: [np.asarray(getattr(end, name)) for end in (a, b)]
             for name in ("train", "val", "test")}  # fmt: skip
    described = described_bridge(
        arguments, [a.name, b.name], parts, earth, a.coordinates, variance=variance
    )
    with settled({run: described}, arguments.resume):
        for dataset in (a, b):
            n = "/".join(str(len(p)) for p in (dataset.train, dataset.val, dataset.test))
            print(f"{dataset.name} on {dataset.manifold.name}: {n} points to train, validate and "
                  f"test, protocol {dataset.protocol}", file=sys.stderr)  # fmt: skip
        arguments.stops.note = interrupted(run)
        settings: dict[str, Any] = {"out": run.checkpoints, "resume": arguments.resume,
                                    "progress": not arguments.quiet}  # fmt: skip
        if arguments.budget is not None:
            settings["budget"] = arguments.budget
        if arguments.steps is not None:
            settings["steps"] = arguments.steps
        task = Task((a, b), variance, jax.random.key(arguments.seed), settings)
        fitted = BRIDGES[arguments.model](task)
        run.keep(fitted.bridge, fitted.history)
        arguments.stops.check()
        metrics, drawn = _measure(arguments, fitted, a, b, variance)
        run.write("metrics.json", metrics)
        if not arguments.no_report:
            write_bridge_report(
                run, fitted.bridge, (a, b), metrics, fitted.history, drawn, earth=earth
            )
    print(_lines(metrics, run.folder))
    return 0


def _datasets(arguments: argparse.Namespace) -> list[Dataset]:
    options = data_options(arguments)
    options.setdefault("protocol", "grouped")
    known = {row.name for row in data.datasets()}
    sets: list[Dataset] = []
    for name in arguments.data:
        named = name in known or is_synthetic(name)
        own = {k: v for k, v in options.items() if not named or k not in READING}
        if sets and not named:
            own["like"] = sets[0]  # The same columns by name, in the same units.
        sets.append(data.load(name, seed=arguments.seed, **own))
        say_warnings(sets[-1])
    a = sets[0]
    for one in sets:
        if len(one.train) < 2:
            raise UsageError(f"{one.name}: {len(one.train)} training points are too few for the "
                             "end of a bridge.")  # fmt: skip
    for b in sets[1:]:
        if a.manifold.name != b.manifold.name:
            raise UsageError(
                f"{a.name} is on {a.manifold.name}, {b.name} on {b.manifold.name}: the ends of a "
                "bridge must be on one manifold."
            )
    return sets


def _variance(stated: float | None, a: Dataset, b: Dataset) -> float:
    """As stated, or a tenth of the mean squared distance of the ends per dimension, flat
    coordinates taken from the mean of their own end: to two digits. Moving an end as a whole
    changes no coupling, and so not the default."""
    flat = a.manifold.flat_coordinates
    first, last = (np.asarray(d.train, np.float64) for d in (a, b))
    first, last = (x - np.where(flat, x.mean(axis=0), 0.0) for x in (first, last))
    square = float(np.mean(pairwise(a.manifold, first[:500], last[:500]) ** 2))
    size = square / a.manifold.dim
    if stated is not None:
        if square > 0 and not _LEAST * size <= stated <= size / _LEAST:
            raise UsageError(
                f"--variance {stated:g}: the mean squared distance of the ends is {size:.3g} a "
                f"dimension; choose between {_LEAST:g} and {1 / _LEAST:g} times that."
            )
        return stated
    if not square > 0:
        raise UsageError("--variance: all points are equal, which says nothing of it; state one.")
    return float(f"{_SHARE * square / a.manifold.dim:.2g}")


# -- numbers -------------------------------------------------------------------------------------
def _measure(
    arguments: argparse.Namespace,
    fitted: Fitted,
    a: Dataset,
    b: Dataset,
    variance: float,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    started, bridge = time.perf_counter(), fitted.bridge
    keys = jax.random.split(jax.random.fold_in(jax.random.key(arguments.seed), 7), 5)
    # Where few are held out, points of training say whether a bridge arrives.
    starts = {"a": _many(a), "b": _many(b)}
    there = np.asarray(bridge.sample_forward(keys[0], starts["a"], steps=_WALK))
    back = np.asarray(bridge.sample_backward(keys[1], starts["b"], steps=_WALK))
    energy = path_energy(bridge, a.test[:_ENERGY], key=keys[2], steps=_WALK)
    ends = {
        "a": _end(bridge, back, a, b, keys[3], "a"),
        "b": _end(bridge, there, b, a, keys[4], "b"),
    }
    document = {
        "model": arguments.model,
        "datasets": [a.name, b.name],
        "manifold": a.manifold.name,
        "protocol": a.protocol,
        "seed": arguments.seed,
        "variance": variance,
        "n_train": [len(a.train), len(b.train)],
        "n_val": [len(a.val), len(b.val)],
        "n_test": [len(a.test), len(b.test)],
        "ends": ends,
        "path_energy": energy.value,
        "path_energy_standard_error": energy.standard_error,
        **({"path_energy_standard_error_reason": "one test point"} if energy.n < 2 else {}),
        **fitted.numbers,
        "evaluate_seconds": time.perf_counter() - started,
        "command": "scorefold " + shlex.join(sys.argv[1:]),
        **provenance(),
    }
    return document, {"a": back[: len(b.test)], "b": there[: len(a.test)]}


def _many(dataset: Dataset) -> np.ndarray:
    """The test points; and others after them where they are few."""
    if len(dataset.test) >= _FEW:
        return np.asarray(dataset.test)
    return np.concatenate([dataset.test, dataset.val, dataset.train])[: 2 * _FEW]


def _end(
    bridge: Bridge, drawn: np.ndarray, end: Dataset, other: Dataset, key: Any, name: Any
) -> dict[str, Any]:
    """W₁ of bridged draws to held-out points of an end, its floor, and that of the other end; how
    far draws are from real points along the worst line, and whether that is a miss."""
    held = drawn[: len(other.test)]
    found = end_distance(bridge.manifold, held, end.test, end.train, key=key)
    apart = end_distance(bridge.manifold, other.test, end.test, end.train, key=key)
    few = min(len(end.test), len(other.test)) < _FEW
    worth = np.inf if few else 1.0 / (1.0 / len(end.train) + 1.0 / len(other.train))
    gap = arrival(bridge, name, drawn, _many(end), key=key, learned_from=worth)
    if gap.missed:
        warnings.warn(missed_line(end.name, gap), ScorefoldWarning, stacklevel=2)
    return {"w1": found.value, "floor": found.floor, "ratio": found.ratio,
            "ratio_std": found.ratio_std, "unbridged": apart.value, "n": found.n,
            **gap_numbers(gap)}  # fmt: skip


def _lines(metrics: dict[str, Any], folder: Path) -> str:
    a, b = metrics["datasets"]
    lines = []
    for name, end in ((b, metrics["ends"]["b"]), (a, metrics["ends"]["a"])):
        lines.append((f"W₁ at {name}", f"{end['w1']:.4g}, fresh points {end['floor']:.4g} (ratio "
                      f"{text(end['ratio'])} ± {text(end['ratio_std'])}), unbridged "
                      f"{end['unbridged']:.4g}"))  # fmt: skip
        if end["missed"]:
            lines.append((f"missed: {name}", f"by {end['miss']:.2g} standard deviations along the "
                          f"worst line (chance stays below {end['miss_floor']:.2g})"))  # fmt: skip
    lines += [
        ("path energy", f"{text(metrics['path_energy'])} ± "
                        f"{text(metrics['path_energy_standard_error'])} nats"),
        ("variance", f"{metrics['variance']:.4g} from end to end"),
        ("time", f"{(metrics['compile_seconds'] or 0) + metrics['train_seconds']:.1f} s for "
                 f"{metrics['steps']} steps" + ("" if metrics["compile_seconds"] is None else
                 f", {metrics['compile_seconds']:.1f} s of it compiling")),
        ("written to", str(folder)),
    ]  # fmt: skip
    width = max(len(name) for name, _ in lines) + 1
    return "\n".join(f"{name:<{width}} {text}" for name, text in lines)
