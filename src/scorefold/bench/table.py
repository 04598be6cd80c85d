"""Rows of results that survive an interruption."""

from __future__ import annotations

import abc
import json
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from scorefold._files import write_whole
from scorefold._provenance import provenance
from scorefold._types import Document, ReadOnlyDocument

Name = tuple[str, str, str, int]


class Row(abc.ABC):
    """One model on one task with one seed. Rows with the same ``names`` differ in the seed."""

    what: ClassVar[str]
    """What its numbers are, for the file."""
    headings: ClassVar[tuple[str, ...]]
    """Of the table of means."""
    names: ClassVar[tuple[str, str, str]]
    numbers: ClassVar[tuple[str, str]]
    """Two fields: the number of the row, and one beside it, which may be None."""
    seed: int
    seconds: float

    @property
    def name(self) -> Name:
        """What makes it different from other rows."""
        first, second, third = (getattr(self, name) for name in self.names)
        return first, second, third, self.seed

    @abc.abstractmethod
    def line(self) -> str:
        """The row in words."""

    @classmethod
    def summary(cls, found: Sequence[Row]) -> Document:
        """Mean and standard deviation of rows that differ in the seed only."""
        number, beside = cls.numbers
        values = [getattr(row, number) for row in found]
        others = [v for row in found if (v := getattr(row, beside)) is not None]
        return {
            **dict(zip(cls.names, found[0].name, strict=False)),
            "seeds": len(found),
            number: statistics.mean(values),
            f"{number}_std": statistics.stdev(values) if len(values) > 1 else 0.0,
            beside: statistics.mean(others) if others else None,
            "seconds": statistics.mean(row.seconds for row in found),
        }

    @classmethod
    def cells(cls, summary: ReadOnlyDocument) -> tuple[str, ...]:
        """A line of the table of means."""
        number, seeds = cls.numbers[0], summary["seeds"]
        spread = f" ± {summary[f'{number}_std']:.3f}" if seeds > 1 else ""
        return (
            *(summary[name] for name in cls.names), str(seeds), f"{summary[number]:.3f}{spread}",
            f"{summary['seconds']:.1f}",
        )  # fmt: skip


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Likelihoods(Row):
    """One model on one data set with one seed: its likelihood."""

    data: str
    protocol: str
    model: str
    seed: int
    test_nll: float
    val_nll: float
    seconds: float
    """Wall clock of fitting, compilation included."""
    more: Document = field(default_factory=dict)

    what = "negative log likelihood in nats; std over seeds"
    headings = ("data", "protocol", "model", "seeds", "test NLL (mean ± std)", "seconds a seed")
    names = ("data", "protocol", "model")
    numbers = ("test_nll", "val_nll")

    def line(self) -> str:
        return (
            f"{self.data:<14} {self.protocol:<10} {self.model:<18} seed {self.seed}  "
            f"test {self.test_nll:8.4f}  val {self.val_nll:8.4f}  {self.seconds:6.1f} s"
        )


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
    more: Document = field(default_factory=dict)

    what = "distances, smaller is better, beside that of a perfect method; std over seeds"
    headings = ("task", "measure", "method", "seeds", "value (mean ± std)", "floor", "seconds")
    names = ("task", "measure", "method")
    numbers = ("value", "floor")

    def line(self) -> str:
        floor = "" if self.floor is None else f"  floor {self.floor:.4g}"
        return (
            f"{self.task:<28} {self.measure:<20} {self.method:<16} seed {self.seed}  "
            f"{self.value:.4g}{floor}  {self.seconds:.1f} s"
        )

    @classmethod
    def cells(cls, summary: ReadOnlyDocument) -> tuple[str, ...]:
        *front, seconds = super().cells(summary)
        return *front, "" if (floor := summary["floor"]) is None else f"{floor:.3f}", seconds


class ResultTable(Generic[R]):
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

    def summary(self) -> list[Document]:
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
