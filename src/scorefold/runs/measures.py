"""The numbers of a run: each measured behind a guard."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from scorefold._oneline import one_line
from scorefold._types import Document
from scorefold._warnings import warn
from scorefold.runs.listener import Listener

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Measure(Generic[Subject]):
    """What is measured of a fitted model or bridge: ``of(subject)`` returns a dictionary that has
    the keys ``names``. ``what`` is said while it takes long; with ``{0.name}`` for attributes of
    the subject. ``title``: of a line in the terminal, for the first of the names. ``fresh``:
    measured also of points that a model was not fitted to."""

    what: str
    names: tuple[str, ...]
    of: Callable[[Subject], Document]
    title: str = ""
    fresh: bool = True


def take_all(
    measures: Iterable[Measure[Subject]], subject: Subject, listener: Listener
) -> Document:
    """The numbers by name. Where one cannot be had it is None, ``NAME_reason`` says why, and a
    warning: whatever it is, a model that was trained is worth more than a number."""
    found: Document = {}
    for measure in measures:
        what = measure.what.format(subject)
        try:
            with listener.doing(f"measuring {what}"):
                found |= measure.of(subject)
        except Exception as error:
            reason = one_line(f"{type(error).__name__}: {error}")
            found |= {**dict.fromkeys(measure.names), f"{measure.names[0]}_reason": reason}
            warn(f"{what} could not be measured: {reason}")
    return found
