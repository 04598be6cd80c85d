"""``history.json``: the course of a training, of one by half-steps, or of several intervals."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from scorefold._types import Document
from scorefold.bridges import AlternationHistory
from scorefold.fitting import History
from scorefold.runs import documents

Course = History | AlternationHistory | tuple[History | AlternationHistory, ...]


def text(course: Course) -> str:
    """The document of a course."""
    if isinstance(course, History):
        return course.to_json() + "\n"
    if isinstance(course, tuple):
        return documents.text({"intervals": [json.loads(one.to_json()) for one in course]})
    return documents.text(json.loads(course.to_json()))


def read(path: Path) -> Course:
    """The course in a file.

    **Raises:** ``RunError`` for any other document.
    """
    found = documents.read(path, dict)
    with documents.describes(path, ValueError):
        if "intervals" in found:
            return tuple(_read_one(path, one) for one in found["intervals"])
        return _read_one(path, found)


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
