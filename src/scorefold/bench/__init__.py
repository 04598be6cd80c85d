"""The tables of the papers, computed here: one file a table."""

from scorefold.bench.bridge import bridge
from scorefold.bench.table import Likelihoods, Measured, ResultTable, Row
from scorefold.bench.wpo import wpo

__all__ = ["Likelihoods", "Measured", "ResultTable", "Row", "bridge", "wpo"]
