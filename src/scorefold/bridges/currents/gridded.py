"""Drifts on a grid: winds and ocean currents as tables of vectors."""

from __future__ import annotations

import itertools
import math
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, ScalarLike, Values
from scorefold.bridges.currents.drift import Drift
from scorefold.manifolds import Manifold

_MOST = 2**30
"""Bytes of a file."""


class GriddedDrift(Drift):
    """b(x, t) between the nodes of a grid by linear interpolation in every axis, and beyond its
    ends as at its ends. ``axes``: time first (a single one: the same always), then flat coordinates
    or, on S², latitude and longitude in degrees; ``values``: components along these axes, shape
    ``(*sizes, d)``. Longitudes that go round are joined."""

    manifold: Manifold
    axes: tuple[Array, ...] = fixed()
    values: Array = fixed()
    joined: bool = fixed(default=False)

    def __call__(self, x: Point, t: ScalarLike) -> Point:
        sphere = not self.manifold.euclidean
        place = _latlon(x) if sphere else x
        corners: list[list[tuple[ScalarLike, Array]]] = []
        values = self.values.astype(x.dtype)
        for k, (axis, at) in enumerate(
            zip(self.axes, [jnp.asarray(t, x.dtype), *place], strict=True)
        ):
            nodes = axis.astype(x.dtype)
            if len(nodes) == 1:
                corners.append([(0, jnp.ones((), x.dtype))])
                continue
            if sphere and k == len(self.axes) - 1:
                # Whatever turn they are counted in; of a part of the globe, to the nearer end.
                first = nodes[0] if self.joined else 0.5 * (nodes[0] + nodes[-1]) - 180.0
                at = first + jnp.mod(at - first, 360.0)
                nodes = jnp.append(nodes, nodes[0] + 360.0) if self.joined else nodes
            low = jnp.clip(jnp.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
            part = jnp.clip((at - nodes[low]) / (nodes[low + 1] - nodes[low]), 0.0, 1.0)
            corners.append([(low, 1.0 - part), ((low + 1) % len(axis), part)])
        total = jnp.zeros((self.manifold.dim,), x.dtype)
        for chosen in itertools.product(*corners):
            weight = math.prod([w for _, w in chosen], start=jnp.ones((), x.dtype))
            total = total + weight * values[tuple(i for i, _ in chosen)]
        return _east_north(x, total) if sphere else total


def gridded_drift(
    manifold: Manifold,
    axes: Sequence[Values],
    values: Sequence[Values],
    *,
    times: Values | None = None,
    fill: float | None = None,
) -> GriddedDrift:
    """A drift from d arrays of components on a grid.

    **Arguments:**

    - ``manifold``: R^d, or S² with the axes latitude and longitude in degrees.
    - ``axes``: the nodes of each, increasing or decreasing. ``times``: nodes of time, whose axis
      comes first in ``values``.
    - ``values``: the components, one array each of the shape of the grid, in length per unit of the
      times of the snapshots; on S² northward and eastward, in radians (metres are divided by the
      radius of the Earth, 6.371·10⁶).
    - ``fill``: takes the place of entries that are not finite (land).

    **Raises:** ``ValueError`` naming the argument for another manifold, axes that are not
    monotone, shapes that do not fit, latitudes beyond 90, and entries that are not finite.
    """
    if not manifold.euclidean and manifold.picture != "sphere":
        raise ValueError(f"manifold: grids are of R^d and S^2, got {manifold.name}.")
    names = ["times"] + [f"axes[{k}]" for k in range(len(axes))]
    nodes = [np.zeros(1) if times is None else np.asarray(times, np.float64)]
    nodes += [np.asarray(axis, np.float64) for axis in axes]
    for name, axis in zip(names, nodes, strict=True):
        if axis.ndim != 1 or not len(axis):
            raise ValueError(f"{name}: nodes must be a row of numbers, got shape {axis.shape}.")
    if len(axes) != manifold.dim or len(values) != manifold.dim:
        raise ValueError(f"axes, values: {manifold.name} needs {manifold.dim} of each, got "
                         f"{len(axes)} and {len(values)}.")  # fmt: skip
    shapes = {np.shape(v) for v in values}
    if len(shapes) > 1:
        raise ValueError(f"values: components have shapes {', '.join(map(str, sorted(shapes)))}; "
                         "each must be the grid's.")  # fmt: skip
    field = np.stack([np.asarray(v, np.float64) for v in values], axis=-1)
    if times is None:
        field = field[None]
    sizes = tuple(map(len, nodes))
    if field.shape[:-1] != sizes:
        raise ValueError(f"values: the grid has {' × '.join(map(str, sizes))} nodes (times first), "
                         f"got {' × '.join(map(str, field.shape[:-1]))}.")  # fmt: skip
    for k, (name, axis) in enumerate(zip(names, nodes, strict=True)):
        steps = np.diff(axis)
        if not np.isfinite(axis).all() or not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError(f"{name}: nodes must be finite and increase, or decrease.")
        if len(axis) > 1 and steps[0] < 0:
            nodes[k], field = axis[::-1].copy(), np.flip(field, axis=k)
    bad = ~np.isfinite(field)
    if bad.any() and fill is None:
        raise ValueError(f"values: {int(bad.any(axis=-1).sum())} nodes are not finite (land?): "
                         "state fill=0.0.")  # fmt: skip
    field = np.where(bad, 0.0 if fill is None else fill, field)
    joined = False
    if manifold.picture == "sphere":
        if np.abs(nodes[1]).max() > 90.0:
            raise ValueError("axes[0]: latitudes in degrees are from -90 to 90.")
        lon = nodes[2]
        turn = float(lon[-1] - lon[0])
        if turn > 360.0 + 1e-6:
            raise ValueError("axes[1]: longitudes in degrees go round once at most.")
        joined = len(lon) > 2 and turn + 1.5 * float(np.diff(lon).max()) >= 360.0
        if joined and turn > 360.0 - 1e-6:
            nodes[2], field = lon[:-1], field[:, :, :-1]
    dtype = jnp.result_type(float)
    return GriddedDrift(
        manifold, tuple(jnp.asarray(a, dtype) for a in nodes), jnp.asarray(field, dtype), joined
    )


def load_gridded_drift(
    path: str | os.PathLike,
    manifold: Manifold,
    *,
    axes: Sequence[str],
    values: Sequence[str],
    times: str | None = None,
    fill: float | None = None,
    scale: float = 1.0,
) -> GriddedDrift:
    """``gridded_drift`` of the arrays with these names in an ``.npz`` file, or of these variables
    in a NetCDF file (classic format by SciPy, NetCDF 4 where xarray is installed), whose
    dimensions may come in any order. ``scale``: multiplies the components, 1/6.371e6 for metres on
    S².

    **Raises:** ``ValueError`` naming the file, and the names that it has.
    """
    path = Path(path)
    found = _arrays(path, [*([] if times is None else [times]), *axes], values)
    try:
        return gridded_drift(
            manifold,
            [found[name] for name in axes],
            [scale * found[name] for name in values],
            times=None if times is None else found[times],
            fill=fill,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _arrays(path: Path, axes: Sequence[str], values: Sequence[str]) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"{path} is missing, or not a file.")
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path} is larger than {_MOST} bytes: cut it to where the points are.")
    with path.open("rb") as file:
        kind = file.read(4)
    try:
        if kind[:2] == b"PK":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: np.asarray(stored[name], np.float64)
                        for name in _known(path, [*axes, *values], list(stored))}  # fmt: skip
        if kind[:3] == b"CDF":
            from scipy.io import netcdf_file

            with netcdf_file(path, mmap=False, maskandscale=True) as stored:
                own = stored.variables
                return _in_order(path, axes, values, {
                    name: (own[name].dimensions,
                           np.ma.filled(np.ma.asarray(own[name][:], np.float64), np.nan))
                    for name in _known(path, [*axes, *values], list(own))
                })  # fmt: skip
        if kind == b"\x89HDF":
            return _of_xarray(path, axes, values)
    except ValueError as error:
        line = str(error)
        raise ValueError(line if line.startswith(str(path)) else f"{path}: {line}") from error
    except (OSError, KeyError, TypeError, EOFError, zipfile.BadZipFile, struct.error) as error:
        raise ValueError(f"{path}: could not be read ({type(error).__name__}).") from error
    raise ValueError(f"{path}: is neither .npz nor NetCDF.")


