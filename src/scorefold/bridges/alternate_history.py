"""What happened in the half-steps of a learned bridge."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from scorefold._types import Document

_WORSE = 1.5
_NUMBERS = ("loss", "gap", "change", "seconds", "simulation_seconds", "simulated", "trained")


@dataclasses.dataclass(frozen=True)
class AlternationHistory:
    """The course of ``fit_bridge``, one entry a half-step.

    - ``toward``: "a" or "b", the end whose field was learned.
    - ``loss``: mean training loss of the last fifth of the half-step.
    - ``gap``: sliced Wasserstein-2 distance at that end between held-out data and points simulated
      from held-out data of the other end; ``floor``: the same between two samples of the data,
      for "a" and for "b".
    - ``change``: ½ E∫‖F − F₋‖² ds along simulated paths, F₋ the field before: the
      Kullback–Leibler divergence, in nats, of the new process from the last one of its direction,
      the convergence curve of the fitting.
    - ``simulated``, ``trained``: evaluations of a network, point by point, in simulating paths and
      in training; ``seconds`` of wall clock, ``simulation_seconds`` of them simulating (with
      compiling, in the first).
    - ``seed``: the words of the key.
    """

    toward: tuple[str, ...]
    loss: np.ndarray
    gap: np.ndarray
    change: np.ndarray
    seconds: np.ndarray
    simulation_seconds: np.ndarray
    simulated: np.ndarray
    trained: np.ndarray
    floor: tuple[float, float]
    seed: tuple[int, ...]

    def to_json(self) -> str:
        """A JSON object with these fields."""
        return json.dumps(dataclasses.asdict(self), default=np.ndarray.tolist)


@dataclasses.dataclass
class AlternationRecord:
    """A history in the making: a column of numbers a half-step."""

    rows: list[list[float]]
    floor: tuple[float, float]

    @property
    def steps(self) -> int:
        """Half-steps taken."""
        return len(self.rows)

    def add(self, *row: int | float) -> float | None:
        """Note the ``_NUMBERS`` of a half-step; the best earlier gap of its direction if this one
        is clearly worse."""
        side, gap = self.steps % 2, row[1]
        earlier = [other[1] for other in self.rows[side::2]]
        self.rows.append([*row])
        if earlier and gap > _WORSE * max(min(earlier), self.floor[side]):
            return min(earlier)
        return None

    def split(self) -> tuple[Document, dict[str, np.ndarray]]:
        return {"floor": list(self.floor)}, {"rows": np.asarray(self.rows, np.float64)}

    @classmethod
    def join(cls, numbers: Document, arrays: dict[str, np.ndarray]) -> AlternationRecord:
        first, second = numbers["floor"]
        return cls(arrays["rows"].tolist(), (first, second))

    def history(self, seed: tuple[int, ...]) -> AlternationHistory:
        table = np.asarray(self.rows, np.float64).reshape(-1, len(_NUMBERS))
        columns = dict(zip(_NUMBERS, table.T, strict=True))
        toward = tuple("ab"[n % 2] for n in range(self.steps))
        return AlternationHistory(toward=toward, floor=self.floor, seed=seed, **columns)
