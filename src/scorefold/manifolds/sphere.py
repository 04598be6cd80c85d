"""The unit sphere S^d in R^{d+1}."""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._blocks import device
from scorefold._geometry import Chords, Manifold, SineVolume, row_norms
from scorefold._systems import System
from scorefold._types import Key, Point, Scalar, Values, safe_norm
from scorefold.manifolds._check import (
    as_numbers,
    check_dimension,
    read_columns,
    refuse_rows,
    sine_cosine,
)
from scorefold.manifolds._radial import (
    angle_over_sine,
    arcsine_ratio,
    length,
    log_sinc,
    sinc,
    sum_of_squares,
    twice_arctangent,
)


class Sphere(Manifold):
    """S^d = {x ∈ R^{d+1}: |x| = 1} with the metric of the ambient space; distances in radians.

    At the cut locus (y = −x) ``log`` returns the vector of length π towards the first vector of
    ``frame(x)``; ``transport`` to −x goes along the same geodesic.
    """

    d: int = 2

    def __check_init__(self) -> None:
        check_dimension("Sphere", self.d, 1)

    @property
    def name(self) -> str:
        return f"S^{self.d}"

    @property
    def dim(self) -> int:
        return self.d

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d + 1,)

    @property
    def log_volume(self) -> float:
        n = self.d + 1
        return math.log(2.0) + 0.5 * n * math.log(math.pi) - math.lgamma(0.5 * n)

    @property
    def diameter(self) -> float:
        return math.pi

    @property
    def injectivity_radius(self) -> float:
        return math.pi

    @property
    def chart(self) -> Literal["stereographic"]:
        return "stereographic"

    @property
    def spectral_gap(self) -> float:
        return float(self.d)

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...]:
        return (SineVolume(self.d - 1, 1.0, math.pi),)

    @property
    def negative_type(self) -> Literal["weak"]:
        return "weak"

    @property
    def picture(self) -> str:
        return {1: "circle", 2: "sphere"}.get(self.d, "embedding")

    @property
    def systems(self) -> tuple[System, ...]:
        axes = ("x", "y", "z") if self.d == 2 else tuple(f"x{i}" for i in range(self.d + 1))
        vector = System(
            "vector", "unit vector", axes, place=_place, outside=_off, arc=_arc, ambiguous=True
        )
        return (vector,) if self.d != 2 else (*_latitudes(self), vector)

    def normalised(self, x: np.ndarray) -> np.ndarray:
        size = np.linalg.norm(x, axis=-1, keepdims=True)
        return x / np.where(size > 0, size, 1.0)

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 2.0 * np.arctan2(row_norms(x - y), row_norms(x + y))

    def chords(self, x: np.ndarray) -> Chords:
        return Chords(x, np.zeros(self.d + 1), ordered=True)

    def chord(self, distance: np.ndarray) -> np.ndarray:
        return 2.0 * np.sin(0.5 * np.minimum(distance, math.pi))

    @property
    def readers(self) -> str:
        return "Sphere(2).from_latlon(lat, lon) reads latitude and longitude."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.IsotropicHeat(self, heat.SphereProfile(self.d))

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return jnp.zeros(self.shape, dtype or jnp.result_type(float)).at[0].set(1.0)

    def exp(self, x: Point, v: Point) -> Point:
        r = safe_norm(v)
        return self.project(jnp.cos(r) * x + sinc(r) * v)

    def log(self, x: Point, y: Point) -> Point:
        # The part of y across x, without cancellation at small angles.
        across = self.to_tangent(x, y - x)
        antipodal = _antipodal(x, y)
        sine = safe_norm(jnp.where(antipodal, jnp.ones_like(x), across))
        regular = angle_over_sine(self.dist(x, y), sine) * across
        tie = math.pi * jax.lax.stop_gradient(self.frame(x)[0])
        return jnp.where(antipodal, tie, regular)

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        gap, total = list(y - x), list(y + x)
        # sin² and cos² of half the angle.
        low, high = 0.25 * sum_of_squares(gap), 0.25 * sum_of_squares(total)
        near = low <= high
        smaller, larger = jnp.minimum(low, high), jnp.sqrt(jnp.maximum(low, high))
        ratio = arcsine_ratio(smaller)
        # y − x and y + x have one part across x; the smaller has it without cancellation.
        w = [jnp.where(near, a, b) for a, b in zip(gap, total, strict=True)]
        pole = jnp.where(x[0] >= 0, 1.0, -1.0).astype(x.dtype)
        along = functools.reduce(jnp.add, [a * b for a, b in zip(w, x, strict=True)])
        drop = (along + pole * w[0]) / (1.0 + jnp.abs(x[0]))
        across = [a - drop * b for a, b in zip(w[1:], x[1:], strict=True)]
        # Beyond a right angle: what is left to the antipode is small, not the sine.
        tie = high < 4.0 * float(jnp.finfo(x.dtype).eps) ** 2
        beyond = near | tie
        root = jnp.sqrt(jnp.where(beyond, 1.0, smaller))
        angle = jnp.where(tie, math.pi, math.pi - 2.0 * root * ratio)
        sine = length([jnp.where(beyond, 1.0, u) for u in across])
        scale = jnp.where(near, ratio / larger, angle / sine)
        v = [scale * u for u in across]
        v = [jnp.where(tie, 0.0 if k else math.pi, u) for k, u in enumerate(v)]
        if self.d == 1:
            return tuple(v), jnp.zeros_like(low)
        floor = float(jnp.finfo(x.dtype).tiny)
        contracted = jnp.where(near, larger / ratio, 2.0 * root * larger / angle)
        contracted = jnp.where(tie, floor, contracted)
        return tuple(v), (self.d - 1) * jnp.log(jnp.maximum(contracted, floor))

    def dist(self, x: Point, y: Point) -> Scalar:
        chord, total = y - x, y + x
        square = jnp.sum(total * total)
        apart = square > float(jnp.finfo(x.dtype).eps)
        # Rounding of |x| and |y| shows along x + y; it would swamp angles below 1e-6 in float32.
        chord = (
            chord
            - jnp.where(apart, jnp.sum(chord * total), 0.0) / jnp.where(apart, square, 1.0) * total
        )
        return twice_arctangent(safe_norm(chord), safe_norm(total))

    def to_tangent(self, x: Point, u: Point) -> Point:
        return u - jnp.sum(x * u) * x

    def project(self, u: Point) -> Point:
        n = safe_norm(u)
        ok = n != 0  # true for NaN, which stays NaN
        return jnp.where(ok, u / jnp.where(ok, n, 1.0), self.origin(u.dtype))

    def frame(self, x: Point) -> Array:
        # Parallel transport of e₁…e_d from the nearer pole ±e₀.
        pole = jnp.where(x[0] >= 0, 1.0, -1.0).astype(x.dtype)
        e = jnp.eye(self.d + 1, dtype=x.dtype)
        along = x + pole * e[0]
        return e[1:] - x[1:, None] / (1.0 + jnp.abs(x[0])) * along[None, :]

    def components(self, x: Point, v: Point) -> Array:
        pole = jnp.where(x[0] >= 0, 1.0, -1.0).astype(x.dtype)
        along = jnp.sum(x * v) + pole * v[0]
        return v[1:] - along / (1.0 + jnp.abs(x[0])) * x[1:]

    def from_components(self, x: Point, c: Array) -> Point:
        pole = jnp.where(x[0] >= 0, 1.0, -1.0).astype(x.dtype)
        share = jnp.sum(c * x[1:]) / (1.0 + jnp.abs(x[0]))
        return jnp.concatenate([-share[None] * (x[:1] + pole), c - share * x[1:]])

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        # The reflection across x + y carries x to −y and is the transport on tangent vectors.
        antipodal = _antipodal(x, y)
        mirror = jnp.where(antipodal, self.frame(x)[0], x + y)
        mirror = mirror / safe_norm(mirror)
        return v - 2.0 * jnp.sum(v * mirror) * mirror

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        """(d − 1) log |sin r / r|, r = |v|; finite at the conjugate points r = kπ."""
        return (self.d - 1) * log_sinc(safe_norm(v))

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        return self.project(jax.random.normal(key, self.shape, dtype or jnp.result_type(float)))

    def defect(self, x: Point) -> Scalar:
        return jnp.abs(safe_norm(x) - 1.0)

    def killing(self, x: Point) -> Array:
        """The d(d+1)/2 rotations x ↦ x_i e_j − x_j e_i, i < j."""
        i, j = np.triu_indices(self.d + 1, k=1)
        e = jnp.eye(self.d + 1, dtype=x.dtype)
        return x[i][:, None] * e[j] - x[j][:, None] * e[i]

    def audit(self, name: str, points: np.ndarray) -> None:
        zero = np.linalg.norm(points, axis=-1) == 0
        refuse_rows(name, zero, points, "the zero vector", "It has no direction on the sphere.")

    # -- readers ---------------------------------------------------------------------------------
    def from_latlon(self, lat: Values, lon: Values, *, degrees: bool = True) -> Array:
        """Unit vectors (cos φ cos λ, cos φ sin λ, sin φ) from latitude φ and longitude λ.

        **Arguments:** ``lat``, ``lon``: arrays of n values, in degrees unless
        ``degrees=False`` (radians). Longitudes 0…360 and −180…180 are the same.
        **Raises:** ``ValueError`` naming the rows if a value is not finite, |lat| > 90° or
        |lon| > 360°; it says so when the two columns look swapped or radians look like degrees.
        """
        if self.d != 2:
            raise ValueError(f"Latitude and longitude describe S^2, not {self.name}.")
        return device(unit_vectors(lat, lon, degrees=degrees), jnp.result_type(float))

    def to_latlon(self, x: Values, *, degrees: bool = True) -> np.ndarray:
        """Columns (lat, lon) of unit vectors, shape (n, 2); lon in (−180, 180]."""
        x = as_numbers("x", x).astype(np.float64)
        lat = np.arctan2(x[..., 2], np.hypot(x[..., 0], x[..., 1]))
        lon = np.arctan2(x[..., 1], x[..., 0])
        out = np.stack([lat, lon], -1)
        return np.degrees(out) if degrees else out


