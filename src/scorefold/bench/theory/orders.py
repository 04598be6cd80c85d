"""Straight lines through what was measured: rates and orders."""

from collections.abc import Mapping

import numpy as np


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the least-squares line through the points (x, y)."""
    return float(np.polyfit(np.asarray(x, np.float64), np.asarray(y, np.float64), 1)[0])


def order(x: np.ndarray, y: np.ndarray) -> float:
    """a of y ≈ c x^a, for positive x and y: the slope of their logarithms."""
    return slope(np.log(x), np.log(y))


def rate(x: np.ndarray, y: np.ndarray) -> float:
    """a of y ≈ c e^{−ax}, for positive y."""
    return -slope(x, np.log(y))


def known(values: Mapping[str, float | None], name: str) -> float:
    """A value that has been measured. **Raises:** ``ValueError`` where it could not be."""
    value = values[name]
    if value is None:
        raise ValueError(f"{name}: was not measured.")
    return value
