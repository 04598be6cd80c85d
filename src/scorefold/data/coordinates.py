"""From the columns of a table to points of a manifold, and back in the units that came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Array

from scorefold import manifolds
from scorefold.data._errors import DataError
from scorefold.manifolds import SO3, Hyperbolic, Manifold, Sphere, Torus

__all__ = ["Coordinates", "coordinates_for"]

_LATITUDE = ("lat", "latitude")
_LONGITUDE = ("lon", "long", "lng", "longitude")


@dataclass(frozen=True)
class Coordinates:
    """How n rows of k numbers are points of a manifold.

    ``system`` names the reading: ``latlon``, ``angles``, ``euler`` (Bunge), ``quaternion``
    (w, x, y, z), ``poincare`` (the ball) or ``ambient`` (the array that holds a point,
    ravelled). ``turns`` says for each column whether its angles are written in [0, 360) rather
    than (−180, 180].
    """

    manifold: Manifold
    columns: tuple[str, ...]
    system: str
    degrees: bool | None
    turns: tuple[bool, ...]

    @property
    def units(self) -> str:
        """Units of the columns as they came in."""
        return {None: "none", True: "degrees", False: "radians"}[self.degrees]

    def to_points(self, values: np.ndarray) -> Array:
        """Points, shape ``(n, *manifold.shape)``, from float64 columns of shape (n, k)."""
        return _SYSTEMS[self.system].read(self, values)

    def to_columns(self, points) -> np.ndarray:
        """Columns (n, k), float64, in the units and the range that came in."""
        points = np.asarray(points, dtype=np.float64)
        columns = _SYSTEMS[self.system].write(self, points)
        if self.degrees is None:
            return columns
        full = 360.0 if self.degrees else 2 * np.pi
        wrapped = np.where(columns < 0, columns + full, columns)
        return np.where(np.array(self.turns), wrapped, columns)

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Rows out of the range of these coordinates; False for rows that are not finite."""
        if self.system == "latlon":
            i, top = _latitude(self), 90.0 if self.degrees else np.pi / 2
            return (np.abs(values[:, i]) > top) | (np.abs(values[:, 1 - i]) > 4 * top)
        if self.system == "poincare":
            return np.linalg.norm(values, axis=1) >= 1
        return np.zeros(len(values), dtype=bool)

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Float64 coordinates in which equal points are equal rows and distance is a chord."""
        return _SYSTEMS[self.system].place(self, values)


def coordinates_for(
    manifold: Manifold, columns: tuple[str, ...], values: np.ndarray, degrees: bool | None
) -> Coordinates:
    """The reading of the columns on this manifold.

    **Raises:** ``DataError`` if the number of columns does not fit, or if angles come without a
    statement of their unit.
    """
    system = _system(manifold, columns)
    if system == "latlon":
        degrees = True if degrees is None else degrees
    elif system in ("ambient", "quaternion", "poincare"):
        degrees = None
    elif degrees is None:
        peak = np.abs(values).max()
        looks = "look like degrees" if peak > 2 * np.pi else "could be either"
        raise DataError(
            f"Angles on {manifold.name}: state degrees=True or degrees=False "
            f"(--degrees / --radians); the values reach {peak:.6g} and {looks}."
        )
    if degrees is None:
        turns = (False,) * len(columns)
    else:
        half = 180.0 if degrees else np.pi
        turns = tuple(
            bool(low >= 0 and high > half)
            for low, high in zip(values.min(axis=0), values.max(axis=0), strict=True)
        )
    return Coordinates(manifold, columns, system, degrees, turns)


def infer_latlon(names: list[str]) -> tuple[str, str] | None:
    """The pair of columns that are called latitude and longitude, if there is exactly one."""
    lat = [name for name in names if name.strip().casefold() in _LATITUDE]
    lon = [name for name in names if name.strip().casefold() in _LONGITUDE]
    return (lat[0], lon[0]) if len(lat) == len(lon) == 1 else None


def _system(manifold: Manifold, columns: tuple[str, ...]) -> str:
    k, ambient = len(columns), int(np.prod(manifold.shape))
    fits = {ambient: "ambient"}
    if manifold.name == "S^2":
        fits[2] = "latlon"
    elif manifold.name.startswith("T^"):
        fits[ambient] = "angles"
    elif manifold.name == "SO(3)":
        fits |= {3: "euler", 4: "quaternion"}
    elif manifold.name.startswith("H^"):
        fits[manifold.dim] = "poincare"
    if k not in fits:
        choices = ", or ".join(f"{n} ({system})" for n, system in sorted(fits.items()))
        raise DataError(
            f"{k} column{'s' * (k != 1)} ({', '.join(columns)}) cannot be points of "
            f"{manifold.name}: it takes {choices}. Choose them with columns= (--columns)."
        )
    return fits[k]


# -- one reading each: to points, back to columns, to positions ---------------------------------


def _latitude(c: Coordinates) -> int:
    """Which of the two columns is the latitude: the first, unless the names say otherwise."""
    return int(c.columns[0].strip().casefold() in _LONGITUDE)


def _read_latlon(c: Coordinates, values: np.ndarray) -> Array:
    i = _latitude(c)
    return cast(Sphere, c.manifold).from_latlon(
        values[:, i], values[:, 1 - i], degrees=bool(c.degrees)
    )


def _write_latlon(c: Coordinates, points: np.ndarray) -> np.ndarray:
    latlon = cast(Sphere, c.manifold).to_latlon(points, degrees=bool(c.degrees))
    if _latitude(c) == 1:
        return latlon[:, ::-1]
    return latlon


def _place_latlon(c: Coordinates, values: np.ndarray) -> np.ndarray:
    i = _latitude(c)
    lat, lon = values[:, i], values[:, 1 - i]
    pole = 90.0 if c.degrees else np.pi / 2
    z, r = _sincos(lat, c.degrees)
    r = np.where(np.abs(lat) >= pole, 0.0, r)
    y, x = _sincos(lon, c.degrees)
    return np.stack([r * x, r * y, z], axis=-1) + 0.0


def _read_angles(c: Coordinates, values: np.ndarray) -> Array:
    return cast(Torus, c.manifold).from_angles(values, degrees=bool(c.degrees))


def _write_angles(c: Coordinates, points: np.ndarray) -> np.ndarray:
    return np.degrees(points) if c.degrees else points


def _place_angles(c: Coordinates, values: np.ndarray) -> np.ndarray:
    sine, cosine = _sincos(values, c.degrees)
    return np.concatenate([cosine, sine], axis=-1)


def _read_euler(c: Coordinates, values: np.ndarray) -> Array:
    return cast(SO3, c.manifold).from_euler(values, convention="ZXZ", degrees=bool(c.degrees))


def _write_euler(c: Coordinates, points: np.ndarray) -> np.ndarray:
    return cast(SO3, c.manifold).to_euler(points, convention="ZXZ", degrees=bool(c.degrees))


def _read_quaternion(c: Coordinates, values: np.ndarray) -> Array:
    return cast(SO3, c.manifold).from_quaternion(values, order="wxyz")


def _write_quaternion(c: Coordinates, points: np.ndarray) -> np.ndarray:
    return cast(SO3, c.manifold).to_quaternion(points, order="wxyz")


def _read_poincare(c: Coordinates, values: np.ndarray) -> Array:
    return cast(Hyperbolic, c.manifold).from_poincare(values)


def _write_poincare(c: Coordinates, points: np.ndarray) -> np.ndarray:
    return cast(Hyperbolic, c.manifold).to_poincare(points)


def _read_ambient(c: Coordinates, values: np.ndarray) -> Array:
    points = values.reshape(len(values), *c.manifold.shape)
    return manifolds.check_points(c.manifold, points, "points")


def _write_ambient(c: Coordinates, points: np.ndarray) -> np.ndarray:
    return points.reshape(len(points), -1)


def _place_ambient(c: Coordinates, values: np.ndarray) -> np.ndarray:
    return values + 0.0


def _place_points(c: Coordinates, values: np.ndarray) -> np.ndarray:
    # The chord of SO(3) from the points themselves: rounding is that of the points.
    return np.asarray(c.to_points(values), dtype=np.float64).reshape(len(values), -1) + 0.0


def _sincos(angles: np.ndarray, degrees: bool | None) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine, the same bits for angles that differ by whole turns."""
    full = 360.0 if degrees else 2 * np.pi
    # To 1e-9 of a degree: −0.1 and 359.9 differ in the last bit otherwise.
    fraction = np.remainder(np.round(np.remainder(angles / full, 1.0), 11), 1.0)
    return np.sin(2 * np.pi * fraction), np.cos(2 * np.pi * fraction)


class _System(NamedTuple):
    read: Callable[[Coordinates, np.ndarray], Array]
    write: Callable[[Coordinates, np.ndarray], np.ndarray]
    place: Callable[[Coordinates, np.ndarray], np.ndarray]


_SYSTEMS = {
    "latlon": _System(_read_latlon, _write_latlon, _place_latlon),
    "angles": _System(_read_angles, _write_angles, _place_angles),
    "euler": _System(_read_euler, _write_euler, _place_points),
    "quaternion": _System(_read_quaternion, _write_quaternion, _place_points),
    "poincare": _System(_read_poincare, _write_poincare, _place_ambient),
    "ambient": _System(_read_ambient, _write_ambient, _place_ambient),
}
