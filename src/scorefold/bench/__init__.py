"""The tables of the papers, computed here: one file a table."""

from scorefold.bench.bridge import bridge
from scorefold.bench.table import Measured, Record, Row, Table
from scorefold.bench.wpo import wpo

__all__ = ["Measured", "Record", "Row", "Table", "bridge", "wpo"]
