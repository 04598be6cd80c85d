"""Half-steps in alternating directions, for every learned bridge."""

from contextlib import nullcontext
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._fixed import trainable
from scorefold._types import Key, Scalar
from scorefold._warnings import warn
from scorefold.bridges.alternate_history import AlternationHistory, AlternationRecord
from scorefold.bridges.intake import Samples
from scorefold.bridges.networks.alternate_checks import measure, points_to_compare
from scorefold.bridges.networks.contract import Alternating
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.objectives import Objective
from scorefold.bridges.networks.process import NetworkBridge
from scorefold.fitting import NonFiniteLoss, Trainer, batch_rows
from scorefold.fitting.lock import locked
from scorefold.fitting.phases import Phase, Phases, Turn, train_phases
from scorefold.fitting.progress import Callback, Told
from scorefold.fitting.run import Checkpointer, Checkpointing
from scorefold.fitting.settings import Settings
from scorefold.fitting.state import TrainState


class LearnedBridge(Alternating):
    """A ``NetworkBridge`` to be learned in half-steps of alternating direction.

    Half-step n = 0, 2, 4, … learns the field towards A: paths are simulated from the data A with
    the averaged field towards B, and the network learns to come back. n = 1, 3, 5, … the other
    way. Networks, optimiser state and averages of each direction go on from half-step to
    half-step; the learning rate begins anew in each. One program simulates and one trains, for
    both directions and all half-steps.

    **Settings of ``fit_bridge``:** ``half_steps`` (20); ``steps`` (1000) of training in each;
    ``paths`` (4096) simulated; ``refresh``: training steps between simulations (a quarter of
    ``steps``); ``batch_size`` (512), ``learning_rate`` (1e-3), ``warmup``, ``clip``,
    ``weight_decay``: as in ``fit``, by half-step; ``ema``: decay of the average (over a tenth of a
    half-step). ``out``: a directory for checkpoints, one after every half-step (the last two are
    kept); SIGINT and SIGTERM stop after the half-step. ``resume``: go on from the last one, with
    the result of an uninterrupted run; ``half_steps`` may be raised. ``progress``: a bar on stderr.
    ``callback``: as in ``fit``, called after every half-step.

    Half-steps are measured on held-out points, without them on half of the data.

    **Raises:** ``ValueError`` for settings that cannot work; ``NonFiniteLoss``; what ``fit`` raises
    about ``out``. **Warns:** ``UserWarning`` when a half-step leaves its marginal clearly farther
    from the data than an earlier one of its direction did.

    Source: De Bortoli et al. 2021, Algorithm 1; Shi et al. 2023, Algorithm 1.
    """

    def train(  # type: ignore[override]
        self,
        samples: Samples,
        *,
        key: Key,
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
        callback: Callback | None = None,
    ) -> tuple[NetworkBridge, AlternationHistory]:
        for name, value in (("half_steps", half_steps), ("steps", steps), ("paths", paths)):
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} must be a whole number, 1 or more; got {value!r}.")
        refresh = -(-steps // 4) if refresh is None else refresh
        if not (isinstance(refresh, int) and refresh >= 1):
            raise ValueError(f"refresh must be a whole number, 1 or more; got {refresh!r}.")
        told = Told(callback)
        ema = max(0.0, 1.0 - 10.0 / steps) if ema is None else ema
        settings = Settings(
            batch_size, learning_rate, warmup, clip, ema, weight_decay, None, restart=steps
        )
        if resume and out is None:
            raise ValueError("resume=True needs out, the directory of the run to go on with.")
        with nullcontext() if out is None else locked(Path(out)):
            work = HalfSteps(self, samples, key, settings, half_steps, steps, refresh, paths)
            identity = {
                "bridge": self,
                "settings": settings,
                "plan": {"steps": steps, "paths": paths, "refresh": refresh},
                "data": list(samples.ends),
                "val": list(samples.held or ()),
                "key": key,
            }
            checkpointing = Checkpointing(out, resume, float("inf"))
            checkpointer = Checkpointer(
                checkpointing, identity, tuple(work.states), AlternationRecord.join
            )
            if checkpointer.found is not None:
                work.go_on_from(*checkpointer.found)
            train_phases(work, checkpointer, progress, told)
        words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
        bridge = NetworkBridge(self.reference, work.fields[0], work.fields[1])
        return bridge, work.record.history(words)


class HalfStep(Trainer[BridgeField]):
    """A field and what it minimises."""

    field: BridgeField
    objective: Objective

    def batch_loss(self, x: PyTree, key: Key) -> Array:
        return self.objective(self.field, x, key)

    def validate(self, x: PyTree, key: Key) -> Scalar:
        return jnp.mean(self.batch_loss(x, key))

    def model(self, data: PyTree, val: PyTree | None) -> BridgeField:
        return self.field


class HalfSteps(Phases):
    """The phases of one fit, those towards A and towards B in turn: ``fields`` holds the averaged
    ones."""

    record: AlternationRecord

    def __init__(
        self,
        bridge: Alternating,
        samples: Samples,
        key: Key,
        settings: Settings,
        count: int,
        steps: int,
        refresh: int,
        paths: int,
    ) -> None:
        self.settings, self.count, self.steps, self.refresh = settings, count, steps, refresh
        self.bridge, self.ends, self.key, self.paths = bridge, samples.ends, key, paths
        self.scale = samples.scale
        self.starts = bridge.starts(*self.ends, count)
        self.fields = [*bridge.fields(jax.random.fold_in(key, 0), *self.ends)]
        trainers = [HalfStep(field, bridge.objective) for field in self.fields]
        parts = [eqx.partition(one, trainable(one)) for one in trainers]
        self.rest = [rest for _, rest in parts]
        self.states = [TrainState.start(params) for params, _ in parts]
        self.goals, (low, high) = points_to_compare(
            bridge.manifold, self.ends, samples.held, jax.random.fold_in(key, 1)
        )
        self.record = AlternationRecord([], (self.scale * low, self.scale * high))

    def go_on_from(self, states: tuple[TrainState, ...], record: AlternationRecord) -> None:
        self.states, self.record = list(states), record
        for side in (0, 1):
            done = [n for n in range(record.steps) if n % 2 == side]
            if done:
                self._take_average(side, done[-1])

    def side(self, n: int) -> int:
        return n % 2

    def turn(self, n: int, number: int) -> Turn:
        side, key = n % 2, jax.random.fold_in(self.key, n + 2)
        here, there = self.ends[side], self.ends[1 - side]
        start = _take(here, jax.random.fold_in(key, 0), jnp.int32(number), self.paths)
        far = _take(there, jax.random.fold_in(key, 1), jnp.int32(number), self.paths)
        draw = jax.random.fold_in(jax.random.fold_in(key, 2), number)
        initial = n == 0 and self.bridge.coupled
        make = eqx.filter_jit(self.bridge.examples)
        examples = make(draw, self.fields[1 - side], start, far, initial)
        jax.block_until_ready(examples)
        return Turn(self._rest(side, n), examples, jax.random.fold_in(draw, 1))

    def ended(self, n: int, phase: Phase) -> str:
        side, before = n % 2, self.fields[n % 2]
        self._take_average(side, n)
        key = jax.random.fold_in(jax.random.fold_in(self.key, n + 2), 3)
        start, goal = self.goals[1 - side], self.goals[side]
        found, change = measure(self.bridge, key, self.fields[side], before, start, goal)
        gap = self.scale * float(found)
        loss = float(phase.losses[-max(1, self.steps // 5) :].mean())
        simulated = -(-self.steps // self.refresh) * self.paths * self.bridge.steps
        trained = self.steps * self.settings.batch_size
        numbers = (loss, gap, float(change), phase.seconds, phase.making, simulated, trained)
        worse = self.record.add(*numbers)
        if worse is not None:
            warn(
                f"Half-step {n + 1} (towards {'ab'[side]}) left its marginal at a distance of "
                f"{gap:.4g} from the data; it had been {worse:.4g}. More steps a half-step, a "
                "lower learning_rate, or more steps of the simulated chain may help."
            )
        return f"half-step {n + 1}, towards {'ab'[side]}: gap {gap:.4g}"

    def failed(self, n: int, step: int) -> NonFiniteLoss:
        return NonFiniteLoss(
            f"Loss or gradient not finite in half-step {n + 1} (towards {'ab'[n % 2]}), after "
            f"{step} of its steps: training diverged, or a simulated path did. Lower "
            "learning_rate, or take more steps in the simulated chain. The last checkpoint is "
            "unharmed.",
            step=step,
            rows=(),
        )

    def _rest(self, side: int, n: int) -> PyTree:
        return eqx.tree_at(lambda h: h.field.start, self.rest[side], self.starts[n + 1])

    def _take_average(self, side: int, n: int) -> None:
        # A copy: training gives its state's buffers away.
        params = jax.tree.map(jnp.copy, self.states[side].ema)
        self.fields[side] = eqx.combine(params, self._rest(side, n)).field


@eqx.filter_jit
def _take(points: Array, key: Key, refreshed: Array, count: int) -> Array:
    return points[batch_rows(key, refreshed, len(points), count)]
