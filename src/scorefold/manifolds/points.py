"""The public edge: data of any kind become points, or an error that says which rows and why."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, inside_jit, is_traced
from scorefold._geometry import Manifold
from scorefold._types import NumPyOrJax, Values
from scorefold.manifolds._check import PointsError, as_numbers, refuse_rows, require_rows

OFF = 1e-4
"""Largest defect that is taken for rounding (six digits in a file) and mended by projection."""
_BLOCK = 1024
"""Rows mended at a time: one program serves every number of rows."""


def check_points(manifold: Manifold, x: Values, name: str = "points") -> Array:
    """``x`` as points of ``manifold``: shape ``manifold.shape`` (one) or ``(n, *manifold.shape)``.

    **Arguments:** ``x``: NumPy or JAX arrays, nested lists, pandas frames, tensors of PyTorch on
    the processor, on SO(3) a ``Rotation`` of SciPy. float32 and float64
    are kept, other real dtypes become the default float. ``name``: how errors call the argument.
    **Returns:** a JAX array of the same shape. Points off the manifold by rounding (defect up to
    1e-4) are projected, points on it are returned unchanged, angles of a torus are wrapped.
    Inside a JAX transformation values are not known: shape and dtype are checked, every point is
    projected.
    **Raises:** ``PointsError`` (a ``ValueError``) naming the argument, the rows and the remedy:
    no rows, wrong shape, text, masked entries, NaN or inf, numbers beyond the range of the default
    float, defect above 1e-4, and what the geometry recognises: zero vectors, reflections, the wrong
    hyperbolic sheet, degrees on a torus.
    """
    points = exact_points(manifold, x, name)
    if isinstance(points, np.ndarray):
        most = float(jnp.finfo(jax.dtypes.canonicalize_dtype(points.dtype)).max)
        if points.dtype == np.float64 and most < np.finfo(np.float64).max:
            rows = points.reshape(-1, *manifold.shape)
            what = f"beyond ±{most:.2g}, the range of 32-bit numbers"
            hint = "Change the unit, or jax.config.update('jax_enable_x64', True) first."
            refuse_rows(name, np.abs(rows) > most, rows, what, hint)
    return device(points)


def exact_points(manifold: Manifold, x: Values, name: str = "points") -> NumPyOrJax:
    """What ``check_points`` returns, before any cast: 64-bit numbers that are not JAX's come as a
    NumPy array with all their digits, everything else as a JAX array of its own dtype."""
    if is_traced(x):
        return _traced(manifold, jnp.asarray(x), name)
    array = as_numbers(name, x)
    if array.dtype not in (np.float32, np.float64):
        wider = np.float64 if array.dtype.kind in "iu" else jnp.result_type(float)
        array = array.astype(wider)
    shape = manifold.shape
    require_shape(manifold, name, array.shape)
    rows = array.reshape(-1, *shape)
    require_rows(name, rows)
    manifold.audit(name, np.asarray(rows, np.float64))
    mended = rows if manifold.euclidean else _on_manifold(manifold, rows, name)
    if mended is rows and isinstance(x, jax.Array) and x.dtype == array.dtype:
        return x
    mended = mended.reshape(array.shape)
    kept = mended.dtype == np.float64 and jnp.result_type(float) != np.float64
    return mended if kept else device(mended)


def _traced(manifold: Manifold, x: Array, name: str) -> Array:
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
        raise PointsError(f"{name}: has dtype {x.dtype}; real numbers are needed.")
    if x.dtype not in (jnp.float32, jnp.float64):
        x = x.astype(jnp.result_type(float))
    require_shape(manifold, name, x.shape)
    return jax.vmap(manifold.project)(x) if x.ndim > len(manifold.shape) else manifold.project(x)


def _on_manifold(manifold: Manifold, rows: np.ndarray, name: str) -> np.ndarray:
    """The rows, those off the manifold by rounding projected; the same array if none was."""
    parts = []
    with jax.ensure_compile_time_eval() if inside_jit() else contextlib.nullcontext():
        for first in range(0, len(rows), _BLOCK):
            at = np.minimum(np.arange(first, first + _BLOCK), len(rows) - 1)
            parts.append([np.asarray(a) for a in _mend(manifold, device(rows[at]))])
    mended, defect = (np.concatenate(p)[: len(rows)] for p in zip(*parts, strict=True))
    off = ~(defect <= OFF)
    if off.any():
        worst = float(np.max(defect[off]))
        what = f"off {manifold.name} (largest defect {worst:.3g}; {OFF:g} is allowed)"
        hint = f"manifold.project maps to the nearest point if that is meant. {manifold.readers}"
        refuse_rows(name, off, rows, what, hint)
    close = 4 * np.finfo(mended.dtype).eps * np.maximum(np.abs(rows), 1.0)
    keep = np.abs(mended - rows) <= close
    return rows if keep.all() else np.where(keep, rows, mended.astype(rows.dtype))


@jax.jit(static_argnums=0)
def _mend(manifold: Manifold, rows: Array) -> tuple[Array, Array]:
    return jax.vmap(lambda x: (manifold.project(x), manifold.defect(x)))(rows)


def require_shape(manifold: Manifold, name: str, shape: tuple[int, ...]) -> None:
    """**Raises:** ``PointsError`` for a shape that is neither one point's nor many points'."""
    if manifold.shape in (shape, shape[1:]):
        return
    form = ", ".join(str(n) for n in manifold.shape)
    message = (
        f"{name}: has shape {shape}; points of {manifold.name} have shape (n, {form}), "
        f"or {manifold.shape} for one."
    )
    if len(manifold.shape) == 1 and len(shape) == 2 and shape[0] == manifold.shape[0]:
        message += " The rows and columns look exchanged: pass its transpose."
    raise PointsError(f"{message} {manifold.readers}")
