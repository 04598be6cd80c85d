"""Coordinate systems: how numbers in columns are points of one space, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Array

from scorefold import manifolds
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Manifold, Sphere, Torus

__all__ = ["SYSTEMS", "System", "kind", "systems_of"]

_OFF = 1e-4


class System(NamedTuple):
    """One way of writing points of a space in columns, in the order of ``roles``.

    ``read(manifold, values, degrees)`` makes points of float64 columns (n, k), ``write`` goes
    back; ``place`` gives float64 coordinates in which equal points are equal rows (to rounding) and
    distance is a chord; ``outside`` says which rows are out of range. ``angles``: which columns are
    angles; ``unit``: their unit where none is stated; ``wraps``: whether whole turns change
    nothing; ``ordered``: whether the order of the columns says which is which.
    """

    title: str
    roles: Callable[[Manifold], tuple[str, ...]]
    angles: Callable[[int], tuple[bool, ...]]
    read: Callable[[Manifold, np.ndarray, bool], Array]
    write: Callable[[Manifold, np.ndarray, bool], np.ndarray]
    place: Callable[[Manifold, np.ndarray, bool], np.ndarray]
    outside: Callable[[Manifold, np.ndarray, bool], np.ndarray]
    unit: str | None = None
    wraps: bool = True
    ordered: bool = True


def kind(manifold: Manifold) -> str:
    """``R``, ``S``, ``T``, ``H`` or ``SO``: which table of names and systems is meant."""
    name = manifold.name
    return "SO" if name == "SO(3)" else name.split("^")[0]


def systems_of(manifold: Manifold) -> dict[int, tuple[str, ...]]:
    """For each number of columns the systems that take it, the one read by position first."""
    space, d = kind(manifold), manifold.dim
    if space == "SO":
        return {
            3: ("euler", "rollpitchyaw", "zyz", "rotvec"),
            4: ("quaternion", "axisangle"),
            9: ("matrix",),
        }
    if space == "S":
        more = {2: ("latlon", "colatlon")} if d == 2 else {}
        return {d + 1: ("vector",), **more}
    if space == "H":
        return {d: ("poincare",), d + 1: ("hyperboloid",)}
    return {d: ("angles" if space == "T" else "flat",)}


# -- angles ----------------------------------------------------------------------------------------
def _sincos(angles: np.ndarray, degrees: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine, the same bits for angles that differ by whole turns."""
    full = 360.0 if degrees else 2 * np.pi
    # To 1e-9 of a degree: −0.1 and 359.9 differ in the last bit otherwise.
    fraction = np.remainder(np.round(np.remainder(angles / full, 1.0), 11), 1.0)
    return np.sin(2 * np.pi * fraction), np.cos(2 * np.pi * fraction)


