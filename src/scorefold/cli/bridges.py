"""The models of ``scorefold bridge --model`` and how each is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from scorefold._types import Key
from scorefold.bridges import Bridge, LightBridge, brownian_reference, fit_bridge
from scorefold.data import Dataset
from scorefold.fitting import History

__all__ = ["BRIDGES", "Task"]


class Task(NamedTuple):
    """What a builder is given: the ends, the variance-time of Brownian motion between them, and
    ``settings`` of ``fit`` as stated (steps or budget, out, resume, progress)."""

    ends: tuple[Dataset, Dataset]
    variance: float
    key: Key
    settings: dict[str, Any]


Builder = Callable[[Task], tuple[Bridge, History]]


def _light(task: Task) -> tuple[Bridge, History]:
    a, b = task.ends
    bridge = LightBridge(brownian_reference(a.manifold, task.variance))
    return fit_bridge(bridge, a.train, b.train, val=(a.val, b.val), key=task.key, **task.settings)


BRIDGES: dict[str, Builder] = {"light": _light}
