"""What installed packages add: geometries and models, by the entry points they declare.

    [project.entry-points."scorefold.manifolds"]
    "RP^2" = "my_package.projective_plane:ProjectivePlane"

    [project.entry-points."scorefold.models"]
    flow = "my_package.flow:FlowModel"

Entry points are looked up when a name is asked for that scorefold does not know, never on import.
"""

import importlib.metadata
import sys
from typing import Any, Literal

Group = Literal["manifolds", "models"]


def names(group: Group) -> list[str]:
    """Names of the entry points of a group."""
    return sorted({point.name for point in _points(group)})


def find(group: Group, name: str) -> Any:
    """The object of an entry point, capitals and carets left aside; None if there is none.

    **Raises:** ``ValueError`` in one line if its package cannot be imported.
    """
    for point in _points(group):
        if _plain(point.name) == _plain(name):
            return _load(point)
    return None


def find_class(value: str) -> object:
    """What ``package.module:Class`` names, if an entry point leads to that module: the class of a
    geometry or a model, and what belongs to it there. None otherwise, and nothing is imported."""
    module, _, name = value.partition(":")
    for group in ("manifolds", "models"):
        for point in _points(group):
            if point.module == module:
                _load(point)
                return getattr(sys.modules.get(module), name, None)
    return None


def _points(group: str) -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=f"scorefold.{group}")


def _plain(name: str) -> str:
    return name.casefold().replace("^", "")


def _load(point: importlib.metadata.EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise ValueError(
            f"{point.name!r} of an installed package ({point.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
