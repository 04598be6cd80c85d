"""The tables of the papers, computed here: one file a table."""

from scorefold.bench.contract import (
    Cell,
    Measurement,
    Published,
    Result,
    Table,
    TableMeasure,
    TableRequest,
)
from scorefold.bench.registry import find_table
from scorefold.bench.results import Results
from scorefold.bench.runner import run_table

__all__ = [
    "Cell",
    "Measurement",
    "Published",
    "Result",
    "Results",
    "Table",
    "TableMeasure",
    "TableRequest",
    "find_table",
    "run_table",
]
