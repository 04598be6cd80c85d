"""Doors to packages that people already use: one file a package, with ``to_`` and ``from_``.

    from scorefold.interop.numpyro import to_numpyro
    from scorefold.interop.xarray import to_xarray

    prior = to_numpyro(model)                   # a numpyro.distributions.Distribution
    to_xarray(model, 1.0).to_netcdf("map.nc")   # densities per steradian, one a degree

| file | package | extra |
|---|---|---|
| ``numpyro``, ``flowjax`` | distributions | ``numpyro``, ``flowjax`` |
| ``torch`` | tensors | ``torch`` |
| ``arviz`` | draws of chains | ``arviz`` |
| ``geojson`` | points on a map, no package | |
| ``geopandas``, ``xarray``, ``healpix`` | points, grids and pixels of a map | ``geo`` |
| ``anndata`` | snapshots of cells | ``anndata`` |
| ``rotations`` | rotations of SciPy, Euler angles of Bunge | |
| ``orix`` | orientations of crystals | ``orix`` |
| ``loggers`` | TensorBoard, Weights & Biases, MLflow | |

A package is imported when a function of its file is called; where it is missing, the error says
what to install. Densities are with respect to Riemannian volume, and say so in their units.
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "anndata",
    "arviz",
    "flowjax",
    "geojson",
    "geopandas",
    "healpix",
    "loggers",
    "numpyro",
    "orix",
    "rotations",
    "torch",
    "xarray",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"scorefold.interop.{name}")
    raise AttributeError(f"module 'scorefold.interop' has no attribute {name!r}")