def _in_order(
    path: Path,
    axes: Sequence[str],
    values: Sequence[str],
    found: Mapping[str, tuple[Sequence[str], np.ndarray]],
) -> Mapping[str, np.ndarray]:
    """Components with their dimensions in the order of the axes, as the file names them."""
    order = []
    for name in axes:
        dimensions = found[name][0]
        if len(dimensions) != 1:
            raise ValueError(f"{path}: {name!r} has {len(dimensions)} dimensions: an axis has one.")
        order.append(dimensions[0])
    out = {name: found[name][1] for name in axes}
    for name in values:
        dimensions, array = found[name]
        if sorted(dimensions) != sorted(order):
            raise ValueError(f"{path}: {name!r} is on {', '.join(dimensions)}, not on "
                             f"{', '.join(order)}.")  # fmt: skip
        out[name] = array.transpose([list(dimensions).index(one) for one in order])
    return out


def _of_xarray(path: Path, axes: Sequence[str], values: Sequence[str]) -> Mapping[str, np.ndarray]:
    try:
        import xarray
    except ImportError as error:
        raise ValueError(
            f"{path}: NetCDF 4 is read by xarray: pip install xarray h5netcdf h5py."
        ) from error
    with xarray.open_dataset(path, decode_times=False) as stored:
        names = _known(path, [*axes, *values], list(map(str, stored.variables)))
        found = {name: (tuple(map(str, stored[name].dims)),
                        np.asarray(stored[name].values, np.float64)) for name in names}  # fmt: skip
    return _in_order(path, axes, values, found)


def _known(path: Path, wanted: Sequence[str], own: Sequence[str]) -> Sequence[str]:
    for name in wanted:
        if name not in own:
            raise ValueError(f"{path}: has no {name!r}, but {', '.join(own[:20])}.")
    return wanted


def _latlon(x: Point) -> list[Array]:
    """In degrees."""
    flat = jnp.sqrt(jnp.maximum(x[0] ** 2 + x[1] ** 2, jnp.finfo(x.dtype).tiny))
    return [jnp.degrees(jnp.arctan2(x[2], flat)), jnp.degrees(jnp.arctan2(x[1], x[0]))]


def _east_north(x: Point, components: Array) -> Point:
    """The tangent vector with these components (north, east); 0 at a pole itself, where neither
    has a direction."""
    flat = jnp.sqrt(jnp.maximum(x[0] ** 2 + x[1] ** 2, jnp.finfo(x.dtype).tiny))
    east = jnp.stack([-x[1], x[0], jnp.zeros_like(x[0])]) / flat
    north = jnp.cross(x, east)
    return components[0] * north + components[1] * east
