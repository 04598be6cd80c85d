"""The state of training and the two compiled functions that advance it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._compile import quick_jit
from scorefold._mesh import everywhere, on_mesh, rows_by_device, same_on_each_device
from scorefold._types import Key, Scalar
from scorefold.fitting import adam
from scorefold.fitting.adam import Moments
from scorefold.fitting.packing import Packing
from scorefold.fitting.settings import Settings
from scorefold.fitting.weighting import WeightedRows

CAPACITY = 1024
"""Most steps that one call of ``train`` can take."""


class TrainState(eqx.Module):
    """Everything that changes while a model is trained; what a checkpoint stores."""

    params: PyTree
    ema: PyTree
    best: PyTree
    moments: Moments
    step: Array
    total: Array
    failed: Array
    best_nll: Array
    best_step: Array
    stale: Array

    def changed(self, change: Callable[[PyTree], PyTree]) -> TrainState:
        """With ``change`` applied to the trees that every step changes."""
        where = lambda s: (s.params, s.ema, s.moments.first, s.moments.second)  # noqa: E731
        return eqx.tree_at(where, self, tuple(map(change, where(self))))

    @property
    def runs(self) -> int:
        return math.prod(self.step.shape)

    def with_total(self, steps: int) -> TrainState:
        total = jnp.full(self.total.shape, steps, jnp.int32)
        return dataclasses.replace(self, total=everywhere(total))

    @classmethod
    def start(cls, params: PyTree) -> TrainState:
        """The state before the first step, made by one program instead of one for each shape."""
        return quick_jit(_start, level=0)(params)


Stepped = tuple[TrainState, Scalar]
"""The next state and the loss, or the validation, that led there."""
T = TypeVar("T")


class TrainTask(eqx.Module):
    """Everything that stays the same while a model is trained.

    ``model`` is the model without its trained arrays; ``axes`` is None for one run, or says for
    several runs at once whether data and validation data have a leading axis of runs. With
    ``first``, ``data`` are the batches of step ``first`` and those after it, one after another.
    ``weighting``: of rows with weights; several runs share it.
    """

    model: PyTree
    data: PyTree
    val: PyTree | None
    key: Array
    settings: Settings
    axes: tuple[int | None, int | None] | None = eqx.field(static=True)
    first: Array | None = None
    weighting: WeightedRows = WeightedRows()

    def per_run(self, function: Callable[..., T]) -> Callable[..., T]:
        """``function(model, data, val, key, state)``, mapped over runs where there are several."""
        if self.axes is None:
            return function
        return eqx.filter_vmap(
            function, in_axes=(eqx.if_array(0), self.axes[0], self.axes[1], 0, eqx.if_array(0))
        )

    def each(self, function: Callable[[TrainState], T]) -> Callable[[TrainState], T]:
        """``function(state)``, mapped over runs where there are several."""
        return function if self.axes is None else eqx.filter_vmap(function)


def train(task: TrainTask, state: TrainState, count: Array) -> tuple[TrainState, Array]:
    """``count`` steps (at most CAPACITY), and their losses, shape ``(…, CAPACITY)``.

    The number of steps is data, not shape: one compilation serves pieces of every length, and
    the result does not depend on how the steps are divided into pieces. A step whose loss or
    gradient is not finite changes nothing except ``failed``, and ends the call.
    """
    with on_mesh():
        return quick_jit(_train, donate="all-except-first")(task, state, count)


def trace(task: TrainTask, state: TrainState) -> None:
    """Make ready what ``train`` will compile, which needs the interpreter; compiling does not."""
    with on_mesh():
        quick_jit(_train, donate="all-except-first").lower(  # type: ignore[attr-defined]
            task, state, jnp.int32(0)
        )


def copied(state: TrainState) -> TrainState:
    """A copy that shares no buffer, by one program instead of one for each shape."""
    with on_mesh():
        return quick_jit(_copies, level=0)(state)


def _copies(tree: T) -> T:
    return jax.tree.map(jnp.copy, tree)


def validate(task: TrainTask, state: TrainState) -> tuple[TrainState, Array]:
    """Validate the averaged parameters, keep them if they are the best so far."""
    with on_mesh():
        return quick_jit(_validate, donate="all-except-first")(task, state)


def _start(params: PyTree) -> TrainState:
    # Every leaf owns its buffer: the state is donated, and a buffer can be given away once.
    integer = lambda value: jnp.full((), value, jnp.int32)  # noqa: E731
    return TrainState(
        params=_copies(params),
        ema=_copies(params),
        best=_copies(params),
        moments=Moments.zero(params),
        step=integer(0),
        total=integer(1),
        failed=jnp.full((), False),
        best_nll=jnp.full((), jnp.inf, jnp.float32),
        best_step=integer(0),
        stale=integer(0),
    )


def _train(task: TrainTask, state: TrainState, count: Array) -> tuple[TrainState, Array]:
    shapes = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape[state.step.ndim :], p.dtype), state.params
    )
    packing = Packing(shapes)

    def one(model: PyTree, data: PyTree, _: None, key: Key, state: TrainState) -> Stepped:
        return _step(model, data, key, state, task, packing)

    step, each = task.per_run(one), task.each
    losses = jnp.zeros((*state.step.shape, CAPACITY), jnp.float32)

    def unfinished(carry: tuple) -> Array:
        i, state, _ = carry
        return (i < count) & ~jnp.any(state.failed)

    def body(carry: tuple) -> tuple:
        i, state, losses = carry
        state, loss = step(task.model, task.data, None, task.key, state)
        return i + 1, state, losses.at[..., i].set(loss)

    start = (jnp.zeros_like(count), each(lambda s: s.changed(packing.pack))(state), losses)
    _, state, losses = jax.lax.while_loop(unfinished, body, start)
    return same_on_each_device((each(lambda s: s.changed(packing.unpack))(state), losses))


def _validate(task: TrainTask, state: TrainState) -> tuple[TrainState, Array]:
    patience = task.settings.patience

    def one(model: PyTree, _: PyTree, val: PyTree, key: Key, state: TrainState) -> Stepped:
        averaged = eqx.combine(state.ema, model)
        given = () if task.weighting.val is None else (task.weighting.val,)
        nll = averaged.validate(val, jax.random.fold_in(key, 2), *given)
        _require(nll, 0, model, "validate", "one number, shape ()")
        nll = nll.astype(jnp.float32)
        running = jnp.array(True) if patience is None else state.stale < patience
        better = running & (nll < state.best_nll)
        choose = lambda new, old: jnp.where(better, new, old)  # noqa: E731
        stale = jnp.where(better, 0, state.stale + running.astype(jnp.int32))
        best = {
            "best": jax.tree.map(choose, state.ema, state.best),
            "best_nll": choose(nll, state.best_nll),
            "best_step": choose(state.step, state.best_step),
        }
        return dataclasses.replace(state, **best, stale=stale), nll

    found = task.per_run(one)(task.model, task.data, task.val, task.key, state)
    return same_on_each_device(found)


def _require(value: Array, axes: int, trainer: PyTree, method: str, what: str) -> None:
    if jnp.ndim(value) != axes:
        raise ValueError(
            f"{type(trainer).__name__}.{method}: must return {what}; got shape {jnp.shape(value)}."
        )


def examine(task: TrainTask, state: TrainState) -> tuple[Array, Array, Array]:
    """Row numbers and per-example losses of the batch that the state is about to take, and the
    losses with another key: the same where a model draws no noise."""
    with on_mesh():
        return _examine(task, state)


@eqx.filter_jit
def _examine(task: TrainTask, state: TrainState) -> tuple[Array, Array, Array]:
    def one(
        model: PyTree, data: PyTree, _: None, key: Key, state: TrainState
    ) -> tuple[Array, Array, Array]:
        x, rows, loss_key = _batch(model, data, key, state.step, task)
        trained = eqx.combine(state.params, model)
        again = trained.batch_loss(x, jax.random.fold_in(loss_key, 1))
        return rows, trained.batch_loss(x, loss_key), again

    found = task.per_run(one)(task.model, task.data, None, task.key, state)
    return same_on_each_device(found)


def _batch(
    model: PyTree, data: PyTree, key: Key, step: Array, task: TrainTask
) -> tuple[PyTree, Array, Key]:
    order, noise = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    size, first = task.settings.batch_size, task.first
    if first is None:
        rows = model.batch_rows(order, step, len(jax.tree.leaves(data)[0]), size)
        rows = (
            rows if task.weighting.strata is None else task.weighting.strata.rows(rows, order, step)
        )
    else:
        rows = (step - first) * size + jnp.arange(size, dtype=jnp.int32)
    batch = rows_by_device(jax.tree.map(lambda a: a[rows], data))
    return batch, rows, jax.random.fold_in(noise, step)


def _step(
    model: PyTree,
    data: PyTree,
    key: Key,
    state: TrainState,
    task: TrainTask,
    packing: Packing,
) -> Stepped:
    """One step of a state whose trees are packed."""
    settings = task.settings
    x, rows, loss_key = _batch(model, data, key, state.step, task)

    def objective(params: PyTree) -> Scalar:
        losses = eqx.combine(params, model).batch_loss(x, loss_key)
        _require(losses, 1, model, "batch_loss", "one loss a row, shape (n,)")
        if task.weighting.losses is not None:
            losses = task.weighting.losses.astype(losses.dtype)[rows] * losses
        return jnp.mean(losses)

    loss, tree = jax.value_and_grad(objective)(packing.unpack(state.params))
    grads = packing.pack(tree)
    length = adam.norm(grads)
    good = jnp.isfinite(loss) & jnp.isfinite(length)
    if settings.clip is not None:
        grads = adam.clip(grads, length, settings.clip)
    rate = adam.learning_rate(state.step, state.total, settings)
    # Weight decay acts on arrays of two or more axes only, not on biases and scales.
    decay = None
    if settings.weight_decay > 0:
        decay = jax.tree.map(lambda one: settings.weight_decay * one, packing.matrices())
    params, moments = adam.descend(state.params, grads, state.moments, state.step, rate, decay)
    # A short memory at first, so that the average does not remember the initial parameters.
    t = state.step.astype(jnp.float32)
    memory = jnp.minimum(settings.ema, (1.0 + t) / (10.0 + t))
    ema = jax.tree.map(lambda a, p: p + memory.astype(p.dtype) * (a - p), state.ema, params)
    keep = lambda new, old: jnp.where(good, new, old)  # noqa: E731
    kept = {
        "params": jax.tree.map(keep, params, state.params),
        "ema": jax.tree.map(keep, ema, state.ema),
        "moments": jax.tree.map(keep, moments, state.moments),
    }
    step = state.step + good.astype(jnp.int32)
    return dataclasses.replace(state, **kept, step=step, failed=~good), loss.astype(jnp.float32)
