"""A bridge through many snapshots: three tables or more, or a recorded set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold import data
from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges import AlternationHistory, MultiMarginalBridge, fit_snapshots, snapshot_rate
from scorefold.data import Dataset, Snapshots, plain_coordinates
from scorefold.report import Axes
from scorefold.runs.axes import axes_of
from scorefold.runs.bridges.arrivals import ratio, text
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.snapshots_measures import (
    LEFT_OUT,
    SNAPSHOT_MEASURES,
    FittedSnapshots,
    Parts,
    single_points,
)
from scorefold.runs.bridges.snapshots_page import snapshot_tables, write_snapshots_page
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.histories import Course
from scorefold.runs.measures import Measure
from scorefold.runs.request import Finished, Job, Lines, Problem, Tables, load_alike, word_of


def open_snapshots(request: BridgeRequest) -> Job:
    """Read the tables, or the recorded set."""
    request.choice()
    sets = load_alike(request.data, request) if len(request.data) > 1 else []
    labels, parts = _tables(request, sets) if sets else _recorded(request)
    train = parts[0]
    rate = (
        snapshot_rate(train.manifold, train.times, train.points)
        if request.variance is None
        else request.variance / (train.times[-1] - train.times[0])
    )
    problem = SnapshotsProblem(request, tuple(labels), parts, rate, tuple(sets))
    words = (*map(word_of, request.data), request.model, str(request.seed))
    return Job.of_one(request.out or f"runs/bridge-{'-'.join(words)}", problem)


def _tables(request: BridgeRequest, sets: list[Dataset]) -> tuple[list[str], Parts]:
    """What to call the snapshots of tables; and their parts."""
    count = len(sets)
    times = tuple(map(float, range(count) if request.times is None else request.times))
    if len(times) != count or not (np.diff(times) > 1e-30).all() or not np.isfinite(times).all():
        raise RunError(f"--times must be {count} numbers that increase, one for each snapshot; "
                       f"got {','.join(f'{t:g}' for t in times)}.")  # fmt: skip
    if request.survivors:
        raise RunError("--survivors: rows of files have no labels that say who survives.")
    name = ", ".join(d.name for d in sets)
    train, val, test = (
        Snapshots(name, sets[0].manifold, times,
                  tuple(np.asarray(getattr(d, part)) for d in sets))
        for part in ("train", "val", "test")
    )  # fmt: skip
    return [d.name for d in sets], (train, val, test)


def _recorded(request: BridgeRequest) -> tuple[list[str], Parts]:
    (name,) = request.data
    if request.times is not None:
        raise RunError(f"--times: {name} has its own times.")
    stated = [f"--{word.replace('_', '-')}" for word in request.reading.stated()]
    if stated:
        raise RunError(f"{stated[0]}: not an option for {name}, which is read as recorded; "
                       "members stay in one part of the split.")  # fmt: skip
    found = data.load_snapshots(name, seed=request.seed, data_dir=request.data_dir)
    if request.survivors and found.ids is None:
        raise RunError(f"--survivors: members of {found.name} have no labels.")
    labels = [f"{found.name} at {t:g} {found.unit}".strip() for t in found.times]
    return labels, found.split(request.seed)


@dataclass(frozen=True)
class SnapshotsProblem(Problem[MultiMarginalBridge, FittedSnapshots]):
    """A bridge to fit through many snapshots; ``sets``: their tables, none of a recorded set."""

    request: BridgeRequest
    labels: tuple[str, ...]
    parts: Parts
    rate: float
    sets: tuple[Dataset, ...]

    @cached_property
    def described(self) -> Document:
        train, names = self.parts[0], ("train", "val", "test")
        points = {n: list(part.points) for n, part in zip(names, self.parts, strict=True)}
        coordinates = self.sets[0].coordinates if self.sets else plain_coordinates(train.manifold)
        return self.request.described(
            list(self.labels), points, coordinates, times=train.times, rate=self.rate
        )

    @property
    def warnings(self) -> list[str]:
        return [f"{one.name}: {line}" for one in self.sets for line in one.warnings]

    def announced(self) -> list[str]:
        lines, train = [], self.parts[0]
        for name, *rows in zip(self.labels, *(p.points for p in self.parts), strict=True):
            sizes = "/".join(str(len(r)) for r in rows)
            lines.append(
                f"{name} on {train.manifold.name}: {sizes} points to train, validate and test"
            )
        if any(train.lost):
            meaning = (
                "an interval joins those seen at both its ends (--survivors)."
                if self.request.survivors
                else "all that are seen are joined, and others move into their place."
            )
            lines.append(f"lost from one snapshot to the next: {', '.join(map(str, train.lost))} "
                         f"training points; {meaning}")  # fmt: skip
        return lines

    def fit(self, run: Run) -> tuple[MultiMarginalBridge, Course]:
        return self.fitted_to(*self.parts[:2], out=run.checkpoints, resume=self.request.resume)

    def fitted_to(
        self, train: Snapshots, val: Snapshots, **keeping: Any
    ) -> tuple[MultiMarginalBridge, Course]:
        """The bridge through these snapshots; its budget is that of all intervals."""
        asked, choice = self.request, self.request.choice()
        each = None if asked.budget is None else asked.budget / (len(train.times) - 1)
        return fit_snapshots(
            train.manifold, train.times, single_points(train.points), val=single_points(val.points),
            ids=train.ids, val_ids=val.ids, survivors=asked.survivors, rate=self.rate,
            key=jax.random.key(asked.seed), bridge=choice.build, progress=asked.progress,
            **choice.training(asked.steps, each), **keeping,
        )  # fmt: skip

    def subject(self, fitted: MultiMarginalBridge) -> FittedSnapshots:
        def refit(train: Snapshots, val: Snapshots) -> MultiMarginalBridge:
            return self.fitted_to(train, val, check=False)[0]

        return FittedSnapshots(fitted, self.labels, self.parts, self.request.seed, refit)

    def measures(self) -> Mapping[str, Measure[FittedSnapshots]]:
        return SNAPSHOT_MEASURES | (LEFT_OUT if self.request.leave_out else {})

    def facts(self, fitted: MultiMarginalBridge, course: Course) -> Document:
        assert isinstance(course, tuple)
        train = self.parts[0]
        return {
            "model": self.request.model,
            "snapshots": list(self.labels),
            "times": list(train.times),
            "unit": train.unit,
            "manifold": train.manifold.name,
            "seed": self.request.seed,
            "rate": self.rate,
            "survivors": self.request.survivors,
            **{f"n_{name}": list(part.mass)
               for name, part in zip(("train", "val", "test"), self.parts, strict=True)},
            "lost": list(train.lost),
            "gained": list(train.gained),
            "steps": [len(one.toward) if isinstance(one, AlternationHistory) else one.steps
                      for one in course],
            "train_seconds": float(sum(np.sum(one.seconds) for one in course)),
        }  # fmt: skip

    def tables(self, metrics: ReadOnlyDocument) -> Tables:
        return snapshot_tables(metrics)

    def page(self, done: Finished[FittedSnapshots]) -> Path:
        axes = axes_of(self.sets[0].coordinates) if self.sets else Axes()
        return write_snapshots_page(done, axes)

    def lines(self, metrics: ReadOnlyDocument) -> Lines:
        lines = []
        for row in metrics["arrivals"] or []:
            near, first = row["from_before"], row["from_first"]
            missed = f"; MISSED by {near['miss']:.2g} standard deviations" if near["missed"] else ""
            lines.append((
                f"W₁ at {row['snapshot']}",
                f"{text(near['w1'], 'g')} from the snapshot before, {text(first['w1'], 'g')} from "
                f"the first; fresh points {text(near['floor'], 'g')} (ratio {ratio(near)}); "
                f"unbridged {text(row['unbridged']['w1'], 'g')}{missed}",
            ))  # fmt: skip
        unit = metrics["unit"] or "unit of time"
        return [
            *lines,
            *((f"left out: {metrics['snapshots'][row['snapshot']]}",
               f"W₂ {row['w2']:.4g}, fresh points {row['floor_w2']:.4g}")
              for row in metrics.get("left_out") or []),
            *((measure.title, text(metrics.get(measure.names[0])))
              for measure in SNAPSHOT_MEASURES.values() if measure.title),
            ("rate", f"{metrics['rate']:.4g} per {unit}"),
            ("time", f"{metrics['train_seconds']:.1f} s, compiling included"),
        ]  # fmt: skip
