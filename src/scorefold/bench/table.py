"""Rows of results that survive an interruption."""

from __future__ import annotations

import abc
import json
import os
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from scorefold._files import write_whole
from scorefold._provenance import provenance

__all__ = ["Measured", "Record", "Row", "Table"]

Name = tuple[str, str, str, int]


class Row(abc.ABC):
    """One model on one task with one seed."""

    what: ClassVar[str]
    """What its numbers are, for the file."""
    headings: ClassVar[tuple[str, ...]]
    """Of the table of means."""

    @property
    @abc.abstractmethod
    def name(self) -> Name:
        """What makes it different from other rows; the last is the seed."""

    @abc.abstractmethod
    def line(self) -> str:
        """The row in words."""

    @classmethod
    @abc.abstractmethod
    def summary(cls, found: list[Any]) -> dict[str, Any]:
        """Mean and standard deviation of rows that differ in the seed only."""

    @classmethod
    @abc.abstractmethod
    def cells(cls, summary: dict[str, Any]) -> tuple[str, ...]:
        """A line of the table of means."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Record(Row):
    """One model on one data set with one seed: its likelihood."""

    data: str
    protocol: str
    model: str
    seed: int
    test_nll: float
    val_nll: float
    seconds: float
    """Wall clock of fitting, compilation included."""
    more: dict[str, Any] = field(default_factory=dict)

    what: ClassVar[str] = "negative log likelihood in nats; std over seeds"
    headings: ClassVar[tuple[str, ...]] = (
        "data", "protocol", "model", "seeds", "test NLL (mean ± std)", "seconds a seed"
    )  # fmt: skip

    @property
    def name(self) -> Name:
        return self.data, self.protocol, self.model, self.seed

    def line(self) -> str:
        return (
            f"{self.data:<14} {self.protocol:<10} {self.model:<18} seed {self.seed}  "
            f"test {self.test_nll:8.4f}  val {self.val_nll:8.4f}  {self.seconds:6.1f} s"
        )

    @classmethod
    def summary(cls, found: list[Any]) -> dict[str, Any]:
        data, protocol, model, _ = found[0].name
        return {
            "data": data,
            "protocol": protocol,
            "model": model,
            "seeds": len(found),
            "test_nll": statistics.mean(r.test_nll for r in found),
            "test_nll_std": _std([r.test_nll for r in found]),
            "val_nll": statistics.mean(r.val_nll for r in found),
            "seconds": statistics.mean(r.seconds for r in found),
        }

    @classmethod
    def cells(cls, summary: dict[str, Any]) -> tuple[str, ...]:
        return (
            summary["data"], summary["protocol"], summary["model"], str(summary["seeds"]),
            _spread(summary["test_nll"], summary["test_nll_std"], summary["seeds"]),
            f"{summary['seconds']:.1f}",
        )  # fmt: skip


@dataclass(frozen=True)
class Measured(Row):
    """One method on one task with one seed: a distance, smaller is better, and its floor."""

    task: str
    measure: str
    method: str
    seed: int
    value: float
    floor: float | None
    """The same for a perfect method: exact draws, or fresh points of the data."""
    seconds: float
    """Wall clock of fitting, compilation included."""
    more: dict[str, Any] = field(default_factory=dict)

    what: ClassVar[str] = (
        "distances, smaller is better, beside that of a perfect method; std over seeds"
    )
    headings: ClassVar[tuple[str, ...]] = (
        "task", "measure", "method", "seeds", "value (mean ± std)", "floor", "seconds"
    )  # fmt: skip

    @property
    def name(self) -> Name:
        return self.task, self.measure, self.method, self.seed

    def line(self) -> str:
        floor = "" if self.floor is None else f"  floor {self.floor:.4g}"
        return (
            f"{self.task:<28} {self.measure:<20} {self.method:<16} seed {self.seed}  "
            f"{self.value:.4g}{floor}  {self.seconds:.1f} s"
        )

    @classmethod
    def summary(cls, found: list[Any]) -> dict[str, Any]:
        task, measure, method, _ = found[0].name
        floors = [r.floor for r in found if r.floor is not None]
        return {
            "task": task,
            "measure": measure,
            "method": method,
            "seeds": len(found),
            "value": statistics.mean(r.value for r in found),
            "value_std": _std([r.value for r in found]),
            "floor": statistics.mean(floors) if floors else None,
            "seconds": statistics.mean(r.seconds for r in found),
        }

    @classmethod
    def cells(cls, summary: dict[str, Any]) -> tuple[str, ...]:
        floor = summary["floor"]
        return (
            summary["task"], summary["measure"], summary["method"], str(summary["seeds"]),
            _spread(summary["value"], summary["value_std"], summary["seeds"]),
            "" if floor is None else f"{floor:.3f}",
            f"{summary['seconds']:.1f}",
        )  # fmt: skip


class Table(Generic[R]):
    """Rows of one kind in a JSON file: each is written when it is made, and not made again.

    **Raises:** ``ValueError`` for a file that is not such a table.
    """

    def __init__(self, path: str | os.PathLike[str] | None, kind: type[R]) -> None:
        self.path = None if path is None else Path(path)
        self.kind = kind
        self.records: list[R] = []
        if self.path is not None and self.path.exists():
            try:
                document = json.loads(self.path.read_text())
                self.records = [kind(**row) for row in document["records"]]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}: is not a table of this kind ({error}). Choose another file."
                ) from error

    def run(self, rows: Iterable[tuple[Name, Callable[[], R]]]) -> None:
        """Make what is missing of ``rows``, pairs of a name and what makes its record."""
        done = {record.name for record in self.records}
        for name, make in rows:
            if name in done:
                continue
            record = make()
            self.records.append(record)
            self._write()
            print(record.line(), flush=True)

    def summary(self) -> list[dict[str, Any]]:
        """Mean and standard deviation over seeds, a line for each of the rest of a name."""
        groups: dict[tuple[str, str, str], list[R]] = {}
        for record in self.records:
            groups.setdefault(record.name[:3], []).append(record)
        return [self.kind.summary(found) for found in groups.values()]

    def text(self) -> str:
        """The summary as a Markdown table."""
        lines = [self.kind.headings, ("---",) * len(self.kind.headings)]
        lines += [self.kind.cells(row) for row in self.summary()]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

    def _write(self) -> None:
        if self.path is None:
            return
        document = {
            "what": self.kind.what,
            "summary": self.summary(),
            "records": [asdict(record) for record in self.records],  # type: ignore[call-overload]
            **provenance(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _spread(mean: float, std: float, seeds: int) -> str:
    return f"{mean:.3f}" if seeds < 2 else f"{mean:.3f} ± {std:.3f}"


def _std(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
