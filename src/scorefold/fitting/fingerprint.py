"""What identifies a run, in words a person can compare."""

import dataclasses

import equinox as eqx
import jax
import numpy as np

from scorefold.fitting.container import digest


def describe(value: object, name: str) -> dict[str, str]:
    """``{"model.manifold.d": "2", "data": "float32[300, 2] sha256:…", …}``: one line a field."""
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return {name: str(np.asarray(jax.random.key_data(value)).tolist())}
    if isinstance(value, jax.Array | np.ndarray):
        return {name: digest(np.asarray(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        lines = {name: type(value).__qualname__} if isinstance(value, eqx.Module) else {}
        for field in dataclasses.fields(value):
            lines |= describe(getattr(value, field.name), f"{name}.{field.name}")
        return lines
    if isinstance(value, list | tuple | dict):
        kind = "dict" if isinstance(value, dict) else type(value).__name__
        lines = {name: f"{kind} of {len(value)}"}
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            lines |= describe(item, f"{name}.{key}")
        return lines
    if callable(value) and hasattr(value, "__qualname__"):
        return {name: f"{value.__module__}.{value.__qualname__}"}
    return {name: repr(value)}


def differences(then: dict[str, str], now: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The fields that are not the same, with both values ("absent" if there is none)."""
    return {
        name: (then.get(name, "absent"), now.get(name, "absent"))
        for name in [*then, *(n for n in now if n not in then)]
        if then.get(name) != now.get(name)
    }
