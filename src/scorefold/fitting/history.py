"""What happened during a run."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from scorefold._html import html_table
from scorefold._types import Document
from scorefold.fitting.errors import DamagedFile

_POINTS = 1000


@dataclasses.dataclass(frozen=True)
class History:
    """The course of one run of ``fit``.

    - ``step``, ``loss``: at most 1000 points of the training loss; ``loss[i]`` is the mean over
      the steps ``(step[i−1], step[i]]``.
    - ``val_step``, ``val_nll``: validations (nats), the first at step 0; empty without ``val``.
    - ``steps``: steps taken; ``best_step``: the step whose averaged parameters were returned.
    - ``stopped``: ``"steps"`` (all taken), ``"patience"``, ``"budget"``, or ``"not finite"`` (the
      next step had no finite loss or gradient).
    - ``seconds`` of wall clock, all included (making the trainer, and the model of it, too), over
      all pieces of a resumed run; ``compile_seconds`` of them for compiling (with the first
      validation), ``train_seconds`` for training steps.
    - ``seed``: the words of the key.
    """

    step: np.ndarray
    loss: np.ndarray
    val_step: np.ndarray
    val_nll: np.ndarray
    steps: int
    best_step: int
    stopped: str
    seconds: float
    compile_seconds: float
    train_seconds: float
    seed: tuple[int, ...]

    def to_json(self) -> str:
        """A JSON object with these fields; a number that is not finite becomes null."""

        def plain(value: object) -> object:
            if isinstance(value, np.ndarray):
                return [plain(v) for v in value.tolist()]
            if isinstance(value, float):
                return value if np.isfinite(value) else None
            return value

        fields = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return json.dumps(fields, allow_nan=False)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [
            ("steps", f"{self.steps:,} (stopped: {self.stopped})"),
            ("step that was kept", f"{self.best_step:,}"),
            ("time", f"{self.seconds:.1f} s, {self.compile_seconds:.1f} s of it compiling"),
        ]
        for name, values in (("training loss", self.loss), ("validation (nats)", self.val_nll)):
            if len(values):
                words = f"{values[0]:.4g} at first, {values[-1]:.4g} at last"
                least = np.nanmin(values) if np.isfinite(values).any() else np.nan
                rows.append((name, f"{words}, at least {least:.4g}"))
        return html_table("Training", rows)

    @classmethod
    def from_json(cls, text: str) -> History:
        """The history that ``to_json`` wrote. **Raises:** ``DamagedFile`` for any other text."""
        try:
            fields = json.loads(text)
            for name in ("loss", "val_nll"):
                values = [np.nan if v is None else v for v in fields[name]]
                fields[name] = np.asarray(values, np.float64)
            for name in ("step", "val_step"):
                fields[name] = np.asarray(fields[name], np.int64)
            history = cls(**{**fields, "seed": tuple(fields["seed"])})
            curves = (history.step, history.loss, history.val_step, history.val_nll)
            numbers = (history.seconds, history.compile_seconds, history.train_seconds)
            if not (
                all(curve.ndim == 1 for curve in curves)
                and len(history.step) == len(history.loss)
                and len(history.val_step) == len(history.val_nll)
                and type(history.steps) is int
                and type(history.best_step) is int
                and isinstance(history.stopped, str)
                and all(type(n) in (int, float) and 0 <= n < np.inf for n in numbers)
                and isinstance(fields["seed"], list)
                and all(type(word) is int for word in history.seed)
            ):
                raise ValueError("its fields do not go together")
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise DamagedFile(f"not the history of a run ({error}).") from error
        return history


@dataclasses.dataclass
class Record:
    """A history in the making, for one or several runs side by side.

    ``sums`` and ``counts`` hold the losses of ``width`` consecutive steps a column. They are
    added one after another in float64, so that a resumed run ends with the same bits.
    """

    total: int
    every: int
    sums: np.ndarray
    counts: np.ndarray
    val_step: list[int]
    val_nll: list[list[float]]
    seconds: float = 0.0
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    stopped: str = ""

    def __post_init__(self) -> None:
        """**Raises:** ``ValueError`` for numbers that do not fit together, as in a file."""
        whole = (self.total, self.every, *self.val_step)
        clocks = (self.seconds, self.compile_seconds, self.train_seconds)
        if not (
            all(type(n) is int for n in whole)
            and all(type(t) in (int, float) and t >= 0 for t in clocks)
            and min(self.total, self.every) >= 1
            and isinstance(self.stopped, str)
            and self.sums.ndim == 2
            and self.counts.shape
            == self.sums.shape[1:]
            == (-(-self.total // self.width_of(self.total)),)
            and np.all(self.counts >= 0)
            and self.steps <= self.total
            and [len(row) for row in self.val_nll] == [len(self.sums)] * len(self.val_step)
        ):
            raise ValueError("its numbers do not go together")

    @classmethod
    def empty(cls, runs: int, total: int, every: int) -> Record:
        columns = -(-total // cls.width_of(total))
        return cls(total, every, np.zeros((runs, columns)), np.zeros(columns, np.int64), [], [])

    @staticmethod
    def width_of(total: int) -> int:
        return -(-total // _POINTS)

    def split(self) -> tuple[Document, dict[str, np.ndarray]]:
        """(numbers, arrays): what ``join`` makes this record from again."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        dtypes = {"sums": float, "counts": np.int64, "val_step": np.int64, "val_nll": float}
        arrays = {name: np.asarray(fields.pop(name), dtype) for name, dtype in dtypes.items()}
        return fields, arrays

    @classmethod
    def join(cls, numbers: Document, arrays: dict[str, np.ndarray]) -> Record:
        lists = {name: arrays[name].tolist() for name in ("val_step", "val_nll")}
        return cls(sums=arrays["sums"], counts=arrays["counts"], **lists, **numbers)

    def grow(self) -> None:
        """Room for twice the steps, with half as many validations a step."""
        fine, self.total, self.every = self.width_of(self.total), 2 * self.total, 2 * self.every
        merged = self.width_of(self.total) // fine
        columns = -(-self.total // self.width_of(self.total))
        pad = merged * columns - self.sums.shape[1]
        shape = (len(self.sums), columns, merged)
        self.sums = np.pad(self.sums, ((0, 0), (0, pad))).reshape(shape).sum(2)
        self.counts = np.pad(self.counts, (0, pad)).reshape(shape[1:]).sum(1)

    def add_losses(self, step: int, losses: np.ndarray) -> None:
        """Losses of the steps after ``step``, shape ``(runs, k)``."""
        column = (step + np.arange(losses.shape[1])) // self.width_of(self.total)
        for row, values in zip(self.sums, losses, strict=True):
            np.add.at(row, column, values.astype(np.float64))
        np.add.at(self.counts, column, 1)

    def add_validation(self, step: int, nll: np.ndarray) -> None:
        self.val_step.append(step)
        self.val_nll.append([float(v) for v in nll])

    @property
    def steps(self) -> int:
        return int(self.counts.sum())

    def history(self, run: int, patience: int | None, seed: tuple[int, ...]) -> History:
        """The history of one run: cut where its patience ended, though others went on."""
        nll = np.asarray([row[run] for row in self.val_nll], np.float64)
        val_step = np.asarray(self.val_step, np.int64)
        steps, stopped, best_step, last = self.steps, self.stopped, self.steps, len(nll)
        if len(nll):
            best, best_step, stale = np.inf, 0, 0
            for i, value in enumerate(nll):
                if value < best:
                    best, best_step, stale = value, int(val_step[i]), 0
                else:
                    stale += 1
                if patience is not None and stale >= patience:
                    steps, stopped, last = int(val_step[i]), "patience", i + 1
                    break
        width = self.width_of(self.total)
        ends = np.minimum((np.arange(len(self.counts)) + 1) * width, steps)
        used = (self.counts > 0) & (np.arange(len(self.counts)) * width < steps)
        return History(
            step=ends[used],
            loss=self.sums[run][used] / self.counts[used],
            val_step=val_step[:last],
            val_nll=nll[:last],
            steps=steps,
            best_step=best_step,
            stopped=stopped,
            seconds=self.seconds,
            compile_seconds=self.compile_seconds,
            train_seconds=self.train_seconds,
            seed=seed,
        )
