"""The rotation group SO(3)."""

from __future__ import annotations

import math
import re
import warnings
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._geometry import Chords, Manifold, SineVolume, row_norms
from scorefold._systems import System
from scorefold._types import Key, Point, Scalar, Values, safe_norm
from scorefold.manifolds._check import PointsError, as_numbers, read_array, refuse_rows
from scorefold.manifolds._radial import arcsine_ratio, length, log_sinc, sinc, sum_of_squares
from scorefold.manifolds.points import check_points

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation


class SO3(Manifold):
    """SO(3) as 3×3 matrices with the angle metric ⟨U, V⟩ = ½ tr(UᵀV): the distance of two
    rotations is the angle, in radians, of the rotation between them; volume 8π².

    A tangent vector at R is R·hat(w) with w ∈ R³ and has length |w|. At the cut locus (rotations
    by π) ``log`` chooses the axis whose largest component is positive (the first largest); its
    derivative, and that of ``dist``, is that of this branch.
    """

    @property
    def name(self) -> str:
        return "SO(3)"

    @property
    def dim(self) -> int:
        return 3

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, 3)

    @property
    def log_volume(self) -> float:
        return math.log(8.0 * math.pi**2)

    @property
    def diameter(self) -> float:
        return math.pi

    @property
    def injectivity_radius(self) -> float:
        return math.pi

    @property
    def spectral_gap(self) -> float:
        return 2.0

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...]:
        return (SineVolume(2, 0.5, math.pi),)

    @property
    def tangent_output(self) -> Literal["killing"]:
        return "killing"

    @property
    def picture(self) -> str:
        return "rotations"

    @property
    def systems(self) -> tuple[System, ...]:
        return _systems(self)

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        p, q = (self.to_quaternion(z.reshape(-1, 3, 3), order="wxyz") for z in (x, y))
        p, q = p.reshape(*x.shape[:-2], 4), q.reshape(*y.shape[:-2], 4)
        apart, sum_ = row_norms(p - q), row_norms(p + q)
        return 4.0 * np.arctan2(np.minimum(apart, sum_), np.maximum(apart, sum_))

    def chords(self, x: np.ndarray) -> Chords:
        return Chords(x.reshape(len(x), 9) / math.sqrt(2.0), np.zeros(9), ordered=True)

    def chord(self, distance: np.ndarray) -> np.ndarray:
        return 2.0 * np.sin(0.5 * np.minimum(distance, math.pi))

    @property
    def readers(self) -> str:
        return (
            "SO3.from_quaternion, from_euler, from_rotation_vector, from_axis_angle and "
            "from_matrix read other forms."
        )

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.IsotropicHeat(self, heat.SO3Profile())

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return jnp.eye(3, dtype=dtype or jnp.result_type(float))

    def exp(self, x: Point, v: Point) -> Point:
        turn = _rotation_minus_identity(_body(x, v))
        y = x + _matmul(x, turn)
        # One Newton–Schulz step: rounding errors of thousands of steps do not add up.
        return y + 0.5 * _matmul(y, jnp.eye(3, dtype=x.dtype) - _matmul(y.T, y))

    def log(self, x: Point, y: Point) -> Point:
        return _matmul(x, _hat(_rotation_vector(x, y)))

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        # As ``_relative_quaternion``, number by number.
        gap = [[_dot(x[:, i], y[:, j] - x[:, j]) for j in range(3)] for i in range(3)]
        m = [[gap[i][j] + (1.0 if i == j else 0.0) for j in range(3)] for i in range(3)]
        skew = [gap[k][j] - gap[j][k] for j, k in ((1, 2), (2, 0), (0, 1))]
        trace = m[0][0] + m[1][1] + m[2][2]
        rows = [[1.0 + trace, *skew]]
        for i in range(3):
            symmetric = [m[i][j] + m[j][i] for j in range(3)]
            symmetric[i] = symmetric[i] + 1.0 - trace
            rows.append([skew[i], *symmetric])
        q, most = rows[0], rows[0][0]
        for i in (1, 2, 3):
            more = rows[i][i] > most
            q = [jnp.where(more, a, b) for a, b in zip(rows[i], q, strict=True)]
            most = jnp.where(more, rows[i][i], most)
        size = length(q)
        q = [a / size for a in q]
        # sin² and cos² of half the angle, which is at most a right one.
        low, high = sum_of_squares(q[1:]), q[0] * q[0]
        near = low <= high
        ratio = arcsine_ratio(jnp.minimum(low, high))
        sine = jnp.sqrt(jnp.where(near, 1.0, low))
        beyond = (0.5 * math.pi - jnp.abs(q[0]) * ratio) / sine
        scale = jnp.where(near, ratio, beyond)
        turn = jnp.where(q[0] < 0, -2.0, 2.0).astype(x.dtype) * scale
        return tuple(turn * a for a in q[1:]), -2.0 * jnp.log(scale)

    def dist(self, x: Point, y: Point) -> Scalar:
        q = _relative_quaternion(x, y)
        return 2.0 * jnp.arctan2(safe_norm(q[1:]), jnp.abs(q[0]))

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        return 0.5 * jnp.sum(u * v)

    def norm(self, x: Point, v: Point) -> Scalar:
        return math.sqrt(0.5) * safe_norm(v)

    def to_tangent(self, x: Point, u: Point) -> Point:
        return _matmul(x, _hat(_body(x, u)))

    def project(self, u: Point) -> Point:
        """The nearest rotation in the Frobenius norm (polar factor with determinant +1)."""
        return _nearest_rotation(u)

    def frame(self, x: Point) -> Array:
        return jax.vmap(lambda w: _matmul(x, _hat(w)))(jnp.eye(3, dtype=x.dtype))

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        # Along R·exp(tW) the body components turn by exp(−tW/2) (bi-invariant metric).
        half = _rotation_minus_identity(-0.5 * _rotation_vector(x, y))
        w = _body(x, v)
        return _matmul(y, _hat(w + jnp.sum(half * w[None, :], axis=1)))

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        """2 log |sin(r/2) / (r/2)|, r = |v|; finite at the conjugate points r = 2kπ."""
        return 2.0 * log_sinc(0.5 * self.norm(x, v))

    def __repr__(self) -> str:
        return "SO3()"

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        q = jax.random.normal(key, (4,), dtype or jnp.result_type(float))
        q = q / safe_norm(q)
        hat = _hat(q[1:])
        return jnp.eye(3, dtype=q.dtype) + 2.0 * (q[0] * hat + _matmul(hat, hat))

    def defect(self, x: Point) -> Scalar:
        """max |XᵀX − I| or |det X − 1|, whichever is larger."""
        skewness = jnp.max(jnp.abs(_matmul(x.T, x) - jnp.eye(3, dtype=x.dtype)))
        volume = jnp.sum(x[0] * jnp.cross(x[1], x[2]))
        return jnp.maximum(skewness, jnp.abs(volume - 1.0))

    def killing(self, x: Point) -> Array:
        """The left-invariant fields R·hat(e_i); their flows are R ↦ R·exp(t·hat(e_i))."""
        return self.frame(x)

    def audit(self, name: str, points: np.ndarray) -> None:
        gram = np.einsum("nki,nkj->nij", points, points)
        flipped = (np.linalg.det(points) < 0) & (np.abs(gram - np.eye(3)).max((1, 2)) < 1e-2)
        hint = "A rotation has determinant +1: check the handedness or the sign of one axis."
        refuse_rows(name, flipped, points, "a reflection (orthogonal, determinant −1)", hint)

    # -- readers ---------------------------------------------------------------------------------
    def from_quaternion(self, q: Values, *, order: str) -> Array:
        """Rotations from quaternions, shape ``(n, 4)`` or ``(4,)``; q and −q are the same rotation
        and lengths are divided out.

        **Arguments:** ``order``: ``"wxyz"`` (scalar first) or ``"xyzw"`` (scalar last); there is
        no default.
        **Raises:** ``ValueError`` naming the rows for zero quaternions and values not finite.
        """
        first = _scalar_first(order)
        x = read_array("q", q, (4,), "quaternions")
        rows = x.reshape(-1, 4)
        zero = np.linalg.norm(rows, axis=-1) == 0
        refuse_rows("q", zero, rows, "the zero quaternion", "It is no rotation; drop these rows.")
        return _points(_scipy().from_quat(np.roll(x, -1, axis=-1) if first else x))

    def to_quaternion(self, x: Values, *, order: str) -> np.ndarray:
        """Unit quaternions with scalar part ≥ 0, float64."""
        first = _scalar_first(order)
        q = _rotation(x).as_quat(canonical=True)
        return np.roll(q, 1, axis=-1) if first else q

    def from_euler(self, angles: Values, *, convention: str = "ZXZ", degrees: bool) -> Array:
        """Rotations from three Euler angles, shape ``(n, 3)`` or ``(3,)``.

        **Arguments:** ``convention``: three axes as in ``scipy.spatial.transform.Rotation``:
        upper case for turning axes (intrinsic), lower case for fixed axes (extrinsic). The
        default ``"ZXZ"`` with (φ₁, Φ, φ₂) is Bunge's; the matrix maps crystal to sample
        coordinates, R = R_z(φ₁) R_x(Φ) R_z(φ₂), and its transpose is Bunge's g. ``degrees``: no
        default.
        """
        _check_convention(convention)
        x = read_array("angles", angles, (3,), "three Euler angles")
        rows = x.reshape(-1, 3)
        if not degrees:
            hint = "These look like degrees: pass degrees=True."
            wide = np.abs(rows) > 2.02 * np.pi
            refuse_rows("angles", wide, rows, "beyond ±2π, though degrees=False", hint)
        return _points(_scipy().from_euler(convention, x, degrees=degrees))

    def to_euler(self, x: Values, *, convention: str = "ZXZ", degrees: bool) -> np.ndarray:
        """Euler angles, float64; where the middle angle makes them ambiguous the third is 0."""
        _check_convention(convention)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Gimbal lock")
            return _rotation(x).as_euler(convention, degrees=degrees)

    def from_rotation_vector(self, w: Values, *, degrees: bool) -> Array:
        """Rotations about w/|w| by the angle |w|, shape ``(n, 3)`` or ``(3,)``."""
        vectors = read_array("w", w, (3,), "rotation vectors, axis times angle")
        return _points(_scipy().from_rotvec(vectors, degrees=degrees))

    def to_rotation_vector(self, x: Values, *, degrees: bool) -> np.ndarray:
        """Axis times angle, angle in [0, π], float64."""
        return _rotation(x).as_rotvec(degrees=degrees)

    def from_axis_angle(self, axis: Values, angle: Values, *, degrees: bool) -> Array:
        """Rotations about ``axis``, ``(n, 3)`` or ``(3,)``, by ``angle``, ``(n,)`` or a number."""
        axes = read_array("axis", axis, (3,), "rotation axes")
        turns = read_array("angle", angle, (), "one angle for each axis")
        length = np.linalg.norm(axes, axis=-1)
        zero, rows = length.reshape(-1) == 0, axes.reshape(-1, 3)
        refuse_rows("axis", zero, rows, "the zero vector", "It names no axis.")
        if turns.ndim and turns.shape != length.shape:
            needed = f"needs {length.shape} or one number"
            raise PointsError(f"angle: has shape {turns.shape}, {needed}.")
        return self.from_rotation_vector(axes * (turns / length)[..., None], degrees=degrees)

    def to_axis_angle(self, x: Values, *, degrees: bool) -> tuple[np.ndarray, np.ndarray]:
        """Unit axes and angles in [0, π], float64; the axis of the identity is e_z."""
        w = _rotation(x).as_rotvec()
        angle = np.linalg.norm(w, axis=-1)
        still = angle == 0
        unit = w / np.where(still, 1.0, angle)[..., None]
        axis = np.where(still[..., None], np.array([0.0, 0.0, 1.0]), unit)
        return axis, np.degrees(angle) if degrees else angle

    def from_matrix(self, matrices: Values) -> Array:
        """Rotations from matrices, shape ``(n, 3, 3)``, ``(n, 9)`` (rows), ``(3, 3)`` or ``(9,)``.

        **Raises:** ``ValueError`` naming the rows for reflections (determinant −1) and for
        matrices more than 1e-4 from orthogonal.
        """
        shape = np.shape(matrices)
        if shape[-1:] == (9,) and len(shape) <= 2:
            matrices = np.asarray(matrices).reshape(*shape[:-1], 3, 3)
        out = check_points(self, matrices, name="matrices")
        return jnp.asarray(out, dtype=jnp.result_type(float))


