"""Whether a value read from a file may stand in a field of a class, by the field's annotation."""

import collections.abc
import types
import typing
from typing import Literal, TypeGuard, Union

import jax
import numpy as np
from jaxtyping import AbstractArray


def fits(hint: object, value: object) -> bool:
    """Whether ``value`` is of the type that ``hint`` names; unknown kinds of hints allow all.

    A ``float`` may be a whole number or an array of no axes, a NumPy array may stand for one of
    JAX, and an array may have more axes before those that its hint names: modules are made for one
    point and mapped.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(part, value) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin in (tuple, list):
        if not isinstance(value, origin):
            return False
        if origin is tuple and parts[-1:] != (Ellipsis,):
            return len(parts) == len(value) and all(map(fits, parts, value))
        return all(fits(parts[0], item) for item in value)
    if origin is collections.abc.Callable:
        return callable(value)
    if hint is float:
        return type(value) in (int, float) or (_is_array(value) and value.ndim == 0)
    if hint is int:
        return type(value) is int
    if hint in (jax.Array, np.ndarray):
        return _is_array(value)
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        axes = [name for name in hint.dim_str.split() if name[0] != "*" and name != "..."]
        return (
            _is_array(value)
            and value.ndim >= len(axes)
            and (not isinstance(hint.dtypes, list | tuple) or value.dtype.name in hint.dtypes)
        )
    return not isinstance(hint, type) or isinstance(value, hint)


def _is_array(value: object) -> TypeGuard[jax.Array | np.ndarray]:
    return isinstance(value, jax.Array | np.ndarray)
