"""The grounds of a manifold: what its points are placed on in a page, by the picture it states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.explore.ground import Ground, InBox, OnPlane, OnSphere, OnTorus, ranged, ruler
from scorefold.report.flat import limits_of
from scorefold.report.hyperbolic import PoincareDisk
from scorefold.report.picture import view_points, views_of

if TYPE_CHECKING:
    from scorefold.manifolds import Manifold


def grounds_of(
    manifold: Manifold, points: np.ndarray, axes: Axes, earth: bool
) -> list[tuple[str, list[Ground]]]:
    """What there is to choose from: a title, and grounds that are seen at once. ``points`` set the
    ranges that the manifold does not. Empty in dimension 1 and for products."""
    kind = manifold.picture
    if manifold.dim == 1 or kind == "factors":
        return []
    if kind == "sphere":
        return [("globe", [OnSphere(earth)])]
    if kind == "rotations":
        return [
            ("where the three axes go", [OnSphere(axis=k) for k in range(3)]),
            ("ball of rotation vectors", [_rotation_vectors(manifold)]),
        ]
    if kind == "disk":
        disk = PoincareDisk()
        rulers = ranged([ruler(UNNAMED, k, f"u{k + 1}") for k in range(2)], [(-1.0, 1.0)] * 2)
        return [("Poincaré disk", [OnPlane(disk, rulers, radius=math.tanh(disk.reach / 2))])]
    views = views_of(manifold, [points], axes=axes, earth=earth)
    if kind == "angles":
        return _of_angles(manifold.dim, views, axes)
    return _of_vectors(manifold, points, views, axes)


def _of_angles(d: int, views: list, axes: Axes) -> list[tuple[str, list[Ground]]]:
    found: list[tuple[str, list[Ground]]] = []
    for view in views:
        pair = (view.first, view.second)
        two = tuple(ruler(axes, k, f"angle {k + 1}", "degrees", angle=True) for k in pair)
        of = "" if d == 2 else f", {two[0].label} and {two[1].label}"
        found.append((f"torus{of}", [OnTorus(view, two, unit="rad²")]))
        if d == 2:
            found.append(("angles in a square", [OnPlane(view, two, unit="rad²")]))
    return found


def _of_vectors(
    manifold: Manifold, points: np.ndarray, views: list, axes: Axes
) -> list[tuple[str, list[Ground]]]:
    """Pairs of coordinates, those of the embedding where the manifold is no vector space; of three
    or more the first three in space."""
    flat = manifold.picture == "coordinates"
    own = axes if flat else UNNAMED
    vectors = view_points(manifold, points)
    count = vectors.shape[1]
    rulers = [ruler(own, k, f"x{k + 1}" if flat else f"embedding {k + 1}") for k in range(count)]
    shifts = np.array([own.shift(k) for k in range(count)])
    found: list[tuple[str, list[Ground]]] = []
    if count > 2:
        limits = [limits_of(vectors[:, k] + shifts[k]) for k in range(3)]

        def numbers(x: np.ndarray) -> np.ndarray:
            return view_points(manifold, x)[:, :3] + shifts[:3]

        found.append(("in space", [InBox(numbers, ranged(rulers[:3], limits))]))
    for view in views:
        first, second = getattr(view, "first", 0), getattr(view, "second", 1)
        left, right, bottom, top = view.extent
        two = ranged([rulers[first], rulers[second]], [(left, right), (bottom, top)])
        title = "plane" if count == 2 else f"{two[0].label} and {two[1].label}"
        found.append((title, [OnPlane(view, two, lambda x: view_points(manifold, x))]))
    return found


def _rotation_vectors(manifold: Manifold) -> InBox:
    """log of a rotation at the identity: its axis times its angle."""
    origin = jnp.asarray(manifold.origin())

    def numbers(x: np.ndarray) -> np.ndarray:
        at = origin.astype(jnp.result_type(float))

        def one(point: jax.Array) -> jax.Array:
            return manifold.components(at, manifold.log(at, point))

        return np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(x, at.dtype)), np.float64)

    rulers = [ruler(UNNAMED, k, f"{name} (rad)") for k, name in enumerate("xyz")]
    return InBox(numbers, ranged(rulers, [(-np.pi, np.pi)] * 3), ball=True)
