"""Training in phases: several trainers that take turns, each on examples made for its turn."""

import abc
import time
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from scorefold._blas import one_blas_thread
from scorefold._types import Key
from scorefold.fitting.checkpoints import Recorded
from scorefold.fitting.progress import Progress, Told, progress_bar, seconds_left
from scorefold.fitting.run import Checkpointer
from scorefold.fitting.settings import Settings
from scorefold.fitting.state import CAPACITY, TrainState, TrainTask, train


class Turn(NamedTuple):
    """A trainer without its trained arrays, what it takes batches of, the key of their order."""

    trainer: PyTree
    examples: PyTree
    key: Key


class Phase(NamedTuple):
    """What happened in a phase: a loss a step, and seconds, ``making`` of them for examples."""

    losses: np.ndarray
    seconds: float
    making: float


class Phases(abc.ABC):
    """Trainers that take turns. A phase of number n takes ``steps`` steps of the state
    ``states[side(n)]``, in turns of ``refresh`` steps on examples of their own; optimiser states
    go on from one phase of a side to its next, and the learning rate begins anew."""

    settings: Settings
    count: int
    steps: int
    refresh: int
    states: list[TrainState]
    record: Recorded
    """Its ``steps`` are the phases taken."""

    @abc.abstractmethod
    def side(self, n: int) -> int:
        """Whose turn phase n is."""

    @abc.abstractmethod
    def turn(self, n: int, number: int) -> Turn:
        """What turn ``number`` of phase n trains on."""

    @abc.abstractmethod
    def ended(self, n: int, phase: Phase) -> str:
        """Take note of a phase; returns what the progress bar says of it."""

    @abc.abstractmethod
    def failed(self, n: int, step: int) -> Exception:
        """The error for a loss or gradient that is not finite at a step of phase n."""


@one_blas_thread()
def train_phases(phases: Phases, checkpointer: Checkpointer, progress: bool, told: Told) -> None:
    """Go through the phases that are left, with a checkpoint after each; ``told`` hears of each."""
    began, first = time.monotonic(), phases.record.steps
    total, done = phases.count * phases.steps, phases.record.steps * phases.steps
    with checkpointer, progress_bar(total, done, progress) as bar:
        for n in range(phases.record.steps, phases.count):
            phase = _train(phases, n, bar.update)
            bar.set_postfix_str(phases.ended(n, phase))
            seconds, step = time.monotonic() - began, (n + 1) * phases.steps
            left = seconds_left(phases.count - n - 1, (n + 1 - first) / seconds)
            told(Progress(step, total, float(phase.losses.mean()), None, seconds, left))
            where = f"after half-step {n + 1} of {phases.count}"
            checkpointer.note(tuple(phases.states), phases.record, where, due=True)


def _train(phases: Phases, n: int, advance: Callable[[int], object]) -> Phase:
    side, began, making = phases.side(n), time.monotonic(), 0.0
    losses: list[np.ndarray] = []
    taken = 0
    while taken < phases.steps:
        since, number = time.monotonic(), taken // phases.refresh
        turn = phases.turn(n, number)
        making += time.monotonic() - since
        task = TrainTask(turn.trainer, turn.examples, None, turn.key, phases.settings, None)
        stop = min(phases.steps, (number + 1) * phases.refresh)
        while taken < stop:
            count = min(CAPACITY, stop - taken)
            phases.states[side], found = train(task, phases.states[side], jnp.int32(count))
            if bool(phases.states[side].failed):
                raise phases.failed(n, taken)
            losses.append(np.asarray(found)[:count])
            taken += count
            advance(count)
    return Phase(np.concatenate(losses), time.monotonic() - began, making)
