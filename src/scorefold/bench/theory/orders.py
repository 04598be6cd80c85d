"""Straight lines through what was measured: rates and orders."""

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
