"""Points of GeoJSON: places in degrees, and a table of them with their properties.

Source: RFC 7946 (longitude before latitude, degrees, WGS 84; no other frame).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scorefold._blocks import listed
from scorefold._oneline import one_line
from scorefold._types import Document, ReadOnlyDocument
from scorefold.data._errors import DataError
from scorefold.data.tables.frame import frame

if TYPE_CHECKING:
    import pandas as pd

_FRAMES = ("CRS84", "4326", "WGS84")
_PLACES = {"lat", "latitude", "lon", "lng", "long", "longitude", "height"}
_MOST_COLUMNS = 1000


class Features(NamedTuple):
    """``places``: longitude, latitude and, where they are written, more, of each point;
    ``properties``: a mapping for each."""

    places: list[list[float]]
    properties: list[Document]

    @property
    def degrees(self) -> np.ndarray:
        """Longitude and latitude, float64, shape ``(n, 2)``."""
        return np.array([place[:2] for place in self.places], np.float64)


def parse(content: bytes, where: str) -> Document:
    """The object that a file holds."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is no JSON ({type(error).__name__}).") from None
    if not isinstance(document, dict):
        raise DataError(f"{where}: is no GeoJSON object.")
    return document


def read_features(document: ReadOnlyDocument) -> Features:
    """Features, or bare geometries, of the type ``Point`` or ``MultiPoint``, whose points share
    their properties.

    **Raises:** ``DataError`` in one line for lines and polygons, for features without a geometry,
    and for another frame than WGS 84, naming the features.
    """
    _require_degrees(document)
    kind = document.get("type")
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list) or not features:
        raise DataError("features: no features; a FeatureCollection of points is read.")
    found = Features([], [])
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
        found.places.extend(coordinates)
        found.properties.extend(dict(own) if isinstance(own, Mapping) else {} for _ in coordinates)
    if empty:
        raise DataError(
            f"features: {len(empty)} have no geometry (numbers {listed(empty)}): leave them out."
        )
    return found


def read_geojson(content: bytes, where: str) -> pd.DataFrame:
    """A row for each point: ``lat``, ``lon`` in degrees, ``height`` where there are some, and the
    properties: numbers where all are numbers or null, else text."""
    try:
        features = read_features(parse(content, where))
    except DataError as error:
        line = str(error)
        raise DataError(line if line.startswith(where) else f"{where}: {line}") from None
    degrees, notes = features.degrees, []
    columns: dict[str, np.ndarray] = {"lat": degrees[:, 1], "lon": degrees[:, 0]}
    if any(len(place) > 2 for place in features.places):
        heights = [place[2] if len(place) > 2 else np.nan for place in features.places]
        columns["height"] = np.array(heights)
        notes.append("the third number of coordinates is the column height")
    names = list(dict.fromkeys(str(name) for own in features.properties for name in own))
    if len(names) > _MOST_COLUMNS:
        raise DataError(f"{where}: {len(names)} properties; at most {_MOST_COLUMNS} are read.")
    twice = [name for name in names if name.lower() in _PLACES]
    if twice:
        notes.append(f"the geometry says where points are; left out: {', '.join(twice)}")
    for name in names:
        if name not in twice:
            columns[name] = _column([own.get(name) for own in features.properties])
    return frame(columns, notes)


def _column(values: Sequence[object]) -> np.ndarray:
    if all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values):
        try:
            return np.array([np.nan if v is None else v for v in values], np.float64)
        except OverflowError:
            pass
    text = [None if v is None else v if isinstance(v, str) else one_line(v, 200) for v in values]
    return np.array(text, object)


def _require_degrees(document: ReadOnlyDocument) -> None:
    stated = document.get("crs")
    if stated is not None and not any(name in str(stated).replace(" ", "") for name in _FRAMES):
        raise DataError(
            f"crs: {str(stated)[:80]!r}: GeoJSON is in degrees of WGS 84 (RFC 7946): convert "
            "it, as with geopandas: frame.to_crs('EPSG:4326')."
        )


def _coordinates(geometry: object, k: int) -> list[list[float]]:
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
    return [[_real(x) for x in one] for one in coordinates]


def _real(x: int | float) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf
