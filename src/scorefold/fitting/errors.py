"""What can end a run early, and what can be wrong with a file."""

from pathlib import Path

from scorefold._oneline import one_line


class NonFiniteLoss(ArithmeticError):
    """The loss or its gradient was not finite at ``step``; ``rows`` are rows of the data.

    The state was left as it was before that step, and the last checkpoint is untouched.
    """

    def __init__(self, message: str, *, step: int, rows: tuple[int, ...]) -> None:
        super().__init__(message)
        self.step = step
        self.rows = rows


class Interrupted(SystemExit):
    """SIGINT or SIGTERM ended the run after its state was saved to ``path``.

    Left alone it ends the program with ``code``, 130 or 143, as the shell expects.
    """

    def __init__(self, message: str, *, code: int, path: Path) -> None:
        super().__init__(code)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return self.message


class DamagedFile(ValueError):
    """A file is not what it claims to be: truncated, altered, or of another format.

    The message is one line, whatever names and values the file holds.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message))


class DifferentRun(ValueError):
    """A checkpoint belongs to a run with other settings, data or model; ``fields`` names them."""

    def __init__(self, message: str, *, fields: tuple[str, ...]) -> None:
        super().__init__(one_line(message))
        self.fields = fields


class DirectoryInUse(RuntimeError):
    """Another living process, ``pid``, writes its checkpoints to this directory."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class DiskFull(OSError):
    """There was no room for ``needed`` bytes; files written before are untouched."""

    def __init__(self, errno: int, message: str, path: str, *, needed: int) -> None:
        super().__init__(errno, message, path)
        self.needed = needed