def _matmul(a: Array, b: Array) -> Array:
    """a·b as sums of products: full precision on every device, where a matrix unit may round."""
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def _hat(w: Array) -> Array:
    zero = jnp.zeros((), w.dtype)
    return jnp.stack([zero, -w[2], w[1], w[2], zero, -w[0], -w[1], w[0], zero]).reshape(3, 3)


def _dot(a: Array, b: Array) -> Scalar:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _vee(a: Array) -> Array:
    """The vector of the skew part of a 3×3 matrix."""
    return 0.5 * jnp.stack([a[2, 1] - a[1, 2], a[0, 2] - a[2, 0], a[1, 0] - a[0, 1]])


def _body(x: Point, u: Point) -> Array:
    """w with x·hat(w) the tangent part of u."""
    return _vee(_matmul(x.T, u))


@jax.custom_jvp
def _nearest_rotation(u: Array) -> Array:
    """The polar factor of determinant +1, by singular values; its derivative by the equation that
    it solves, for the decomposition has none where singular values agree."""
    left, _, right = jnp.linalg.svd(u)
    sign = jnp.where(jnp.linalg.det(_matmul(left, right)) < 0, -1.0, 1.0).astype(u.dtype)
    return _matmul(left * jnp.ones((3,), u.dtype).at[2].set(sign)[None, :], right)


