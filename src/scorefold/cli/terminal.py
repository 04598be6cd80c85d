"""How a command hears of its run, and says it on stderr."""

import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scorefold.cli.notices import Notices, say
from scorefold.cli.stops import Stops
from scorefold.runs import Listener

_PATIENCE = 3.0


class Terminal(Listener):
    """Facts are printed as they are; what takes longer than three seconds is said, but for
    ``quiet``."""

    def __init__(self, stops: Stops, notices: Notices, quiet: bool = False) -> None:
        self.stops, self.notices, self.quiet = stops, notices, quiet
        self.command = "scorefold " + shlex.join(sys.argv[1:])

    def tell(self, line: str) -> None:
        print(line, file=sys.stderr)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        timer = threading.Timer(_PATIENCE, lambda: None if self.quiet else say(f"{what} …"))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def stage(self, note: str) -> None:
        self.stops.note = note

    def check(self) -> None:
        self.stops.check()

    def warned(self) -> list[str]:
        return list(self.notices.lines)
