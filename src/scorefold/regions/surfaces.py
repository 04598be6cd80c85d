"""Triangles that cover a surface: the sphere S², the torus T², a rectangle of the plane."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scorefold.manifolds import Manifold


class Surface(NamedTuple):
    """``points``: vertices, float64, shape (n, *shape); ``triangles``: three vertices each, counted
    anticlockwise (on S² as seen from outside), (m, 3); ``areas``: of the triangles, (m,);
    ``between(a, b, t)``: points on the way from a to b; ``edge``: vertices on the border, if there
    is one."""

    points: np.ndarray
    triangles: np.ndarray
    areas: np.ndarray
    between: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    edge: np.ndarray


def has_surface(manifold: Manifold) -> bool:
    """Whether ``surface`` knows triangles of it: S², T² and R²."""
    flat = manifold.toral or manifold.euclidean
    return manifold.picture == "sphere" or (flat and manifold.dim == 2)


def surface(manifold: Manifold, resolution: int, box: np.ndarray) -> Surface:
    """``resolution``: edges on a quarter of a great circle of S², on a turn of T², on a side of
    the ``box`` [low, high] of R².

    **Raises:** ``ValueError`` for a manifold that is none of these.
    """
    if not has_surface(manifold):
        raise ValueError(f"model: contours are drawn on S^2, T^2 and R^2, not on {manifold.name}.")
    if manifold.picture == "sphere":
        return _sphere(resolution)
    return _torus(resolution) if manifold.toral else _rectangle(resolution, box)


def _sphere(n: int) -> Surface:
    """The octahedron, each face in n² triangles. The poles are vertices, and edges lie on the
    meridian of 180°, where y = 0 exactly: no triangle crosses it, so maps can be cut there.

    A vertex is three whole numbers of sum n (without their signs), at (sin πi/2n, …) normalised.
    """
    i, j = (part.ravel() for part in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    up = np.stack([[i, j], [i + 1, j], [i, j + 1]], axis=1)[:, :, i + j < n]
    down = np.stack([[i + 1, j], [i + 1, j + 1], [i, j + 1]], axis=1)[:, :, i + j < n - 1]
    x, y = np.concatenate([up, down], axis=2)
    face = np.stack([x, y, n - x - y], axis=-1)  # (3, faces, 3)
    signs = np.stack(np.meshgrid([1, -1], [1, -1], [1, -1], indexing="ij"), -1).reshape(-1, 3)
    every = (signs[:, None, None, :] * face).reshape(-1, 3)
    code = ((every[:, 0] + n) * (2 * n + 1) + every[:, 1] + n) * 2 + (every[:, 2] > 0)
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    angle = 0.5 * np.pi * np.abs(every[first]) / n
    # Of 0 exactly 0, of n exactly 1.
    points = np.sign(every[first]) * np.sin(angle)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    corners = number.reshape(len(signs), 3, -1)
    corners[signs.prod(axis=1) < 0] = corners[signs.prod(axis=1) < 0][:, ::-1]
    triangles = corners.transpose(0, 2, 1).reshape(-1, 3)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    dots = [np.einsum("ij,ij->i", p, q) for p, q in ((a, b), (b, c), (c, a))]
    # Van Oosterom & Strackee 1983.
    areas = 2.0 * np.arctan2(volume, 1.0 + sum(dots))

    def between(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
        z = (1.0 - t[:, None]) * a + t[:, None] * b
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    return Surface(points, triangles, areas, between, np.zeros(0, int))


def _torus(n: int) -> Surface:
    turn = 2.0 * np.pi
    angles = turn * np.arange(n) / n - np.pi
    points = np.stack(np.meshgrid(angles, angles, indexing="ij"), -1).reshape(-1, 2)
    number = np.pad(np.arange(n * n).reshape(n, n), (0, 1), mode="wrap")

    def between(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
        way = np.remainder(b - a + np.pi, turn) - np.pi
        return np.remainder(a + t[:, None] * way + np.pi, turn) - np.pi

    triangles = _halves(number)
    areas = np.full(len(triangles), 0.5 * (turn / n) ** 2)
    return Surface(points, triangles, areas, between, np.zeros(0, int))


def _rectangle(n: int, box: np.ndarray) -> Surface:
    x, y = (np.linspace(low, high, n + 1) for low, high in box.T)
    points = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    triangles = _halves(number)
    areas = np.full(len(triangles), 0.5 * float(np.prod((box[1] - box[0]) / n)))
    edge = np.concatenate([number[0], number[-1], number[:, 0], number[:, -1]])

    def between(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
        return a + t[:, None] * (b - a)

    return Surface(points, triangles, areas, between, np.unique(edge))


def _halves(number: np.ndarray) -> np.ndarray:
    """Two triangles of every cell of a grid of numbered vertices, the first axis to the right."""
    a, b = number[:-1, :-1].ravel(), number[1:, :-1].ravel()
    c, d = number[1:, 1:].ravel(), number[:-1, 1:].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
