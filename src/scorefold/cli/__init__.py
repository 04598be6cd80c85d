"""The command line: ``scorefold fit | sample | evaluate | report | bridge | audit | datasets``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scorefold.cli.parser import UsageError, build_parser
from scorefold.data import DataError
from scorefold.fitting import (
    DamagedFile,
    DifferentRun,
    DirectoryInUse,
    DiskFull,
    Interrupted,
    NonFiniteLoss,
)

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0: done; 1: a run that failed (the loss diverged, the disk is full); 2: a request that cannot
    be carried out as written; 130 and 143: interrupted, with the state saved.
    """
    try:
        arguments = build_parser().parse_args(argv)
        return arguments.command(arguments)
    except UsageError as error:
        return _say(error, 2)
    except Interrupted as stop:
        return int(stop.code or 1)
    except KeyboardInterrupt:
        return _say("interrupted.", 130)
    except (DiskFull, NonFiniteLoss, FloatingPointError, MemoryError) as error:
        return _say(error, 1)
    except (DataError, DamagedFile, DifferentRun, DirectoryInUse, ValueError) as error:
        return _say(error, 2)
    except OSError as error:
        words = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _say(words, 2)


def _say(message: object, code: int) -> int:
    print(f"scorefold: {' '.join(str(message).split())}", file=sys.stderr)
    return code
