"""A bridge through many snapshots: three tables or more, or a recorded set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from scorefold import data
from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges import (
    AlternationHistory,
    CurrentHistory,
    SnapshotBridge,
    SnapshotCurrent,
    SnapshotHistory,
    SplineHistory,
    SplinePaths,
    fit_snapshots,
    snapshot_rate,
)
from scorefold.bridges.fit_snapshots import Contest, contest
from scorefold.data import Coordinates, Snapshots, plain_coordinates
from scorefold.report import Axes
from scorefold.runs.axes import axes_of
from scorefold.runs.bridges.arrivals import ratio, text
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.snapshots_exploration import explored_snapshots
from scorefold.runs.bridges.snapshots_measures import (
    LEFT_OUT,
    SNAPSHOT_MEASURES,
    FittedSnapshots,
    Parts,
    single_points,
)
from scorefold.runs.bridges.snapshots_page import snapshot_tables, write_snapshots_page
from scorefold.runs.bridges.weighted import alike, worth
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration
from scorefold.runs.folder import Run
from scorefold.runs.histories import Course
from scorefold.runs.measures import Measure
from scorefold.runs.request import Finished, Job, Lines, Problem, Tables, load_alike, word_of


def open_snapshots(request: BridgeRequest) -> Job:
    """Read the tables, or the recorded set."""
    method = request.snapshot_method()
    if request.member is not None and request.time is None:
        raise RunError("--id is an option of --time: labels of the members in one table.")
    if request.time is not None:
        labels, parts, coordinates, remarks = _timed(request)
    elif len(request.data) > 1:
        labels, parts, coordinates, remarks = _tables(request)
    else:
        labels, parts, coordinates, remarks = _recorded(request)
    train, rate = parts[0], None
    if request.variance is not None:
        rate = request.variance / (train.times[-1] - train.times[0])
    elif method == "bridge":
        rate = snapshot_rate(train.manifold, train.times, train.points)
    problem = SnapshotsProblem(request, tuple(labels), parts, rate, coordinates, tuple(remarks))
    named = request.bridge if method == "bridge" else method
    words = (*map(word_of, request.data), named, str(request.seed))
    return Job.of_one(request.out or f"runs/bridge-{'-'.join(words)}", problem)


_Read = tuple[list[str], Parts, Coordinates | None, list[str]]
"""What to call the snapshots; their parts; the coordinates of tables; what should be known."""


def _timed(request: BridgeRequest) -> _Read:
    """One table with a column of times."""
    assert request.time is not None
    if request.reading.weights is not None:
        raise RunError(
            f"--weights {request.reading.weights}: no option of a table with a column of times, "
            "whose rows count alike; give a table for each snapshot, with --times."
        )
    if len(request.data) != 1:
        raise RunError(f"--time {request.time}: its column is of one table, got "
                       f"{len(request.data)} ({', '.join(request.data)}); several tables have "
                       "--times.")  # fmt: skip
    if request.times is not None:
        raise RunError("--time, --times: state one of the two.")
    options = request.reading.stated()
    for option in ("group", "protocol"):
        if option in options:
            raise RunError(f"--{option} is no option of a table of snapshots: members (--id) stay "
                           "in one part of the split.")  # fmt: skip
    found = data.load_snapshot_table(
        request.data[0], time=request.time, member=request.member, **options
    )
    whole = found.snapshots
    if request.survivors and whole.ids is None:
        raise RunError("--survivors: state the column of labels, --id COLUMN.")
    parts = whole.split(request.seed)
    _refuse_few(parts[0])
    labels = [f"{whole.name} at {t:.12g} {whole.unit}".strip() for t in whole.times]
    return labels, parts, found.coordinates, [f"{whole.name}: {r}" for r in found.remarks]


def _refuse_few(train: Snapshots) -> None:
    for t, rows in zip(train.times, train.points, strict=True):
        if len(rows) < 2:
            raise RunError(f"{train.name} at {t:g}: {len(rows)} training points are too few for a "
                           "snapshot.")  # fmt: skip


def _tables(request: BridgeRequest) -> _Read:
    read = load_alike(request.data, request)
    if request.growth and any(one.weights is not None for one in read):
        raise RunError("--growth: members are counted by rows, which --weights changes: state one "
                       "of the two.")  # fmt: skip
    sets = [alike(one) for one in read]
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
    remarks = [f"{one.name}: {line}" for one in sets for line in one.warnings]
    remarks += [
        f"{one.name}: rows carry weights, column {one.weights_column!r}: points are those rows, "
        f"drawn in proportion; those to train are worth {worth(one):.4g}"
        for one in read
        if one.weights is not None
    ]
    return [d.name for d in sets], (train, val, test), sets[0].coordinates, remarks


def _recorded(request: BridgeRequest) -> _Read:
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
    return labels, found.split(request.seed), None, []


@dataclass(frozen=True)
class SnapshotsProblem(Problem[SnapshotBridge, FittedSnapshots]):
    """A law of paths to fit through many snapshots; ``rate``: of Brownian motion, where it is
    stated or the method's; ``coordinates``: of their tables, none of a recorded set."""

    request: BridgeRequest
    labels: tuple[str, ...]
    parts: Parts
    rate: float | None
    coordinates: Coordinates | None
    warned: tuple[str, ...]

    @cached_property
    def described(self) -> Document:
        train, names = self.parts[0], ("train", "val", "test")
        points = {n: list(part.points) for n, part in zip(names, self.parts, strict=True)}
        coordinates = self.coordinates or plain_coordinates(train.manifold)
        return self.request.described(
            list(self.labels), points, coordinates, times=train.times, rate=self.rate
        )

    @property
    def warnings(self) -> list[str]:
        return list(self.warned)

    def announced(self) -> list[str]:
        lines, train = [], self.parts[0]
        for name, *rows in zip(self.labels, *(p.points for p in self.parts), strict=True):
            sizes = "/".join(str(len(r)) for r in rows)
            lines.append(
                f"{name} on {train.manifold.name}: {sizes} points to train, validate and test"
            )
        if any(train.lost):
            meaning = "all that are seen are joined, and others move into their place."
            if self.request.survivors:
                meaning = "an interval joins those seen at both its ends (--survivors)."
            elif self.request.growth:
                meaning = "where members multiply or vanish is learned (--growth)."
            lines.append(f"lost from one snapshot to the next: {', '.join(map(str, train.lost))} "
                         f"training points; {meaning}")  # fmt: skip
        return lines

    def fit(self, run: Run) -> tuple[SnapshotBridge, Course]:
        train, val, _ = self.parts
        asked, method = self.request, self.request.snapshot_method()
        if method == "bridge":
            return self._bridged(train, val, {"out": run.checkpoints, "resume": asked.resume})
        own = {} if method in ("spline", "momentum") else self._moving
        return fit_snapshots(
            train.manifold, train.times, single_points(train.points),
            key=jax.random.key(asked.seed), method=method, **own,
        )  # fmt: skip

    @property
    def _moving(self) -> Document:
        """The options of a current: it finds its own rate, unless one is stated."""
        stated = None if self.request.variance is None else self.rate
        growth = "learn" if self.request.growth else None
        return {"rate": stated, "progress": self.request.progress, "growth": growth}

    def _bridged(
        self, train: Snapshots, val: Snapshots, keeping: ReadOnlyDocument
    ) -> tuple[SnapshotBridge, SnapshotHistory]:
        """Bridges through these snapshots, end to end; the budget is that of all intervals."""
        asked, choice = self.request, self.request.choice()
        each = None if asked.budget is None else asked.budget / (len(train.times) - 1)
        return fit_snapshots(
            train.manifold, train.times, single_points(train.points), method="bridge",
            val=single_points(val.points), ids=train.ids, val_ids=val.ids,
            survivors=asked.survivors, rate=self.rate, key=jax.random.key(asked.seed),
            bridge=choice.build, progress=asked.progress, **choice.training(asked.steps, each),
            **keeping,
        )  # fmt: skip

    def subject(self, fitted: SnapshotBridge) -> FittedSnapshots:
        def bridged(train: Snapshots, val: Snapshots) -> SnapshotBridge:
            return self._bridged(train, val, {"check": False})[0]

        def moving(train: Snapshots) -> Contest:
            return contest(
                train.manifold, train.times, single_points(train.points),
                key=jax.random.key(self.request.seed), options=self._moving,
            )  # fmt: skip

        method = self.request.snapshot_method()
        return FittedSnapshots(
            fitted, self.labels, self.parts, self.request.seed, method, bridged, moving
        )

    def measures(self) -> Mapping[str, Measure[FittedSnapshots]]:
        return SNAPSHOT_MEASURES | (LEFT_OUT if self.request.leave_out else {})

    def facts(self, fitted: SnapshotBridge, course: Course) -> Document:
        assert isinstance(course, SnapshotHistory)
        train = self.parts[0]
        return {
            "model": self.request.bridge if course.method == "bridge" else course.method,
            "method": course.method,
            "method_asked": self.request.snapshot_method(),
            "inner_times": list(course.inner),
            "inner_w1": {name: list(each) for name, each in course.compared.items()},
            "inner_floor": list(course.floor),
            "bend_coherence": course.coherence,
            "snapshots": list(self.labels),
            "times": list(train.times),
            "unit": train.unit,
            "manifold": train.manifold.name,
            "seed": self.request.seed,
            **self._numbers(fitted, course),
            **({"growth_kept": isinstance(fitted, SnapshotCurrent)
                and fitted.intervals[0].growth is not None} if self.request.growth else {}),
            "survivors": self.request.survivors,
            **{f"n_{name}": list(part.mass)
               for name, part in zip(("train", "val", "test"), self.parts, strict=True)},
            "lost": list(train.lost),
            "gained": list(train.gained),
            "train_seconds": course.seconds,
        }  # fmt: skip

    def _numbers(self, fitted: SnapshotBridge, course: SnapshotHistory) -> Document:
        """Those of the method."""
        if isinstance(fitted, SnapshotCurrent):
            parts = fitted.parts(single_points(self.parts[0].points))
            return {"rate": float(fitted.rate), "speeds": dict(parts._asdict())}
        if isinstance(fitted, SplinePaths):
            return {"rate": None, "rate_reason": "paths are splines", "epsilon": fitted.epsilon,
                    "paths": fitted.used}  # fmt: skip
        intervals = course.course
        assert not isinstance(intervals, CurrentHistory | SplineHistory)
        steps = [len(one.toward) if isinstance(one, AlternationHistory) else one.steps
                 for one in intervals]  # fmt: skip
        return {"rate": self.rate, "steps": steps}

    def tables(self, metrics: ReadOnlyDocument) -> Tables:
        return snapshot_tables(metrics)

    def page(self, done: Finished[FittedSnapshots]) -> Path:
        return write_snapshots_page(done, self.exploration(done))

    def exploration(self, done: Finished[FittedSnapshots]) -> Exploration:
        axes = Axes() if self.coordinates is None else axes_of(self.coordinates)
        return explored_snapshots(done, axes)

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
        taken = metrics["method"]
        if metrics["inner_w1"]:
            named = ", ".join(f"{name} {np.mean(_finite(each)):.4g}" if _finite(each) else name
                              for name, each in metrics["inner_w1"].items())  # fmt: skip
            taken += f" (W₁ of inner snapshots left out: {named})"
        return [
            *lines,
            *((f"left out, {row['method']}",
               f"W₁ {row['w1']:.4g}, W₂ {row['w2']:.4g}; fresh points {row['floor_w1']:.4g}, "
               f"{row['floor_w2']:.4g}")
              for row in metrics.get("left_out_methods") or []),
            *((measure.title, text(metrics.get(measure.names[0])))
              for measure in SNAPSHOT_MEASURES.values() if measure.title),
            ("method", taken),
            *([("rate", f"{metrics['rate']:.4g} per {unit}")] if metrics["rate"] else []),
            *([("epsilon", f"{metrics['epsilon']:.4g}")] if "epsilon" in metrics else []),
            ("time", f"{metrics['train_seconds']:.1f} s, compiling included"),
        ]  # fmt: skip


def _finite(each: list[float | None]) -> list[float]:
    return [one for one in each if one is not None]
