"""A model fitted to one table, with one seed or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold import data
from scorefold._fixed import trainable
from scorefold._types import Document, ReadOnlyDocument
from scorefold._weights import effective_number
from scorefold.data import Dataset
from scorefold.fitting import History, fit_seeds
from scorefold.models import Model
from scorefold.runs import histories
from scorefold.runs.axes import on_earth
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration
from scorefold.runs.folder import Run
from scorefold.runs.histories import Course
from scorefold.runs.identity import described, point_digests
from scorefold.runs.measures import Measure
from scorefold.runs.models import choices
from scorefold.runs.models.exploration import explored_model
from scorefold.runs.models.generalisation import HEADING, generalisation_rows
from scorefold.runs.models.measures import MEASURES, MeasuredModel
from scorefold.runs.models.page import weights_line, write_model_page
from scorefold.runs.models.summary import run_lines, summary
from scorefold.runs.reading import Reading, is_pipe
from scorefold.runs.request import Finished, Job, Lines, Problem, Request, Tables, word_of
from scorefold.runs.setting import TRAINING

_TRAINING = tuple(setting.name for setting in TRAINING)


@dataclass(frozen=True, kw_only=True)
class FitRequest(Request):
    """A model to be fitted to the table ``data``, a name or a file.

    - ``model``: a name of ``MODELS`` (default: what so many points can bear); ``settings``: what
      can be stated of it, such as ``{"width": 64}``.
    - ``seeds``: how many, from ``seed`` on, each in a folder of its own.
    - ``batch_size``, ``learning_rate``, ``weight_decay``: of training.
    """

    data: str
    model: str | None = None
    settings: ReadOnlyDocument = field(default_factory=dict)
    seeds: int = 1
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None

    @classmethod
    def of(cls, found: ReadOnlyDocument) -> FitRequest:
        """The request of a run, from its ``run.json``."""
        settings = {name: v for name, v in found["settings"].items() if v is not None}
        stated = {name: settings.pop(name) for name in ("model", *_TRAINING) if name in settings}
        return cls(data=found["data"], reading=Reading(**found["options"]), seed=found["seed"],
                   earth=found["earth"], settings=settings, **stated)  # fmt: skip

    @property
    def training(self) -> Document:
        """What is stated of training, by the names of ``TRAINING``."""
        return {name: getattr(self, name) for name in _TRAINING}


def open_fit(request: FitRequest) -> Job:
    """Read the table, split by every seed."""
    options = {"protocol": "grouped", **request.reading.stated()}
    seeds = range(request.seed, request.seed + request.seeds)
    if seeds[-1] >= 2**31:
        raise RunError(f"--seed {request.seed} with --seeds {request.seeds}: seeds must stay "
                       "below 2^31.")  # fmt: skip
    if len(seeds) > 1 and is_pipe(request.data):
        raise RunError(f"{request.data} can be read once only: save it to a file for --seeds.")
    sets = [data.load(request.data, seed=s, data_dir=request.data_dir, **options) for s in seeds]
    stated = {**request.training, **request.settings}
    names = {choices.choose_model(request.model, stated, dataset) for dataset in sets}
    if len(names) > 1:
        raise RunError(f"the splits of these seeds lie on both sides of {choices.LEAST} training "
                       "points: state --model kernel or --model kde.")  # fmt: skip
    (name,) = names
    last = f"{request.seed}" if len(sets) == 1 else f"{len(sets)}-seeds"
    words = (word_of(sets[0].name), name, sets[0].protocol, last)
    folder = Path(request.out or f"runs/{'-'.join(words)}")
    problems = [ModelProblem(request, name, options, dataset) for dataset in sets]
    if len(sets) == 1:
        return Job.of_one(folder, problems[0])
    runs = [Run(folder / f"seed-{s}") for s in seeds]
    return _Seeds(folder, dict(zip(runs, problems, strict=True)))


@dataclass(frozen=True)
class ModelProblem(Problem[Model, MeasuredModel]):
    """One model to fit to one split of a table."""

    request: FitRequest
    model: str
    options: ReadOnlyDocument
    dataset: Dataset

    @property
    def choice(self) -> choices.ModelChoice:
        return choices.model_choice(self.model)

    @property
    def task(self) -> choices.ModelTask:
        stated = {name: value for name, value in self.request.settings.items() if value is not None}
        return choices.ModelTask(self.dataset, stated, self.request.seed, self.request.progress)

    def document(self, **found: object) -> Document:
        """What ``run.json`` says, with what is ``found`` in one folder only."""
        common = {setting.name: None for setting in (*choices.USUAL, *self.choice.settings)}
        settings = {"model": self.model, **self.request.training, **common, **self.task.stated}
        earth = on_earth(self.request.earth, self.dataset.name)
        return described(
            self.request.data, options=self.options, settings=settings, earth=earth, **found
        )

    @cached_property
    def described(self) -> Document:
        names = ("train", "val", "test")
        parts = {name: getattr(self.dataset, name) for name in names}
        for name in names if self.dataset.weights is not None else ():
            parts[f"{name}_weights"] = self.dataset.weights_of(name)
        coordinates = self.dataset.coordinates.to_dict()
        return self.document(
            seed=self.dataset.seed, coordinates=coordinates, points=point_digests(parts)
        )

    @property
    def warnings(self) -> list[str]:
        return [f"{self.dataset.name}: {line}" for line in self.dataset.warnings]

    def announced(self) -> list[str]:
        found, audit = self.dataset, self.dataset.audit
        n, v, t = len(found.train), len(found.val), len(found.test)
        lines = [
            f"{found.name} on {found.manifold.name}: {n} training, {v} validation, {t} test "
            f"points, protocol {found.protocol}; {audit.duplicates} repeated rows, "
            f"{100 * audit.leak:.1f} % of test points are also training points."
        ]
        if found.weights is not None:
            lines.append(weights_line(found))
        if self.model == "kde" and self.request.model is None:
            lines.append(
                f"{n} training points are too few to learn the shapes of kernels from (below "
                f"{choices.LEAST}): a kernel density of one bandwidth is fitted, --model kde."
            )
        return lines

    def training(self) -> Document:
        """The keyword arguments of ``fit``."""
        found = self.request.training | {"weight_decay": self.request.weight_decay or 0.0}
        if found["steps"] is None and found["budget"] is None:
            found["budget"] = self.choice.budget
        return {**found, "resume": self.request.resume, "progress": self.request.progress}

    def fit(self, run: Run) -> tuple[Model, History]:
        return self.choice.fit(self.task, out=run.checkpoints, **self.training())

    def subject(self, fitted: Model) -> MeasuredModel:
        return MeasuredModel(fitted, self.dataset, self.dataset.seed)

    def measures(self) -> Mapping[str, Measure[MeasuredModel]]:
        return MEASURES

    def facts(self, fitted: Model, course: Course) -> Document:
        assert isinstance(course, History)
        params = jax.tree.leaves(eqx.filter(fitted, trainable(fitted)))
        return {
            "model": self.model,
            "dataset": self.dataset.name,
            "manifold": self.dataset.manifold.name,
            "protocol": self.dataset.protocol,
            "seed": self.dataset.seed,
            **{f"n_{part}": len(getattr(self.dataset, part)) for part in ("train", "val", "test")},
            **_weights(self.dataset),
            **histories.numbers(course),
            "params": sum(int(p.size) for p in params),
            **self.choice.numbers(fitted),
        }

    def tables(self, metrics: ReadOnlyDocument) -> Tables:
        if metrics.get("generalisation") is None:
            return {}
        rows = generalisation_rows(metrics["generalisation"])
        return {"Memorisation and generalisation": [HEADING, *rows]}

    def page(self, done: Finished[MeasuredModel]) -> Path:
        return write_model_page(done, self.choice, self.exploration(done))

    def exploration(self, done: Finished[MeasuredModel]) -> Exploration:
        return explored_model(done, self.choice)

    def lines(self, metrics: ReadOnlyDocument) -> Lines:
        return run_lines(metrics)


def _weights(dataset: Dataset) -> Document:
    """The column of the weights, and what the rows of each part are worth; nothing without."""
    if dataset.weights is None:
        return {}
    found: Document = {"weights": dataset.weights_column}
    for part in ("train", "val", "test"):
        w = dataset.weights_of(part)
        assert w is not None
        found[f"n_{part}_effective"] = effective_number(w)
    return found


class _Seeds(Job):
    """One model for several splits: the folder above them says which, and means of their numbers.
    They are trained side by side under ``vmap`` where the parts of the splits have equal sizes and
    the models are the same, otherwise one after another."""

    @property
    def described(self) -> dict[Run, ReadOnlyDocument]:
        seeds = [one.dataset.seed for one in self._problems]
        return super().described | {Run(self.folder): self._problems[0].document(seeds=seeds)}

    @property
    def _problems(self) -> list[ModelProblem]:
        return [p for p in self.problems.values() if isinstance(p, ModelProblem)]

    def fit_together(self) -> bool:
        problems, first = self._problems, self._problems[0]
        sets = [one.dataset for one in problems]
        alike = len({(d.train.shape, d.val.shape) for d in sets}) == 1
        # Weights differ from split to split.
        if not first.choice.together or not alike or any(d.weights is not None for d in sets):
            return False
        models = [one.choice.build(one.task) for one in problems]
        if not all(eqx.tree_equal(m, models[0]) for m in models):
            return False
        settings = first.training()
        if settings["budget"] is not None:
            settings["budget"] *= len(sets)
        train, val = (jnp.stack([getattr(d, part) for d in sets]) for part in ("train", "val"))
        keys = [jax.random.key(d.seed) for d in sets]
        found = fit_seeds(models[0], train, val=val, keys=keys, stacked=True,
                          out=self.folder / "checkpoints", **settings)  # fmt: skip
        for run, (model, history) in zip(self.problems, found, strict=True):
            run.keep(model, history)
        return True

    def summary(self, found: list[Document]) -> Document:
        return summary(found)
