"""Which arrays of a module are trained: all floating-point ones except those in fixed fields."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree


def fixed(**kwargs: Any) -> Any:
    """A dataclass field whose arrays are never trained: random frequencies, training data,
    constants of a geometry.

    Use: ``frequencies: Array = fixed()`` in an ``equinox.Module``. No optimiser, weight decay or
    average touches such a field, and its gradient is never computed.
    """
    return eqx.field(metadata={"fixed": True}, **kwargs)


def trainable(tree: PyTree) -> PyTree:
    """A filter for ``eqx.partition``: True at every floating-point array that ``fit`` trains."""
    children, structure = jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=lambda node: node is not tree
    )
    if jax.tree_util.treedef_is_leaf(structure):
        return eqx.is_inexact_array(tree)
    held = set()
    if isinstance(tree, eqx.Module):
        held = {f.name for f in tree.__dataclass_fields__.values() if f.metadata.get("fixed")}
    specs = [
        jax.tree.map(lambda _: False, child)
        if getattr(path[0], "name", None) in held
        else trainable(child)
        for path, child in children
    ]
    return jax.tree.unflatten(structure, specs)
