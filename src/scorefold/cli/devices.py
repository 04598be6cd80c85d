"""``--devices`` and ``--distributed``: where the work is done."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from scorefold.cli.parser import Parser
from scorefold.runs.errors import RunError

_CONNECT_SECONDS = 120
_HEARTBEAT_SECONDS = 30
"""After which a process that has ended ends the others."""


class Processes(NamedTuple):
    """One of ``total`` processes of one run, and where the first listens; without numbers, what
    SLURM or MPI say."""

    address: str | None = None
    total: int | None = None
    number: int | None = None


def add_device_option(parser: Parser) -> None:
    parser.add_argument(
        "--devices", type=_devices, metavar="N|all",
        help="share rows out among that many devices (default: 1)",
    )  # fmt: skip


def add_processes_option(parser: Parser) -> None:
    parser.add_argument(
        "--distributed", type=_processes, metavar="auto|HOST:PORT,K,N",
        help="this is process K (0, 1, …) of N of one run, the first of which listens at HOST:PORT "
        "and writes; auto: as SLURM or MPI say",
    )  # fmt: skip


@contextmanager
def chosen_devices(arguments: argparse.Namespace) -> Iterator[None]:
    """With the mesh that the options ask for.

    **Raises:** ``RunError`` for more devices than there are, and processes that do not find each
    other.
    """
    devices = getattr(arguments, "devices", None)
    processes = getattr(arguments, "distributed", None)
    if devices is None and processes is None:
        yield
        return
    from scorefold._mesh import device_mesh, use_mesh

    if processes is not None:
        if devices not in (None, "all"):
            raise RunError("--devices: with --distributed all devices are used; leave it out.")
        _join(processes)
    try:
        mesh = device_mesh(devices or "all")
    except ValueError as error:
        raise RunError(f"--{error}") from None
    with use_mesh(mesh):
        yield


def _join(processes: Processes) -> None:
    import jax

    try:
        jax.distributed.initialize(
            *processes,
            initialization_timeout=_CONNECT_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise RunError(f"--distributed: the processes did not find each other ({line}).") from None


def _devices(text: str) -> str | int:
    if text == "all":
        return text
    if re.fullmatch(r"[1-9][0-9]{0,6}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither a whole number from 1 nor 'all'")


def _processes(text: str) -> Processes:
    if text == "auto":
        return Processes()
    found = re.fullmatch(r"([^,\s]+:[0-9]{1,5}),([0-9]{1,6}),([0-9]{1,6})", text)
    if found and int(found[2]) < int(found[3]):
        return Processes(found[1], total=int(found[3]), number=int(found[2]))
    raise argparse.ArgumentTypeError(
        f"{text[:60]!r} is neither 'auto' nor HOST:PORT,K,N with K from 0 to N − 1"
    )
