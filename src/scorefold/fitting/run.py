"""A run with its checkpoints and its interrupts."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

from scorefold._blas import one_blas_thread
from scorefold.fitting._contract import Trainable
from scorefold.fitting.checkpoints import Checkpoints
from scorefold.fitting.errors import Interrupted
from scorefold.fitting.fingerprint import describe
from scorefold.fitting.history import Record
from scorefold.fitting.interrupts import Interrupts
from scorefold.fitting.loop import Loop
from scorefold.fitting.settings import Plan
from scorefold.fitting.state import Problem, TrainState

__all__ = ["Keeping", "run"]


class Keeping(NamedTuple):
    """Where checkpoints go (None: nowhere), whether to go on from them, seconds between them."""

    out: str | Path | None
    resume: bool
    save_every: float


@one_blas_thread()
def run(
    model: Trainable,
    problem: Problem,
    state: TrainState,
    plan: Plan,
    keeping: Keeping,
    progress: bool,
) -> Loop:
    """Train to the end; ``model`` is the description that identifies the run.

    With a directory, the caller holds its lock. What is wrong with it is found before anything
    is compiled.
    """
    loop = Loop(problem, state, plan)
    if keeping.out is None:
        if keeping.resume:
            raise ValueError("resume=True needs out, the directory of the run to go on with.")
        loop.begin()
        loop.finish(progress, lambda validated: None)
        return loop
    identity = {
        **describe(model, "model"),
        **describe(problem.settings, "settings"),
        **describe(plan, "plan"),
        **describe(problem.data, "data"),
        **describe(problem.val, "val"),
        **describe(problem.key, "key"),
    }
    checkpoints = Checkpoints(Path(keeping.out), identity)
    found = checkpoints.restore(state, Record.join) if keeping.resume else None
    if not keeping.resume and checkpoints.files():
        raise FileExistsError(
            f"{keeping.out} holds checkpoints of a run: pass resume=True (--resume) to go on with "
            "it, or choose another directory."
        )
    with Interrupts() as interrupts:
        saved = time.monotonic()

        def between(validated: bool) -> None:
            nonlocal saved
            if not (validated or interrupts.pending) and (
                time.monotonic() - saved < keeping.save_every
            ):
                return
            path = checkpoints.save(loop.state, loop.record)
            saved = time.monotonic()
            if interrupts.pending:
                raise Interrupted(
                    f"{interrupts.pending.name}: stopped at step {loop.record.steps} of "
                    f"{loop.record.total}, saved to {path}. To go on, run the same again with "
                    "resume=True (--resume).",
                    code=128 + interrupts.pending,
                    path=path,
                )

        try:
            if found is None:
                loop.begin()
            else:
                loop.resume(*found)
            loop.finish(progress, between)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            raise
    return loop
