"""The flat torus T^d: d angles."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._systems import System
from scorefold._types import Key, Point, Scalar, Values, safe_norm
from scorefold.manifolds._check import as_numbers, read_array, refuse_rows, sine_cosine
from scorefold.manifolds._flat import FlatManifold


class Torus(FlatManifold):
    """T^d = (R / 2πZ)^d with the flat metric; a point is d angles in radians, in [−π, π).

    Differences are wrapped to [−π, π), so at the cut locus (an angle and its opposite) ``log``
    returns −π in that coordinate.
    """

    d: int = 1

    @property
    def name(self) -> str:
        return f"T^{self.d}"

    @property
    def log_volume(self) -> float:
        return self.d * math.log(2.0 * math.pi)

    @property
    def diameter(self) -> float:
        return math.pi * math.sqrt(self.d)

    @property
    def spectral_gap(self) -> float:
        return 1.0

    @property
    def periods(self) -> np.ndarray:
        return np.full(self.d, 2.0 * math.pi)

    @property
    def picture(self) -> str:
        return "angles"

    @property
    def systems(self) -> tuple[System, ...]:
        return (
            System(
                "angles", "angles", tuple(f"angle {i + 1}" for i in range(self.d)),
                lambda v, degrees: self.from_angles(v, degrees=degrees),
                lambda x, degrees: self.to_angles(x, degrees=degrees),
                _place, angles=(True,) * self.d, ordered=False, ambiguous=True,
            ),
        )  # fmt: skip

    @property
    def readers(self) -> str:
        return "Torus.from_angles(angles, degrees=True) reads angles in degrees."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.TorusHeat(self)

    def exp(self, x: Point, v: Point) -> Point:
        return _wrap(x + v)

    def log(self, x: Point, y: Point) -> Point:
        return _wrap(y - x)

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        gap = y - x
        # ``_wrap`` without a remainder, which is a call.
        inside = gap - 2.0 * math.pi * jnp.floor((gap + math.pi) / (2.0 * math.pi))
        return tuple(inside), jnp.zeros((), x.dtype)

    def dist(self, x: Point, y: Point) -> Scalar:
        return safe_norm(self.log(x, y))

    def project(self, u: Point) -> Point:
        return _wrap(u)

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        dtype = dtype or jnp.result_type(float)
        return _wrap(2.0 * math.pi * jax.random.uniform(key, self.shape, dtype))

    def embed(self, x: Point) -> Array:
        return jnp.concatenate([jnp.cos(x), jnp.sin(x)])

    def audit(self, name: str, points: np.ndarray) -> None:
        what = "beyond ±2π, where angles in radians are expected"
        hint = "These look like degrees: use Torus.from_angles(angles, degrees=True). If they are "
        hint += "radians of several turns, use Torus.from_angles(angles, degrees=False)."
        refuse_rows(name, np.abs(points) > 2.02 * math.pi, points, what, hint)

    # -- readers ---------------------------------------------------------------------------------
    def from_angles(self, angles: Values, *, degrees: bool) -> Array:
        """Points from angles of any number of turns, shape ``(n, d)`` or ``(d,)``: the same shape,
        radians in [−π, π).

        **Arguments:** ``degrees``: whether the angles are in degrees; there is no default.
        **Raises:** ``ValueError`` naming the rows if a value is not a finite number, or if the
        last axis is not d.
        """
        read = read_array("angles", angles, self.shape, "one angle for each circle of the torus")
        turn = 360.0 if degrees else 2.0 * math.pi
        turns = np.remainder(read / turn + 0.5, 1.0) - 0.5
        return _wrap(jnp.asarray(2.0 * math.pi * turns, dtype=jnp.result_type(float)))

    def to_angles(self, x: Values, *, degrees: bool) -> np.ndarray:
        """The angles of points as float64, in degrees in [−180, 180) or in radians."""
        radians = as_numbers("x", x).astype(np.float64)
        return np.degrees(radians) if degrees else radians


def _place(values: np.ndarray, degrees: bool) -> np.ndarray:
    sine, cosine = sine_cosine(values, degrees)
    return np.concatenate([cosine, sine], axis=-1)


def _wrap(angle: Array) -> Array:
    """The angle in [−π, π) that differs by whole turns; exact for every finite float."""
    turn = 2.0 * math.pi
    inside = jnp.fmod(angle, turn)
    inside = jnp.where(inside >= math.pi, inside - turn, inside)
    return jnp.where(inside < -math.pi, inside + turn, inside)
