"""One line on stderr for what goes wrong and for what should be known. Imports nothing heavy."""

from __future__ import annotations

import sys
import warnings

from scorefold._oneline import one_line

_IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def say(text: object) -> None:
    """One line on stderr."""
    line = one_line(f"scorefold: {text}")
    encoding = sys.stderr.encoding or "ascii"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)


class Notices:
    """Within the context each warning is said as one line, once; ``lines`` keeps them.

    What JAX says of its cache of compiled programs is not said: the program was compiled anew, and
    nothing is missing. ``cache_damaged`` notes that an entry could not be read.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cache_damaged = False
        self._context = warnings.catch_warnings()

    def __enter__(self) -> Notices:
        self._context.__enter__()
        warnings.simplefilter("always")
        for kind in _IGNORED:
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = self._show
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def _show(self, message: Warning | str, *where: object, **more: object) -> None:
        line = one_line(message)
        if "persistent compilation cache" in line:
            self.cache_damaged |= "reading" in line
        elif line not in self.lines:
            self.lines.append(line)
            say(f"warning: {line}")
