"""Other forms of rotations, at the NumPy edge: read and written in float64."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.manifolds._check import PointsError, read_array, refuse_rows

if TYPE_CHECKING:
    from scorefold.manifolds.so3 import SO3

__all__: list[str] = []


def _scipy():
    from scipy.spatial.transform import Rotation

    return Rotation


def _scalar_first(order: str) -> bool:
    if order not in ("wxyz", "xyzw"):
        raise ValueError(f'order={order!r}: must be "wxyz" (scalar first) or "xyzw" (scalar last).')
    return order == "wxyz"


def _points(rotation) -> Array:
    return jnp.asarray(rotation.as_matrix(), dtype=jnp.result_type(float))


def _rotation(x):
    return _scipy().from_matrix(np.asarray(x, dtype=np.float64))


def from_quaternion(q, order: str) -> Array:
    first = _scalar_first(order)
    q = read_array("q", q, (4,), "quaternions")
    rows = q.reshape(-1, 4)
    zero = np.linalg.norm(rows, axis=-1) == 0
    refuse_rows("q", zero, rows, "the zero quaternion", "It is no rotation; drop these rows.")
    return _points(_scipy().from_quat(np.roll(q, -1, axis=-1) if first else q))


def to_quaternion(x, order: str) -> np.ndarray:
    first = _scalar_first(order)
    q = _rotation(x).as_quat(canonical=True)
    return np.roll(q, 1, axis=-1) if first else q


def _check_convention(convention: str) -> None:
    if not re.fullmatch(r"[XYZ]{3}|[xyz]{3}", convention):
        raise ValueError(
            f'convention={convention!r}: must be three axes such as "ZXZ" (turning axes, Bunge), '
            '"ZYX" or "xyz" (fixed axes).'
        )


def from_euler(angles, convention: str, degrees: bool) -> Array:
    _check_convention(convention)
    angles = read_array("angles", angles, (3,), "three Euler angles")
    rows = angles.reshape(-1, 3)
    if not degrees:
        refuse_rows(
            "angles",
            np.abs(rows) > 2.02 * np.pi,
            rows,
            "beyond ±2π, though degrees=False",
            "These look like degrees: pass degrees=True.",
        )
    return _points(_scipy().from_euler(convention, angles, degrees=degrees))


def to_euler(x, convention: str, degrees: bool) -> np.ndarray:
    import warnings

    _check_convention(convention)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gimbal lock")
        return _rotation(x).as_euler(convention, degrees=degrees)


def from_rotation_vector(w, degrees: bool) -> Array:
    w = read_array("w", w, (3,), "rotation vectors, axis times angle")
    return _points(_scipy().from_rotvec(w, degrees=degrees))


def to_rotation_vector(x, degrees: bool) -> np.ndarray:
    return _rotation(x).as_rotvec(degrees=degrees)


def from_axis_angle(axis, angle, degrees: bool) -> Array:
    axis = read_array("axis", axis, (3,), "rotation axes")
    angle = read_array("angle", angle, (), "one angle for each axis")
    rows = axis.reshape(-1, 3)
    length = np.linalg.norm(axis, axis=-1)
    refuse_rows("axis", length.reshape(-1) == 0, rows, "the zero vector", "It names no axis.")
    if angle.ndim and angle.shape != length.shape:
        raise PointsError(f"angle: has shape {angle.shape}, needs {length.shape} or one number.")
    return from_rotation_vector(axis * (angle / length)[..., None], degrees)


def to_axis_angle(x, degrees: bool) -> tuple[np.ndarray, np.ndarray]:
    w = _rotation(x).as_rotvec()
    angle = np.linalg.norm(w, axis=-1)
    still = angle == 0
    unit = w / np.where(still, 1.0, angle)[..., None]
    axis = np.where(still[..., None], np.array([0.0, 0.0, 1.0]), unit)
    return axis, np.degrees(angle) if degrees else angle


def from_matrix(manifold: SO3, matrices) -> Array:
    from scorefold.manifolds.points import check_points

    shape = np.shape(matrices)
    if shape[-1:] == (9,) and len(shape) <= 2:
        matrices = np.asarray(matrices).reshape(*shape[:-1], 3, 3)
    out = check_points(manifold, matrices, name="matrices")
    return jnp.asarray(out, dtype=jnp.result_type(float))
