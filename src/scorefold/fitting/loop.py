"""The loop on the host: pieces of compiled training, validations, time, progress."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._blocks import listed
from scorefold._compile import trace_settings
from scorefold._mesh import current_mesh, everywhere
from scorefold._processes import leads, of_the_first
from scorefold._warnings import warn
from scorefold.fitting.errors import NonFiniteLoss
from scorefold.fitting.history import Record
from scorefold.fitting.progress import Progress, Told, progress_bar, seconds_left
from scorefold.fitting.settings import Plan
from scorefold.fitting.state import (
    CAPACITY,
    TrainState,
    TrainTask,
    copied,
    examine,
    trace,
    train,
    validate,
)
from scorefold.fitting.stream import RowStream

_PIECE_SECONDS = 0.5
"""Aim for the time between two looks at the host: progress, interrupts, checkpoints."""
_VALIDATION_SHARE = 0.2
"""Share of a time budget that validations may take."""
_FEW = 50
"""Steps of a run with a budget, below which it is said that compiling left no more."""
_GAIN = 0.005
"""Nats by which validation must fall in the last quarter of a run that goes on."""


def _say_if_few(steps: int, compile_seconds: float, budget: float) -> None:
    if steps < _FEW and compile_seconds > 0.4 * budget:
        warn(
            f"budget: compiling took {compile_seconds:.1f} of {budget:g} seconds, which leaves "
            f"{steps} step{'s' if steps > 1 else ''}: the model has hardly learned. Give it more "
            "seconds; programs that were compiled once are kept between commands."
        )


class Loop:
    """One run (or several side by side) from its first step to its last. ``prepared``: seconds
    that its trainer took to make; ``stream``: where the data come from, if not from memory."""

    def __init__(
        self,
        task: TrainTask,
        state: TrainState,
        plan: Plan,
        prepared: float = 0.0,
        stream: RowStream | None = None,
    ) -> None:
        self.stream, self._window = stream, 0
        self.task = everywhere(task)
        self.state = everywhere(state)
        self.plan = plan
        self.rate = 0.0
        self.validation_seconds = 0.0
        self.prepared = prepared
        self.started = time.monotonic() - prepared
        self.before = 0.0
        self.record: Record

    @property
    def seconds(self) -> float:
        """Wall clock of the whole run, pieces before a resume included."""
        return self.before + time.monotonic() - self.started

    def begin(self) -> None:
        """Compile, validate the initial parameters, settle the number of steps."""
        self._stage(0)
        first = self._compile()
        compile_seconds = self.seconds - self.prepared
        steps, every = self.plan.steps, self.plan.validate_every
        if self.plan.budget is not None:
            steps, every = self._afford(self.plan.budget, every)
            steps, every = (int(n) for n in of_the_first(steps, every))
            _say_if_few(steps, compile_seconds, self.plan.budget)
        self.state = self.state.with_total(steps)
        self.record = Record.empty(self.state.runs, steps, every or -(-steps // 20))
        self.record.compile_seconds = compile_seconds
        if first is not None:
            self.record.add_validation(0, first)

    def resume(self, state: TrainState, record: Record) -> None:
        """Go on from a checkpoint; a finished run is only taken up again."""
        self.state, self.record, self.before = everywhere(state), record, record.seconds
        if not record.stopped:
            self._stage(record.steps)
            with self._memory_hint():
                self.state, _ = train(self.task, self.state, jnp.int32(0))
                self.state = jax.block_until_ready(self.state)
            record.compile_seconds += self.seconds - self.before - self.prepared

    def _compile(self) -> np.ndarray | None:
        """Compile training and validation, side by side; returns the first validation."""
        found: list[tuple[TrainState, Array]] = []
        settings = trace_settings()

        def validate_copy() -> None:
            # Contexts such as ``jax.enable_x64()`` do not reach other threads.
            if trace_settings() == settings:
                found.append(validate(self.task, copy))

        with self._memory_hint():
            if self.task.val is None:
                self.state, _ = train(self.task, self.state, jnp.int32(0))
                jax.block_until_ready(self.state)
                return None
            copy = copied(self.state)
            if current_mesh() is not None:
                # Devices that wait for each other must be given their programs in one order.
                self.state, _ = train(self.task, self.state, jnp.int32(0))
            else:
                # The longer of the two first: while it compiles, the other can be traced.
                trace(self.task, self.state)
                with ThreadPoolExecutor(1) as pool:
                    validated = pool.submit(validate_copy)
                    self.state, _ = train(self.task, self.state, jnp.int32(0))
                    jax.block_until_ready(self.state)
                    validated.result()
            self.state, nll = found[0] if found else validate(self.task, self.state)
            return np.atleast_1d(np.asarray(nll))

    def _afford(self, budget: float, every: int | None) -> tuple[int, int]:
        """How many steps the budget buys, measured on a copy of the state: the run itself is
        then the same, bit for bit, as one that was given this number of steps."""
        count, taken = 1, 0.0
        state = copied(self.state)
        # Where compiling took most of the budget, the few steps measured are the more valuable.
        spent = 0.0
        while taken == 0.0 or (taken < max(0.05, 0.01 * budget) and spent < 0.9 * budget):
            count = min(CAPACITY, 4 * count)
            since = time.monotonic()
            state, losses = train(self.task, state, jnp.int32(count))
            jax.block_until_ready(losses)
            taken, spent = of_the_first(time.monotonic() - since, self.seconds)
            if count == CAPACITY:
                break
        self.rate = count / taken if taken > 0 else 1.0
        validations = 0
        if self.task.val is not None:
            since = time.monotonic()
            jax.block_until_ready(validate(self.task, state))
            self.validation_seconds = time.monotonic() - since
        left = max(0.0, budget - self.seconds)
        if self.task.val is not None and every is None:
            share = _VALIDATION_SHARE * left / max(self.validation_seconds, 1e-9)
            validations = int(min(20, max(1, share)))
            left -= validations * self.validation_seconds
        elif self.task.val is not None and every is not None:
            left *= 1.0 / (1.0 + self.validation_seconds * self.rate / every)
        # A tenth is kept back: machines are shared, and the last validation must fit too.
        steps = max(1, int(0.9 * left * self.rate))
        return steps, every or max(1, -(-steps // max(1, validations)))

    def finish(self, progress: bool, told: Told, between: Callable[[bool], None]) -> None:
        """All remaining steps. ``between(validated)`` is called after each piece, and ``told`` of
        it."""
        budget = self.plan.budget
        record, step = self.record, self.record.steps
        if record.stopped == "not finite":
            self._non_finite()
        if record.stopped:
            return
        with progress_bar(record.total, step, progress and leads()) as bar:
            loss = math.nan
            while not record.stopped:
                stop = min(record.total, (step // record.every + 1) * record.every)
                most = min(self._staged(step), stop - step)
                count = min(most, max(1, int(_PIECE_SECONDS * self.rate)))
                if budget is not None and self.rate > 0:
                    # Half of what is left at a time: the speed may fall in the meantime.
                    left = 0.97 * budget - self.seconds - self.validation_seconds
                    count = min(count, int(0.5 * left * self.rate))
                    if count < 1 and step > 0:
                        record.stopped = "budget"
                count, over = (int(n) for n in of_the_first(max(1, count), len(record.stopped)))
                record.stopped = "budget" if over else ""
                if not record.stopped:
                    losses = self._advance(step, count)
                    record.add_losses(step, losses)
                    count = losses.shape[1]
                    step += count
                    loss = float(losses.mean()) if count else loss
                    bar.update(count)
                    if np.any(np.asarray(self.state.failed)):
                        self._validate(step)
                        self._non_finite()
                        record.stopped = "not finite"
                if count and not record.stopped:
                    words = [f"loss {float(losses[:, -1].mean()):.4g}"]
                    if record.val_nll:
                        words.append(f"val {np.mean(record.val_nll[-1]):.4f} nats")
                    speed = self.rate * self.task.settings.batch_size
                    bar.set_postfix_str(", ".join([*words, f"{speed:.3g} examples/s"]))
                due = step == stop or bool(record.stopped)
                if due:
                    self._validate(step)
                if step == record.total and not record.stopped:
                    if self._falling():
                        record.grow()
                        self.state = self.state.with_total(record.total)
                        bar.total = record.total
                    else:
                        record.stopped = "steps"
                record.seconds = self.seconds
                if leads():
                    told(self._progress(step, loss))
                between(due)

    def _progress(self, step: int, loss: float) -> Progress:
        record = self.record
        nll = float(np.mean(record.val_nll[-1])) if record.val_nll else None
        left = seconds_left(record.total - step, self.rate)
        return Progress(step, record.total, loss, nll, record.seconds, left)

    def _staged(self, step: int) -> int:
        """Steps from ``step`` on that the data at hand suffice for."""
        if self.stream is None:
            return CAPACITY
        if step >= self._window + self.stream.steps:
            self._stage(step)
        return self._window + self.stream.steps - step

    def _stage(self, step: int) -> None:
        if self.stream is not None:
            data, self._window = everywhere(self.stream.window(step)), step
            first = everywhere(jnp.int32(step))
            self.task = dataclasses.replace(self.task, data=data, first=first)

    def _advance(self, step: int, count: int) -> np.ndarray:
        since = time.monotonic()
        with self._memory_hint():
            self.state, losses = train(self.task, self.state, jnp.int32(count))
            values = np.asarray(losses).reshape(self.state.runs, CAPACITY)[:, :count]
        taken = time.monotonic() - since
        self.record.train_seconds += taken
        # The first pieces are one step long and mostly overhead: let the estimate grow fast.
        self.rate = min(count / max(taken, 1e-9), 4.0 * max(self.rate, 1.0))
        if bool(np.any(np.asarray(self.state.failed))):
            values = values[:, : int(np.asarray(self.state.step).min()) - step]
        return values

    def _falling(self) -> bool:
        """Whether validation fell in the last quarter and is lowest at the end: the run goes on."""
        record = self.record
        if 2 * record.total > self.plan.longest or len(record.val_nll) < 8:
            return False
        nll = np.asarray(record.val_nll)
        last = len(nll) // 4
        gain = nll[:-last].min(0) - nll[-last:].min(0)
        return bool(np.any((gain > _GAIN) & (np.argmin(nll, axis=0) >= len(nll) - 2)))

    def _validate(self, step: int) -> None:
        record, patience = self.record, self.task.settings.patience
        if self.task.val is None or (record.val_step and record.val_step[-1] == step):
            return
        since = time.monotonic()
        self.state, nll = validate(self.task, self.state)
        record.add_validation(step, np.atleast_1d(np.asarray(nll)))
        self.validation_seconds = time.monotonic() - since
        if patience is not None and bool(np.all(np.asarray(self.state.stale) >= patience)):
            record.stopped = "patience"
        if self.plan.budget is not None and self.plan.validate_every is None:
            self._thin_out(self.plan.budget - self.seconds, step)

    def _thin_out(self, left: float, step: int) -> None:
        """Fewer validations where they became dearer than they were at first, as those by an ODE
        do while a field grows: steps that were planned are worth more."""
        record = self.record
        share = _VALIDATION_SHARE * left / max(self.validation_seconds, 1e-9)
        steps = record.total - step
        (every,) = of_the_first(max(record.every, -(-steps // max(1, int(share)))))
        record.every = int(every)

    def _non_finite(self) -> None:
        """Look at the batch again, example by example; the state is still the one before it. Warn
        if there is a good state to end with, otherwise raise."""
        run = int(np.argmax(np.atleast_1d(np.asarray(self.state.failed))))
        step = int(np.atleast_1d(np.asarray(self.state.step))[run])
        used = self.record.counts > 0
        means = np.abs(self.record.sums[run][used] / self.record.counts[used])
        diverged = len(means) > 0 and bool(means[-1] > 100 * np.median(means))
        rows, losses, again = (np.asarray(a) for a in examine(self.task, self.state))
        if self.stream is not None:
            rows = self.stream.row_numbers(rows)
        if self.task.axes is not None:
            rows, losses, again = rows[run], losses[run], again[run]
        bad = np.unique(rows[~np.isfinite(losses)])
        noisy = not np.array_equal(losses, again, equal_nan=True)
        extent = _extent(self.task.data)
        if not _finite(self.state.params):
            cause = "the parameters are not finite: check the model's init"
        elif extent:
            cause = extent
        elif diverged:
            cause = "the loss had been growing: training diverged; lower learning_rate"
        elif len(bad) == 0:
            cause = (
                "every loss is finite but the gradient of their mean is not: a derivative "
                "overflows or is undefined at one of these rows"
            )
        elif len(bad) < len(np.unique(rows)) or step == 0:
            drawn = " for the noise drawn" if noisy else ""
            cause = f"the loss is undefined at these rows{drawn}; look at them"
        else:
            cause = "the loss is not finite at any row: lower learning_rate, or check the model"
        bad = bad if len(bad) else np.unique(rows)
        found = (
            f"Loss or gradient not finite at step {step}, data rows {listed(bad)}. Likely cause: "
            f"{cause}."
        )
        if self.task.val is None:
            good = step > 0 and not diverged and _finite(self.state.ema)
            kept = f"the average after {step} steps, which no held-out points have judged"
        else:
            good = bool(np.isfinite(np.asarray(self.state.best_nll)).all())
            best = np.atleast_1d(np.asarray(self.state.best_step))[run]
            kept = f"the best state on validation, that of step {best}"
        if not good:
            raise NonFiniteLoss(
                f"{found} The state before this step is unharmed, and so is the last checkpoint.",
                step=step,
                rows=tuple(int(r) for r in bad),
            )
        warn(f"{found} Training ends here, with {kept}.")

    @contextmanager
    def _memory_hint(self) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError(
                f"Out of memory with batch_size={self.task.settings.batch_size}: lower "
                "batch_size, or the width of the network. The last checkpoint is untouched."
            ) from error


def _finite(tree: PyTree) -> bool:
    return all(np.isfinite(np.asarray(p)).all() for p in jax.tree.leaves(tree))


def _extent(data: PyTree) -> str:
    """Words for numbers whose squares leave their dtype; empty where they do not."""
    for leaf in jax.tree.leaves(data):
        if not jnp.issubdtype(leaf.dtype, jnp.floating) or leaf.ndim < 2:
            continue
        numbers = jnp.finfo(leaf.dtype)
        sizes = np.abs(np.asarray(leaf)[np.isfinite(np.asarray(leaf))])
        most = float(sizes.max(initial=0.0))
        if most > float(numbers.max) ** 0.4 or 0 < most < float(numbers.tiny) ** 0.4:
            return (
                f"the data are of size {most:.3g}, and squares of that leave {leaf.dtype}: use "
                "other units, or float64"
            )
    return ""