@_nearest_rotation.defjvp
def _nearest_rotation_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """dX = X hat(w), where S = XᵀU is symmetric and (tr S · I − S) w = vee(XᵀdU − dUᵀX). X stands
    in it again, so that derivatives of all orders follow."""
    (u,), (du,) = primals, tangents
    x = _nearest_rotation(u)
    s = _matmul(x.T, u)
    b = jnp.trace(s) * jnp.eye(3, dtype=u.dtype) - 0.5 * (s + s.T)
    return x, _matmul(x, _hat(_solve(b, 2.0 * _body(x, du))))


def _solve(b: Array, y: Array) -> Array:
    """b⁻¹y for a symmetric 3×3 matrix by cofactors; 0 where there is no inverse."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(b)))
    b = b / jnp.where(size > 0, size, 1.0)
    cofactors = jnp.stack([jnp.cross(b[1], b[2]), jnp.cross(b[2], b[0]), jnp.cross(b[0], b[1])])
    det = jnp.sum(b[0] * cofactors[0])
    some = (size > 0) & (jnp.abs(det) > float(jnp.finfo(b.dtype).tiny))
    found = jnp.sum(cofactors * y[None, :], axis=1) / jnp.where(some, det * size, 1.0)
    return jnp.where(some, found, 0.0)


def _rotation_minus_identity(w: Array) -> Array:
    """exp(hat w) − I = 2q₀ hat(q) + 2 hat(q)², (q₀, q) the unit quaternion (Rodrigues)."""
    half = 0.5 * safe_norm(w)
    q = 0.5 * sinc(half) * w
    hat = _hat(q)
    return 2.0 * (jnp.cos(half) * hat + _matmul(hat, hat))


def _relative_quaternion(x: Point, y: Point) -> Array:
    """The unit quaternion (w, x, y, z) of xᵀy whose largest component is positive.

    4qqᵀ is linear in the matrix; its row with the largest diagonal entry gives q without
    cancellation (Shepperd 1978). The skew part is taken from y − x, so that small rotations keep
    their relative accuracy.
    """
    m = _matmul(x.T, y)
    skew = 2.0 * _vee(_matmul(x.T, y - x))
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    symmetric = m + m.T + (1.0 - trace) * jnp.eye(3, dtype=x.dtype)
    top = jnp.concatenate([(1.0 + trace)[None], skew])
    table = jnp.concatenate([top[None], jnp.concatenate([skew[:, None], symmetric], 1)])
    largest = jnp.argmax(jnp.diagonal(table))
    row = table[largest]
    return row / safe_norm(row)


def _rotation_vector(x: Point, y: Point) -> Array:
    """w with y = x·exp(hat w), |w| ≤ π."""
    q = _relative_quaternion(x, y)
    q = jnp.where(q[0] < 0, -q, q)
    sine = safe_norm(q[1:])
    # angle/sine of the half angle, by the series of its arctangent where the quotient is 0/0.
    near = sine < 1e-2
    t = jnp.where(near, sine / jnp.where(near, q[0], 1.0), 0.0) ** 2
    series = (1.0 - t * (1 / 3 - t * (1 / 5 - t * (1 / 7 - t / 9)))) / jnp.where(near, q[0], 1.0)
    far = jnp.arctan2(sine, q[0]) / jnp.where(near, 1.0, sine)
    return 2.0 * jnp.where(near, series, far) * q[1:]


# -- other forms, and how tables of them are written -----------------------------------------------
_OFF = 1e-4


def _scipy() -> type[Rotation]:
    from scipy.spatial.transform import Rotation

    return Rotation


def _points(rotation: Rotation) -> Array:
    return jnp.asarray(rotation.as_matrix(), dtype=jnp.result_type(float))


def _rotation(x: Values) -> Rotation:
    return _scipy().from_matrix(as_numbers("x", x).astype(np.float64))


def _scalar_first(order: str) -> bool:
    if order not in ("wxyz", "xyzw"):
        raise ValueError(f'order={order!r}: must be "wxyz" (scalar first) or "xyzw" (scalar last).')
    return order == "wxyz"


def _check_convention(convention: str) -> None:
    if not re.fullmatch(r"[XYZ]{3}|[xyz]{3}", convention):
        raise ValueError(
            f'convention={convention!r}: must be three axes such as "ZXZ" (turning axes, Bunge), '
            '"ZYX" or "xyz" (fixed axes).'
        )


def _arc(chord: np.ndarray) -> np.ndarray:
    """The angle between two rotations whose matrices are that far apart."""
    return 2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1))


def _matrices(rotation: Rotation) -> np.ndarray:
    return rotation.as_matrix().reshape(-1, 9) + 0.0


def _zero(values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.linalg.norm(values, axis=1) == 0


def _off(values: np.ndarray, degrees: bool) -> np.ndarray:
    x = values.reshape(-1, 3, 3)
    gram = np.abs(np.einsum("nki,nkj->nij", x, x) - np.eye(3)).max((1, 2))
    return (gram > _OFF) | (np.linalg.det(x) < 0)


def _place_axis_angle(values: np.ndarray, degrees: bool) -> np.ndarray:
    axis = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    return _matrices(_scipy().from_rotvec(axis * values[:, 3:], degrees=degrees))


def _euler(m: SO3, name: str, title: str, convention: str, *roles: str) -> System:
    return System(
        name, title, roles,
        read=lambda v, degrees: m.from_euler(v, convention=convention, degrees=degrees),
        write=lambda x, degrees: m.to_euler(x, convention=convention, degrees=degrees),
        place=lambda v, degrees: _matrices(_scipy().from_euler(convention, v, degrees=degrees)),
        arc=_arc, angles=(True,) * 3, bounded=("Phi", "pitch", "tilt"), ambiguous=True,
    )  # fmt: skip


def _systems(m: SO3) -> tuple[System, ...]:
    return (
        System(
            "matrix", "matrix by rows", tuple(f"r{i}{j}" for i in "123" for j in "123"),
            place=lambda v, degrees: _matrices(_scipy().from_matrix(v.reshape(-1, 3, 3))),
            outside=_off, arc=_arc, ambiguous=True,
        ),
        _euler(m, "euler", "Bunge Euler angles, ZXZ", "ZXZ", "phi1", "Phi", "phi2"),
        _euler(m, "rollpitchyaw", "roll, pitch and yaw, fixed axes x, y, z", "xyz",
               "roll", "pitch", "yaw"),
        _euler(m, "zyz", "Euler angles rot, tilt, psi, ZYZ", "ZYZ", "rot", "tilt", "psi"),
        System(
            "rotvec", "rotation vector", ("x", "y", "z"),
            read=lambda v, degrees: m.from_rotation_vector(v, degrees=degrees),
            write=lambda x, degrees: m.to_rotation_vector(x, degrees=degrees),
            place=lambda v, degrees: _matrices(_scipy().from_rotvec(v, degrees=degrees)),
            arc=_arc, angles=(True,) * 3, wraps=False, ambiguous=True,
        ),
        System(
            "quaternion", "quaternion", ("w", "x", "y", "z"),
            read=lambda v, degrees: m.from_quaternion(v, order="wxyz"),
            write=lambda x, degrees: m.to_quaternion(x, order="wxyz"),
            place=lambda v, degrees: _matrices(_scipy().from_quat(np.roll(v, -1, axis=-1))),
            outside=_zero, arc=_arc, ambiguous=True,
        ),
        System(
            "axisangle", "axis and angle", ("axis x", "axis y", "axis z", "angle"),
            read=lambda v, degrees: m.from_axis_angle(v[:, :3], v[:, 3], degrees=degrees),
            write=lambda x, degrees: np.column_stack(m.to_axis_angle(x, degrees=degrees)),
            place=_place_axis_angle, outside=lambda v, degrees: _zero(v[:, :3], degrees), arc=_arc,
            angles=(False, False, False, True), wraps=False, ambiguous=True,
        ),
    )  # fmt: skip
