"""How far training has come: a bar on stderr or in a notebook, and what a callback is told."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable

from tqdm import tqdm

from scorefold._oneline import one_line
from scorefold._warnings import warn


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a ``callback`` of ``fit`` is told about every half second, and at validations.

    ``step`` of ``total``; ``loss``: the mean over the steps since the last call; ``val_nll``: the
    last validation in nats (None before one; of several runs side by side, both are means);
    ``seconds`` of wall clock since training was asked for; ``left``: seconds that the remaining
    steps take at the speed of late, compiling and validations left out.

        model, history = sf.fit(description, data, key=key,
                                callback=lambda p: log(p.scalars(), step=p.step))
    """

    step: int
    total: int
    loss: float
    val_nll: float | None
    seconds: float
    left: float

    def scalars(self) -> dict[str, float]:
        """What a logger takes: ``loss``, ``val_nll`` once there is one, ``seconds``."""
        found = {"loss": self.loss, "seconds": self.seconds}
        return found if self.val_nll is None else found | {"val_nll": self.val_nll}


Callback = Callable[[Progress], object]


class Told:
    """A callback that cannot spoil training: an error of it is a warning, and its end."""

    def __init__(self, callback: Callback | None) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"callback: a function of one Progress, got {callback!r:.60}.")
        self.callback = callback

    def __call__(self, progress: Progress) -> None:
        if self.callback is None:
            return
        try:
            self.callback(progress)
        except Exception as error:
            self.callback = None
            warn(
                f"callback: {type(error).__name__} at step {progress.step}: {one_line(error)}. "
                "Training goes on without it."
            )


def seconds_left(steps: int, rate: float) -> float:
    """``steps`` at ``rate`` a second; NaN before there is a rate."""
    return steps / rate if rate > 0.0 else math.nan


def progress_bar(total: int, done: int, shown: bool) -> tqdm:
    """On stderr; in a notebook that has ipywidgets, one of its own."""
    every = 0.5 if sys.stderr.isatty() else 10.0
    kind: type[tqdm] = tqdm
    if shown and in_notebook():
        from tqdm.notebook import tqdm_notebook

        kind, every = tqdm_notebook, 0.5
    return kind(total=total, initial=done, disable=not shown, file=sys.stderr, mininterval=every)


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook that can show widgets."""
    shell = sys.modules.get("IPython")
    if shell is None or type(shell.get_ipython()).__name__ != "ZMQInteractiveShell":
        return False
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True
