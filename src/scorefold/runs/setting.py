"""Numbers and words that can be stated of a model or of its training, and their ranges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scorefold._types import ReadOnlyDocument
from scorefold.runs.errors import RunError


@dataclass(frozen=True)
class Setting:
    """A number from ``low`` to ``high``, whole or real, or one of the words ``choices``. ``help``
    says what it is, and its default."""

    name: str
    help: str
    kind: Literal["whole", "real", "word"] = "real"
    low: int | float = 1e-30
    high: int | float = 1e30
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    def holds(self, value: object) -> bool:
        if self.kind == "word":
            return value in self.choices
        number = isinstance(value, int if self.kind == "whole" else int | float)
        return number and not isinstance(value, bool) and self.low <= value <= self.high  # type: ignore[operator]

    def range(self) -> str:
        if self.kind == "word":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "whole":
            return f"a whole number from {self.low:.0f} to {self.high:,.0f}"
        return f"a number from {self.low:g} to {self.high:g}"


TRAINING = (
    Setting("steps", "training steps (default: that of the model, docs/models.md)", "whole", 1,
            10**9),
    Setting("budget", "training time per seed instead of steps (default: of models with networks "
            "20, 40 or 60, docs/models.md)"),
    Setting("batch_size", "default: that of the model, docs/models.md", "whole", 1, 2**20),
    Setting("learning_rate", "the peak (default: that of the model, docs/models.md)", high=10.0),
    Setting("weight_decay", "default: 0", low=0.0, high=100.0),
)  # fmt: skip


def check_settings(stated: ReadOnlyDocument, known: Sequence[Setting], whose: str) -> None:
    """**Raises:** ``RunError`` for what is stated (not None) and is no setting of ``whose``, or
    out of its range."""
    by_name = {setting.name: setting for setting in known}
    for name, value in stated.items():
        if value is None:
            continue
        if name not in by_name:
            raise RunError(f"--{name.replace('_', '-')} is not an option of {whose}.")
        if not by_name[name].holds(value):
            raise RunError(f"{name}: {value!r} is not {by_name[name].range()}.")
    if stated.get("steps") is not None and stated.get("budget") is not None:
        raise RunError("steps, budget: state one of the two.")
