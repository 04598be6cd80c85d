"""A bridge between two tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from scorefold._types import Document, ReadOnlyDocument
from scorefold._warnings import warn
from scorefold.bridges import AlternationHistory, Bridge, brownian_reference, fit_bridge
from scorefold.bridges.usual_variance import mean_square_gap, usual_variance
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.runs.bridges.arrivals import ratio, text
from scorefold.runs.bridges.choices import training_numbers
from scorefold.runs.bridges.ends_exploration import explored_ends
from scorefold.runs.bridges.ends_measures import END_MEASURES, MeasuredBridge
from scorefold.runs.bridges.ends_page import end_tables, write_bridge_page
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.weighted import alike, weights_numbers, worth
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration
from scorefold.runs.folder import Run
from scorefold.runs.histories import Course
from scorefold.runs.measures import Measure
from scorefold.runs.reading import snapshot_names
from scorefold.runs.request import Finished, Job, Lines, Problem, Tables, load_alike, word_of

_LEAST = 1e-5
"""Of the mean squared distance of the ends per dimension: the smallest variance that a walk can
follow; its inverse is the largest."""


def open_ends(request: BridgeRequest) -> Job:
    """Read the two tables."""
    request.choice()
    for option in ("method", "times", "leave_out", "survivors", "growth"):
        if getattr(request, option):
            name = option.replace("_", "-")
            raise RunError(f"--{name}: an option of three or more snapshots only.")
    if request.member is not None:
        raise RunError("--id: an option of --time, for one table of snapshots.")
    if len(request.data) != 2:
        raise RunError(
            f"bridge: needs two data sets, got {len(request.data)} ({', '.join(request.data)}), or "
            f"the name of a set of snapshots: {', '.join(snapshot_names())}; or one table with a "
            "column of times (--time COLUMN)."
        )
    a, b = load_alike(request.data, request)
    problem = EndsProblem(request, (a, b), _variance(request.variance, a, b))
    words = (word_of(a.name), word_of(b.name), request.bridge, str(request.seed))
    return Job.of_one(request.out or f"runs/bridge-{'-'.join(words)}", problem)


def _variance(stated: float | None, a: Dataset, b: Dataset) -> float:
    """As stated, or ``usual_variance``."""
    size = mean_square_gap(a.manifold, *(alike(end).train for end in (a, b)))
    if stated is not None:
        if size > 0 and not _LEAST * size <= stated <= size / _LEAST:
            raise RunError(
                f"--variance {stated:g}: the mean squared distance of the ends is {size:.3g} a "
                f"dimension; choose between {_LEAST:g} and {1 / _LEAST:g} times that."
            )
        return stated
    if not size > 0:
        raise RunError("--variance: all points are equal, which says nothing of it; state one.")
    return usual_variance(size)


@dataclass(frozen=True)
class EndsProblem(Problem[Bridge, MeasuredBridge]):
    """A bridge to fit between two tables."""

    request: BridgeRequest
    ends: tuple[Dataset, Dataset]
    variance: float

    @cached_property
    def alike(self) -> tuple[Dataset, Dataset]:
        """The ends with rows that need no weights."""
        a, b = map(alike, self.ends)
        return a, b

    @property
    def training(self) -> Document:
        return self.request.choice().training(self.request.steps, self.request.budget)

    @cached_property
    def described(self) -> Document:
        parts = {name: [getattr(end, name) for end in self.ends]
                 for name in ("train", "val", "test")}  # fmt: skip
        for name in [*parts] if any(end.weights is not None for end in self.ends) else ():
            none = np.zeros(0)
            each = [end.weights_of(name) for end in self.ends]
            parts[f"{name}_weights"] = [none if w is None else w for w in each]
        names = [end.name for end in self.ends]
        return self.request.described(
            names, parts, self.ends[0].coordinates, variance=self.variance
        )

    @property
    def warnings(self) -> list[str]:
        return [f"{end.name}: {line}" for end in self.ends for line in end.warnings]

    def announced(self) -> list[str]:
        return [f"{end.name} on {end.manifold.name}: {len(end.train)}/{len(end.val)}/"
                f"{len(end.test)} points to train, validate and test, protocol {end.protocol}"
                + ("" if end.weights is None
                   else f", with weights, column {end.weights_column!r}: the rows to train are "
                        f"worth {worth(end):.1f} alike")
                for end in self.ends]  # fmt: skip

    def fit(self, run: Run) -> tuple[Bridge, History | AlternationHistory]:
        least = min(len(end.val) for end in self.ends)
        a, b = self.ends
        if least < 2:
            warn(
                f"{least} validation points at an end are too few to choose by: the last "
                "parameters are kept."
            )
        bridge = self.request.choice().build(brownian_reference(a.manifold, self.variance))
        return fit_bridge(
            bridge, a.train, b.train, val=(a.val, b.val) if least >= 2 else None, check=False,
            weights=(a.weights_of("train"), b.weights_of("train")),
            val_weights=(a.weights_of("val"), b.weights_of("val")) if least >= 2 else None,
            key=jax.random.key(self.request.seed), out=run.checkpoints,
            resume=self.request.resume, progress=self.request.progress, **self.training,
        )  # fmt: skip

    def subject(self, fitted: Bridge) -> MeasuredBridge:
        return MeasuredBridge(fitted, *self.alike, self.request.seed)

    def measures(self) -> Mapping[str, Measure[MeasuredBridge]]:
        return END_MEASURES

    def facts(self, fitted: Bridge, course: Course) -> Document:
        assert not isinstance(course, tuple)
        return {
            "model": self.request.bridge,
            "datasets": [end.name for end in self.ends],
            "manifold": self.ends[0].manifold.name,
            "protocol": self.ends[0].protocol,
            "seed": self.request.seed,
            "variance": self.variance,
            **{f"n_{part}": [len(getattr(end, part)) for end in self.ends]
               for part in ("train", "val", "test")},
            **weights_numbers(self.ends),
            **training_numbers(course, self.training),
        }  # fmt: skip

    def tables(self, metrics: ReadOnlyDocument) -> Tables:
        return end_tables(self.ends, metrics)

    def page(self, done: Finished[MeasuredBridge]) -> Path:
        return write_bridge_page(done, self.alike, self.exploration(done))

    def exploration(self, done: Finished[MeasuredBridge]) -> Exploration:
        return explored_ends(done, self.alike)

    def lines(self, metrics: ReadOnlyDocument) -> Lines:
        lines, ends = [], metrics["ends"] or {}
        for name, which in zip(reversed(metrics["datasets"]), "ba", strict=True):
            if (end := ends.get(which)) is None:
                continue
            lines.append((
                f"W₁ at {name}",
                f"{text(end['w1'], 'g')}, fresh points {text(end['floor'], 'g')} (ratio "
                f"{ratio(end)}), unbridged {text(end['unbridged'], 'g')}",
            ))  # fmt: skip
            if end["missed"]:
                lines.append((f"missed: {name}", f"by {end['miss']:.2g} standard deviations along "
                              "the worst line (chance stays below "
                              f"{end['miss_floor']:.2g})"))  # fmt: skip
        compiling = metrics["compile_seconds"]
        lines += [
            ("path energy", f"{text(metrics['path_energy'])} ± "
                            f"{text(metrics['path_energy_standard_error'])} nats"),
            *((measure.title, text(metrics.get(measure.names[0])))
              for measure in END_MEASURES.values() if measure.title),
            ("variance", f"{metrics['variance']:.4g} from end to end"),
            ("time", f"{(compiling or 0) + metrics['train_seconds']:.1f} s for "
                     f"{metrics['steps']} steps"
                     + ("" if compiling is None else f", {compiling:.1f} s of it compiling")),
        ]  # fmt: skip
        return lines
