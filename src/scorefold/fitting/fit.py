"""``fit``: one way to train every model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._fixed import trainable
from scorefold._types import Key
from scorefold.fitting._contract import Trainable
from scorefold.fitting.errors import NonFiniteLoss
from scorefold.fitting.history import History
from scorefold.fitting.intake import numbers
from scorefold.fitting.lock import locked
from scorefold.fitting.loop import Loop
from scorefold.fitting.run import Keeping, run
from scorefold.fitting.settings import Plan, Settings
from scorefold.fitting.state import Problem, TrainState

__all__ = ["fit", "fit_seeds"]

T = TypeVar("T", bound=Trainable)

_INIT = 3


def fit(
    model: T,
    data: Any,
    *,
    key: Key,
    val: Any = None,
    steps: int | None = None,
    budget: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    warmup: int | None = None,
    clip: float | None = 1.0,
    ema: float = 0.999,
    weight_decay: float = 0.0,
    validate_every: int | None = None,
    patience: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    save_every: float = 30.0,
    progress: bool = True,
) -> tuple[T, History]:
    """θ* = argmin_θ E[loss_θ(x)] by Adam; returns the trained model and what happened.

    The model returned holds an exponential moving average of the parameters: with ``val``, the
    average with the smallest ``model.validate``, without, the last one.

    **Arguments:**

    - ``model``: anything ``Trainable``; ``data``: n points, shape ``(n, …)``: NumPy or JAX arrays,
      nested lists, data frames. Training has its dtype if that is float32, or float64 with JAX's
      64 bits on, else JAX's default float; models with flat coordinates centre and scale them in
      64 bits before. ``val``: held-out points, or None.
    - ``key``: everything random follows from it. The batch at a step is a function of the key and
      the step (see ``batch_rows``): epochs without replacement; a ``batch_size`` (default
      ``model.batch_size``) above n repeats rows within a batch.
    - ``steps`` (default ``model.steps``) or ``budget`` (seconds of wall clock, compiling and
      validating included), not both. A budget is turned into a number of steps by measuring the
      speed after compiling, and is kept unless compiling alone exceeds it: a run that falls behind
      stops early, with at least one step taken.
    - ``learning_rate`` (default ``model.learning_rate``): the peak, reached linearly after
      ``warmup`` steps (default: a tenth of the run, at most 500), followed by half a cosine to 0.
      ``clip``: bound on the global norm of the gradient. ``weight_decay``: decoupled, on arrays
      of two or more axes.
    - ``ema``: decay of the average; early in the run it is (1 + t)/(10 + t) if that is less.
    - ``validate_every``: steps between validations (default: about 20 in a run, and one at step 0);
      ``patience``: stop after this many validations without improvement (default: the model's own,
      if neither ``steps`` nor ``budget`` is given, otherwise never). A run that was given neither
      goes on, to twice its length each time and to ``model.longest`` steps at most, while
      validation falls by more than 0.005 nats in the last quarter; what was given is kept exactly.
    - ``out``: a directory for checkpoints, written at validations and every ``save_every`` seconds
      (the last two are kept). SIGINT and SIGTERM then save and raise ``Interrupted``.
      ``resume``: go on from the last one, if there is one. With the same arguments on the same
      machine, the result is that of an uninterrupted run, on a processor bit for bit.
    - ``progress``: a bar on stderr.

    **Raises:** ``ValueError`` for settings or data that cannot work, naming the rows;
    ``NonFiniteLoss`` with the step and the rows, if there is no good state to return (one with a
    finite validation; without ``val``, a finite average of a run that was not diverging): a run
    that has one ends with it, ``history.stopped = "not finite"`` and a ``ScorefoldWarning``;
    ``DirectoryInUse``; ``FileExistsError`` (``out`` holds a run and ``resume`` is False);
    ``DifferentRun`` (it holds another); ``DamagedFile``;
    ``DiskFull``; ``Interrupted``; ``MemoryError`` naming the argument to lower.
    """
    settings = Settings(
        model.batch_size if batch_size is None else batch_size,
        model.learning_rate if learning_rate is None else learning_rate,
        warmup, clip, ema, weight_decay, _patience(model, patience, val, steps, budget),
    )  # fmt: skip
    plan = Plan.choose(
        steps, budget, validate_every, model.steps, 0 if val is None else model.longest
    )
    raw, kept = numbers("data", data), None if val is None else numbers("val", val)
    key = _typed(key)
    known = model.with_units(raw)
    x, held_out = known.to_inner("data", raw), None if kept is None else known.to_inner("val", kept)
    with _place(out):
        started = known.init(jax.random.fold_in(key, _INIT), x)
        rest, state = _split(started)
        examples, judges = _examples(started, x, held_out)
        problem = Problem(rest, examples, judges, key, settings, None)
        loop = run(model, problem, state, plan, Keeping(out, resume, save_every), progress)
    return _result(started, loop, 0, key)


def fit_seeds(
    model: T,
    data: Any,
    *,
    keys: Sequence[Key] | Array,
    val: Any = None,
    stacked: bool = False,
    steps: int | None = None,
    budget: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    warmup: int | None = None,
    clip: float | None = 1.0,
    ema: float = 0.999,
    weight_decay: float = 0.0,
    validate_every: int | None = None,
    patience: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    save_every: float = 30.0,
    progress: bool = True,
) -> list[tuple[T, History]]:
    """``[fit(model, data, key=k, …) for k in keys]``, trained side by side under ``vmap``.

    Each result equals that of ``fit`` with the same key up to rounding. With ``stacked``, ``data``
    and ``val`` have a leading axis of runs: each key has its own split. The other arguments are
    those of ``fit``; the runs share the number of steps and the time, and one that runs out of
    patience waits, frozen, for the others.
    """
    settings = Settings(
        model.batch_size if batch_size is None else batch_size,
        model.learning_rate if learning_rate is None else learning_rate,
        warmup, clip, ema, weight_decay, _patience(model, patience, val, steps, budget),
    )  # fmt: skip
    plan = Plan.choose(
        steps, budget, validate_every, model.steps, 0 if val is None else model.longest
    )
    keys = [_typed(k) for k in keys]
    if not keys:
        raise ValueError("keys is empty: give one key for each run.")
    runs, axis = (len(keys), 0) if stacked else (None, None)
    raw, kept = numbers("data", data, runs), None if val is None else numbers("val", val, runs)
    if stacked:
        blank = [model.with_units(rows) for rows in raw]
        each_of = lambda name, a: jnp.stack(  # noqa: E731
            [
                m.to_inner(f"{name}[{i}]", rows)
                for i, (m, rows) in enumerate(zip(blank, a, strict=True))
            ]
        )
    else:
        blank = [model.with_units(raw)] * len(keys)
        each_of = blank[0].to_inner
    x, held_out = each_of("data", raw), None if kept is None else each_of("val", kept)
    with _place(out):
        models = [
            m.init(jax.random.fold_in(k, _INIT), x[i] if stacked else x)
            for i, (m, k) in enumerate(zip(blank, keys, strict=True))
        ]
        rest, state = jax.tree.map(_stack, *map(_split, models))
        if type(models[0]).examples is Trainable.examples:
            examples, judges = x, held_out
        else:
            pick = lambda part, i: part[i] if stacked and part is not None else part  # noqa: E731
            each = [_examples(m, pick(x, i), pick(held_out, i)) for i, m in enumerate(models)]
            examples, judges = jax.tree.map(_stack, *each)
            axis = 0
        problem = Problem(rest, examples, judges, jnp.stack(keys), settings, (axis, axis))
        loop = run(model, problem, state, plan, Keeping(out, resume, save_every), progress)
    return [_result(m, loop, i, k) for i, (m, k) in enumerate(zip(models, keys, strict=True))]


def _patience(
    model: Trainable, told: int | None, val: Any, steps: int | None, budget: float | None
) -> int | None:
    """The model's own where nothing was said about the length of the run."""
    if told is not None or val is None or steps is not None or budget is not None:
        return told
    return model.patience


