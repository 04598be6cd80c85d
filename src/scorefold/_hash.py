"""A hash of modules that hold arrays."""

import equinox as eqx
import jax


def structural_hash(module: eqx.Module) -> int:
    """Of classes, static fields, and shapes and dtypes of arrays, not of their values: equal
    modules have equal hashes. ``jax.jit(module.method)`` asks for it; equinox hashes the arrays
    themselves, which have no hash."""
    leaves, structure = jax.tree.flatten(module)
    arrays = ((a.shape, str(a.dtype)) if hasattr(a, "dtype") else a for a in leaves)
    return hash((structure, tuple(arrays)))
