"""What a finished run is worth: its numbers as they were measured, or those of other points."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorefold._types import Document, ReadOnlyDocument
from scorefold._warnings import warn
from scorefold._weights import effective_number
from scorefold.data import DataError, load
from scorefold.runs import documents
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.measures import take_all
from scorefold.runs.models.generalisation import generalisation_lines, mass_line
from scorefold.runs.models.measures import MEASURES, MeasuredModel
from scorefold.runs.models.request import ModelProblem
from scorefold.runs.models.summary import summary, verdict_lines
from scorefold.runs.opening import reopened
from scorefold.runs.reading import is_named, reading_as
from scorefold.runs.request import Problem, in_columns

_NAMES = {"test_nll": "nll", "test_nll_standard_error": "nll_standard_error"}
_MASS = ("normalisation", "normalisation_error", "normalisation_how", "normalisation_reason")
_ERRORS = {"nll": "nll_standard_error", "normalisation": "normalisation_error"}


@dataclass(frozen=True)
class Evaluation:
    """Numbers, and these in words."""

    metrics: Document
    text: str


def evaluate(
    folder: str | os.PathLike,
    points: str | None = None,
    *,
    samples: bool = True,
    columns: str | None = None,
    drop: bool | None = None,
    drop_value: Sequence[str] | None = None,
    weights: str | None = None,
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> Evaluation:
    """The numbers of a run, or of several seeds: those that were written of the test points, which
    must be the same points still. They are measured anew, with the same keys, where they are
    missing or another model's. Of a model also those of a table ``points``, read as its own was
    but for what ``columns``, ``drop`` and ``drop_value`` state; ``weights``: the column of their
    weights, without which they count alike. ``samples``: with the measures of memorisation and
    generalisation.

    **Raises:** ``RunError`` for a folder that is no finished run, for data that have changed, and
    for points given to a bridge; ``DataError`` for what cannot be read.
    """
    top, listener = Run.open(folder), listener or Listener()
    bridge, found = top.kind == "bridge", []
    if bridge and points is not None:
        raise RunError(f"{folder} holds a bridge: evaluate shows its numbers, and carry moves the "
                       "points of a table along it.")  # fmt: skip
    if points is None and weights is not None:
        raise RunError(f"weights= (--weights): a column of other points, and none are given; those "
                       f"of {folder} have the weights that they were fitted with.")  # fmt: skip
    for run in top.seeds or [top]:
        if points is not None:
            reading = {"columns": columns, "drop": drop, "drop_value": drop_value,
                       "weights": weights}  # fmt: skip
            name, rows, w = _points(run, points, data_dir, reading)
            numbers = _of_points(run, rows, w, samples, data_dir, listener)
            numbers |= {"dataset": name, "n_test": len(rows)}
            if w is not None:
                numbers |= {"weights": weights, "n_test_effective": effective_number(w)}
            found.append(_shown(numbers, samples))
            continue
        problem = reopened(run, data_dir)
        numbers = run.measured() or _anew(run, problem, samples, listener)
        if bridge:
            with documents.describes(run.file("metrics.json"), ValueError):
                return Evaluation(numbers, in_columns(problem.lines(numbers), run.folder))
        found.append(_shown(numbers, samples))
    document = documents.plain(found[0] if len(found) == 1 else summary(found))
    with documents.describes(top.file("metrics.json"), ValueError):
        return Evaluation(document, "\n".join(_lines(document)))


def _shown(numbers: ReadOnlyDocument, samples: bool) -> Document:
    """Those of a model's numbers that depend on the points it is compared with."""
    wanted = {name for one in MEASURES.values() if one.fresh for name in one.names} | set(_MASS)
    wanted -= set() if samples else {"generalisation"}
    found = {"dataset": numbers["dataset"], "n": numbers["n_test"]}
    if numbers.get("weights") is not None:
        found |= {"weights": numbers["weights"], "n_effective": numbers["n_test_effective"]}
    for name, value in numbers.items():
        stem = name.removesuffix("_reason")
        if stem in wanted:
            found[_NAMES.get(stem, stem) + name[len(stem) :]] = value
    return found


