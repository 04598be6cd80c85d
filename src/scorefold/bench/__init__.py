"""The tables of the papers, computed here: one file a table."""

from scorefold.bench.table import Record, Table
from scorefold.bench.wpo import wpo

__all__ = ["Record", "Table", "wpo"]
