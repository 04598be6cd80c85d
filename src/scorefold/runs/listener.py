"""Who asked for a run, and hears how it goes."""

import contextlib


class Listener:
    """A program in Python, which is told nothing; that of the command line speaks on stderr, and
    ends a run in order when a signal comes."""

    command: str = ""
    """The words that a run was asked for by, for ``metrics.json`` (empty: those of the request)."""

    def tell(self, line: str) -> None:
        """A line on what is going to be done."""

    def doing(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Within, something is done that may take long."""
        return contextlib.nullcontext()

    def stage(self, note: str) -> None:
        """From here on a run that is stopped has kept what ``note`` says."""

    def check(self) -> None:
        """Raise what stops the run, if a library has swallowed it."""

    def warned(self) -> list[str]:
        """The warnings so far, a line each."""
        return []
