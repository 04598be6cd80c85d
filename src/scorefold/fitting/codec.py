"""A module as a JSON document and a table of arrays, and back: no pickle, nothing evaluated.

A document names classes and functions; the names are looked up in tables made here, of what
scorefold itself defines, a few parts of equinox and JAX, and the classes that the caller or the
entry points of installed packages name. A file can choose among them and nothing else: no import,
no call of its own.
"""

import dataclasses
import functools
import importlib
import inspect
import math
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scorefold import _installed
from scorefold._blocks import device
from scorefold._oneline import one_line
from scorefold._types import NumPyOrJax
from scorefold.fitting._fields import fits
from scorefold.fitting.errors import DamagedFile

_FUNCTIONS: dict[str, Callable] = {
    **{f"jax.nn.{name}": getattr(jax.nn, name)
       for name in ("silu", "relu", "gelu", "elu", "softplus", "sigmoid", "tanh")},
    **{f"jax.numpy.{name}": getattr(jnp, name) for name in ("tanh", "sin", "cos")},
}  # fmt: skip
_LAYERS = {
    f"equinox.nn.{cls.__name__}": cls
    for cls in (eqx.nn.Linear, eqx.nn.Identity, eqx.nn.LayerNorm, eqx.nn.MLP)
}
_ROOMS_WITHOUT_MODELS = {
    "bench", "citations", "cli", "data", "fitting", "hub", "interop", "metrics", "report", "runs",
    "serve", "sklearn",
}  # fmt: skip
"""Nor is one of them imported: some need packages that scorefold does not install by itself."""


def encode(tree: object) -> tuple[object, dict[str, np.ndarray]]:
    """(document, arrays) of a module.

    **Raises:** ``TypeError`` naming the field whose value cannot be stored.
    """
    arrays: dict[str, np.ndarray] = {}
    return _encode(tree, "model", arrays), arrays


def decode(
    document: object, arrays: dict[str, np.ndarray], also: Iterable[type] = ()
) -> eqx.Module:
    """The module that ``encode`` wrote, with every array in its dtype. ``also``: classes from
    outside scorefold that may be used.

    **Raises:** ``DamagedFile`` naming the field with an unknown class or function, with missing or
    unexpected fields, or with an array of another dtype or shape than the document says.
    """
    unused = dict(arrays)
    try:
        if isinstance(also, type):
            raise TypeError(f"also: give a list, also=[{also.__name__}].")
        tree = _decode(document, "model", _Source(unused, dict(map(_outside, also))))
    except RecursionError as error:
        raise DamagedFile("The document is nested too deeply.") from error
    if not isinstance(tree, eqx.Module):
        raise DamagedFile("The document is not that of a module.")
    if unused:
        raise DamagedFile(f"Arrays that belong to no field: {', '.join(sorted(unused))}.")
    return tree


def _encode(node: object, path: str, arrays: dict[str, np.ndarray]) -> object:
    if type(node) is int and abs(node) >= 2**63:
        raise TypeError(f"{path} holds {one_line(node, 60)}: whole numbers are stored in 64 bits.")
    if node is None or type(node) in (bool, int, str):
        return node
    if type(node) is float:
        return node if math.isfinite(node) else {"float": repr(node)}
    if isinstance(node, eqx.Module):
        names = [f.name for f in dataclasses.fields(node)]
        return {
            "class": _class_name(type(node), path),
            "fields": {n: _encode(getattr(node, n), f"{path}.{n}", arrays) for n in names},
        }
    if isinstance(node, list | tuple) and type(node) in (list, tuple):
        items = [_encode(item, f"{path}.{i}", arrays) for i, item in enumerate(node)]
        return {type(node).__name__: items}
    if type(node) is dict and all(type(k) is str for k in node):
        return {"dict": {k: _encode(v, f"{path}.{k}", arrays) for k, v in node.items()}}
    if isinstance(node, np.dtype):
        return {"dtype": node.name}
    if isinstance(node, jax.Array | np.ndarray) and not jnp.issubdtype(
        node.dtype, jax.dtypes.prng_key
    ):
        arrays[path] = np.asarray(node)
        kind = "jax" if isinstance(node, jax.Array) else "numpy"
        return {"array": path, "kind": kind, "dtype": node.dtype.name, "shape": list(node.shape)}
    for name, function in _functions().items():
        if node is function:
            return {"function": name}
    raise TypeError(
        f"{path} holds {node!r}, of type {type(node).__name__}, which cannot be saved: fields hold "
        "arrays, numbers, text, tuples, modules of scorefold, or one of the functions "
        f"{', '.join(_functions())}."
    )