def _anew(run: Run, problem: Problem, samples: bool, listener: Listener) -> Document:
    """The numbers of a run, measured with the same keys as before."""
    warn(
        f"{run.file('metrics.json')} has no numbers of the model in {run.model_file.name}: they "
        "are measured now, and not written."
    )
    fitted, measures = run.model(), problem.measures()
    wanted = [measures[name] for name in measures if samples or name != "generalisation"]
    found = take_all(wanted, problem.subject(fitted), listener)
    return documents.plain({**problem.facts(fitted, run.history()), **found})


def _of_points(
    run: Run,
    points: np.ndarray,
    weights: np.ndarray | None,
    samples: bool,
    data_dir: str | None,
    listener: Listener,
) -> Document:
    """Numbers of other points. The total mass does not depend on them: that of ``fit`` if known."""
    found: Document = {}
    dataset, known, left = None, run.measured(), set() if samples else {"generalisation"}
    try:
        problem = reopened(run, data_dir)
        dataset = problem.dataset if isinstance(problem, ModelProblem) else None
    except (DataError, OSError, RunError) as error:
        left |= {"generalisation"}
        if samples:
            found = {"generalisation": None,
                     "generalisation_reason": f"no training points: {error}"}  # fmt: skip
            warn(f"No measures of generalisation: {error}")
    if known is not None:
        left |= {"mass"}
        found |= {key: known[key] for key in _MASS if key in known}
    fitted = MeasuredModel(run.model(), dataset, run.single()["seed"], points, weights)
    wanted = [one for name, one in MEASURES.items() if one.fresh and name not in left]
    return {**take_all(wanted, fitted, listener), **found}


def _points(
    run: Run, table: str, data_dir: str | None, reading: ReadOnlyDocument
) -> tuple[str, np.ndarray, np.ndarray | None]:
    """The name of a table, all its points, and their weights."""
    if reading["weights"] is not None and is_named(table):
        raise RunError(f"--weights {reading['weights']}: a column of a file; {table} is known by "
                       "name, and its rows count alike.")  # fmt: skip
    with documents.describes(run.file("run.json")):
        dataset = load(table, data_dir=data_dir, **reading_as(table, run.coordinates(), **reading))
    manifold = run.model().manifold.name
    if dataset.manifold.name != manifold:
        raise RunError(f"{table} is on {dataset.manifold.name}, the model on {manifold}.")
    for line in dataset.warnings:
        warn(f"{dataset.name}: {line}")
    points = np.asarray(dataset.coordinates.to_points(dataset.values))
    return dataset.name, points, dataset.weights


def _lines(document: ReadOnlyDocument) -> list[str]:
    """The numbers for a terminal, of one run or of several seeds."""

    def number(name: str) -> str:
        value = document.get(name)
        if value is None:
            reason = document.get(f"{name}_reason")
            return f"not measured{f' ({reason})' if reason else ''}"
        error = document.get(f"{name}_std" if "runs" in document else _ERRORS.get(name, ""))
        return f"{value:.4f}" + (f" ± {error:.4f}" if error is not None else "")

    seeds = f", mean ± std over {len(document['runs'])} seeds" if "runs" in document else ""
    effective = document.get("n_effective")
    worth = "" if effective is None else f" (worth {effective:.1f} alike)"
    mass = number("normalisation") if seeds else mass_line(document)
    nfe = "" if document.get("nfe") is None else f", {document['nfe']:.0f} evaluations each"
    points = f"{document['n']} points{worth}{seeds}"
    lines = [
        f"{document['dataset']}: NLL {number('nll')} nats over {points}",
        f"total mass {mass}{nfe}",
        *(f"{one.title} {number(one.names[0])}"
          for one in MEASURES.values() if one.title and one.names[0] in document),
    ]  # fmt: skip
    found = document.get("generalisation")
    if "runs" in document:
        return lines + ([f"{a:<15} {b}" for a, b in verdict_lines(found)] if found else [])
    return lines + (generalisation_lines(found) if found else [])
