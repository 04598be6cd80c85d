"""What is asked of finished runs: who they are, draws, densities, cuts."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from scorefold._oneline import one_line
from scorefold._types import Document, ReadOnlyDocument
from scorefold.models import Model
from scorefold.runs import Run, RunError

MOST_DRAWS, MOST_POINTS, _CUT = 100_000, 100_000, 400
_FOR_RANGES = 1000


class Asked(ValueError):
    """A question that cannot be answered as it was asked; says why in one line."""


class Answers:
    """Of the runs in ``folders``: questions by name, each a function of JSON to JSON.

    **Raises:** ``RunError`` for a folder without one finished run, and for two of one name.
    """

    def __init__(self, folders: Sequence[str | os.PathLike]) -> None:
        opened = [one for folder in folders for one in _single(Run.open(folder))]
        names = [_name(run, [r.folder for r in opened]) for run in opened]
        self.runs = dict(zip(names, opened, strict=True))
        if len(self.runs) < len(opened):
            raise RunError(f"serve: two runs are one folder: {', '.join(names)}.")
        self.questions: dict[str, Callable[[ReadOnlyDocument], Document]] = {
            "runs": self.described,
            "draw": self.draw,
            "density": self.density,
            "cut": self.cut,
        }
        self._one_at_a_time = threading.Lock()

    def answer(self, question: str, asked: ReadOnlyDocument) -> Document:
        """One question after another: a model computes for one asker at a time.

        **Raises:** ``Asked``."""
        if question not in self.questions:
            raise Asked(f"no question is called {question!r:.40}: {', '.join(self.questions)}.")
        with self._one_at_a_time:
            return self.questions[question](asked)

    # -- the questions -----------------------------------------------------------------------------
    def described(self, asked: ReadOnlyDocument) -> Document:
        """All runs: columns and units, what was measured, which pages there are."""
        return {"runs": [self._described(name, run) for name, run in self.runs.items()]}

    def draw(self, asked: ReadOnlyDocument) -> Document:
        """``n`` draws with ``seed``, in the columns and units of the data."""
        run, model = self._model(asked)
        n, seed = _whole(asked, "n", 1000, 1, MOST_DRAWS), _whole(asked, "seed", 0, 0, 2**32 - 1)
        points = model.sample(jax.random.key(seed), n)
        coordinates = run.coordinates()
        rows = coordinates.to_columns(np.asarray(points))
        return {"columns": list(coordinates.columns), "rows": _plain(rows)}

    def density(self, asked: ReadOnlyDocument) -> Document:
        """log p in nats, with respect to Riemannian volume, at ``rows`` of columns; null for rows
        that are out of range."""
        run, model = self._model(asked)
        rows = _rows(asked.get("rows"), len(run.coordinates().columns))
        return {"log_prob": _plain(_log_prob(run, model, rows))}

    def cut(self, asked: ReadOnlyDocument) -> Document:
        """log p along a line in columns: ``vary`` goes over ``n`` values ``from`` … ``to``
        (default: the range of draws), the others stay ``at`` {column: value}. With the length of
        the curve from its start, and ``conditional``: p divided by its integral along the curve,
        per unit of length (radians, or the unit of a flat column)."""
        run, model = self._model(asked)
        coordinates = run.coordinates()
        columns = list(coordinates.columns)
        vary, at = asked.get("vary"), asked.get("at") or {}
        if vary not in columns or not isinstance(at, Mapping):
            raise Asked(f"vary: one of {', '.join(columns)}; at: values of the others.")
        usual, least, most = self._ranges(str(asked["run"]))
        k, n = columns.index(vary), _whole(asked, "n", _CUT, 2, MOST_POINTS)
        low, high = _number(asked, "from", least[k]), _number(asked, "to", most[k])
        if not low < high:
            raise Asked(f"from, to: {low:g} is not below {high:g}.")
        rows = np.tile([_number(at, name, usual[j]) for j, name in enumerate(columns)], (n, 1))
        rows[:, k] = np.linspace(low, high, n)
        logs = _log_prob(run, model, rows)
        good = np.isfinite(logs)
        if good.sum() < 2:
            raise Asked(
                f"a cut along {vary} leaves the space: other values of it are out of range."
            )
        length = np.full(n, np.nan)
        length[good] = _lengths(run, model, rows[good])
        if np.nanmax(length) == 0.0:
            raise Asked(f"a cut along {vary} has no length there: it stays at one point.")
        conditional = np.full(n, np.nan)
        p = np.exp(logs[good] - logs[good].max())
        conditional[good] = p / np.trapezoid(p, length[good])
        return {
            "vary": vary, "values": _plain(rows[:, k]), "log_prob": _plain(logs),
            "length": _plain(length), "conditional": _plain(conditional),
            "at": dict(zip(columns, rows[0].tolist(), strict=True)),
        }  # fmt: skip

    # -- runs --------------------------------------------------------------------------------------
    def _described(self, name: str, run: Run) -> Document:
        try:
            return self._of_run(name, run)
        except Exception as error:
            return {"name": name, "kind": "damaged", "report": False, "verdicts": {},
                    "error": one_line(error)}  # fmt: skip

    def _of_run(self, name: str, run: Run) -> Document:
        numbers = run.measured() or {}
        found: Document = {
            "name": name,
            "kind": run.kind,
            "report": run.file("report.html").exists(),
        }
        wanted = ("model", "dataset", "manifold", "protocol", "seed", "n_train", "n_test",
                  "test_nll", "test_nll_standard_error", "val_nll", "reference", "reference_nll",
                  "normalisation", "train_seconds", "nfe", "warnings")  # fmt: skip
        found |= {word: numbers[word] for word in wanted if word in numbers}
        verdicts = numbers.get("generalisation") or {}
        found["verdicts"] = {
            key: value["verdict"] for key, value in verdicts.items()
            if isinstance(value, Mapping) and "verdict" in value
        }  # fmt: skip
        if run.kind == "model":
            coordinates = run.coordinates()
            usual, low, high = self._ranges(name)
            found["columns"] = [
                {"name": c, "unit": unit, "usual": u, "from": a, "to": b}
                for c, unit, u, a, b in zip(
                    coordinates.columns, coordinates.column_units, usual, low, high, strict=True
                )
            ]
        return found

    def _model(self, asked: ReadOnlyDocument) -> tuple[Run, Model]:
        name = asked.get("run")
        if not isinstance(name, str) or name not in self.runs:
            raise Asked(f"run: one of {', '.join(self.runs)}, got {name!r:.40}.")
        run = self.runs[str(name)]
        if run.kind != "model":
            raise Asked(f"{name} is a bridge: its report shows what there is.")
        return run, self._loaded(str(name))

    @functools.cache  # noqa: B019 (one Answers lives as long as the process)
    def _loaded(self, name: str) -> Model:
        return self.runs[name].model()

    @functools.cache  # noqa: B019
    def _ranges(self, name: str) -> tuple[list[float], list[float], list[float]]:
        """Of each column a usual value (that of the draw with the highest density), the least and
        the greatest of draws."""
        run, model = self.runs[name], self._loaded(name)
        points = np.asarray(model.sample(jax.random.key(0), _FOR_RANGES))
        best = int(np.argmax(np.asarray(model.log_prob(points))))
        rows = run.coordinates().to_columns(points)
        return rows[best].tolist(), rows.min(axis=0).tolist(), rows.max(axis=0).tolist()


def _single(run: Run) -> list[Run]:
    return run.seeds or [run]


def _name(run: Run, folders: Sequence[Path]) -> str:
    """The last word of the folder; the whole path where that is not enough."""
    alike = [f for f in folders if f.resolve().name == run.folder.resolve().name]
    return run.folder.resolve().name if len(alike) == 1 else str(run.folder)


def _log_prob(run: Run, model: Model, rows: np.ndarray) -> np.ndarray:
    """NaN where a row is no point."""
    coordinates, logs = run.coordinates(), np.full(len(rows), np.nan)
    good = np.isfinite(rows).all(axis=1) & ~coordinates.outside(rows)
    if good.any():
        logs[good] = np.asarray(model.log_prob(coordinates.to_points(rows[good])), np.float64)
    return logs


def _lengths(run: Run, model: Model, rows: np.ndarray) -> np.ndarray:
    """From the first row, along the curve: sums of distances between neighbours; 0 where they are
    all rounding."""
    points = run.coordinates().to_points(rows)
    steps = np.asarray(jax.vmap(model.manifold.dist)(points[:-1], points[1:]), np.float64)
    found = np.concatenate([[0.0], np.cumsum(steps)])
    size = float(np.abs(np.asarray(points)).max())
    rounding = 8.0 * len(rows) * size * float(np.finfo(np.asarray(points).dtype).eps)
    return found if found[-1] > rounding else np.zeros(len(rows))


def _rows(given: object, columns: int) -> np.ndarray:
    try:
        rows = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        rows = np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != columns or not 1 <= len(rows) <= MOST_POINTS:
        raise Asked(f"rows: 1 to {MOST_POINTS} lists of {columns} numbers.")
    return rows


def _whole(asked: ReadOnlyDocument, name: str, usual: int, least: int, most: int) -> int:
    value = asked.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Asked(f"{name}: a whole number from {least} to {most}, got {value!r:.40}.")
    return value


def _number(asked: ReadOnlyDocument, name: str, usual: float) -> float:
    value = asked.get(name, usual)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        found = float(value) if number else math.nan
    except OverflowError:
        found = math.nan
    if not math.isfinite(found):
        raise Asked(f"{name}: a number, got {str(value)[:40]}.")
    return found


def _plain(values: np.ndarray) -> list:
    """JSON: null where a number is not finite."""
    exact = values.astype(object)
    exact[~np.isfinite(values)] = None
    return exact.tolist()
