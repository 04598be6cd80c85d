"""The command line: ``scorefold fit | sample | evaluate | report | bridge | carry | audit | …``.

This module imports nothing heavy: handlers of signals stand before JAX is imported.
"""

import errno
import os
import sys
from collections.abc import Sequence

from scorefold.cli.notices import Notices, say
from scorefold.cli.stops import Stopped, Stops

__all__ = ["main"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0: done; 1: a run that failed (the loss diverged, the disk or the memory is full); 2: a request
    that cannot be carried out as written; 130 and 143: interrupted, with nothing lost.
    """
    # Before JAX is imported: jaxlib 0.10.1 says of every kept program that it was compiled for
    # another processor, where only preferences of the compiler differ. Fatal errors are still said.
    # A notebook that has imported JAX hands down its own default, 1.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with Stops(last=argv is None) as stops, Notices() as notices:
        try:
            code = _run(argv, stops, notices)
            sys.stdout.flush()
            return code
        except Stopped as stop:
            say(stop)
            return stop.code
        except BrokenPipeError:
            # Whoever read the output has gone: nobody is left to tell, at exit neither.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        finally:
            if notices.cache_damaged:
                from scorefold._cache import clear_compilations

                clear_compilations()


def _run(argv: Sequence[str] | None, stops: Stops, notices: Notices) -> int:
    from scorefold.cli.commands import build_parser
    from scorefold.runs.errors import RunError

    try:
        arguments = build_parser().parse_args(argv)
        from scorefold._cache import keep_compilations
        from scorefold.cli.devices import chosen_devices
        from scorefold.cli.terminal import Terminal

        keep_compilations()
        arguments.listener = Terminal(stops, notices, not getattr(arguments, "progress", True))
        stops.begun()
        with chosen_devices(arguments):
            return arguments.command(arguments)
    except RunError as error:
        return _failed(error, 2)
    except SystemExit as stop:
        # Of --help and --version, or of ``fit``, which has saved a checkpoint and said so.
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return _failed("interrupted.", 130)
    except Exception as error:
        return _known(error)


def _known(error: Exception) -> int:
    """The exit code of an error that is the user's to mend, said in one line; others are raised."""
    import jax

    from scorefold.data import DataError
    from scorefold.fitting import DamagedFile, DifferentRun, DirectoryInUse, NonFiniteLoss

    if isinstance(error, BrokenPipeError):
        raise error
    if isinstance(error, OSError):
        words = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _failed(f"{words}.", 1 if error.errno in _FULL else 2)
    if isinstance(error, MemoryError | jax.errors.JaxRuntimeError):
        return _failed(_memory(error), 1)
    if isinstance(error, NonFiniteLoss | FloatingPointError | OverflowError):
        return _failed(error, 1)
    if isinstance(error, DataError | DamagedFile | DifferentRun | DirectoryInUse | ValueError):
        return _failed(error, 2)
    raise error


def _memory(error: Exception) -> str:
    """What to lower. ``fit`` says it in words of Python."""
    text = str(error)
    if isinstance(error, MemoryError) and "batch_size" in text:
        return text.replace("lower batch_size", "lower --batch-size").replace(
            "the width", "--width"
        )
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "llocat" in text:
        return (
            f"out of memory ({text.splitlines()[0][:200] if text else 'no more is known'}): lower "
            "--batch-size, --width or -n, whichever is given, or take fewer rows of data."
        )
    raise error


def _failed(message: object, code: int) -> int:
    say(message)
    return code
