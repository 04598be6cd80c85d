"""Experiments on the theorems of the papers."""

from scorefold.bench.theory.table import TABLE

__all__ = ["TABLE"]
