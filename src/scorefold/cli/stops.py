"""SIGINT and SIGTERM, from the first line of a command to its last. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal ended the command with exit code ``code``; ``note`` says what was kept."""

    def __init__(self, number: int, note: str) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.code = 128 + number
        self.note = note

    def __str__(self) -> str:
        return f"{self.name}: {self.note}."


class Stops:
    """Within the context a first signal ends the command in order: ``Stopped`` is raised, half
    written files are removed, one line is said. A second ends the process at once.

    Until ``begun`` the first one ends the process as well: modules are being imported then, which
    may swallow an exception, and nothing has been touched. While a model is trained, ``fit`` has
    its own handlers, which save a checkpoint.

    ``note`` is what will be said: a command changes it as it goes on.

    Handlers can be set in the main thread only; elsewhere the context does nothing. ``last``: the
    process ends with the command, which has done all by then: signals that come while the
    interpreter is taken down are ignored, so that the exit code is that of the command.
    """

    def __init__(self, last: bool = False) -> None:
        self.last = last
        self.pending = 0
        self.note = "stopped; nothing that was there has changed"
        self._loading = True
        self._undo = contextlib.ExitStack()

    def begun(self) -> None:
        """Everything is imported: the command begins."""
        self._loading = False
        self.check()

    def check(self) -> None:
        """Raise what a library swallowed."""
        if self.pending:
            raise Stopped(self.pending, self.note)

    def __enter__(self) -> Stops:
        if threading.current_thread() is not threading.main_thread():
            return self
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_second, args=(reading,), daemon=True).start()
        self._undo.callback(os.close, writing)
        self._undo.callback(signal.set_wakeup_fd, before)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._swallowed
        self._undo.callback(setattr, sys, "unraisablehook", self._unraisable)
        for number in _SIGNALS:
            handler = signal.signal(number, self._first)
            self._undo.callback(signal.signal, number, signal.SIG_IGN if self.last else handler)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _swallowed(self, found: UnraisableHookArgs) -> None:
        """A callback of a collector or a destructor cannot raise ``Stopped``: it is not shown as
        its error, and ``check`` raises it again."""
        if not isinstance(found.exc_value, Stopped):
            self._unraisable(found)

    def _first(self, number: int, frame: FrameType | None) -> None:
        self.pending = number
        if self._loading:
            with contextlib.suppress(OSError):
                name = signal.Signals(number).name
                os.write(sys.stderr.fileno(), f"scorefold: {name}: stopped.\n".encode())
            os._exit(128 + number)
        raise Stopped(number, self.note)


def _second(handle: int) -> None:
    """End the process at the second signal. The interpreter writes the number of each to a pipe as
    it comes, so this does not wait for a long call of the main thread, such as a compilation."""
    seen = 0
    while byte := os.read(handle, 1):
        seen += byte[0] in _SIGNALS
        if seen == 2:
            os._exit(128 + byte[0])
    os.close(handle)