class _Source(NamedTuple):
    """What a document draws on: arrays not used so far, and classes from outside by name."""

    arrays: dict[str, np.ndarray]
    classes: dict[str, type]


def _outside(cls: type) -> tuple[str, type]:
    if not (isinstance(cls, type) and issubclass(cls, eqx.Module)) or inspect.isabstract(cls):
        raise TypeError(f"also: holds classes of modules that can be made, got {cls!r:.100}.")
    return f"{cls.__module__}:{cls.__qualname__}", cls


def _decode(node: object, path: str, source: _Source) -> object:
    if node is None or type(node) in (bool, int, str, float):
        return node
    match node:
        case {"float": str(name), **rest} if not rest and name in ("inf", "-inf", "nan"):
            return float(name)
        case {"class": str(name), "fields": dict(fields), **rest} if not rest:
            return _decode_module(name, fields, path, source)
        case {"list": list(items), **rest} if not rest:
            return [_decode(item, f"{path}.{i}", source) for i, item in enumerate(items)]
        case {"tuple": list(items), **rest} if not rest:
            return tuple(_decode(item, f"{path}.{i}", source) for i, item in enumerate(items))
        case {"dict": dict(items), **rest} if not rest:
            return {k: _decode(v, f"{path}.{k}", source) for k, v in items.items()}
        case {"dtype": str(name), **rest} if not rest and name in _DTYPE_NAMES:
            return jnp.dtype(name)
        case {"array": str(), "kind": "jax" | "numpy", "dtype": str(), "shape": list(), **rest} if (
            not rest and isinstance(node, dict)
        ):
            return _decode_array(node, path, source.arrays)
        case {"function": str(name), **rest} if not rest:
            if name not in _functions():
                raise DamagedFile(f"{path} names the unknown function {name!r}.")
            return _functions()[name]
    raise DamagedFile(f"{path} holds something that is not part of the format.")


_DTYPE_NAMES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint32", "bool")


def _decode_array(node: dict, path: str, arrays: dict[str, np.ndarray]) -> NumPyOrJax:
    array = arrays.pop(node["array"], None)
    if array is None:
        raise DamagedFile(f"{path}: the array {node['array']!r} is missing, or used twice.")
    if array.dtype.name != node["dtype"] or list(array.shape) != node["shape"]:
        raise DamagedFile(
            f"{path}: the file holds {array.dtype}{list(array.shape)}, but its document says "
            f"{node['dtype']}{node['shape']}."
        )
    if node["kind"] == "numpy":
        return array
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise DamagedFile(
            f"{path} is {array.dtype}, which JAX would silently shorten. Call "
            "jax.config.update('jax_enable_x64', True) before loading."
        )
    return device(array)


def _decode_module(name: str, fields: dict, path: str, source: _Source) -> eqx.Module:
    cls = _classes().get(name) or source.classes.get(name) or _of_a_package(name)
    if cls is None:
        hint = "" if ":" not in name else ", from outside scorefold: load(path, also=[…]) names it"
        raise DamagedFile(f"{path} is of the unknown class {name!r}{hint}.")
    wanted = {f.name for f in dataclasses.fields(cls)}
    if set(fields) != wanted:
        missing, extra = sorted(wanted - set(fields)), sorted(set(fields) - wanted)
        raise DamagedFile(
            f"{path}, a {name}, differs from this version's: fields missing {missing}, unknown "
            f"{extra}."
        )
    module: eqx.Module = object.__new__(cls)
    for field, value in fields.items():
        object.__setattr__(module, field, _decode(value, f"{path}.{field}", source))
    hints = _hints(cls)
    for field in fields:
        value = getattr(module, field)
        if not fits(hints[field], value):
            raise DamagedFile(
                f"{path}.{field}, a field of {name}, is {_seen(value)}, which it cannot be."
            )
    if isinstance(module, eqx.nn.Linear):
        _check_linear(path, module)
    try:
        for base in reversed(cls.__mro__):
            if "__check_init__" in vars(base):
                vars(base)["__check_init__"](module)
    except _IMPOSSIBLE as error:
        raise DamagedFile(f"{path}, a {name}, has impossible fields: {error}") from error
    return module


