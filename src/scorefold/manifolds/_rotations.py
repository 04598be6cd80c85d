"""Other forms of rotations, at the NumPy edge: read and written in float64."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._geometry import Manifold
from scorefold._systems import System
from scorefold.manifolds._check import PointsError, read_array, refuse_rows
from scorefold.manifolds.points import check_points

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


def from_matrix(manifold: Manifold, matrices) -> Array:
    shape = np.shape(matrices)
    if shape[-1:] == (9,) and len(shape) <= 2:
        matrices = np.asarray(matrices).reshape(*shape[:-1], 3, 3)
    out = check_points(manifold, matrices, name="matrices")
    return jnp.asarray(out, dtype=jnp.result_type(float))


# -- how tables of them are written ----------------------------------------------------------------
_OFF = 1e-4


def _arc(chord: np.ndarray) -> np.ndarray:
    """The angle between two rotations whose matrices are that far apart."""
    return 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1))


def _matrices(rotation) -> np.ndarray:
    return rotation.as_matrix().reshape(-1, 9) + 0.0


def _zero(values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.linalg.norm(values, axis=1) == 0


def _off(values: np.ndarray, degrees: bool) -> np.ndarray:
    x = values.reshape(-1, 3, 3)
    gram = np.abs(np.einsum("nki,nkj->nij", x, x) - np.eye(3)).max((1, 2))
    return (gram > _OFF) | (np.linalg.det(x) < 0)


def _write_axis_angle(points: np.ndarray, degrees: bool) -> np.ndarray:
    axis, angle = to_axis_angle(points, degrees)
    return np.concatenate([axis, angle[:, None]], axis=1)


def _place_axis_angle(values: np.ndarray, degrees: bool) -> np.ndarray:
    axis = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    return _matrices(_scipy().from_rotvec(axis * values[:, 3:], degrees=degrees))


def _euler(name: str, title: str, convention: str, *roles: str) -> System:
    return System(
        name, title, roles,
        lambda v, degrees: from_euler(v, convention, degrees),
        lambda x, degrees: to_euler(x, convention, degrees),
        lambda v, degrees: _matrices(_scipy().from_euler(convention, v, degrees=degrees)),
        arc=_arc, angles=(True,) * 3, ambiguous=True,
    )  # fmt: skip


SYSTEMS = (
    System(
        "matrix", "matrix by rows", tuple(f"r{i}{j}" for i in "123" for j in "123"),
        place=lambda v, degrees: _matrices(_scipy().from_matrix(v.reshape(-1, 3, 3))),
        outside=_off, arc=_arc, ambiguous=True,
    ),
    _euler("euler", "Bunge Euler angles, ZXZ", "ZXZ", "phi1", "Phi", "phi2"),
    _euler("rollpitchyaw", "roll, pitch and yaw, fixed axes x, y, z", "xyz",
           "roll", "pitch", "yaw"),
    _euler("zyz", "Euler angles rot, tilt, psi, ZYZ", "ZYZ", "rot", "tilt", "psi"),
    System(
        "rotvec", "rotation vector", ("x", "y", "z"),
        lambda v, degrees: from_rotation_vector(v, degrees),
        lambda x, degrees: to_rotation_vector(x, degrees),
        lambda v, degrees: _matrices(_scipy().from_rotvec(v, degrees=degrees)),
        arc=_arc, angles=(True,) * 3, wraps=False, ambiguous=True,
    ),
    System(
        "quaternion", "quaternion", ("w", "x", "y", "z"),
        lambda v, degrees: from_quaternion(v, "wxyz"),
        lambda x, degrees: to_quaternion(x, "wxyz"),
        lambda v, degrees: _matrices(_scipy().from_quat(np.roll(v, -1, axis=-1))),
        _zero, _arc, ambiguous=True,
    ),
    System(
        "axisangle", "axis and angle", ("axis x", "axis y", "axis z", "angle"),
        lambda v, degrees: from_axis_angle(v[:, :3], v[:, 3], degrees),
        _write_axis_angle, _place_axis_angle, lambda v, degrees: _zero(v[:, :3], degrees), _arc,
        (False, False, False, True), wraps=False, ambiguous=True,
    ),
)  # fmt: skip
