"""The bridges that can be fitted by name. A new one is an entry of ``BRIDGES``."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges import (
    AlternationHistory,
    BridgeDescription,
    BridgeMatching,
    DiffusionSchrodingerBridge,
    LightBridge,
)
from scorefold.fitting import History
from scorefold.noising import Noising
from scorefold.runs import histories
from scorefold.runs.errors import RunError
from scorefold.runs.setting import Setting

LENGTH = (Setting("steps", "training steps", "whole", 1, 10**9), Setting("budget", "training time"))
_HALF_STEPS = 8
_STEPS = 8000
"""Training steps of a learned bridge, over all half-steps."""


@dataclass(frozen=True)
class BridgeChoice:
    """A bridge by name: ``build`` makes its description from the reference process;
    ``half_steps``: how many it is trained in, its two directions in turn (None: all at once)."""

    build: Callable[[Noising], BridgeDescription]
    half_steps: int | None = None

    def training(self, steps: int | None, budget: float | None) -> Document:
        """The keyword arguments of ``fit_bridge`` for what is stated: training steps are spread
        over the half-steps."""
        if self.half_steps is None:
            stated = {"steps": steps, "budget": budget}
            return {name: value for name, value in stated.items() if value is not None}
        if budget is not None:
            raise RunError("--budget is not an option of --model imf or dsb: give --steps.")
        each = max(1, (steps or _STEPS) // self.half_steps)
        return {"half_steps": self.half_steps, "steps": each}


BRIDGES: dict[str, BridgeChoice] = {
    "light": BridgeChoice(LightBridge),
    "imf": BridgeChoice(BridgeMatching, _HALF_STEPS),
    "dsb": BridgeChoice(DiffusionSchrodingerBridge, _HALF_STEPS),
}
"""By the names of ``--model``."""
METHODS = ("best", "bridge", "current", "spline", "momentum")
"""Of many snapshots, by the names of ``--method``."""


def training_numbers(course: History | AlternationHistory, settings: ReadOnlyDocument) -> Document:
    """What ``metrics.json`` says of a training with these ``settings``."""
    if isinstance(course, History):
        return histories.numbers(course)
    steps = settings["half_steps"] * settings["steps"]
    return {
        "steps": steps,
        "best_step": steps,
        "stopped": "steps",
        # Compiling is part of the first half-step of each direction.
        "train_seconds": float(np.sum(course.seconds)),
        "compile_seconds": None,
        "half_steps": settings["half_steps"],
        "evaluations": int(np.sum(course.simulated) + np.sum(course.trained)),
    }
