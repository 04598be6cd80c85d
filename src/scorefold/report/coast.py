"""Coastlines of the world, shipped with the package: where the land is, and its outlines."""

import functools
import itertools
from importlib import resources

import numpy as np

from scorefold._types import Values


@functools.lru_cache(maxsize=1)
def coastlines() -> tuple[np.ndarray, ...]:
    """Closed outlines of the land masses, each (n, 2): longitude and latitude in degrees.

    Source: Natural Earth 4.1.0, 1:110m land (public domain), by way of world-atlas 2.0.2 (ISC);
    see ``land-110m.LICENSE.txt`` beside this file. Lakes and islands below about 50 km are absent.
    """
    file = resources.files(__package__).joinpath("land-110m.npz")
    with resources.as_file(file) as path, np.load(path, allow_pickle=False) as stored:
        degrees, starts = stored["degrees"].astype(np.float64), stored["starts"]
    return tuple(degrees[a:b] for a, b in itertools.pairwise(starts))


@functools.lru_cache(maxsize=1)
def _edges() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(λ₁, Δλ, φ₁, Δφ) of all edges, with Δλ the short way round: a ring may cross ±180°."""
    starts = np.concatenate([ring[:-1] for ring in coastlines()])
    steps = np.concatenate([np.diff(ring, axis=0) for ring in coastlines()])
    return starts[:, 0], _wrap(steps[:, 0]), starts[:, 1], steps[:, 1]


def _wrap(degrees: np.ndarray) -> np.ndarray:
    return (degrees + 180.0) % 360.0 - 180.0


def _northward(lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which edges the meridians ``lon`` (n, 1) cross, and at what latitude: both (n, edges).

    The pole is at sea, so a point is on land if an odd number of crossings lie north of it; this
    needs no special case for Antarctica, whose outline goes once round the other pole.
    """
    lon1, dlon, lat1, dlat = _edges()
    west = _wrap(lon1 - lon)
    crossed = (west < 0) != (west + dlon < 0)
    fraction = np.where(crossed, -west / np.where(dlon == 0, 1.0, dlon), 0.0)
    return crossed, lat1 + fraction * dlat


def on_land(lat: Values, lon: Values) -> np.ndarray:
    """Whether points (degrees) lie inside an outline: parity of the crossings to the north."""
    lat, lon = np.broadcast_arrays(np.asarray(lat, float), np.asarray(lon, float))
    answer = np.empty(lat.size, dtype=bool)
    for start in range(0, lat.size, 512):
        part = slice(start, start + 512)
        crossed, height = _northward(lon.ravel()[part, None])
        answer[part] = (crossed & (height > lat.ravel()[part, None])).sum(axis=1) % 2 == 1
    return answer.reshape(lat.shape)


@functools.lru_cache(maxsize=1)
def land_raster() -> np.ndarray:
    """``on_land`` at the centres of cells of a quarter of a degree, shape (720, 1440): rows from
    90°N to 90°S, columns from 180°W to 180°E."""
    crossings = np.zeros((721, 1440), dtype=np.int32)
    columns = -180.0 + 0.25 * (np.arange(1440) + 0.5)
    for start in range(0, 1440, 144):
        crossed, height = _northward(columns[start : start + 144, None])
        column, _ = np.nonzero(crossed)
        # The first row whose centre, 90 − (row + ½)/4, is south of the crossing.
        row = np.floor((90.0 - height[crossed]) * 4.0 - 0.5).astype(int) + 1
        np.add.at(crossings, (np.clip(row, 0, 720), start + column), 1)
    return np.cumsum(crossings, axis=0)[:720] % 2 == 1
