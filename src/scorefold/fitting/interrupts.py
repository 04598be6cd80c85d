"""SIGINT and SIGTERM as a wish to stop soon, rather than an end in the middle of something."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class Interrupts:
    """Within the context the first signal is noted in ``pending``; the second ends the process at
    once, with the exit code 128 + signal and without saving.

    Handlers can be set in the main thread only; elsewhere the context does nothing.
    """

    def __init__(self) -> None:
        self.pending: signal.Signals | None = None
        self._before: dict[signal.Signals, Callable | int | None] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:
            os._exit(128 + number)
        self.pending = signal.Signals(number)
