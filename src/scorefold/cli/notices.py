"""One line on stderr for what goes wrong and for what should be known. Imports nothing heavy."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import Any

__all__ = ["Notices", "one_line", "say"]

_LONGEST, _HEAD, _TAIL = 500, 340, 150
_IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def one_line(text: object) -> str:
    """``text`` as one line of at most 500 characters, its middle left out beyond that; control
    characters are escaped."""
    line = " ".join(str(text).split())
    if len(line) > _LONGEST:
        line = f"{line[:_HEAD]} … {line[-_TAIL:]}"
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]} …"


def say(text: object) -> None:
    """One line on stderr."""
    line = one_line(f"scorefold: {text}")
    encoding = sys.stderr.encoding or "ascii"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)


class Notices:
    """Within the context each warning is said as one line, once; ``lines`` keeps them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._context = warnings.catch_warnings()

    def __enter__(self) -> Notices:
        self._context.__enter__()
        warnings.simplefilter("always")
        for kind in _IGNORED:
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = self._show
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def _show(self, message: Warning | str, *where: Any, **more: Any) -> None:
        line = one_line(message)
        if line not in self.lines:
            self.lines.append(line)
            say(f"warning: {line}")
