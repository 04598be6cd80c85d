"""GeoPandas: points of S² in and out, regions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorefold._blocks import listed
from scorefold._oneline import one_line
from scorefold._types import Values
from scorefold._warnings import warn
from scorefold.interop._maps import places, points_of_places
from scorefold.interop._needed import needed
from scorefold.regions import CredibleRegion, feature_collection

if TYPE_CHECKING:
    import pandas as pd
    from geopandas import GeoDataFrame, GeoSeries

_DEGREES = "EPSG:4326"


def to_geopandas(points: Values, data: pd.DataFrame | None = None) -> GeoDataFrame:
    """A ``GeoDataFrame`` of points: longitude and latitude in degrees of WGS 84 (EPSG:4326), one
    row each.

        to_geopandas(model.sample(key, 1000)).to_file("draws.gpkg")

    **Arguments:** ``points``: unit vectors, shape ``(n, 3)``; ``data``: further columns, whose
    index is kept.
    **Raises:** ``PointsError`` naming rows that are no points; ``ValueError`` for another number
    of rows.
    """
    geopandas = needed("geopandas", "geo")
    found = places(points)
    if data is not None and len(data) != len(found):
        raise ValueError(f"data: {len(data)} rows for {len(found)} points.")
    geometry = geopandas.points_from_xy(*found.T)
    return geopandas.GeoDataFrame(data, geometry=geometry, crs=_DEGREES)


def from_geopandas(frame: GeoDataFrame | GeoSeries) -> np.ndarray:
    """Unit vectors of the points of a frame, in the order of its rows, shape ``(n, 3)``, float64.

        from_geopandas(frame.to_crs("EPSG:4326"))

    The frame must say that it is in degrees: a projected one (in metres) is not converted here.
    Latitudes are taken as angles on the sphere, as everywhere in scorefold. Heights are left out,
    and a warning says so.
    **Raises:** ``ValueError`` in one line for a frame without a CRS, projected, or from another
    meridian than Greenwich; for geometries that are missing, empty or no points, and coordinates
    that are not finite or out of range: naming the rows and their index.
    """
    geopandas = needed("geopandas", "geo")
    if not isinstance(frame, geopandas.GeoDataFrame | geopandas.GeoSeries):
        raise TypeError(f"frame: a GeoDataFrame or GeoSeries, got {type(frame).__name__}.")
    try:
        series = frame.geometry
    except AttributeError:
        raise ValueError("frame: has no active geometry: frame.set_geometry('NAME').") from None
    _require_degrees(series)
    if not len(series):
        raise ValueError("frame: is empty; give at least one row.")
    missing = np.asarray(series.isna() | series.is_empty)
    _refuse(series, missing, "have no geometry", "frame[~(frame.geometry.is_empty | "
            "frame.geometry.isna())] leaves them out")  # fmt: skip
    other = np.asarray(series.geom_type != "Point")
    kinds = one_line(", ".join(sorted(set(series.geom_type[other]))), 60)
    fix = "frame.explode() makes one row a point of a MultiPoint; of others choose a point each, "
    fix += "such as frame.representative_point()"
    _refuse(series, other, f"are no points ({kinds})", fix)
    if series.has_z.any():
        warn(
            f"from_geopandas: the heights of {int(series.has_z.sum())} points are left out: points "
            "lie on S^2."
        )
    lon, lat = np.asarray(series.x, np.float64), np.asarray(series.y, np.float64)
    bad = ~(np.isfinite(lon) & np.isfinite(lat))
    _refuse(series, bad, "have coordinates that are not finite", "leave them out")
    return points_of_places(lon, lat, "frame")


def regions_to_geopandas(regions: Sequence[CredibleRegion], resolution: int = 128) -> GeoDataFrame:
    """Credible regions of one model on S² as multi-polygons, one row each, with ``mass``,
    ``level``, ``area`` (steradians) and their errors; cut at the meridian of 180°.

        regions_to_geopandas([credible_region(model, m, key=key) for m in (0.5, 0.9)]).plot()

    **Raises:** ``ValueError`` as ``scorefold.regions.feature_collection``.
    """
    geopandas = needed("geopandas", "geo")
    document = feature_collection(regions, resolution)
    return geopandas.GeoDataFrame.from_features(document, crs=_DEGREES)


def _require_degrees(series: GeoSeries) -> None:
    crs = series.crs
    if crs is None:
        raise ValueError(
            "frame: has no CRS: frame.set_crs('EPSG:4326') if x is longitude and y latitude, in "
            "degrees."
        )
    called = one_line(str(crs.name), 60)
    if not crs.is_geographic:
        raise ValueError(
            f"frame: its CRS {called!r} is projected, and x and y are no angles: "
            "frame.to_crs('EPSG:4326')."
        )
    if crs.is_derived:
        raise ValueError(
            f"frame: its CRS {called!r} is a rotated one, whose longitudes are others: "
            "frame.to_crs('EPSG:4326')."
        )
    meridian = crs.prime_meridian
    degrees = all("degree" in axis.unit_name for axis in crs.axis_info[:2])
    if not degrees or (meridian is not None and meridian.longitude != 0.0):
        raise ValueError(
            f"frame: its CRS {called!r} is not in degrees from Greenwich: "
            "frame.to_crs('EPSG:4326')."
        )


def _refuse(series: GeoSeries, bad: np.ndarray, what: str, fix: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        plain = bool((series.index == np.arange(len(series))).all())
        labels = (
            ""
            if plain
            else f", index {listed([one_line(repr(i), 30) for i in series.index[rows[:10]]])}"
        )
        raise ValueError(
            f"frame: {rows.size} of {len(series)} rows {what} (rows {listed(rows)}{labels}): {fix}."
        )
