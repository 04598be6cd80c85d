"""A run with its checkpoints and its interrupts."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple

import numpy as np
from jaxtyping import PyTree

from scorefold._blas import one_blas_thread
from scorefold._processes import first_before_others, largest, leads, require_same, several
from scorefold._types import Document
from scorefold.fitting._contract import Description
from scorefold.fitting.checkpoints import Checkpoints, R
from scorefold.fitting.errors import Interrupted
from scorefold.fitting.fingerprint import describe
from scorefold.fitting.history import Record
from scorefold.fitting.interrupts import Interrupts
from scorefold.fitting.loop import Loop
from scorefold.fitting.progress import Told
from scorefold.fitting.settings import Plan
from scorefold.fitting.state import TrainState, TrainTask
from scorefold.fitting.stream import RowStream


class Checkpointing(NamedTuple):
    """Where checkpoints go (None: nowhere), whether to go on from them, seconds between them."""

    out: str | Path | None
    resume: bool
    save_every: float


class Checkpointer(Generic[R]):
    """The checkpoints of one run, and the wish of a signal to end it after the next.

    ``identity``: names and values, by which a checkpoint is known as one of this run. With a
    directory, the caller holds its lock. What is wrong with the directory is found at once.
    """

    def __init__(
        self,
        checkpointing: Checkpointing,
        identity: dict[str, object],
        like: PyTree,
        join: Callable[[Document, dict[str, np.ndarray]], R],
    ) -> None:
        self.found: tuple[PyTree, R] | None = None
        """The state and the record to go on from."""
        self._checkpoints: Checkpoints | None = None
        self._interrupts, self._every = Interrupts(), checkpointing.save_every
        lines: dict[str, str] = {}
        if checkpointing.out is not None or several():
            for name, value in identity.items():
                lines |= describe(value, name)
        require_same(lines)
        if checkpointing.out is None:
            if checkpointing.resume:
                raise ValueError("resume=True needs out, the directory of the run to go on with.")
            return
        with first_before_others():
            self._checkpoints = Checkpoints(Path(checkpointing.out), lines)
            if checkpointing.resume:
                self.found = self._checkpoints.restore(like, join)
        if not checkpointing.resume and self._checkpoints.files():
            raise FileExistsError(
                f"{checkpointing.out} holds checkpoints of a run: pass resume=True (--resume) to "
                "go on with it, or choose another directory."
            )

    def __enter__(self) -> Checkpointer[R]:
        self._saved = time.monotonic()
        if self._checkpoints is not None:
            self._interrupts.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._checkpoints is not None:
            self._interrupts.__exit__()
        if isinstance(error, Interrupted):
            print(error, file=sys.stderr)

    def note(self, state: PyTree, record: R, where: str, *, due: bool) -> None:
        """Save, if it is ``due``, time, or a signal has come; after a signal raise ``Interrupted``,
        which says ``where`` the run stopped. Of several processes the first saves, and a signal to
        one is one to all."""
        if self._checkpoints is None:
            return
        signalled = largest(self._interrupts.pending or 0)
        waited = time.monotonic() - self._saved >= self._every
        if not (due or signalled or waited):
            return
        path = self._checkpoints.directory
        if leads():
            path = self._checkpoints.save(state, record)
        self._saved = time.monotonic()
        if not several():
            signalled = self._interrupts.pending or 0
        if signalled:
            pending = signal.Signals(signalled)
            raise Interrupted(
                f"{pending.name}: stopped {where}, saved to {path}. To go on, run the same again "
                "with resume=True (--resume).",
                code=128 + pending,
                path=path,
            )


@one_blas_thread()
def run(
    description: Description[object],
    task: TrainTask,
    state: TrainState,
    plan: Plan,
    checkpointing: Checkpointing,
    progress: bool,
    told: Told,
    prepared: float,
    stream: RowStream | None = None,
) -> Loop:
    """Train to the end; ``description`` identifies the run, ``prepared`` are the seconds that were
    spent on its trainer; ``stream``: see ``Loop``."""
    loop = Loop(task, state, plan, prepared, stream)
    data = task.data if stream is None else stream.rows
    parts = {"data": data, "val": task.val, "key": task.key}
    if any(one is not None for one in task.weighting):
        parts["weights"] = task.weighting._asdict()
    identity = {"model": description, "settings": task.settings, "plan": plan, **parts}
    with Checkpointer(checkpointing, identity, state, Record.join) as checkpointer:

        def between(validated: bool) -> None:
            where = f"at step {loop.record.steps} of {loop.record.total}"
            checkpointer.note(loop.state, loop.record, where, due=validated)

        if checkpointer.found is None:
            loop.begin()
        else:
            loop.resume(*checkpointer.found)
        loop.finish(progress, told, between)
    return loop
