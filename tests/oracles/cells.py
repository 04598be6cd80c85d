"""Nodes that divide a manifold into cells: a density's mass in each, and the cell of a draw."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2


class Cells(NamedTuple):
    """``nodes`` with the ``volumes`` they stand for and the number of the cell of each;
    ``place``: the number of the cell of points, −1 outside of all."""

    nodes: np.ndarray
    volumes: np.ndarray
    number: np.ndarray
    place: Callable[[np.ndarray], np.ndarray]

    def masses(self, log_prob) -> np.ndarray:
        p = np.exp(np.asarray(log_prob(self.nodes), np.float64)) * self.volumes
        return np.bincount(self.number, p)


def chi_square(draws: np.ndarray, masses: np.ndarray, cells: Cells) -> tuple[float, float]:
    """χ² of the counts of draws in the cells, and its quantile 1 − 10⁻⁵. Cells with fewer than ten
    expected draws, and what lies outside, are one."""
    where = cells.place(draws)
    got = np.bincount(where[where >= 0], minlength=len(masses)).astype(float)
    want = len(draws) * masses
    rare = want < 10
    got = np.append(got[~rare], len(draws) - got[~rare].sum())
    want = np.append(want[~rare], len(draws) - want[~rare].sum())
    if want[-1] < 10:
        got, want = got[:-1], want[:-1]
    return float(np.sum((got - want) ** 2 / want)), float(chi2.ppf(1 - 1e-5, len(want) - 1))


def _box(counts, fine, ends, to_points, volume, from_points) -> Cells:
    """Cells of equal sides in coordinates, ``fine`` midpoints along each side."""
    axes = [
        low + (high - low) * (np.arange(c * fine) + 0.5) / (c * fine)
        for c, (low, high) in zip(counts, ends, strict=True)
    ]
    u = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], -1)
    step = math.prod((high - low) / (c * fine) for c, (low, high) in zip(counts, ends, strict=True))

    def number(u):
        low, high = np.array(ends).T
        i = np.floor((u - low) / (high - low) * np.array(counts)).astype(int)
        inside = ((i >= 0) & (i < np.array(counts))).all(-1)
        found = np.ravel_multi_index(np.clip(i, 0, np.array(counts) - 1).T, counts)
        return np.where(inside, found, -1)

    return Cells(to_points(u), step * volume(u), number(u), lambda x: number(from_points(x)))


def _ones(u):
    return np.ones(len(u))


def sphere() -> Cells:
    def points(u):
        r = np.sqrt(1 - u[:, 0] ** 2)
        return np.stack([r * np.cos(u[:, 1]), r * np.sin(u[:, 1]), u[:, 0]], -1)

    def back(x):
        return np.stack([np.clip(x[:, 2], -1, 1 - 1e-12), np.arctan2(x[:, 1], x[:, 0])], -1)

    return _box((12, 12), 8, [(-1, 1), (-math.pi, math.pi)], points, _ones, back)


def torus() -> Cells:
    turn = [(-math.pi, math.pi)] * 2
    same = lambda u: u  # noqa: E731
    wrapped = lambda x: (x + math.pi) % (2 * math.pi) - math.pi  # noqa: E731
    return _box((12, 12), 6, turn, same, _ones, wrapped)


def plane(centre, reach) -> Cells:
    same = lambda u: u  # noqa: E731
    ends = [(c - reach, c + reach) for c in centre]
    return _box((16, 16), 6, ends, same, _ones, same)


def hyperbolic_plane(reach: float) -> Cells:
    """Polar coordinates about the origin: sinh r dr dθ."""

    def points(u):
        r, a = u.T
        return np.stack([np.cosh(r), np.sinh(r) * np.cos(a), np.sinh(r) * np.sin(a)], -1)

    def back(x):
        r = np.arcsinh(np.hypot(x[:, 1], x[:, 2]))
        return np.stack([r, np.arctan2(x[:, 2], x[:, 1])], -1)

    ends = [(0.0, reach), (-math.pi, math.pi)]
    return _box((28, 10), 8, ends, points, lambda u: np.sinh(u[:, 0]), back)


def rotations() -> Cells:
    """R_z(a) R_y(b) R_z(c): sin b da db dc, 8π² in all."""

    def points(u):
        (a, b, c), zero = (u[:, 0], np.arccos(u[:, 1]), u[:, 2]), np.zeros(len(u))
        turn = lambda t: np.moveaxis(  # noqa: E731
            np.array([[np.cos(t), -np.sin(t), zero], [np.sin(t), np.cos(t), zero],
                      [zero, zero, zero + 1]]), -1, 0)  # fmt: skip
        tilt = np.moveaxis(np.array([[np.cos(b), zero, np.sin(b)], [zero, zero + 1, zero],
                                     [-np.sin(b), zero, np.cos(b)]]), -1, 0)  # fmt: skip
        return turn(a) @ tilt @ turn(c)

    def back(x):
        a = np.arctan2(x[:, 1, 2], x[:, 0, 2])
        c = np.arctan2(x[:, 2, 1], -x[:, 2, 0])
        return np.stack([a, np.clip(x[:, 2, 2], -1, 1 - 1e-12), c], -1)

    ends = [(-math.pi, math.pi), (-1, 1), (-math.pi, math.pi)]
    return _box((6, 6, 6), 6, ends, points, _ones, back)
