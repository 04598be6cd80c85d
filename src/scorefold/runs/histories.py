"""``history.json``: the course of a training, of one by half-steps, or of many snapshots."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from scorefold._types import Document
from scorefold.bridges import AlternationHistory, CurrentHistory, SnapshotHistory, SplineHistory
from scorefold.bridges.currents.learning import Trial
from scorefold.bridges.snapshots.fit_splines import SplineTrial
from scorefold.fitting import History
from scorefold.runs import documents

Course = History | AlternationHistory | SnapshotHistory


def text(course: Course) -> str:
    """The document of a course."""
    if isinstance(course, History):
        return course.to_json() + "\n"
    if isinstance(course, SnapshotHistory):
        return documents.text({**course._asdict(), "course": _of_method(course.course)})
    return documents.text(json.loads(course.to_json()))


def read(path: Path) -> Course:
    """The course in a file.

    **Raises:** ``RunError`` for any other document.
    """
    found = documents.read(path, dict)
    with documents.describes(path, ValueError):
        if "compared" in found:
            documents.check(path, found, documents.SNAPSHOT_HISTORY)
            compared = {name: _lengths(each) for name, each in found["compared"].items()}
            course = _read_method(path, found["course"])
            inner, seconds = tuple(map(float, found["inner"])), float(found["seconds"])
            floor, coherence = tuple(map(float, found["floor"])), found["coherence"]
            return SnapshotHistory(
                found["method"], inner, compared, course, seconds, floor, coherence
            )
        return _read_one(path, found)


def _of_method(
    course: CurrentHistory | SplineHistory | tuple[History | AlternationHistory, ...],
) -> Document:
    if not isinstance(course, CurrentHistory | SplineHistory):
        return {"intervals": [json.loads(one.to_json()) for one in course]}
    found: Document = {
        "trials": [trial._asdict() for trial in course.trials],
        "chosen": None if course.chosen is None else course.trials.index(course.chosen),
    }
    if isinstance(course, CurrentHistory):
        found["rates"] = list(course.rates)
    return found


def _read_method(
    path: Path, found: Document
) -> CurrentHistory | SplineHistory | tuple[History | AlternationHistory, ...]:
    if "intervals" in found:
        return tuple(_read_one(path, one) for one in found["intervals"])
    rows, at = [(one, _lengths(one["each"])) for one in found["trials"]], found["chosen"]
    if "rates" in found:
        trials = tuple(
            Trial(one["length"], one["ridge"], one["share"], each, one.get("growth", False))
            for one, each in rows
        )
        rates = tuple(map(float, found["rates"]))
        return CurrentHistory(trials, None if at is None else trials[at], rates)
    shares = tuple(SplineTrial(one["share"], each) for one, each in rows)
    return SplineHistory(shares, None if at is None else shares[at])


def _lengths(each: list[float | None]) -> tuple[float, ...]:
    """Distances; what has none is infinitely far."""
    return tuple(np.inf if one is None else float(one) for one in each)


def _read_one(path: Path, found: Document) -> History | AlternationHistory:
    if "toward" in found:
        columns: dict[str, Any] = {
            name: tuple(found[name]) if name in ("toward", "floor", "seed")
            else np.asarray([np.nan if v is None else v for v in found[name]], np.float64)
            for name in _names(AlternationHistory)
        }  # fmt: skip
        if len({len(columns[name]) for name in columns if name not in ("floor", "seed")}) > 1:
            raise ValueError("columns of different lengths")
        return AlternationHistory(**columns)
    documents.check(path, found, documents.HISTORY)
    if len(found["step"]) != len(found["loss"]) or len(found["val_step"]) != len(found["val_nll"]):
        raise ValueError("columns of different lengths")
    return History.from_json(json.dumps({name: found[name] for name in _names(History)}))


def numbers(history: History) -> Document:
    """What ``metrics.json`` says of a training."""
    return {
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped": history.stopped,
        "train_seconds": history.seconds - history.compile_seconds,
        "compile_seconds": history.compile_seconds,
    }


def _names(kind: type[History] | type[AlternationHistory]) -> list[str]:
    return [field.name for field in fields(kind)]