def unit_vectors(lat: Values, lon: Values, *, degrees: bool) -> np.ndarray:
    """``Sphere(2).from_latlon`` with all digits: float64, shape ``(n, 3)``."""
    lat, lon = read_columns(lat=lat, lon=lon)
    unit = 1.0 if not degrees else math.pi / 180
    top = 90.0 if degrees else math.pi / 2
    label = "°" if degrees else " rad"
    beyond = np.abs(lat) > top * (1 + 1e-9)
    if beyond.any():
        swapped = np.abs(lon).max(initial=0.0) <= top and np.abs(lat).max() <= 4 * top
        hint = (
            "The longitudes all fit in the latitude range: the two columns look swapped."
            if swapped
            else "Latitudes run from -90 to 90 degrees."
            if degrees
            else "With degrees=False the values are radians; these look like degrees."
        )
        refuse_rows("lat", beyond, lat, f"beyond ±{top:.6g}{label}", hint)
    hint = "Longitudes run from -180 to 180 or from 0 to 360 degrees."
    beyond = np.abs(lon) > 4 * top * (1 + 1e-9)
    refuse_rows("lon", beyond, lon, f"beyond ±{4 * top:.6g}{label}", hint)
    phi, lam = lat * unit, lon * unit
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)


def _antipodal(x: Array, y: Array) -> Array:
    """Whether y = −x to rounding."""
    return safe_norm(x + y) < 4.0 * float(jnp.finfo(x.dtype).eps)


