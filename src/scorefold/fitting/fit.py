"""``fit``: one way to train every model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from scorefold._blocks import typed_key
from scorefold._fixed import trainable
from scorefold._jaxlib import warn_of_wrong_sums
from scorefold._mesh import on_one_device, use_mesh
from scorefold._processes import leads
from scorefold._types import Key, Values
from scorefold._weights import counted, rows_that_count
from scorefold.fitting._contract import Description, Trainer
from scorefold.fitting.errors import NonFiniteLoss
from scorefold.fitting.history import History
from scorefold.fitting.intake import numbers
from scorefold.fitting.lock import locked
from scorefold.fitting.loop import Loop
from scorefold.fitting.progress import Callback, Told
from scorefold.fitting.run import Checkpointing, run
from scorefold.fitting.settings import Plan, Settings
from scorefold.fitting.state import CAPACITY, TrainState, TrainTask
from scorefold.fitting.stream import RowStream, check_rows, rows_to_measure
from scorefold.fitting.weighting import RowWeights, Strata, WeightedRows

M = TypeVar("M")

_INIT = 3


def fit(
    description: Description[M],
    data: Values,
    *,
    key: Key,
    val: Values | None = None,
    weights: Values | None = None,
    val_weights: Values | None = None,
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
    mesh: Mesh | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> tuple[M, History]:
    """θ* = argmin_θ E[loss_θ(x)] by Adam; returns the fitted model and what happened.

    The model holds an exponential moving average of the parameters: with ``val``, the average
    with the smallest ``validate`` of its trainer, without, the last one.

    **Arguments:**

    - ``description``: what is to be fitted, such as ``KernelModel(manifold)``.
    - ``data``: n points, shape ``(n, …)``: NumPy or JAX arrays, nested lists, data frames. Training
      has its dtype if that is float32, or float64 with JAX's 64 bits on, else JAX's default float;
      models with flat coordinates centre and scale them in 64 bits before.
      Rows may stay on disk: a memory map (``numpy.load(file, mmap_mode="r")``) is read batch by
      batch where the model is a network (score models, flows), and the result is that of the
      same rows in memory. Of more than 2²⁰ rows, units and resolution are those of 2²⁰ evenly
      spaced ones. Other models load all of it.
    - ``val``: held-out points, or None.
    - ``weights``, ``val_weights``: numbers w ≥ 0, shape ``(n,)`` and ``(n_val,)``: the loss is
      Σ w_i loss(x_i)/Σ w_i, and so are validations. A row of weight 2 counts as the row twice, one
      of weight 0 as none, and a factor of all says nothing. Batches are drawn in proportion to
      the weights (``Strata``): every epoch has each row ⌊w⌋ or ⌈w⌉ times, w of mean 1.
    - ``key``: everything random follows from it. The batch at a step is a function of the key and
      the step (see ``batch_rows``): epochs without replacement; a ``batch_size`` (default
      the description's) above n repeats rows within a batch.
    - ``steps`` (default: the description's) or ``budget`` (seconds of wall clock, compiling and
      validating included), not both. A budget is turned into a number of steps by measuring the
      speed after compiling, and is kept unless compiling alone exceeds it: a run that falls behind
      stops early, with at least one step taken.
    - ``learning_rate`` (default: the description's): the peak, reached linearly after
      ``warmup`` steps (default: a tenth of the run, at most 500), followed by half a cosine to 0.
      ``clip``: bound on the global norm of the gradient. ``weight_decay``: decoupled, on arrays
      of two or more axes.
    - ``ema``: decay of the average; early in the run it is (1 + t)/(10 + t) if that is less.
    - ``validate_every``: steps between validations (default: about 20 in a run, and one at step 0);
      ``patience``: stop after this many validations without improvement (default: the
      description's own, if neither ``steps`` nor ``budget`` is given, otherwise never). A run that
      was given neither goes on, to twice its length each time and to ``defaults.longest`` steps at
      most, while validation falls by more than 0.005 nats in the last quarter; what was given is
      kept exactly.
    - ``out``: a directory for checkpoints, written at validations and every ``save_every`` seconds
      (the last two are kept). SIGINT and SIGTERM then save and raise ``Interrupted``.
      ``resume``: go on from the last one, if there is one. With the same arguments on the same
      machine, the result is that of an uninterrupted run, on a processor bit for bit.
    - ``mesh``: devices to train on, such as ``device_mesh("all")`` (default: that of ``use_mesh``,
      or one device). The data lie on each, the rows of a batch in equal shares, and gradients are
      summed: the result is that of one device up to rounding. Checkpoints do not depend on it.
      A mesh over several processes (``jax.distributed``): each calls ``fit`` with the same
      arguments and gets the same model; the first writes, to a directory that all can read.
    - ``progress``: a bar on stderr, or in a notebook.
    - ``callback``: a function that is called with a ``Progress`` about every half second and at
      validations, as a logger needs. An error of it is a warning; training goes on without it.

    **Raises:** ``ValueError`` for settings or data that cannot work, naming the rows;
    ``NonFiniteLoss`` with the step and the rows, if there is no good state to return (one with a
    finite validation; without ``val``, a finite average of a run that was not diverging): a run
    that has one ends with it, ``history.stopped = "not finite"`` and a ``ScorefoldWarning``;
    ``DirectoryInUse``; ``FileExistsError`` (``out`` holds a run and ``resume`` is False);
    ``DifferentRun`` (it holds another); ``DamagedFile``;
    ``DiskFull``; ``Interrupted``; ``MemoryError`` naming the argument to lower.
    """
    warn_of_wrong_sums()
    told = Told(callback)
    settings, plan = _settings(
        description, val, steps, budget, batch_size, learning_rate, warmup, clip, ema,
        weight_decay, validate_every, patience,
    )  # fmt: skip
    on_disk = data if isinstance(data, np.memmap) and data.ndim > 0 else None
    kept, strata = None, None
    if on_disk is None:
        raw = _Raw.of(description, data, val, weights, val_weights)
    else:
        kept, w = rows_that_count("weights", weights, len(on_disk))
        some = rows_to_measure(len(on_disk) if kept is None else len(kept))
        whole = len(some) == len(on_disk)
        part = np.asarray(on_disk if whole else on_disk[some if kept is None else kept[some]])
        raw = _Raw.of(description, part, val, None if w is None else w[some], val_weights)
        strata = None if w is None else Strata.of(w)
    key = typed_key(key)
    with ExitStack() as stack:
        stack.enter_context(use_mesh(mesh))
        stack.enter_context(_held(out))
        since = time.monotonic()
        first, stream = jax.random.fold_in(key, _INIT), None
        trainer = _trainer(description, first, raw)
        if on_disk is not None and trainer.streams:
            check_rows(trainer, on_disk)
            stream = RowStream(trainer, on_disk, key, settings.batch_size, CAPACITY, strata, kept)
            stack.callback(stream.close)
        elif on_disk is not None and len(on_disk) > len(raw.data):
            raw = _Raw.of(description, np.asarray(on_disk), val, weights, val_weights)
            trainer = _trainer(description, first, raw)
        rest, state = _split(trainer)
        examples, held_out = _examples(trainer, raw, with_data=stream is None)
        task = TrainTask(
            rest, examples, held_out, key, settings, None, weighting=_weighting(trainer, raw)
        )
        checkpointing, prepared = Checkpointing(out, resume, save_every), time.monotonic() - since
        loop = run(description, task, state, plan, checkpointing, progress, told, prepared, stream)
        return _result(trainer, loop, 0, key, raw)


def fit_seeds(
    description: Description[M],
    data: Values,
    *,
    keys: Sequence[Key] | Array,
    val: Values | None = None,
    weights: Values | None = None,
    val_weights: Values | None = None,
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
    mesh: Mesh | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> list[tuple[M, History]]:
    """``[fit(model, data, key=k, …) for k in keys]``, trained side by side under ``vmap``.

    Each result equals that of ``fit`` with the same key up to rounding. With ``stacked``, ``data``
    and ``val`` have a leading axis of runs: each key has its own split. The other arguments are
    those of ``fit``; the runs share the number of steps and the time, and one that runs out of
    patience waits, frozen, for the others. Weights are shared, so that there are none of stacked
    data.
    """
    warn_of_wrong_sums()
    told = Told(callback)
    settings, plan = _settings(
        description, val, steps, budget, batch_size, learning_rate, warmup, clip, ema,
        weight_decay, validate_every, patience,
    )  # fmt: skip
    keys = [typed_key(k) for k in keys]
    if not keys:
        raise ValueError("keys is empty: give one key for each run.")
    if stacked and (weights is not None or val_weights is not None):
        raise ValueError(
            "weights, val_weights: those of stacked data differ from run to run; fit the runs one "
            "after another."
        )
    if stacked:
        runs = len(keys)
        both = _Raw(numbers("data", data, runs), None if val is None else numbers("val", val, runs))
        each = [both.run(i) for i in range(len(keys))]
    else:
        both = _Raw.of(description, data, val, weights, val_weights)
        each = [both] * len(keys)
    with use_mesh(mesh), _held(out):
        since = time.monotonic()
        trainers = [
            _trainer(description, jax.random.fold_in(k, _INIT), raw)
            for k, raw in zip(keys, each, strict=True)
        ]
        rest, state = jax.tree.map(_stack, *map(_split, trainers))
        kind = type(trainers[0])
        shared = kind.shared_examples or kind.examples is Trainer.examples
        if stacked or not shared:
            pairs = [
                _examples(m, raw, f"[{i}]" if stacked else "")
                for i, (m, raw) in enumerate(zip(trainers, each, strict=True))
            ]
            (examples, held_out), axis = jax.tree.map(_stack, *pairs), 0
        else:
            (examples, held_out), axis = _examples(trainers[0], both), None
        task = TrainTask(
            rest,
            examples,
            held_out,
            jnp.stack(keys),
            settings,
            (axis, axis),
            weighting=_weighting(trainers[0], both),
        )
        checkpointing, prepared = Checkpointing(out, resume, save_every), time.monotonic() - since
        loop = run(description, task, state, plan, checkpointing, progress, told, prepared)
        return [
            _result(m, loop, i, k, raw)
            for i, (m, k, raw) in enumerate(zip(trainers, keys, each, strict=True))
        ]


def _held(out: str | Path | None) -> AbstractContextManager[object]:
    """The lock of the directory of the run; of several processes the first has it."""
    return locked(Path(out)) if out is not None and leads() else nullcontext()


class _Raw(NamedTuple):
    """Training and held-out points as they were given."""

    data: np.ndarray
    val: np.ndarray | None
    weights: np.ndarray | None = None
    val_weights: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        description: Description[object],
        data: Values,
        val: Values | None,
        weights: Values | None,
        val_weights: Values | None,
    ) -> _Raw:
        """The rows that count, and their weights where these differ.

        **Raises:** ``ValueError`` for rows that are no numbers, for weights that are none, and for
        those of a model that does not weigh.
        """
        x = numbers("data", data)
        kept, w = rows_that_count("weights", weights, len(x))
        y, w_val = None, None
        if val is not None:
            y = numbers("val", val)
            kept_val, w_val = rows_that_count("val_weights", val_weights, len(y))
            y = counted(y, kept_val)
        elif val_weights is not None:
            raise ValueError("val_weights: there are no held-out points; give val as well.")
        if not description.weighs and (w is not None or w_val is not None):
            name = "weights" if w is not None else "val_weights"
            raise ValueError(
                f"{name}: a {type(description).__name__} counts all rows alike. Leave the weights "
                "out, or choose another model."
            )
        return cls(counted(x, kept), y, w, w_val)

    def run(self, i: int) -> _Raw:
        return _Raw(self.data[i], None if self.val is None else self.val[i])


def _settings(
    description: Description[object],
    val: Values | None,
    steps: int | None,
    budget: float | None,
    batch_size: int | None,
    learning_rate: float | None,
    warmup: int | None,
    clip: float | None,
    ema: float,
    weight_decay: float,
    validate_every: int | None,
    patience: int | None,
) -> tuple[Settings, Plan]:
    """What was asked for, filled up with the defaults of the description. Its patience counts
    where nothing was said about the length of the run."""
    if isinstance(description, type):
        kind = description.__name__
        raise TypeError(f"description: {kind} is a class; give {kind}(manifold, …).")
    if not isinstance(description, Description):
        kind = type(description).__name__
        raise TypeError(
            f"description: no {kind} is trained by fit; give KernelModel(manifold) "
            "or the like (fit_bridge trains bridges)."
        )
    own = description.defaults
    free = val is not None and steps is None and budget is None
    settings = Settings(
        own.batch_size if batch_size is None else batch_size,
        own.learning_rate if learning_rate is None else learning_rate,
        warmup, clip, ema, weight_decay,
        own.patience if patience is None and free else patience,
    )  # fmt: skip
    longest = 0 if val is None else own.longest
    return settings, Plan.choose(steps, budget, validate_every, own.steps, longest)


def _trainer(description: Description[M], key: Key, raw: _Raw) -> Trainer[M]:
    if raw.weights is None:
        return description.trainer(key, raw.data)
    return description.trainer(key, raw.data, raw.weights)  # type: ignore[call-arg]


def _weighting(trainer: Trainer[object], raw: _Raw) -> WeightedRows:
    """What training does with the weights."""
    found, dtype = WeightedRows(), jnp.result_type(float)
    if raw.weights is not None:
        w = trainer.example_weights(raw.weights)
        if type(trainer).batch_rows is Trainer.batch_rows:
            found = found._replace(strata=Strata.of(w))
        else:
            found = found._replace(losses=jnp.asarray(w / w.mean(), dtype))
    if raw.val_weights is not None:
        w = trainer.example_weights(raw.val_weights, held_out=True)
        found = found._replace(val=jnp.asarray(w / w.mean(), dtype))
    return found


def _examples(
    trainer: Trainer[object], raw: _Raw, which: str = "", *, with_data: bool = True
) -> tuple[PyTree, PyTree]:
    examples = trainer.examples(raw.data, f"data{which}") if with_data else None
    if raw.val is None:
        return examples, None
    return examples, trainer.examples(raw.val, f"val{which}", held_out=True)


def _split(trainer: Trainer[object]) -> tuple[PyTree, TrainState]:
    params, rest = eqx.partition(trainer, trainable(trainer))
    if not jax.tree.leaves(params):
        raise ValueError(f"{type(trainer).__name__} has nothing to train: no floating-point array.")
    return rest, TrainState.start(params)


def _row_weights(trainer: Trainer[object], raw: _Raw) -> RowWeights:
    """Weights of the examples, for the model that is made at the end."""
    dtype, (w, w_val) = jnp.result_type(float), (raw.weights, raw.val_weights)
    return RowWeights(
        None if w is None else jnp.asarray(trainer.example_weights(w), dtype),
        None
        if w_val is None
        else jnp.asarray(trainer.example_weights(w_val, held_out=True), dtype),
    )


def _result(trainer: Trainer[M], loop: Loop, run: int, key: Key, raw: _Raw) -> tuple[M, History]:
    words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
    history = loop.record.history(run, loop.task.settings.patience, words)
    if len(history.val_nll) and not np.isfinite(history.val_nll).any():
        raise NonFiniteLoss(
            f"{type(trainer).__name__}.validate was not finite at any of {len(history.val_nll)} "
            f"validations (steps {history.val_step.tolist()}): check val, and the density of the "
            "model on it.",
            step=history.steps,
            rows=(),
        )
    state = loop.state
    params = state.ema if loop.task.val is None else state.best
    if loop.task.axes is not None:
        params = jax.tree.map(lambda p: p[run], params)
    _, rest = eqx.partition(trainer, trainable(trainer))
    params, task = on_one_device((params, loop.task))
    trained = eqx.combine(params, rest)
    parts = [task.data, task.val]
    if task.axes is not None:
        parts = [
            part if axis is None else jax.tree.map(lambda a: a[run], part)
            for part, axis in zip(parts, task.axes, strict=True)
        ]
    since = time.monotonic()
    if raw.weights is None and raw.val_weights is None:
        made = trained.model(*parts)
    else:
        made = trained.model(*parts, _row_weights(trained, raw))  # type: ignore[call-arg]
    model = jax.block_until_ready(made)
    if model is None:
        raise ValueError(f"{type(trainer).__name__}.model returned nothing: return the model.")
    whole = history.seconds + time.monotonic() - since
    return model, dataclasses.replace(history, seconds=whole)


def _stack(*leaves: PyTree) -> PyTree:
    return jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0]
