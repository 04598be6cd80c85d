"""How much of a wrapped normal kernel can lie beyond a distance."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from scorefold._geometry import SineVolume
from scorefold.manifolds import Manifold

_MOST_CURVED = 8
"""Factors on which exp contracts volumes, of which all combinations are looked at."""
_STANDARD = 15.0
_GRID = 1025
_CLASSES = 16
"""Widths in a factor of two, each with a row of its own."""


def curved(manifold: Manifold) -> list[SineVolume] | None:
    """The factors on which exp contracts volumes; None where they are unknown, or too many."""
    if manifold.sine_volumes is None:
        return None
    found = [factor for factor in manifold.sine_volumes if factor.power > 0]
    return found if len(found) <= _MOST_CURVED else None


def log_beyond(manifold: Manifold, radius: np.ndarray, std: float, eps: float) -> np.ndarray | None:
    """A bound on log (kernel(x)/peak) at all distances r ≥ ``radius``, shape of ``radius``:

        sup_{r ≥ R} −r²/2σ² − log |det d exp_v|,  |v| = r,  r_i ≤ c_i on curved factors,

    for a kernel whose largest standard deviation is at most σ. In the squares u_i = r_i² of the
    distances on the factors, −log sin(√u)/√u = Σ c_j u^j with c_j ≥ 0 is convex, so the supremum
    lies at a corner of {0 ≤ u_i ≤ U_i, Σ u_i ≥ R²}: all corners are looked at. Exact where every
    factor is a sphere of dimension 2 or more or SO(3), or none is. c_i is the distance of the cut
    locus; points within ``eps`` of a sphere's, where a wrapped law is unbounded, are left out. None
    for a manifold whose ``sine_volumes`` are not known.
    """
    factors = curved(manifold)
    if factors is None:
        return None
    square = np.asarray(radius, np.float64) ** 2
    # Where the volume element vanishes on the cut locus the law is unbounded beside it.
    ends = [(f.cut - (eps if f.rate * f.cut >= math.pi else 0.0)) ** 2 for f in factors]
    pure = len(manifold.factors) == 1 and bool(factors)
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


def _bend(square: np.ndarray, factor: SineVolume) -> np.ndarray:
    """−k log (sin ar / ar), r² = ``square``."""
    return -factor.power * np.log(np.sinc(factor.rate * np.sqrt(square) / math.pi))


class Beyond(NamedTuple):
    """max(a − k R², c): a bound on log (kernel(x)/peak) at all distances r ≥ R."""

    top: np.ndarray
    """a."""
    slope: np.ndarray
    """k."""
    least: np.ndarray
    """c."""

    @classmethod
    def of(cls, manifold: Manifold, std: np.ndarray, eps: float) -> Beyond:
        """Of ``log_beyond`` for laws whose largest standard deviations are ``std``, each taken up
        to the next of 16 in a factor of two."""
        step = np.ceil(_CLASSES * np.log2(std)).astype(int)
        steps, which = np.unique(step, return_inverse=True)
        lines = [_line(manifold, 2.0 ** (k / _CLASSES) * (1.0 + 1e-6), eps) for k in steps.tolist()]
        return cls(*np.asarray(lines)[which.reshape(-1)].T)


def _line(manifold: Manifold, std: float, eps: float) -> tuple[float, float, float]:
    end = min(manifold.diameter, _STANDARD * std)
    radius = np.linspace(0.0, end, _GRID)
    beyond = log_beyond(manifold, radius, std, eps)
    assert beyond is not None
    least = float(beyond[np.isfinite(beyond)][-1])  # none is beyond the cut locus
    last = int(np.argmax(beyond <= least))
    slope = max(-least, 0.0) / radius[max(last, 1)] ** 2
    # From one radius to the next the bound is that at the first.
    top = float(np.max(beyond[:-1] + slope * radius[1:] ** 2))
    return top, slope, least
