"""Quadrature over distance laws: mass, Fisher information, distribution functions, convolutions."""

from __future__ import annotations

import numpy as np


def panels(low: float, high: float, count: int, order: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the composite Gauss–Legendre rule, increasing."""
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.linspace(low, high, count + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


def kolmogorov(draws: np.ndarray, r: np.ndarray, density: np.ndarray) -> float:
    """√n sup |F_n − F| for F the integral of a density tabulated on an equidistant fine grid."""
    cells = 0.5 * (density[1:] + density[:-1]) * np.diff(r)
    distribution = np.concatenate([[0.0], np.cumsum(cells)]) / cells.sum()
    f = np.interp(np.sort(draws), r, distribution)
    n = len(f)
    i = np.arange(n)
    return float(np.sqrt(n) * max(np.max(f - i / n), np.max((i + 1) / n - f)))
