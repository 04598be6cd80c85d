"""The state of training and the two compiled functions that advance it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._types import Key, Scalar
from scorefold.fitting import adam
from scorefold.fitting.adam import Moments
from scorefold.fitting.settings import Settings

__all__ = ["CAPACITY", "Problem", "TrainState", "examine", "judge", "train"]

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

    @property
    def runs(self) -> int:
        return math.prod(self.step.shape)

    def with_total(self, total: Array) -> TrainState:
        return eqx.tree_at(lambda s: s.total, self, total)

    @classmethod
    def start(cls, params: PyTree) -> TrainState:
        # Every leaf owns its buffer: the state is donated, and a buffer can be given away once.
        copy = lambda: jax.tree.map(jnp.copy, params)  # noqa: E731
        integer = lambda value: jnp.full((), value, jnp.int32)  # noqa: E731
        return cls(
            params=copy(),
            ema=copy(),
            best=copy(),
            moments=Moments.zero(params),
            step=integer(0),
            total=integer(1),
            failed=jnp.full((), False),
            best_nll=jnp.full((), jnp.inf, jnp.float32),
            best_step=integer(0),
            stale=integer(0),
        )


class Problem(eqx.Module):
    """Everything that stays the same while a model is trained.

    ``model`` is the model without its trained arrays; ``axes`` is None for one run, or says for
    several runs at once whether data and validation data have a leading axis of runs.
    """

    model: PyTree
    data: PyTree
    val: PyTree | None
    key: Array
    settings: Settings
    axes: tuple[int | None, int | None] | None = eqx.field(static=True)

    def per_run(self, function: Any) -> Any:
        """``function(model, data, val, key, state)``, mapped over runs where there are several."""
        if self.axes is None:
            return function
        return eqx.filter_vmap(
            function, in_axes=(eqx.if_array(0), self.axes[0], self.axes[1], 0, eqx.if_array(0))
        )


def train(problem: Problem, state: TrainState, count: Array) -> tuple[TrainState, Array]:
    """``count`` steps (at most CAPACITY), and their losses, shape ``(…, CAPACITY)``.

    The number of steps is data, not shape: one compilation serves pieces of every length, and
    the result does not depend on how the steps are divided into pieces. A step whose loss or
    gradient is not finite changes nothing except ``failed``, and ends the call.
    """
    return _compiled(_train, jax.default_backend())(problem, state, count)


def judge(problem: Problem, state: TrainState) -> tuple[TrainState, Array]:
    """Validate the averaged parameters, keep them if they are the best so far."""
    return _compiled(_judge, jax.default_backend())(problem, state)


@functools.cache
def _compiled(function: Callable, backend: str) -> Callable:
    """On a processor, LLVM's first level of optimisation: the work is in matrix products, which
    are a library's, and compiling takes a third less time (8.7 s of processor time against 5.7
    on the sphere) while a step takes no longer."""
    options = {"xla_backend_optimization_level": 1} if backend == "cpu" else None
    # The overloads of filter_jit leave out the options that it hands on to jax.jit.
    jit: Callable = eqx.filter_jit
    return jit(function, donate="all-except-first", compiler_options=options)


def _train(problem: Problem, state: TrainState, count: Array) -> tuple[TrainState, Array]:
    def one(model: PyTree, data: PyTree, _: Any, key: Key, state: TrainState) -> Any:
        return _step(model, data, key, state, problem.settings)

    step = problem.per_run(one)
    losses = jnp.zeros((*state.step.shape, CAPACITY), jnp.float32)

    def unfinished(carry: tuple) -> Array:
        i, state, _ = carry
        return (i < count) & ~jnp.any(state.failed)

    def body(carry: tuple) -> tuple:
        i, state, losses = carry
        state, loss = step(problem.model, problem.data, None, problem.key, state)
        return i + 1, state, losses.at[..., i].set(loss)

    start = (jnp.zeros_like(count), state, losses)
    _, state, losses = jax.lax.while_loop(unfinished, body, start)
    return state, losses


def _judge(problem: Problem, state: TrainState) -> tuple[TrainState, Array]:
    patience = problem.settings.patience

    def one(model: PyTree, _: Any, val: PyTree, key: Key, state: TrainState) -> Any:
        averaged = eqx.combine(state.ema, model)
        nll = averaged.validate(val, jax.random.fold_in(key, 2)).astype(jnp.float32)
        running = jnp.array(True) if patience is None else state.stale < patience
        better = running & (nll < state.best_nll)
        choose = lambda new, old: jnp.where(better, new, old)  # noqa: E731
        stale = jnp.where(better, 0, state.stale + running.astype(jnp.int32))
        state = eqx.tree_at(
            lambda s: (s.best, s.best_nll, s.best_step, s.stale),
            state,
            (
                jax.tree.map(choose, state.ema, state.best),
                choose(nll, state.best_nll),
                choose(state.step, state.best_step),
                stale,
            ),
        )
        return state, nll

    return problem.per_run(one)(problem.model, problem.data, problem.val, problem.key, state)


@eqx.filter_jit
def examine(problem: Problem, state: TrainState) -> tuple[Array, Array]:
    """Row numbers and per-example losses of the batch that the state is about to take."""

    def one(model: PyTree, data: PyTree, _: Any, key: Key, state: TrainState) -> Any:
        x, rows, loss_key = _batch(model, data, key, state.step, problem.settings.batch_size)
        return rows, eqx.combine(state.params, model).batch_loss(x, loss_key)

    return problem.per_run(one)(problem.model, problem.data, None, problem.key, state)


def _batch(
    model: PyTree, data: PyTree, key: Key, step: Array, size: int
) -> tuple[PyTree, Array, Key]:
    order, noise = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    rows = model.batch_rows(order, step, len(jax.tree.leaves(data)[0]), size)
    return jax.tree.map(lambda a: a[rows], data), rows, jax.random.fold_in(noise, step)


def _step(
    model: PyTree, data: PyTree, key: Key, state: TrainState, settings: Settings
) -> tuple[TrainState, Scalar]:
    x, _, loss_key = _batch(model, data, key, state.step, settings.batch_size)

    def objective(params: PyTree) -> Scalar:
        return jnp.mean(eqx.combine(params, model).batch_loss(x, loss_key))

    loss, grads = jax.value_and_grad(objective)(state.params)
    length = adam.norm(grads)
    good = jnp.isfinite(loss) & jnp.isfinite(length)
    if settings.clip is not None:
        grads = adam.clip(grads, length, settings.clip)
    rate = adam.learning_rate(state.step, state.total, settings)
    params, moments = adam.descend(
        state.params, grads, state.moments, state.step, rate, settings.weight_decay
    )
    # A short memory at first, so that the average does not remember the initial parameters.
    t = state.step.astype(jnp.float32)
    decay = jnp.minimum(settings.ema, (1.0 + t) / (10.0 + t))
    ema = jax.tree.map(lambda a, p: p + decay.astype(p.dtype) * (a - p), state.ema, params)
    keep = lambda new, old: jnp.where(good, new, old)  # noqa: E731
    state = eqx.tree_at(
        lambda s: (s.params, s.ema, s.moments, s.step, s.failed),
        state,
        (
            jax.tree.map(keep, params, state.params),
            jax.tree.map(keep, ema, state.ema),
            jax.tree.map(keep, moments, state.moments),
            state.step + good.astype(jnp.int32),
            ~good,
        ),
    )
    return state, loss.astype(jnp.float32)
