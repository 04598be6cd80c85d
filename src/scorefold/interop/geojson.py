"""GeoJSON: points of S² in and out. Regions are written by ``scorefold.regions``.

Source: RFC 7946 (longitude before latitude, degrees, WGS 84; no other frame).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scorefold._types import Document, ReadOnlyDocument, Values
from scorefold._warnings import warn
from scorefold.data import DataError
from scorefold.data.tables.geojson import parse, read_features
from scorefold.data.tables.source import read_bytes
from scorefold.interop._maps import places, points_of_places

_MOST = 2**30
"""Bytes of a file."""


class PlacedPoints(NamedTuple):
    """``points``: unit vectors, shape ``(n, 3)``, float64; ``properties``: a mapping for each."""

    points: np.ndarray
    properties: list[Document]


def to_geojson(points: Values, properties: Sequence[ReadOnlyDocument] = ()) -> Document:
    """A ``FeatureCollection`` with a ``Point`` for each point: longitude and latitude in degrees,
    with all digits of float64, longitude in (−180, 180].

        json.dump(to_geojson(model.sample(key, 100)), file)

    **Arguments:** ``points``: unit vectors, shape ``(n, 3)``; ``properties``: one for each, or
    none.
    **Raises:** ``PointsError`` naming rows that are no points of S²; ``ValueError`` for another
    number of properties.
    """
    found = places(points)
    if properties and len(properties) != len(found):
        raise ValueError(f"properties: {len(properties)} of them for {len(found)} points.")
    own = properties or [{}] * len(found)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": dict(more),
                "geometry": {"type": "Point", "coordinates": place},
            }
            for place, more in zip(found.tolist(), own, strict=True)
        ],
    }


def from_geojson(source: ReadOnlyDocument | str | os.PathLike) -> PlacedPoints:
    """The points of a GeoJSON document, or of the file at a path: features, or bare geometries, of
    the type ``Point`` or ``MultiPoint``, whose points share their properties.

        from_geojson("quakes.geojson").points

    Heights are left out, and a warning says so.
    **Raises:** ``DataError`` in one line for a file that is none, for lines and polygons, for
    features without a geometry, for another frame than WGS 84, and for degrees that are none:
    naming the features.
    """
    document = source if isinstance(source, Mapping) else _read(os.fspath(source))
    found = read_features(document)
    heights = sum(len(one) > 2 for one in found.places)
    if heights:
        warn(f"from_geojson: the heights of {heights} points are left out: points lie on S^2.")
    lon, lat = found.degrees.T
    try:
        return PlacedPoints(points_of_places(lon, lat, "features"), found.properties)
    except ValueError as error:
        raise DataError(str(error)) from None


def _read(path: str) -> Document:
    return parse(read_bytes(path, _MOST), path)
