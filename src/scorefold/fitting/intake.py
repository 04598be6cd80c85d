"""Data of any kind as one array of numbers."""

import jax.numpy as jnp
import numpy as np

from scorefold._blocks import listed
from scorefold._foreign import plain
from scorefold._types import Values


def numbers(name: str, data: Values, runs: int | None = None) -> np.ndarray:
    """The data as one floating-point NumPy array: float32 and float64 as they are, other real
    numbers (integers, half precision, lists, data frames) as float64.

    **Raises:** ``ValueError`` for text, ragged lists, complex numbers, no rows, rows that are not
    finite, and with ``runs`` a leading axis of another length.
    """
    data = plain(name, data)
    try:
        x = np.asarray(data)
        if x.dtype == jnp.bfloat16 or x.dtype.kind == "O":
            x = x.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not one array of numbers ({str(error)[:200]}).") from None
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{name}: has dtype {x.dtype}; real numbers are needed.")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    lead = 0 if runs is None else 1
    if x.ndim <= lead or 0 in x.shape:
        raise ValueError(f"{name} must hold at least one point; got an array of shape {x.shape}.")
    if runs is not None and x.shape[0] != runs:
        raise ValueError(
            f"With stacked=True {name} needs one leading entry for each of the {runs} keys; got "
            f"shape {x.shape}."
        )
    bad = ~np.isfinite(x).reshape(*x.shape[: lead + 1], -1).all(axis=-1)
    if bad.any():
        rows = np.argwhere(bad)
        shown = listed((rows if lead else rows[:, 0]).tolist())
        raise ValueError(
            f"{name} has {len(rows)} rows that are not finite: rows {shown}. Remove or repair them."
        )
    return x
