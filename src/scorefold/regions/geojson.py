"""Regions of the sphere as GeoJSON: polygons in degrees, cut at the meridian of 180°.

Source: RFC 7946 (longitude before latitude, exteriors anticlockwise and holes clockwise, nothing
across the antimeridian).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scorefold._types import Document
from scorefold.regions.contours import Contours

_DIGITS = 7
"""Of degrees: a centimetre on the Earth."""
_CORNERS = ((180.0, (180.0, 90.0)), (540.0, (-180.0, 90.0)), (720.0, (-180.0, -90.0)),
            (1080.0, (180.0, -90.0)))  # fmt: skip
"""Of the map, by the way along its border, anticlockwise from (180°, −90°)."""
_BORDER = 1080.0


def multi_polygon(found: Contours) -> Document:
    """A region of S² as a ``MultiPolygon``: longitude and latitude in degrees, (0, 0) in the
    direction of x and the north pole in that of z. A polygon that reaches across the meridian of
    180° is cut there, and one around a pole runs along that meridian to ±90° and along it."""
    north = int(np.argmax(found.surface.points[:, 2]))
    return {
        "type": "MultiPolygon",
        "coordinates": [
            [np.round(_closed(ring), _DIGITS).tolist() for ring in polygon]
            for polygon in polygons(found.curves, bool(found.inside[north]))
        ],
    }


def polygons(curves: Sequence[np.ndarray], north: bool) -> list[list[np.ndarray]]:
    """Polygons (an exterior, then its holes) in degrees (longitude, latitude) from closed curves on
    S² with the region on their left, whose crossings of the meridian of 180° are points with y = 0.
    ``north``: whether the north pole is in the region. Rings are open: the first point is not
    repeated."""
    rings: list[np.ndarray] = []
    arcs: list[np.ndarray] = []
    for curve in curves:
        cuts = np.flatnonzero((curve[:, 1] == 0.0) & (curve[:, 0] < 0.0))
        if cuts.size:
            arcs += _arcs(curve, cuts)
        else:
            rings.append(_mapped(np.concatenate([curve, curve[:1]]))[:-1])
    if arcs:
        rings += _joined(arcs)
    elif north:
        rings.append(np.array([corner for _, corner in _CORNERS]))
    return _nested(rings)


def _arcs(curve: np.ndarray, cuts: np.ndarray) -> list[np.ndarray]:
    """The pieces of a curve between its crossings of the meridian."""
    found = []
    for first, last in zip(cuts, np.roll(cuts, -1), strict=True):
        count = (last - first - 1) % len(curve) + 2
        found.append(_mapped(curve[(first + np.arange(count)) % len(curve)]))
    return found


def _mapped(points: np.ndarray) -> np.ndarray:
    """Longitudes and latitudes in degrees; crossings of the meridian lie on the side of the point
    beside them. What turns by more than a degree follows the great circle."""
    lon, lat = _degrees(points)
    for end, beside in ((0, 1), (-1, -2)):
        if points[end, 1] == 0.0 and points[end, 0] < 0.0:
            lon[end] = np.copysign(180.0, points[beside, 1])
    pieces: list[np.ndarray] = []
    for k, turn in enumerate(np.abs(np.diff(lon))):
        pieces.append(np.array([[lon[k], lat[k]]]))
        count = int(np.ceil(turn))
        if count > 1:
            t = np.arange(1, count)[:, None] / count
            pieces.append(np.stack(_degrees((1 - t) * points[k] + t * points[k + 1]), axis=1))
    return np.concatenate([*pieces, [[lon[-1], lat[-1]]]])


def _degrees(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = points.T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _joined(arcs: list[np.ndarray]) -> list[np.ndarray]:
    """Rings of arcs that begin and end on the border of the map: from the end of each along the
    border, the region on the left, to where the next begins."""
    starts = np.array([_along(arc[0]) for arc in arcs])
    order = np.argsort(starts)
    left, rings = set(range(len(arcs))), []
    while left:
        first = k = min(left)
        ring: list[np.ndarray] = []
        while k in left:
            left.remove(k)
            end = _along(arcs[k][-1])
            following = order[np.searchsorted(starts[order], end) % len(arcs)]
            span = (starts[following] - end) % _BORDER
            corners = sorted(((s - end) % _BORDER, place) for s, place in _CORNERS)
            ring.append(arcs[k])
            ring += [np.array([place]) for s, place in corners if 0.0 < s < span]
            k = int(following)
        assert k == first
        rings.append(np.concatenate(ring))
    return rings


def _along(point: np.ndarray) -> float:
    """The way along the border, anticlockwise from (180°, −90°), to a point on a vertical side."""
    lon, lat = point
    return 90.0 + lat if lon > 0 else 630.0 - lat


def _nested(rings: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Exteriors (anticlockwise) with the holes (clockwise) that lie in each and in none smaller."""
    areas = [_signed_area(ring) for ring in rings]
    exteriors = sorted((k for k, area in enumerate(areas) if area > 0), key=lambda k: areas[k])
    found = {k: [rings[k]] for k in exteriors}
    for k, area in enumerate(areas):
        if area < 0:
            around = next(e for e in exteriors if -area < areas[e] and _holds(rings[e], rings[k]))
            found[around].append(rings[k])
    return list(found.values())


def _signed_area(ring: np.ndarray) -> float:
    following = np.roll(ring, -1, axis=0)
    return 0.5 * float(np.sum(ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]))


def _holds(ring: np.ndarray, hole: np.ndarray) -> bool:
    """Whether the first point of a hole is in a ring that it does not meet: an odd number of edges
    are east of it."""
    x, y = hole[0]
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    crossed = (y0 > y) != (y1 > y)
    across = x0[crossed] + (y - y0[crossed]) / (y1 - y0)[crossed] * (x1 - x0)[crossed]
    return bool(np.sum(across > x, dtype=np.int64) % 2)


def _closed(ring: np.ndarray) -> np.ndarray:
    return np.concatenate([ring, ring[:1]])
