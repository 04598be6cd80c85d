"""Who makes the cells of a table: this process, others beside it, or a Ray cluster. Each gives what
it found in the order in which it is found. Nothing here imports JAX."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from scorefold._oneline import one_line
from scorefold._warnings import ScorefoldWarning
from scorefold.bench.contract import Cell, Measurement

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Make = Callable[[], Measurement]
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
"""Of a worker, unless the caller says otherwise: there are as many workers as cores."""
_PATIENCE = 5.0
"""Seconds that a process which has nothing to do is given to end."""


@dataclass(frozen=True)
class Done:
    """What came of a cell: ``measured``, or ``error``, a line; ``kind`` "data" where its data set
    cannot be used. ``said``: warnings of another process."""

    cell: Cell
    measured: Measurement | None = None
    error: str = ""
    kind: Literal["", "data", "failed"] = ""
    load: tuple[float, float] = (float("nan"), float("nan"))
    seconds: float = 0.0
    said: tuple[str, ...] = ()


Wanted = Callable[[Cell], bool]
"""Whether a cell is wanted still, asked before it is begun."""
Execute = Callable[[Sequence[Cell], Wanted], Iterator[Done]]


def in_turn(cells: Sequence[Cell], wanted: Wanted) -> Iterator[Done]:
    """One after the other, in this process."""
    for cell in cells:
        if wanted(cell):
            yield _made(cell)


def in_pool(workers: int) -> Execute:
    """``workers`` processes, each with one thread. A cell whose process dies has failed; another
    process takes the place of that one."""
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}.")

    def execute(cells: Sequence[Cell], wanted: Wanted) -> Iterator[Done]:
        rest = list(reversed(cells))
        busy: dict[Connection, tuple[Cell, _Worker]] = {}
        idle: list[_Worker] = []

        def begin() -> None:
            while rest and len(busy) < workers:
                cell = rest.pop()
                if wanted(cell):
                    worker = idle.pop() if idle else _Worker()
                    worker.ask(cell)
                    busy[worker.here] = (cell, worker)

        try:
            begin()
            while busy:
                for here in multiprocessing.connection.wait(list(busy)):
                    cell, worker = busy.pop(here)  # type: ignore[call-overload]
                    done = worker.answer(cell)
                    if worker.alive:
                        idle.append(worker)
                    yield done
                    begin()
        finally:
            for worker in idle:
                worker.stop(_PATIENCE)
            for _, worker in busy.values():
                worker.stop()

    return execute


def on_ray(address: str | None = None) -> Execute:
    """Tasks of a Ray cluster, one core each: that at ``address``, or one that is started on this
    machine. Data are read there: files must be where all of its machines find them.

    **Raises:** ``ValueError`` where Ray is not installed or cannot be reached.
    """
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise ValueError("Ray is not installed: pip install 'scorefold[grid]'.") from error

    def execute(cells: Sequence[Cell], wanted: Wanted) -> Iterator[Done]:
        if not ray.is_initialized():
            try:
                _answers(address)
                ray.init(
                    address=address, log_to_driver=False, logging_level=logging.ERROR,
                    include_dashboard=False if address is None else None,
                    runtime_env={"env_vars": {**_ONE_THREAD, **_paths()}},
                )  # fmt: skip
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                raise ValueError(
                    f"no Ray cluster answers at {address or 'this machine'}: {one_line(str(error))}"
                ) from error
        task = ray.remote(num_cpus=1, max_retries=0)(_elsewhere)
        rest, running = list(reversed(cells)), dict[object, Cell]()
        most = max(1, int(ray.cluster_resources().get("CPU", 1)))
        try:
            while rest or running:
                while rest and len(running) < 2 * most:
                    cell = rest.pop()
                    if wanted(cell):
                        running[task.remote(cell.make)] = cell
                if not running:
                    break
                ready, _ = ray.wait(list(running), num_returns=1)
                cell = running.pop(ready[0])
                try:
                    yield _done(cell, ray.get(ready[0]))
                except ray.exceptions.RayError as error:
                    words = one_line(f"{type(error).__name__}: {str(error).splitlines()[0]}")
                    yield Done(cell, error=words, kind="failed")
        finally:
            for one in running:
                ray.cancel(one, force=True)
            if address is None:
                ray.shutdown()

    return execute


def _answers(address: str | None) -> None:
    """**Raises:** ``OSError`` where nothing listens: Ray itself takes minutes to say so."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5.0).close()


def _paths() -> dict[str, str]:
    names = ("PYTHONPATH", "SCOREFOLD_DATA_DIR", "SCOREFOLD_COMPILATION_CACHE", "JAX_ENABLE_X64")
    return {name: os.environ[name] for name in names if name in os.environ}


# -- what a worker does ----------------------------------------------------------------------------
Found = tuple[Measurement | None, str, str, tuple[float, float], float, tuple[str, ...]]


def _elsewhere(make: Make) -> Found:
    """``_measured``, with the warnings kept."""
    from scorefold._cache import keep_compilations

    keep_compilations()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ScorefoldWarning)
        found = _measured(make)
    return (*found, tuple(one_line(str(w.message)) for w in caught))


def _measured(make: Make) -> tuple[Measurement | None, str, str, tuple[float, float], float]:
    from scorefold.data import DataError

    before, started = machine_load(), time.perf_counter()
    measured, error, kind = None, "", ""
    try:
        measured = make()
    except DataError as wrong:
        error, kind = str(wrong), "data"
    except Exception as wrong:
        error, kind = one_line(f"{type(wrong).__name__}: {wrong}"), "failed"
    return measured, error, kind, (before, machine_load()), time.perf_counter() - started


def _made(cell: Cell) -> Done:
    return _done(cell, (*_measured(cell.make), ()))


def _done(cell: Cell, found: Found) -> Done:
    measured, error, kind, load, seconds, said = found
    return Done(cell, measured, error, kind, load, seconds, said)  # type: ignore[arg-type]


def machine_load() -> float:
    """Programs that run or wait, mean of a minute; not known on some systems."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


class _Worker:
    """A process that makes one cell after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.here, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there,), daemon=True)
        kept = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update({n: v for n, v in _ONE_THREAD.items() if n not in os.environ})
        try:
            self.process.start()
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
        there.close()
        self.alive = True

    def ask(self, cell: Cell) -> None:
        self.here.send(cell.make)

    def answer(self, cell: Cell) -> Done:
        try:
            return _done(cell, self.here.recv())
        except (EOFError, OSError):
            self.process.join()
            self.alive = False
            code = self.process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            return Done(cell, error=f"its process ended ({how})", kind="failed")

    def stop(self, patience: float = 0.0) -> None:
        """It ends by itself where it has nothing to do."""
        self.here.close()
        self.process.join(patience)
        self.process.kill()
        self.process.join()


def _serve(there: Connection) -> None:
    # Ctrl-C is for the process that asks, which stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            make = there.recv()
        except (EOFError, OSError):
            return
        found = _elsewhere(make)
        try:
            there.send(found)
        except OSError:  # the process that asked is gone
            return