def _place(out: str | Path | None) -> AbstractContextManager[None]:
    return nullcontext() if out is None else locked(Path(out))


def _examples(model: Trainable, data: Array, val: Array | None) -> tuple[PyTree, PyTree]:
    return model.examples(data), None if val is None else model.examples(val, held_out=True)


def _split(model: Trainable) -> tuple[PyTree, TrainState]:
    params, rest = eqx.partition(model, trainable(model))
    if not jax.tree.leaves(params):
        raise ValueError(f"{type(model).__name__}.init returned a model with nothing to train.")
    return rest, TrainState.start(params)


def _result(model: Any, loop: Loop, run: int, key: Key) -> tuple[Any, History]:
    words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
    history = loop.record.history(run, loop.problem.settings.patience, words)
    if len(history.val_nll) and not np.isfinite(history.val_nll).any():
        raise NonFiniteLoss(
            f"model.validate was not finite at any of {len(history.val_nll)} validations "
            f"(steps {history.val_step.tolist()}): check val, and the density of the model on it.",
            step=history.steps,
            rows=(),
        )
    state = loop.state
    params = state.ema if loop.problem.val is None else state.best
    if loop.problem.axes is not None:
        params = jax.tree.map(lambda p: p[run], params)
    _, rest = eqx.partition(model, trainable(model))
    trained, problem = eqx.combine(params, rest), loop.problem
    parts = [problem.data, problem.val]
    if problem.axes is not None:
        parts = [
            part if axis is None else jax.tree.map(lambda a: a[run], part)
            for part, axis in zip(parts, problem.axes, strict=True)
        ]
    return trained.completed(*parts).finished(), history


def _typed(key: Key) -> Key:
    return key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)


def _stack(*leaves: Any) -> Any:
    return jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0]
