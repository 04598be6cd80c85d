"""The numbers that say how to train, and for how long."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Settings:
    """Optimisation settings of ``fit``, checked; see there for their meaning.

    ``restart``: the learning rate begins anew after so many steps (None: never), which is how
    one optimiser serves a row of problems, each a little different from the one before.
    """

    batch_size: int
    learning_rate: float
    warmup: int | None
    clip: float | None
    ema: float
    weight_decay: float
    patience: int | None
    restart: int | None = None

    def __post_init__(self) -> None:
        _whole("batch_size", self.batch_size, 1)
        for name, low in (("warmup", 0), ("patience", 1), ("restart", 1)):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), low)
        _range("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        if self.clip is not None:
            _range("clip", self.clip, self.clip > 0, "above 0, or None for no clipping")
        _range("ema", self.ema, 0 <= self.ema < 1, "in [0, 1); 0 means no averaging")
        _range("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is: ``steps``, or a ``budget`` in seconds that is turned into steps. A run
    that was told neither doubles its length, up to ``longest`` steps, while validation falls."""

    steps: int
    budget: float | None
    validate_every: int | None
    longest: int = 0

    @classmethod
    def choose(
        cls,
        steps: int | None,
        budget: float | None,
        validate_every: int | None,
        otherwise: int,
        longest: int = 0,
    ) -> Plan:
        """``otherwise``: the steps of a run that was told neither, and ``longest`` their limit."""
        if steps is not None and budget is not None:
            raise ValueError(f"Give steps or budget, not both: steps={steps}, budget={budget}.")
        if steps is not None:
            _whole("steps", steps, 1)
        if validate_every is not None:
            _whole("validate_every", validate_every, 1)
        if budget is not None:
            _range("budget", budget, budget > 0, "a positive number of seconds")
        longest = longest if steps is None and budget is None else 0
        steps = otherwise if steps is None else int(steps)
        return cls(steps, budget, validate_every, longest)


def _whole(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or int(value) != value or value < low:
        raise ValueError(f"{name} must be a whole number, {low} or more; got {value!r}.")


def _range(name: str, value: float, ok: bool, wanted: str) -> None:
    if not (ok and math.isfinite(value)):
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")
