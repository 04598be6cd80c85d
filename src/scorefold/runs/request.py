"""What is asked of a run, and what it is made of: the contract of all kinds."""

from __future__ import annotations

import abc
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from scorefold import data
from scorefold._types import Document, ReadOnlyDocument
from scorefold.data import Dataset, datasets
from scorefold.data.laws.synthetic import is_synthetic
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration
from scorefold.runs.folder import Run
from scorefold.runs.histories import Course
from scorefold.runs.measures import Measure, Subject
from scorefold.runs.reading import Reading

Fitted = TypeVar("Fitted")
Lines = list[tuple[str, str]]
"""Of a terminal: titles and texts."""
Tables = dict[str, list[tuple[str, ...]]]
"""Of a page, by title: a row of headings, and rows of text."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be fitted, and into which folder.

    - ``reading``, ``data_dir``: how tables are read and split, and where registered ones are.
    - ``seed``: of the split and of training.
    - ``steps`` or ``budget`` (seconds): how long; default: that of the model.
    - ``out``: the folder (default: one below ``runs/``, by the names of data and model);
      ``resume``: go on with what is there.
    - ``report``: draw a page; ``earth``: with coastlines (default: for known data of the Earth).
    - ``progress``: show a bar while training.
    """

    reading: Reading = field(default_factory=Reading)
    data_dir: str | None = None
    seed: int = 0
    steps: int | None = None
    budget: float | None = None
    out: str | os.PathLike | None = None
    resume: bool = False
    report: bool = True
    earth: bool | None = None
    progress: bool = False


@dataclass(frozen=True)
class Finished(Generic[Subject]):
    """What a page shows: a fitted model or bridge with its data, its numbers and the course of its
    training; ``earth``: with coastlines."""

    folder: Path
    subject: Subject
    metrics: Document
    tables: Tables
    course: Course
    earth: bool


class Problem(abc.ABC, Generic[Fitted, Subject]):
    """One model or bridge to fit, its data read: what differs between kinds of runs."""

    @property
    @abc.abstractmethod
    def described(self) -> ReadOnlyDocument:
        """What ``run.json`` says."""

    @property
    @abc.abstractmethod
    def warnings(self) -> list[str]:
        """What should be known about the data, a line each."""

    @abc.abstractmethod
    def announced(self) -> list[str]:
        """What is said before training."""

    @abc.abstractmethod
    def fit(self, run: Run) -> tuple[Fitted, Course]:
        """Train, with checkpoints in the folder of the run."""

    @abc.abstractmethod
    def subject(self, fitted: Fitted) -> Subject:
        """What is measured and drawn: the fitted model with its data, and draws once."""

    @abc.abstractmethod
    def measures(self) -> Mapping[str, Measure[Subject]]:
        """What is measured, by name."""

    @abc.abstractmethod
    def facts(self, fitted: Fitted, course: Course) -> Document:
        """What ``metrics.json`` says of the data and of training."""

    @abc.abstractmethod
    def tables(self, metrics: ReadOnlyDocument) -> Tables:
        """The tables of the page."""

    @abc.abstractmethod
    def exploration(self, done: Finished[Subject]) -> Exploration:
        """What its page lets a reader explore."""

    @abc.abstractmethod
    def page(self, done: Finished[Subject]) -> Path:
        """Draw the page."""

    @abc.abstractmethod
    def lines(self, metrics: ReadOnlyDocument) -> Lines:
        """The numbers for a terminal."""


@dataclass(frozen=True)
class Job:
    """The folder of a request, and what is to be fitted in it or in folders below."""

    folder: Path
    problems: Mapping[Run, Problem]

    @classmethod
    def of_one(cls, folder: str | os.PathLike, problem: Problem) -> Job:
        return cls(Path(folder), {Run(folder): problem})

    @property
    def described(self) -> dict[Run, ReadOnlyDocument]:
        """What ``run.json`` says, in every folder."""
        return {run: problem.described for run, problem in self.problems.items()}

    @cached_property
    def first(self) -> Problem:
        return next(iter(self.problems.values()))

    def fit_together(self) -> bool:
        """Fit all problems side by side and keep what comes out, if that can be done."""
        return False

    def summary(self, found: list[Document]) -> Document:
        """The document of all problems."""
        (metrics,) = found
        return metrics


def load_alike(names: Sequence[str], request: Request) -> list[Dataset]:
    """Tables of one manifold, split: the second and later files are read as the first is, the same
    columns by name and in the same units. Sets that are known by name have their own reading.

    **Raises:** ``RunError`` for tables on different manifolds, or with fewer than 2 points to
    train; ``DataError`` for what cannot be read.
    """
    options: Document = {"protocol": "grouped", **request.reading.stated()}
    known = {row.name for row in datasets()}
    named = [name for name in names if name in known or is_synthetic(name)]
    if named and "weights" in options:
        raise RunError(f"--weights {options['weights']}: a column of files; {named[0]} is known by "
                       "name, and its rows count alike.")  # fmt: skip
    sets: list[Dataset] = []
    for name in names:
        if name in known or is_synthetic(name):
            reading: Document = {"protocol": options["protocol"]}
        else:
            reading = options | ({"like": sets[0]} if sets else {})
        sets.append(data.load(name, seed=request.seed, data_dir=request.data_dir, **reading))
    a = sets[0]
    for one in sets:
        if len(one.train) < 2:
            raise RunError(f"{one.name}: {len(one.train)} training points are too few for the "
                           "end of a bridge.")  # fmt: skip
    for b in sets[1:]:
        if a.manifold.name != b.manifold.name:
            raise RunError(
                f"{a.name} is on {a.manifold.name}, {b.name} on {b.manifold.name}: the ends of a "
                "bridge must be on one manifold."
            )
    return sets


def word_of(name: str) -> str:
    """The name of a data set as part of the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem)


def in_columns(lines: Lines, folder: str | os.PathLike, least: int = 0) -> str:
    """Titles and texts for a terminal, with the folder after them."""
    lines = [*lines, ("written to", str(folder))]
    width = max(least, *(len(name) + 1 for name, _ in lines))
    return "\n".join(f"{name:<{width}} {text}" for name, text in lines)
