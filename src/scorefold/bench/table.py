"""Rows of results that survive an interruption."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scorefold._provenance import provenance

__all__ = ["Record", "Table"]


@dataclass(frozen=True)
class Record:
    """One model on one data set with one seed."""

    data: str
    protocol: str
    model: str
    seed: int
    test_nll: float
    val_nll: float
    seconds: float
    """Wall clock of fitting, compilation included."""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> tuple[str, str, str, int]:
        return self.data, self.protocol, self.model, self.seed


class Table:
    """Records in a JSON file: each is written when it is made, and not made again."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self.records: list[Record] = []
        if self.path is not None and self.path.exists():
            document = json.loads(self.path.read_text())
            self.records = [Record(**row) for row in document["records"]]

    def run(self, rows: Iterable[tuple[tuple[str, str, str, int], Callable[[], Record]]]) -> None:
        """Make what is missing of ``rows``, pairs of a name and what makes its record."""
        done = {record.name for record in self.records}
        for name, make in rows:
            if name in done:
                continue
            record = make()
            self.records.append(record)
            self._write()
            print(
                f"{record.data:<14} {record.protocol:<10} {record.model:<18} seed {record.seed}  "
                f"test {record.test_nll:8.4f}  val {record.val_nll:8.4f}  {record.seconds:6.1f} s",
                flush=True,
            )

    def summary(self) -> list[dict[str, Any]]:
        """Mean and standard deviation over seeds, a line for each data set, protocol and model."""
        groups: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            groups.setdefault(record.name[:3], []).append(record)
        return [
            {
                "data": data,
                "protocol": protocol,
                "model": model,
                "seeds": len(found),
                "test_nll": statistics.mean(r.test_nll for r in found),
                "test_nll_std": _std([r.test_nll for r in found]),
                "val_nll": statistics.mean(r.val_nll for r in found),
                "seconds": statistics.mean(r.seconds for r in found),
            }
            for (data, protocol, model), found in groups.items()
        ]

    def text(self) -> str:
        """The summary as a Markdown table."""
        lines = [
            "| data | protocol | model | seeds | test NLL (mean ± std) | seconds a seed |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.summary():
            spread = "" if row["seeds"] < 2 else f" ± {row['test_nll_std']:.3f}"
            lines.append(
                f"| {row['data']} | {row['protocol']} | {row['model']} | {row['seeds']} "
                f"| {row['test_nll']:.3f}{spread} | {row['seconds']:.1f} |"
            )
        return "\n".join(lines)

    def _write(self) -> None:
        if self.path is None:
            return
        document = {
            "what": "negative log likelihood in nats; std over seeds",
            "summary": self.summary(),
            "records": [asdict(record) for record in self.records],
            **provenance(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        part.replace(self.path)


def _std(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
