"""GeoJSON: points of S² in and out. Regions are written by ``scorefold.regions``.

Source: RFC 7946 (longitude before latitude, degrees, WGS 84; no other frame).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Document, ReadOnlyDocument, Values
from scorefold._warnings import warn
from scorefold.data import DataError
from scorefold.data.tables.source import read_bytes
from scorefold.interop._maps import places, points_of_places

_MOST = 2**30
"""Bytes of a file."""
_FRAMES = ("CRS84", "4326", "WGS84")


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
    _require_degrees(document)
    kind = document.get("type")
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list) or not features:
        raise DataError("features: no features; a FeatureCollection of points is read.")
    found: list[Sequence[float]] = []
    properties: list[Document] = []
    empty: list[int] = []
    for k, feature in enumerate(features):
        if not isinstance(feature, Mapping):
            raise DataError(f"features: number {k} is no object.")
        inside = feature.get("type") == "Feature"
        geometry = feature.get("geometry") if inside else feature
        own = feature.get("properties") if inside else {}
        if geometry is None or (isinstance(geometry, Mapping) and not geometry.get("coordinates")):
            empty.append(k)
            continue
        coordinates = _coordinates(geometry, k)
        found += coordinates
        properties += [dict(own) if isinstance(own, Mapping) else {} for _ in coordinates]
    if empty:
        raise DataError(
            f"features: {len(empty)} have no geometry (numbers {listed(empty)}): leave them out."
        )
    heights = sum(len(one) > 2 for one in found)
    if heights:
        warn(f"from_geojson: the heights of {heights} points are left out: points lie on S^2.")
    place = np.array([one[:2] for one in found], np.float64)
    try:
        return PlacedPoints(points_of_places(place[:, 0], place[:, 1], "features"), properties)
    except ValueError as error:
        raise DataError(str(error)) from None


def _read(path: str) -> Document:
    try:
        document = json.loads(read_bytes(path, _MOST))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is no JSON ({type(error).__name__}).") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: is no GeoJSON object.")
    return document


def _require_degrees(document: ReadOnlyDocument) -> None:
    stated = document.get("crs")
    if stated is not None and not any(name in str(stated).replace(" ", "") for name in _FRAMES):
        raise DataError(
            f"crs: {str(stated)[:80]!r}: GeoJSON is in degrees of WGS 84 (RFC 7946): convert "
            "it, as with geopandas: frame.to_crs('EPSG:4326')."
        )


def _coordinates(geometry: object, k: int) -> list[Sequence[float]]:
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if kind not in ("Point", "MultiPoint"):
        raise DataError(
            f"features: number {k} is of the type {str(kind)[:30]!r}: points are read (Point, "
            "MultiPoint); a centre of each is a choice of yours."
        )
    assert isinstance(geometry, Mapping)
    given = geometry["coordinates"]
    coordinates = [given] if kind == "Point" else given
    for one in coordinates if isinstance(coordinates, list) else [None]:
        if not isinstance(one, list | tuple) or not 2 <= len(one) <= 4 or not all(
            isinstance(x, int | float) and not isinstance(x, bool) for x in one
        ):  # fmt: skip
            raise DataError(f"features: number {k} has coordinates {str(one)[:40]!r}, not two "
                            "numbers: longitude, latitude.")  # fmt: skip
    return coordinates
