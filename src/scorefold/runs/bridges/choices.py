"""The models of ``scorefold bridge --model`` and how each is fitted; what its folder says."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from scorefold._types import Key
from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    AlternationHistory,
    Bridge,
    BridgeMatching,
    DiffusionSchrodingerBridge,
    LearnedBridge,
    LightBridge,
    brownian_reference,
    fit_bridge,
)
from scorefold.cli.parser import UsageError, data_options
from scorefold.data import Coordinates, Dataset
from scorefold.fitting import History
from scorefold.noising import Noising
from scorefold.runs.folder import Run, description_of_bridge

__all__ = [
    "BRIDGES",
    "Fitted",
    "Task",
    "described_bridge",
    "folder_of",
    "half_step_settings",
    "interrupted",
]

_HALF_STEPS = 8
_STEPS = 8000
"""Training steps of a learned bridge, over all half-steps."""


class Task(NamedTuple):
    """What a builder is given: the ends, the variance-time of Brownian motion between them, and
    ``settings`` of ``fit`` as stated (steps or budget, out, resume, progress)."""

    ends: tuple[Dataset, Dataset]
    variance: float
    key: Key
    settings: dict[str, Any]


class Fitted(NamedTuple):
    """A bridge, its history, and what ``metrics.json`` says of the training."""

    bridge: Bridge
    history: History | AlternationHistory
    numbers: dict[str, Any]


Builder = Callable[[Task], Fitted]


def _judges(a: Dataset, b: Dataset) -> tuple[Any, Any] | None:
    """Validation points of both ends; none where one end has fewer than 2, which is said."""
    least = min(len(a.val), len(b.val))
    if least >= 2:
        return a.val, b.val
    warnings.warn(
        f"{least} validation points at an end are too few to choose by: the last parameters are "
        "kept.",
        ScorefoldWarning,
        stacklevel=2,
    )
    return None


def _light(task: Task) -> Fitted:
    a, b = task.ends
    bridge = LightBridge(brownian_reference(a.manifold, task.variance))
    done, found = fit_bridge(
        bridge, a.train, b.train, val=_judges(a, b), key=task.key, check=False, **task.settings
    )
    history = cast(History, found)
    return Fitted(
        done,
        history,
        {
            "steps": history.steps,
            "best_step": history.best_step,
            "stopped": history.stopped,
            "train_seconds": history.seconds - history.compile_seconds,
            "compile_seconds": history.compile_seconds,
        },
    )


def half_step_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of ``fit_alternating``: training steps are spread over the half-steps."""
    if "budget" in settings:
        raise UsageError("--budget is not an option of --model imf or dsb: give --steps.")
    steps = max(1, settings.get("steps", _STEPS) // _HALF_STEPS)
    return {**settings, "half_steps": _HALF_STEPS, "steps": steps}


def _learned(kind: Callable[[Noising], LearnedBridge]) -> Builder:
    def build(task: Task) -> Fitted:
        settings = half_step_settings(task.settings)
        steps = settings["steps"]
        a, b = task.ends
        done, found = fit_bridge(
            kind(brownian_reference(a.manifold, task.variance)),
            a.train, b.train, val=_judges(a, b), key=task.key, check=False, **settings,
        )  # fmt: skip
        history = cast(AlternationHistory, found)
        return Fitted(
            done,
            history,
            {
                "steps": _HALF_STEPS * steps,
                "best_step": _HALF_STEPS * steps,
                "stopped": "steps",
                # Compiling is part of the first half-step of each direction.
                "train_seconds": float(history.seconds.sum()),
                "compile_seconds": None,
                "half_steps": _HALF_STEPS,
                "evaluations": int(history.simulated.sum() + history.trained.sum()),
            },
        )

    return build


BRIDGES: dict[str, Builder] = {
    "light": _light,
    "imf": _learned(BridgeMatching),
    "dsb": _learned(DiffusionSchrodingerBridge),
}


# -- the folder ------------------------------------------------------------------------------------
def folder_of(arguments: argparse.Namespace, *names: str) -> str:
    """The default folder of a bridge between data sets of these names."""
    words = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem) for name in names)
    return f"runs/bridge-{words}-{arguments.model}-{arguments.seed}"


def described_bridge(
    arguments: argparse.Namespace,
    names: list[str],
    parts: dict[str, list[np.ndarray]],
    earth: bool,
    coordinates: Coordinates,
    **found: Any,
) -> dict[str, Any]:
    """What ``run.json`` says: data, options and settings as stated, and what was ``found`` from
    the data where nothing was stated."""
    stated = ("model", "variance", "steps", "budget", "times", "survivors")
    settings = {name: getattr(arguments, name) for name in stated}
    described = description_of_bridge(
        names, arguments.data, data_options(arguments), settings, parts, arguments.seed, earth,
        coordinates,
    )  # fmt: skip
    return {**described, **found}


def interrupted(run: Run) -> str:
    """What is said when a signal ends the command."""
    return (
        f"stopped; what was saved is in {run.folder}, and the same command with --resume does the "
        "rest"
    )