def _place_angles(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    sine, cosine = _sincos(values, degrees)
    return np.concatenate([cosine, sine], axis=-1)


def _write_angles(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return np.degrees(points) if degrees else points


# -- latitude and longitude ------------------------------------------------------------------------
def _top(degrees: bool) -> float:
    return 90.0 if degrees else np.pi / 2


def _read_latlon(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return cast(Sphere, m).from_latlon(values[:, 0], values[:, 1], degrees=degrees)


def _write_latlon(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return cast(Sphere, m).to_latlon(points, degrees=degrees)


def _place_latlon(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    lat, lon = values[:, 0], values[:, 1]
    z, r = _sincos(lat, degrees)
    r = np.where(np.abs(lat) >= _top(degrees), 0.0, r)
    y, x = _sincos(lon, degrees)
    return np.stack([r * x, r * y, z], axis=-1) + 0.0


def _outside_latlon(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    top = _top(degrees)
    return (np.abs(values[:, 0]) > top) | (np.abs(values[:, 1]) > 4 * top)


def _from_pole(values: np.ndarray, degrees: bool) -> np.ndarray:
    """(90° − first, second): colatitude to latitude and back."""
    return np.stack([_top(degrees) - values[:, 0], values[:, 1]], axis=-1)


# -- rotations -------------------------------------------------------------------------------------
def _euler(title: str, convention: str, *roles: str) -> System:
    def read(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
        return cast(SO3, m).from_euler(values, convention=convention, degrees=degrees)

    def write(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
        return cast(SO3, m).to_euler(points, convention=convention, degrees=degrees)

    def place(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
        return _matrices(_scipy().from_euler(convention, values, degrees=degrees))

    return System(title, lambda m: roles, _all, read, write, place, _inside)


def _scipy():
    from scipy.spatial.transform import Rotation

    return Rotation


def _matrices(rotation) -> np.ndarray:
    return rotation.as_matrix().reshape(-1, 9) + 0.0


def _read_quaternion(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return cast(SO3, m).from_quaternion(values, order="wxyz")


def _write_quaternion(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return cast(SO3, m).to_quaternion(points, order="wxyz")


def _place_quaternion(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return _matrices(_scipy().from_quat(np.roll(values, -1, axis=-1)))


def _zero(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.linalg.norm(values, axis=1) == 0


def _read_rotvec(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return cast(SO3, m).from_rotation_vector(values, degrees=degrees)


def _write_rotvec(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return cast(SO3, m).to_rotation_vector(points, degrees=degrees)


def _place_rotvec(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return _matrices(_scipy().from_rotvec(values, degrees=degrees))


def _read_axisangle(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return cast(SO3, m).from_axis_angle(values[:, :3], values[:, 3], degrees=degrees)


def _write_axisangle(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    axis, angle = cast(SO3, m).to_axis_angle(points, degrees=degrees)
    return np.concatenate([axis, angle[:, None]], axis=1)


def _place_axisangle(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    axis = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    return _place_rotvec(m, axis * values[:, 3:], degrees)


def _zero_axis(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.linalg.norm(values[:, :3], axis=1) == 0


# -- arrays that hold a point ----------------------------------------------------------------------
def _read_ambient(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return manifolds.check_points(m, values.reshape(len(values), *m.shape), "points")


def _write_ambient(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return points.reshape(len(points), -1)


def _place_ambient(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return values + 0.0


def _place_vector(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True) + 0.0


def _place_matrix(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return _matrices(_scipy().from_matrix(values.reshape(-1, 3, 3)))


def _off_sphere(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.abs(np.linalg.norm(values, axis=1) - 1) > _OFF


def _off_rotations(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    x = values.reshape(-1, 3, 3)
    gram = np.abs(np.einsum("nki,nkj->nij", x, x) - np.eye(3)).max((1, 2))
    return (gram > _OFF) | (np.linalg.det(x) < 0)


def _read_poincare(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return cast(Hyperbolic, m).from_poincare(values)


def _write_poincare(m: Manifold, points: np.ndarray, degrees: bool) -> np.ndarray:
    return cast(Hyperbolic, m).to_poincare(points)


def _off_ball(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.linalg.norm(values, axis=1) >= 1


def _inside(m: Manifold, values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def _read_flat(m: Manifold, values: np.ndarray, degrees: bool) -> Array:
    return manifolds.check_points(cast(Euclidean, m), values, "points")


def _all(k: int) -> tuple[bool, ...]:
    return (True,) * k


def _none(k: int) -> tuple[bool, ...]:
    return (False,) * k


def _axes(m: Manifold) -> tuple[str, ...]:
    return ("x", "y", "z") if m.dim == 2 else tuple(f"x{i}" for i in range(m.dim + 1))


SYSTEMS: dict[str, System] = {
    "latlon": System(
        "latitude and longitude", lambda m: ("latitude", "longitude"), _all,
        _read_latlon, _write_latlon, _place_latlon, _outside_latlon, unit="degrees",
    ),
    "colatlon": System(
        "colatitude and longitude", lambda m: ("colatitude", "longitude"), _all,
        lambda m, v, d: _read_latlon(m, _from_pole(v, d), d),
        lambda m, p, d: _from_pole(_write_latlon(m, p, d), d),
        lambda m, v, d: _place_latlon(m, _from_pole(v, d), d),
        lambda m, v, d: _outside_latlon(m, _from_pole(v, d), d), unit="degrees",
    ),
    "vector": System(
        "unit vector", _axes, _none,
        _read_ambient, _write_ambient, _place_vector, _off_sphere,
    ),
    "angles": System(
        "angles", lambda m: tuple(f"angle {i + 1}" for i in range(m.dim)), _all,
        lambda m, v, d: cast(Torus, m).from_angles(v, degrees=d),
        _write_angles, _place_angles, _inside, ordered=False,
    ),
    "euler": _euler("Bunge Euler angles, ZXZ", "ZXZ", "phi1", "Phi", "phi2"),
    "rollpitchyaw": _euler("roll, pitch and yaw, fixed axes x, y, z", "xyz",
                           "roll", "pitch", "yaw"),
    "zyz": _euler("Euler angles rot, tilt, psi, ZYZ", "ZYZ", "rot", "tilt", "psi"),
    "quaternion": System(
        "quaternion", lambda m: ("w", "x", "y", "z"), _none,
        _read_quaternion, _write_quaternion, _place_quaternion, _zero,
    ),
    "axisangle": System(
        "axis and angle", lambda m: ("axis x", "axis y", "axis z", "angle"),
        lambda k: (False, False, False, True),
        _read_axisangle, _write_axisangle, _place_axisangle, _zero_axis, wraps=False,
    ),
    "rotvec": System(
        "rotation vector", lambda m: ("x", "y", "z"), _all,
        _read_rotvec, _write_rotvec, _place_rotvec, _inside, wraps=False,
    ),
    "matrix": System(
        "matrix by rows", lambda m: tuple(f"r{i}{j}" for i in "123" for j in "123"), _none,
        _read_ambient, _write_ambient, _place_matrix, _off_rotations,
    ),
    "poincare": System(
        "Poincaré ball", lambda m: tuple(f"p{i + 1}" for i in range(m.dim)), _none,
        _read_poincare, _write_poincare, _place_ambient, _off_ball, ordered=False,
    ),
    "hyperboloid": System(
        "hyperboloid", lambda m: ("time", *(f"x{i + 1}" for i in range(m.dim))), _none,
        _read_ambient, _write_ambient, _place_ambient, _inside,
    ),
    "flat": System(
        "numbers", lambda m: tuple(f"coordinate {i + 1}" for i in range(m.dim)), _none,
        _read_flat, _write_ambient, _place_ambient, _inside, ordered=False,
    ),
}  # fmt: skip
"""Every coordinate system, by the name that run.json holds."""
