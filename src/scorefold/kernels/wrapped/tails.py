"""How much of a wrapped normal kernel can lie beyond a distance."""

from __future__ import annotations

import itertools
import math

import numpy as np

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Manifold, Product, Sphere, Torus

__all__ = ["log_beyond", "radius_beyond"]

_MOST_CURVED = 8
"""Factors on which exp contracts volumes, of which all combinations are looked at."""
_STANDARD = 40.0
_GRID = 1025

Curved = list[tuple[int, float]]


def curved(manifold: Manifold) -> Curved | None:
    """(k, a) for each factor on which the volume element of exp is (sin ar / ar)^k, r ≤ π; those
    left out have one of at least 1. None for a manifold unknown here, or with too many."""
    kind = type(manifold)
    if kind is Product:
        parts = [curved(m) for m in manifold.factors]  # type: ignore[attr-defined]
        known = [p for p in parts if p is not None]
        found = [c for p in known for c in p]
        return found if len(known) == len(parts) and len(found) <= _MOST_CURVED else None
    if kind is Sphere:
        return [(manifold.dim - 1, 1.0)] if manifold.dim > 1 else []
    if kind is SO3:
        return [(2, 0.5)]
    return [] if kind in (Euclidean, Torus, Hyperbolic) else None


def log_beyond(manifold: Manifold, radius: np.ndarray, std: float, eps: float) -> np.ndarray | None:
    """A bound on log (kernel(x)/peak) at all distances r ≥ ``radius``, shape of ``radius``:

        sup_{r ≥ R} −r²/2σ² − log |det d exp_v|,  |v| = r,  r_i ≤ π − eps on factors S^d,

    for a kernel whose largest standard deviation is at most σ. In the squares u_i = r_i² of the
    distances on the factors, −log sin(√u)/√u = Σ c_j u^j with c_j ≥ 0 is convex, so the supremum
    lies at a corner of {0 ≤ u_i ≤ U_i, Σ u_i ≥ R²}: all corners are looked at. Exact where every
    factor is a sphere of dimension 2 or more or SO(3), or none is. Points within ``eps`` of a
    sphere's cut locus, where a wrapped law is unbounded, are left out. None for a manifold
    unknown here.
    """
    factors = curved(manifold)
    if factors is None:
        return None
    square = np.asarray(radius, np.float64) ** 2
    ends = [(math.pi - (eps if a == 1.0 else 0.0)) ** 2 for _, a in factors]
    pure = type(manifold) in (Sphere, SO3) and bool(factors)
    best = np.full(square.shape, -np.inf)
    for picked in itertools.product([False, True], repeat=len(factors)):
        spent = sum(e for e, on in zip(ends, picked, strict=True) if on)
        level = sum(
            _bend(np.asarray([e]), c)[0]
            for e, c, on in zip(ends, factors, picked, strict=True)
            if on
        )
        rest = square - spent
        # A corner of the box; or all the rest on the flat part; or on one more factor.
        corner = level - 0.5 * spent / std**2
        best = np.where(rest <= 0, np.maximum(best, corner), best)
        if not pure:
            along = level - 0.5 * square / std**2
            best = np.where(rest > 0, np.maximum(best, along), best)
        for end, c, on in zip(ends, factors, picked, strict=True):
            if not on:
                inside = (rest > 0) & (rest <= end)
                along = level + _bend(np.clip(rest, 0.0, end), c) - 0.5 * square / std**2
                best = np.where(inside, np.maximum(best, along), best)
    return best


def _bend(square: np.ndarray, factor: tuple[int, float]) -> np.ndarray:
    """−k log (sin ar / ar), r² = ``square``."""
    k, a = factor
    return -k * np.log(np.sinc(a * np.sqrt(square) / math.pi))


def radius_beyond(manifold: Manifold, level: np.ndarray, std: float, eps: float) -> np.ndarray:
    """Distances beyond which ``log_beyond`` is at most ``level``; inf where none is found."""
    if not curved(manifold):
        return std * np.sqrt(2.0 * np.maximum(-level, 0.0))
    end = min(manifold.diameter / std, _STANDARD)
    grid = std * np.linspace(0.0, end, _GRID)
    beyond = log_beyond(manifold, grid, std, eps)
    assert beyond is not None
    at = np.searchsorted(-beyond, -level, side="left")
    return np.append(grid, np.inf)[at]
