"""The boundary of a region on a surface: closed curves at which log p has one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scorefold.manifolds import Manifold
from scorefold.models import Model
from scorefold.regions.surfaces import Surface, surface

_DEEP = 50.0
"""Nats from the level beyond which a density is as good as 0."""
_STEPS = 8
_WIDER, _TRIES = 0.25, 12
"""By which share the box around the draws grows on each side, and how often."""

LogDensity = Callable[[np.ndarray], np.ndarray]


class Contours(NamedTuple):
    """``curves``: closed curves, each (k, *shape) float64, the last point next to the first, with
    the region on the left (on S² as seen from outside); on T² angles in [−π, π), which jump by a
    turn where a curve crosses −π. ``area``: of the triangles' parts inside, by quadrature.
    ``inside``: whether each vertex of ``surface`` is in the region, which without curves is all or
    nothing."""

    curves: list[np.ndarray]
    area: float
    surface: Surface
    inside: np.ndarray


def level_contours(
    model: Model, levels: Sequence[float], draws: np.ndarray, resolution: int
) -> list[Contours]:
    """The boundaries of {log p ≥ c} on S², T² or R² for each level c, from one net of triangles.

    log p is computed at the vertices. An edge with one end inside and one outside has a point of
    the curve, found to 10⁻³ of the edge; each triangle with such edges has two, so that curves
    close by themselves, across the poles, the meridian of 180° and the seams of a torus. What is
    smaller than a triangle can be missed.

    **Arguments:** ``draws``: points of the model, which say where on R² to look.
    **Raises:** ``ValueError`` for other spaces, and for a ``resolution`` (edges on a quarter of a
    great circle, on a turn of T², on a side of R²) that is not between 2 and 4096.
    """
    if not isinstance(resolution, int | np.integer) or not 2 <= resolution <= 4096:
        raise ValueError(f"resolution: a whole number from 2 to 4096, got {resolution!r:.40}.")

    def log_density(x: np.ndarray) -> np.ndarray:
        return np.asarray(model.log_prob(x), np.float64)

    net, logs = _values(model.manifold, resolution, min(levels), draws, log_density)

    def beyond(c: float) -> LogDensity:
        return lambda x: log_density(x) - c

    return [_level_set(net, logs - c, beyond(c)) for c in levels]


def _values(
    manifold: Manifold, resolution: int, level: float, draws: np.ndarray, log_density: LogDensity
) -> tuple[Surface, np.ndarray]:
    """The triangles, and log p at their vertices. A box in R² grows until its edge is outside of
    the region."""
    points = np.asarray(draws, np.float64)
    box = np.stack([points.min(axis=0), points.max(axis=0)])
    for _ in range(_TRIES):
        net = surface(manifold, resolution, box)
        beyond = net.edge.size and (log_density(net.points[net.edge]) >= level).any()
        if not beyond:
            break
        box = box + _WIDER * (box[1] - box[0]) * np.array([[-1.0], [1.0]])
    else:
        raise ValueError(f"model: log p ≥ {level:.4g} far beyond all of its draws.")
    return net, log_density(net.points)


def _level_set(net: Surface, values: np.ndarray, beyond: LogDensity) -> Contours:
    """The curves of value 0, with the positive side on the left."""
    inside = values >= 0.0
    corners = inside[net.triangles]
    mixed = corners.any(axis=1) & ~corners.all(axis=1)
    whole = float(net.areas[corners.all(axis=1)].sum())
    if not mixed.any():
        return Contours([], whole, net, inside)
    triangles, corners = net.triangles[mixed], corners[mixed]
    ends = triangles[:, [1, 2, 0]]
    # Around a triangle the region is left at one edge and entered again at another.
    leaves = np.argmax(corners & ~corners[:, [1, 2, 0]], axis=1)
    enters = np.argmax(~corners & corners[:, [1, 2, 0]], axis=1)
    row = np.arange(len(triangles))
    left = np.stack([triangles[row, leaves], ends[row, leaves]], axis=1)
    entered = np.stack([ends[row, enters], triangles[row, enters]], axis=1)
    # Both as (end inside, end outside): an edge is left in one triangle, entered in another.
    edges, number = np.unique(np.concatenate([left, entered]), axis=0, return_inverse=True)
    start, stop = number.reshape(2, -1)
    share = _crossings(net, edges, values, beyond)
    points = net.between(net.points[edges[:, 0]], net.points[edges[:, 1]], share)
    following = np.empty(len(edges), int)
    following[start] = stop
    # The corner that stands alone has a share of the triangle: the product of both its edges'.
    alone = corners.sum(axis=1) == 1
    product = np.where(alone, share[start] * share[stop], (1 - share[start]) * (1 - share[stop]))
    part = np.where(alone, product, 1.0 - product)
    area = whole + float(net.areas[mixed] @ part)
    return Contours([points[loop] for loop in _loops(following)], area, net, inside)


def _crossings(
    net: Surface, edges: np.ndarray, values: np.ndarray, beyond: LogDensity
) -> np.ndarray:
    """Where on each edge the value is 0, as a share of its length, by the secant that counts half
    an end that stays twice (Illinois, Dowell & Jarratt 1971)."""
    a, b = net.points[edges[:, 0]], net.points[edges[:, 1]]
    low, high = np.zeros(len(edges)), np.ones(len(edges))
    f, g = (_bounded(values[edges[:, k]]) for k in (0, 1))
    before = np.zeros(len(edges))
    for _ in range(_STEPS):
        t = _strictly(low + (high - low) * f / (f - g), low, high)
        value = _bounded(beyond(net.between(a, b, t)))
        up = value >= 0.0
        low, high = np.where(up, t, low), np.where(up, high, t)
        way = np.where(up, 1.0, -1.0)
        half = np.where(way == before, 0.5, 1.0)
        f, g, before = np.where(up, value, half * f), np.where(up, half * g, value), way
    return _strictly(low + (high - low) * f / (f - g), np.zeros(1), np.ones(1))


def _bounded(value: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(value, nan=-_DEEP), -_DEEP, _DEEP)


def _strictly(t: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Inside of the bracket, by a ten thousandth: no two curves meet at a vertex."""
    margin = 1e-4 * (high - low)
    return np.clip(t, low + margin, high - margin)


def _loops(following: np.ndarray) -> list[np.ndarray]:
    """The cycles of a permutation."""
    left, loops = np.ones(len(following), bool), []
    steps = following.tolist()
    for first in range(len(steps)):
        if left[first]:
            loop, k = [], first
            while left[k]:
                left[k] = False
                loop.append(k)
                k = steps[k]
            loops.append(np.array(loop))
    return loops
