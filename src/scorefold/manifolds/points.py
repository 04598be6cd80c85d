"""The public edge: data of any kind become points, or an error that says which rows and why."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.manifolds._base import Manifold
from scorefold.manifolds._check import PointsError, as_numbers, refuse_rows, require_rows

__all__ = ["check_points"]

OFF = 1e-4
"""Largest defect that is taken for rounding (six digits in a file) and mended by projection."""


def check_points(manifold: Manifold, x, name: str = "points") -> Array:
    """``x`` as points of ``manifold``: shape ``manifold.shape`` (one) or ``(n, *manifold.shape)``.

    **Arguments:** ``x``: NumPy or JAX arrays, nested lists, pandas frames. float32 and float64
    are kept, other real dtypes become the default float. ``name``: how errors call the argument.
    **Returns:** a JAX array of the same shape. Points off the manifold by rounding (defect up to
    1e-4) are projected, points on it are returned unchanged, angles of a torus are wrapped.
    **Raises:** ``PointsError`` (a ``ValueError``) naming the argument, the rows and the remedy:
    no rows, wrong shape, text, NaN or inf, defect above 1e-4, and what the geometry recognises:
    zero vectors, reflections, the wrong hyperbolic sheet, degrees on a torus.
    """
    if isinstance(x, jax.core.Tracer):  # values are not known yet: the shape is
        if x.shape != manifold.shape and x.shape[1:] != manifold.shape:
            raise PointsError(_shape_message(manifold, name, x.shape))
        return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    array = as_numbers(name, x)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(jnp.result_type(float))
    shape = manifold.shape
    if array.shape != shape and array.shape[1:] != shape:
        raise PointsError(_shape_message(manifold, name, array.shape))
    rows = array.reshape(-1, *shape)
    require_rows(name, rows)
    manifold.audit(name, rows.astype(np.float64))
    mended, defect, moved = (np.asarray(a) for a in _mend(manifold, jnp.asarray(rows)))
    off = ~(defect <= OFF)
    if off.any():
        worst = float(np.max(defect[off]))
        refuse_rows(
            name,
            off,
            rows,
            f"off {manifold.name} (largest defect {worst:.3g}; {OFF:g} is allowed)",
            f"manifold.project maps to the nearest point if that is meant. {manifold.readers}",
        )
    keep = moved <= 4 * np.finfo(mended.dtype).eps
    rows = np.where(keep.reshape(-1, *(1,) * len(shape)), rows.astype(mended.dtype), mended)
    return jnp.asarray(rows.reshape(array.shape))


@jax.jit(static_argnums=0)
def _mend(manifold: Manifold, rows: Array) -> tuple[Array, Array, Array]:
    def one(x):
        y = manifold.project(x)
        moved = jnp.max(jnp.abs(y - x)) / jnp.maximum(jnp.max(jnp.abs(x)), 1.0)
        return y, manifold.defect(x), moved

    return jax.vmap(one)(rows)


def _shape_message(manifold: Manifold, name: str, shape: tuple[int, ...]) -> str:
    form = ", ".join(str(n) for n in manifold.shape)
    message = (
        f"{name}: has shape {shape}; points of {manifold.name} have shape (n, {form}), "
        f"or {manifold.shape} for one."
    )
    if len(manifold.shape) == 1 and len(shape) == 2 and shape[0] == manifold.shape[0]:
        message += " The rows and columns look exchanged: pass its transpose."
    return f"{message} {manifold.readers}"
