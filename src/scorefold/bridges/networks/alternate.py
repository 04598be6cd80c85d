"""``fit_alternating``: half-steps in alternating directions, for every learned bridge."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._blas import one_blas_thread
from scorefold._fixed import trainable
from scorefold._types import Key, Scalar
from scorefold.bridges.arrivals import check_ends
from scorefold.bridges.intake import both_inside, ends_of, require_resolved
from scorefold.bridges.networks.alternate_history import AlternationHistory, AlternationRecord
from scorefold.bridges.networks.alternate_judge import Judges, measure
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.learned import LearnedBridge
from scorefold.bridges.networks.objectives import Objective
from scorefold.bridges.units import Units
from scorefold.fitting import Interrupted, NonFiniteLoss, Trainable, batch_rows
from scorefold.fitting.checkpoints import Checkpoints
from scorefold.fitting.fingerprint import describe
from scorefold.fitting.interrupts import Interrupts
from scorefold.fitting.lock import locked
from scorefold.fitting.settings import Settings
from scorefold.fitting.state import CAPACITY, Problem, TrainState, train
from scorefold.noising import Noising

__all__ = ["fit_alternating"]

L = TypeVar("L", bound=LearnedBridge)


def fit_alternating(
    bridge: L,
    a: Any,
    b: Any,
    *,
    key: Key,
    val: tuple[Any, Any] | None = None,
    half_steps: int = 20,
    steps: int = 1000,
    paths: int = 4096,
    refresh: int | None = None,
    batch_size: int = 512,
    learning_rate: float = 1e-3,
    warmup: int | None = None,
    clip: float | None = 1.0,
    ema: float | None = None,
    weight_decay: float = 0.0,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    check: bool = True,
) -> tuple[L, AlternationHistory]:
    """The bridge between the laws of two data sets, by half-steps in alternating directions; the
    trained bridge and what happened.

    Half-step n = 0, 2, 4, … learns the field towards A: paths are simulated from the data A with
    the averaged field towards B, and the network learns to come back. n = 1, 3, 5, … the other
    way. Networks, optimiser state and averages of each direction go on from half-step to
    half-step; the learning rate begins anew in each. One program simulates and one trains, for
    both directions and all half-steps.

    **Arguments:**

    - ``a``, ``b``: points of the laws at s = 0 and s = S, shapes ``(n, …)`` and ``(m, …)``;
      ``val``: held-out points of both, by which half-steps are judged (default: of the data,
      which then judge themselves).
    - ``key``: everything random follows from it and the number of the half-step.
    - ``half_steps``; ``steps``: training steps in each; ``paths``: simulated paths kept;
      ``refresh``: training steps between simulations (default: a quarter of ``steps``).
    - ``batch_size``, ``learning_rate``, ``warmup``, ``clip``, ``weight_decay``: as in ``fit``, by
      half-step. ``ema``: decay of the average (default: over a tenth of a half-step).
    - ``out``: a directory for checkpoints, one after every half-step (the last two are kept);
      SIGINT and SIGTERM stop after the half-step. ``resume``: go on from the last one, with the
      result of an uninterrupted run. ``half_steps`` may be raised.
    - ``progress``: a bar on stderr. ``check``: as in ``fit_bridge``.

    **Raises:** ``PointsError`` for rows that are not points of the manifold; ``ValueError`` for
    settings that cannot work; ``NonFiniteLoss``; what ``fit`` raises about ``out``.
    **Warns:** ``UserWarning`` when a half-step leaves its marginal clearly farther from the data
    than an earlier one of its direction did; ``ScorefoldWarning`` where drawn ends miss those of
    the data.

    Source: De Bortoli et al. 2021, Algorithm 1; Shi et al. 2023, Algorithm 1.
    """
    for name, value in (("half_steps", half_steps), ("steps", steps), ("paths", paths)):
        if not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name} must be a whole number, 1 or more; got {value!r}.")
    refresh = -(-steps // 4) if refresh is None else refresh
    if not (isinstance(refresh, int) and refresh >= 1):
        raise ValueError(f"refresh must be a whole number, 1 or more; got {refresh!r}.")
    ema = max(0.0, 1.0 - 10.0 / steps) if ema is None else ema
    settings = Settings(
        batch_size, learning_rate, warmup, clip, ema, weight_decay, None, restart=steps
    )
    key = key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
    given = ends_of(bridge.manifold, a, b, ("a", "b"), least=4)
    units = Units.of(bridge.reference, *(end.rows for end in given))
    reference: Noising = bridge.reference
    bridge = bridge if units is None else cast(L, bridge.inside(units))
    require_resolved(bridge.reference, given[0].dtype)
    ends, held = both_inside(bridge.manifold, given, units), None
    if val is not None:
        first, last = val
        judges = ends_of(bridge.manifold, first, last, ("val[0]", "val[1]"), given[0].dtype)
        held = both_inside(bridge.manifold, judges, units)
    if resume and out is None:
        raise ValueError("resume=True needs out, the directory of the run to go on with.")
    plan = _Plan(settings, steps, paths, refresh)
    with nullcontext() if out is None else locked(Path(out)):
        run = _Run(bridge, ends, held, key, plan, half_steps, 1.0 if units is None else units.scale)
        checkpoints = None
        if out is not None:
            identity = {
                **describe(bridge, "bridge"),
                **describe(settings, "settings"),
                **describe({"steps": steps, "paths": paths, "refresh": refresh}, "plan"),
                **describe(list(ends), "data"),
                **describe(list(held or ()), "val"),
                **describe(key, "key"),
            }
            checkpoints = Checkpoints(Path(out), identity)
            if resume:
                run.restore(checkpoints)
            elif checkpoints.files():
                raise FileExistsError(
                    f"{out} holds checkpoints of a run: pass resume=True to go on with it, or "
                    "choose another directory."
                )
        run.finish(progress, checkpoints)
    words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
    done = bridge.with_fields(*run.fields)
    if check:
        check_ends(done, jax.random.fold_in(key, 12), *ends, held)
    done = done if units is None else done.outside(units, reference)
    return cast(L, done), run.record.history(words)


class _Plan(NamedTuple):
    settings: Settings
    steps: int
    paths: int
    refresh: int


class HalfStep(Trainable):
    """A field and what it minimises, in the form that training takes."""

    field: BridgeField
    objective: Objective

    def init(self, key: Key, data: Array) -> HalfStep:
        return self

    def batch_loss(self, x: PyTree, key: Key) -> Array:
        return self.objective(self.field, x, key)

    def validate(self, x: PyTree, key: Key) -> Scalar:
        return jnp.mean(self.batch_loss(x, key))


class _Run:
    """Both directions of one fit: ``fields`` holds the averaged ones."""

    def __init__(
        self,
        bridge: LearnedBridge,
        ends: tuple[Array, Array],
        held: tuple[Array, Array] | None,
        key: Key,
        plan: _Plan,
        half_steps: int,
        scale: float,
    ) -> None:
        self.bridge, self.ends, self.key, self.plan = bridge, ends, key, plan
        self.half_steps, self.scale = half_steps, scale
        self.affine = bridge.affine_parts(*ends, half_steps)
        started = bridge.init(jax.random.fold_in(key, 0), *ends)
        self.fields = [bridge._fitted(started.toward_a), bridge._fitted(started.toward_b)]
        halves = [HalfStep(f, bridge.objective) for f in self.fields]
        parts = [eqx.partition(h, trainable(h)) for h in halves]
        self.rest = [rest for _, rest in parts]
        self.states = [TrainState.start(params) for params, _ in parts]
        self.judges = Judges.choose(bridge, ends, held, jax.random.fold_in(key, 1))
        low, high = self.judges.floor
        self.record = AlternationRecord.empty((scale * low, scale * high))

    def restore(self, checkpoints: Checkpoints) -> None:
        found = checkpoints.restore(tuple(self.states), AlternationRecord.join)
        if found is None:
            return
        states, self.record = found
        self.states = list(states)
        for side in (0, 1):
            done = [n for n in range(self.record.steps) if n % 2 == side]
            if done:
                self._take_average(side, done[-1])

    @one_blas_thread()
    def finish(self, progress: bool, checkpoints: Checkpoints | None) -> None:
        from tqdm import tqdm

        total, done = self.half_steps * self.plan.steps, self.record.steps * self.plan.steps
        every = 0.5 if sys.stderr.isatty() else 10.0
        with (
            Interrupts() if checkpoints is not None else nullcontext() as interrupts,
            tqdm(total=total, initial=done, disable=not progress, file=sys.stderr,
                 mininterval=every) as bar,
        ):  # fmt: skip
            for n in range(self.record.steps, self.half_steps):
                self._half_step(n, bar)
                if checkpoints is None:
                    continue
                path = checkpoints.save(tuple(self.states), self.record)
                if interrupts is not None and interrupts.pending:
                    raise Interrupted(
                        f"{interrupts.pending.name}: stopped after half-step {n + 1} of "
                        f"{self.half_steps}, saved to {path}. To go on, run the same again with "
                        "resume=True.",
                        code=128 + interrupts.pending,
                        path=path,
                    )

    def _half_step(self, n: int, bar: Any) -> None:
        side, began = n % 2, time.monotonic()
        before, other = self.fields[side], self.fields[1 - side]
        rest = _with_affine(self.rest[side], self.affine[n + 1])
        key = jax.random.fold_in(self.key, n + 2)
        simulating, losses, taken = 0.0, [], 0
        while taken < self.plan.steps:
            since = time.monotonic()
            refreshed = taken // self.plan.refresh
            here, there = self.ends[side], self.ends[1 - side]
            start = _rows(here, jax.random.fold_in(key, 0), refreshed, self.plan.paths)
            far = _rows(there, jax.random.fold_in(key, 1), refreshed, self.plan.paths)
            draw = jax.random.fold_in(jax.random.fold_in(key, 2), refreshed)
            initial = n == 0 and self.bridge.coupled
            cache = _examples(self.bridge, draw, other, start, far, initial)
            jax.block_until_ready(cache)
            simulating += time.monotonic() - since
            order = jax.random.fold_in(draw, 1)
            problem = Problem(rest, cache, None, order, self.plan.settings, None)
            stop = min(self.plan.steps, (refreshed + 1) * self.plan.refresh)
            while taken < stop:
                count = min(CAPACITY, stop - taken)
                self.states[side], found = train(problem, self.states[side], jnp.int32(count))
                if bool(self.states[side].failed):
                    raise _non_finite(n, side, taken)
                losses.append(np.asarray(found)[:count])
                taken += count
                bar.update(count)
        self._take_average(side, n)
        gap, change = measure(
            self.bridge, jax.random.fold_in(key, 3), self.fields[side], before, self.judges, side
        )
        gap = self.scale * gap
        loss = float(np.concatenate(losses)[-max(1, self.plan.steps // 5) :].mean())
        worse = self.record.add(
            loss, gap, change, time.monotonic() - began, simulating, self._evaluations()
        )
        bar.set_postfix_str(f"half-step {n + 1}, towards {'ab'[side]}: gap {gap:.4g}")
        if worse is not None:
            warnings.warn(
                f"Half-step {n + 1} (towards {'ab'[side]}) left its marginal at a distance of "
                f"{gap:.4g} from the data; it had been {worse:.4g}. More steps a half-step, a "
                "lower learning_rate, or more steps of the simulated chain may help.",
                stacklevel=4,
            )

    def _take_average(self, side: int, n: int) -> None:
        # A copy: training gives its state's buffers away.
        params = jax.tree.map(jnp.copy, self.states[side].ema)
        rest = _with_affine(self.rest[side], self.affine[n + 1])
        self.fields[side] = eqx.combine(params, rest).field

    def _evaluations(self) -> tuple[int, int]:
        """Evaluations of a network in one half-step: simulating, training."""
        simulations = -(-self.plan.steps // self.plan.refresh)
        simulated = simulations * self.plan.paths * self.bridge.steps
        return simulated, self.plan.steps * self.plan.settings.batch_size


def _rows(points: Array, key: Key, refreshed: int, count: int) -> Array:
    return _take(points, key, jnp.int32(refreshed), count)


@eqx.filter_jit
def _take(points: Array, key: Key, refreshed: Array, count: int) -> Array:
    return points[batch_rows(key, refreshed, len(points), count)]


@eqx.filter_jit
def _examples(
    bridge: LearnedBridge, key: Key, other: BridgeField, start: Array, far: Array, initial: bool
) -> PyTree:
    return bridge.examples(key, other, start, far, initial)


def _with_affine(rest: PyTree, affine: Any) -> PyTree:
    if affine is None:
        return rest
    return eqx.tree_at(lambda h: h.field.affine, rest, affine)


def _non_finite(n: int, side: int, step: int) -> NonFiniteLoss:
    return NonFiniteLoss(
        f"Loss or gradient not finite in half-step {n + 1} (towards {'ab'[side]}), after "
        f"{step} of its steps: training diverged, or a simulated path did. Lower learning_rate, "
        "or take more steps in the simulated chain. The last checkpoint is unharmed.",
        step=step,
        rows=(),
    )
