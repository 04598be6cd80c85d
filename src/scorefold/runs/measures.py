"""The numbers of a run: each measured behind a guard."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from scorefold._oneline import one_line
from scorefold._warnings import ScorefoldWarning
from scorefold.runs.listener import Listener

__all__ = ["Measure", "take_all"]


class Measure(NamedTuple):
    """What is measured of a fitted model or bridge: ``of(subject)`` returns a dictionary that has
    the keys ``names``. ``what`` is said while it takes long; with ``{0.name}`` for attributes of
    the subject. ``title``: of a line in the terminal, for the first of the names. ``fresh``:
    measured also of points that a model was not fitted to."""

    what: str
    names: tuple[str, ...]
    of: Callable[[Any], dict[str, Any]]
    title: str = ""
    fresh: bool = True


def take_all(measures: Iterable[Measure], subject: Any, listener: Listener) -> dict[str, Any]:
    """The numbers by name. Where one cannot be had it is None, ``NAME_reason`` says why, and a
    warning: whatever it is, a model that was trained is worth more than a number."""
    found: dict[str, Any] = {}
    for measure in measures:
        what = measure.what.format(subject)
        try:
            with listener.doing(f"measuring {what}"):
                found |= measure.of(subject)
        except Exception as error:
            reason = one_line(f"{type(error).__name__}: {error}")
            found |= {**dict.fromkeys(measure.names), f"{measure.names[0]}_reason": reason}
            warnings.warn(f"{what} could not be measured: {reason}", ScorefoldWarning, stacklevel=2)
    return found
