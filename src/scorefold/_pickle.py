"""Functions of JAX in pickled modules, by name."""

import importlib
import sys
from typing import NamedTuple


class _Named(NamedTuple):
    module: str
    name: str


def named(state: dict[str, object]) -> dict[str, object]:
    """The state of a module for pickle, functions that are found under their own names replaced by
    these: pickle looks into what ``jax.jit`` has wrapped, and finds that it is another object.
    Others are left to pickle."""
    return {field: _name_of(value) for field, value in state.items()}


def restored(state: dict[str, object]) -> dict[str, object]:
    """The state again, with the functions."""
    found = {}
    for field, value in state.items():
        if isinstance(value, _Named):
            value = getattr(importlib.import_module(value.module), value.name)
        found[field] = value
    return found


def _name_of(value: object) -> object:
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not callable(value) or isinstance(value, type) or not module or not name:
        return value
    known = getattr(sys.modules.get(module), name, None) is value
    return _Named(module, name) if known else value
