"""xarray and NetCDF: densities on a grid of latitude and longitude, out and in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from scorefold._oneline import one_line
from scorefold._types import Document, Values
from scorefold.data import Law
from scorefold.interop._grid_law import GridLaw, cell_areas
from scorefold.interop._maps import check_model, density, require_densities, say_mass
from scorefold.interop._needed import needed
from scorefold.manifolds.sphere import unit_vectors
from scorefold.models import Model

if TYPE_CHECKING:
    import xarray


@runtime_checkable
class Variables(Protocol):
    """Variables by name: of a ``Dataset``, or the coordinates of an array."""

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Values: ...


_STERADIANS = ("sr-1", "sr^-1", "sr**-1", "1/sr", "steradian-1", "1/steradian")
_SQUARE_DEGREES = ("degree-2", "degrees-2", "deg-2", "deg^-2", "degree^-2", "1/deg2", "1/deg^2",
                   "1/degree^2", "1/degree2")  # fmt: skip
_NAMES = {"lat": ("lat", "latitude"), "lon": ("lon", "longitude")}
_UNITS = {
    "lat": ("degrees_north", "degree_north", "degrees_N", "degreesN"),
    "lon": ("degrees_east", "degree_east", "degrees_E", "degreesE"),
}
_BLOCK = 2**18
_FURTHEST = {"lat": 90.0, "lon": 360.0}


def to_xarray(model: Model | Law, step: float = 1.0) -> xarray.Dataset:
    """The density of a model on S² at the centres of cells of ``step`` degrees, as CF describes
    grids:

        to_xarray(model, 0.5).to_netcdf("density.nc")

    **Returns:** ``density(lat, lon)`` with ``units = "sr-1"``; ``cell_area(lat, lon)``, Δλ (sin φ₂
    − sin φ₁), in steradians; ``lat`` and ``lon`` in degrees with their bounds, longitudes from
    −180. The attribute ``mass`` is Σ density · area, which is 1 up to the step.
    **Raises:** ``ValueError`` for another space, and a step that does not divide 180.
    **Warns:** where the mass is off by more than 1 %: a step too wide for the peaks of the density.
    """
    check_model(model, "a grid of latitude and longitude")
    xarray = needed("xarray", "geo")
    rows = round(180.0 / step) if 0.0 < step <= 90.0 else 0
    if not rows or abs(rows * step - 180.0) > 1e-6 * step:
        raise ValueError(f"step: degrees that divide 180, such as 1.0 or 0.25, got {step!r:.30}.")
    columns = 2 * rows
    lat_edges = -90.0 + 180.0 * np.arange(rows + 1) / rows
    lon_edges = -180.0 + 360.0 * np.arange(columns + 1) / columns
    lat, lon = (0.5 * (e[1:] + e[:-1]) for e in (lat_edges, lon_edges))
    values, together = np.empty((rows, columns)), max(1, _BLOCK // columns)
    for first in range(0, rows, together):
        own = lat[first : first + together]
        points = unit_vectors(np.repeat(own, columns), np.tile(lon, len(own)), degrees=True)
        values[first : first + together] = density(model, points).reshape(-1, columns)
    area = cell_areas(lat_edges, lon_edges)
    mass = float(np.sum(values * area))
    say_mass("to_xarray", mass, f"a smaller step (now {step:g} degrees) resolves narrower peaks.")
    return xarray.Dataset(
        {
            "density": (("lat", "lon"), values, {
                "units": "sr-1", "long_name": "probability density per steradian",
                "cell_measures": "area: cell_area",
            }),
            "cell_area": (("lat", "lon"), area, {"units": "sr", "long_name": "area of the cell"}),
            "lat_bnds": (("lat", "bnds"), np.stack([lat_edges[:-1], lat_edges[1:]], axis=1)),
            "lon_bnds": (("lon", "bnds"), np.stack([lon_edges[:-1], lon_edges[1:]], axis=1)),
        },
        {
            "lat": ("lat", lat, _axis("latitude", "degrees_north", "lat_bnds")),
            "lon": ("lon", lon, _axis("longitude", "degrees_east", "lon_bnds")),
        },
        {"Conventions": "CF-1.10", "manifold": model.manifold.name, "mass": mass},
    )  # fmt: skip


def from_xarray(data: xarray.Dataset | xarray.DataArray, name: str = "density") -> GridLaw:
    """The law whose density is constant on each cell of a grid of latitude and longitude: draws,
    and a density to compare with.

        from_xarray(xarray.open_dataset("density.nc")).sample(jax.random.key(0), 1000)

    Latitudes and longitudes are found by their names or units, in any order, increasing or not.
    Edges of cells are the bounds, if there are any, or the middles between centres. A grid of a
    part of the globe is a law of that part. The density is divided by its mass, ``law.mass``.

    **Arguments:** ``name``: of the density in a ``Dataset``.
    **Raises:** ``ValueError`` naming the variable for units that are not per steradian (``sr-1``)
    or per square degree (``degree-2``, converted), axes that are no degrees or not in order, other
    dimensions, and values that are negative or not finite.
    **Warns:** where the mass is off by more than 1 %.
    """
    xarray = needed("xarray", "geo")
    if isinstance(data, xarray.Dataset):
        if name not in data:
            raise ValueError(f"data: has no {name!r}, but {', '.join(map(str, data.data_vars))}.")
        whole, array = data, data[name]
    else:
        whole, array = data.coords, data
        name = str(data.name or "data")
    dims = {kind: _dimension(array, kind, name) for kind in _NAMES}
    others = [d for d in array.dims if d not in dims.values()]
    if others:
        first = one_line(str(others[0]), 30)
        raise ValueError(f"{name}: has the dimension {first!r} beside latitude and longitude: "
                         f"choose one, .isel({first}=0).")  # fmt: skip
    for kind, dim in dims.items():
        if dim not in array.coords:
            raise ValueError(
                f"{name}: its dimension {dim!r} has no values: assign_coords({dim}=…), "
                f"{_NAMES[kind][1]}s in degrees."
            )
    array = array.transpose(dims["lat"], dims["lon"])
    values = np.asarray(array, np.float64) * _per_steradian(array.attrs, name)
    lat, rows = _edges(array[dims["lat"]], whole, "lat")
    lon, columns = _edges(array[dims["lon"]], whole, "lon")
    values = values[rows][:, columns]
    require_densities(name, values)
    mass = float(np.sum(values * cell_areas(lat, lon)))
    say_mass("from_xarray", mass, "the law is the density divided by that; are its units right?")
    return GridLaw.of(lat, lon, values / mass, mass)


def _axis(standard: str, units: str, bounds: str) -> dict[str, str]:
    return {"units": units, "standard_name": standard, "bounds": bounds}


def _dimension(array: xarray.DataArray, kind: str, name: str) -> str:
    """The dimension that is latitude, or longitude."""
    for dim in array.dims:
        attrs = array[dim].attrs if dim in array.coords else {}
        standard = attrs.get("standard_name")
        if str(dim).lower() in _NAMES[kind] or standard == _NAMES[kind][1] or (
            attrs.get("units") in _UNITS[kind]
        ):  # fmt: skip
            return str(dim)
    raise ValueError(
        f"{name}: none of its dimensions ({', '.join(map(str, array.dims))}) is {_NAMES[kind][1]}: "
        f"rename it to {kind!r}, in degrees."
    )


def _per_steradian(attrs: Document, name: str) -> float:
    """The factor that makes densities per steradian of those in the units of a variable."""
    units = str(attrs.get("units", "")).strip().lower().replace(" ", "")
    if units in _STERADIANS:
        return 1.0
    if units in _SQUARE_DEGREES:
        return (180.0 / math.pi) ** 2
    said = f"units {one_line(units, 30)!r}" if units else "no units"
    raise ValueError(
        f"{name}: has {said}; a density per steradian states attrs['units'] = 'sr-1', one per "
        "square degree 'degree-2'."
    )


def _edges(axis: xarray.DataArray, whole: Variables, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Increasing edges of the cells along an axis, in degrees, and the order of its nodes."""
    name = str(axis.name)
    units = axis.attrs.get("units", _UNITS[kind][0])
    if units not in (*_UNITS[kind], "degrees", "degree", "deg"):
        raise ValueError(f"{name}: is in {one_line(str(units), 30)!r}; degrees are needed.")
    nodes = np.asarray(axis, np.float64)
    steps = np.diff(nodes)
    if (
        nodes.size < 2
        or not np.isfinite(nodes).all()
        or not ((steps > 0).all() or (steps < 0).all())
    ):
        raise ValueError(f"{name}: two or more degrees that increase, or decrease, are needed.")
    most = _FURTHEST[kind]
    if np.abs(nodes).max() > most * (1.0 + 1e-9):
        hint = "are latitude and longitude exchanged?" if kind == "lat" else "are they degrees?"
        raise ValueError(
            f"{name}: holds {nodes[np.abs(nodes).argmax()]:.6g}, beyond ±{most:g}: {hint}"
        )
    order = np.arange(len(nodes)) if steps[0] > 0 else np.arange(len(nodes))[::-1]
    nodes = nodes[order]
    bounds = axis.attrs.get("bounds")
    if bounds is not None and bounds in whole:
        cells = np.sort(np.asarray(whole[bounds], np.float64), axis=1)[order]
        if cells.shape != (len(nodes), 2) or np.abs(cells[1:, 0] - cells[:-1, 1]).max() > 1e-6:
            raise ValueError(f"{name}: its bounds {str(bounds)[:30]!r} leave gaps between cells.")
        edges = np.append(cells[:, 0], cells[-1, 1])
    else:
        middles = 0.5 * (nodes[1:] + nodes[:-1])
        ends = 0.5 * (nodes[1] - nodes[0]), 0.5 * (nodes[-1] - nodes[-2])
        edges = np.concatenate([[nodes[0] - ends[0]], middles, [nodes[-1] + ends[1]]])
    if kind == "lat":
        edges = np.clip(edges, -90.0, 90.0)
    elif edges[-1] - edges[0] > 360.0 * (1.0 + 1e-6):
        raise ValueError(
            f"{name}: goes round more than once ({nodes[0]:g} to {nodes[-1]:g}): leave out the "
            "column that repeats the first."
        )
    return edges, order