# -- how tables of it are written ------------------------------------------------------------------
_OFF = 1e-4


def _place(values: np.ndarray, degrees: bool) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True) + 0.0


def _off(values: np.ndarray, degrees: bool) -> np.ndarray:
    return np.abs(np.linalg.norm(values, axis=1) - 1) > _OFF


def _arc(chord: np.ndarray) -> np.ndarray:
    return 2 * np.arcsin(np.minimum(chord / 2, 1))


def _top(degrees: bool) -> float:
    return 90.0 if degrees else np.pi / 2


def _place_latlon(values: np.ndarray, degrees: bool) -> np.ndarray:
    lat, lon = values[:, 0], values[:, 1]
    z, r = sine_cosine(lat, degrees)
    r = np.where(np.abs(lat) >= _top(degrees), 0.0, r)
    y, x = sine_cosine(lon, degrees)
    return np.stack([r * x, r * y, z], axis=-1) + 0.0


def _outside(values: np.ndarray, degrees: bool) -> np.ndarray:
    top = _top(degrees)
    return (np.abs(values[:, 0]) > top) | (np.abs(values[:, 1]) > 4 * top)


def _from_pole(values: np.ndarray, degrees: bool) -> np.ndarray:
    """(90° − first, second): colatitude to latitude and back."""
    return np.stack([_top(degrees) - values[:, 0], values[:, 1]], axis=-1)


def _latitudes(m: Sphere) -> tuple[System, System]:
    latlon = System(
        "latlon", "latitude and longitude", ("latitude", "longitude"),
        read=lambda v, degrees: m.from_latlon(v[:, 0], v[:, 1], degrees=degrees),
        write=lambda x, degrees: m.to_latlon(x, degrees=degrees),
        place=_place_latlon, outside=_outside, arc=_arc, angles=(True, True),
        bounded=("latitude", "colatitude"), unit="degrees", ambiguous=True, columns=("lat", "lon"),
    )  # fmt: skip
    assert latlon.read is not None
    read = latlon.read
    colatlon = latlon._replace(
        name="colatlon", title="colatitude and longitude", roles=("colatitude", "longitude"),
        read=lambda v, degrees: read(_from_pole(v, degrees), degrees),
        write=lambda x, degrees: _from_pole(latlon.write(x, degrees), degrees),
        place=lambda v, degrees: _place_latlon(_from_pole(v, degrees), degrees),
        outside=lambda v, degrees: _outside(_from_pole(v, degrees), degrees), columns=(),
    )  # fmt: skip
    return latlon, colatlon