_IMPOSSIBLE = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RecursionError)


def _check_linear(path: str, layer: eqx.nn.Linear) -> None:
    """What the class of equinox leaves to its constructor; axes before the last two are batches."""
    sizes = [1 if n == "scalar" else n for n in (layer.out_features, layer.in_features)]
    weight, bias = layer.weight, layer.bias
    if (
        not jnp.issubdtype(weight.dtype, jnp.floating)
        or list(weight.shape[-2:]) != sizes
        or (bias is None) is layer.use_bias
        or (bias is not None and (bias.dtype, bias.shape) != (weight.dtype, weight.shape[:-1]))
    ):
        raise DamagedFile(
            f"{path}: a layer from {layer.in_features} to {layer.out_features} with the weight "
            f"{_seen(weight)} and the bias {_seen(bias)}."
        )


def _seen(value: object) -> str:
    if isinstance(value, jax.Array | np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return repr(value) if isinstance(value, bool | int | float | str) else type(value).__name__


@functools.cache
def _hints(cls: type) -> dict[str, object]:
    """The annotations of the fields. Manifolds may stand in them without having been imported."""
    names = vars(importlib.import_module("scorefold.manifolds"))
    return typing.get_type_hints(cls, localns=names)


def _class_name(cls: type, path: str) -> str:
    for name, known in _classes().items():
        if cls is known:
            return name
    if not inspect.isabstract(cls) and _leads_to(cls):
        return f"{cls.__module__}:{cls.__qualname__}"
    raise TypeError(
        f"{path} is a {cls.__module__}.{cls.__qualname__}: only modules of scorefold can be saved, "
        "and classes that can be imported by their name: a file brings no code of its own."
    )


def _leads_to(cls: type) -> bool:
    """Whether its name leads to a class: equinox makes short-lived copies under one name."""
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls


def _of_a_package(name: str) -> type | None:
    """The class of that name, if an entry point of an installed package leads to its module."""
    try:
        cls = _installed.find_class(name) if ":" in name else None
    except ValueError as error:
        raise DamagedFile(str(error)) from error
    if not (isinstance(cls, type) and issubclass(cls, eqx.Module)) or inspect.isabstract(cls):
        return None
    return cls if _outside(cls)[0] == name else None


@functools.cache
def _functions() -> dict[str, Callable]:
    fields = importlib.import_module("scorefold.fields")
    return {**_FUNCTIONS, "scorefold.fields.sine": fields.sine}


@functools.cache
def _classes() -> dict[str, type]:
    """Every final module class of scorefold as ``room.Class``, and the layers of equinox."""
    found: dict[str, type] = dict(_LAYERS)
    for room in pkgutil.iter_modules(importlib.import_module("scorefold").__path__):
        if room.name not in _ROOMS_WITHOUT_MODELS and not room.name.startswith("_"):
            importlib.import_module(f"scorefold.{room.name}")
    for cls in _subclasses(eqx.Module):
        package, room_name = [*cls.__module__.split("."), ""][:2]
        if package != "scorefold" or room_name in _ROOMS_WITHOUT_MODELS:
            continue
        if _leads_to(cls) and not inspect.isabstract(cls):
            name = f"{room_name}.{cls.__qualname__}"
            if found.setdefault(name, cls) is not cls:
                raise TypeError(f"Two classes are called {name}.")
    return found


def _subclasses(cls: type) -> Iterator[type]:
    sub: type
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
