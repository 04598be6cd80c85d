"""The points of two laws, as they are given and as a bridge is fitted to them."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, NumPyOrJax, Values
from scorefold._weights import counted, rows_that_count, systematic
from scorefold.bridges.units import BridgeUnits
from scorefold.manifolds import Manifold, PointsError, check_points
from scorefold.manifolds._check import as_numbers
from scorefold.noising import Noising

_TIMES, _MOST = 8, 8192
"""Rows with weights are repeated so that there are so many times more, up to so many in all."""


class End(NamedTuple):
    """Samples of one law. ``rows``: as they were given, in float64; ``points``: checked, in the
    dtype that training has."""

    rows: np.ndarray
    points: Array

    @property
    def dtype(self) -> np.dtype:
        return self.points.dtype


def ends_of(
    manifold: Manifold,
    a: Values,
    b: Values,
    names: tuple[str, str],
    dtype: DTypeLike | None = None,
    least: int = 2,
) -> tuple[End, End]:
    """Both ends from arrays, lists or frames. Floating-point arrays keep their dtype and must have
    one; other numbers take that of the other end, of ``dtype``, or the default.

    **Raises:** ``PointsError`` for what is not points, and for fewer than ``least``;
    ``ValueError`` for two dtypes.
    """
    given = [as_numbers(name, x) for name, x in zip(names, (a, b), strict=True)]
    checked = [check_points(manifold, x, name) for name, x in zip(names, (a, b), strict=True)]
    for name, rows in zip(names, checked, strict=True):
        if rows.ndim != 1 + len(manifold.shape) or len(rows) < least:
            more = ", or no val at all" if name.startswith("val") else ""
            raise PointsError(
                f"{name}: needs at least {least} points, shape (n, …){more}; got an array of shape "
                f"{rows.shape}."
            )
    stated = [p.dtype if x.dtype.kind == "f" else None for x, p in zip(given, checked, strict=True)]
    wanted = dtype or stated[0] or stated[1] or jnp.dtype(jnp.result_type(float))
    for k, kind in enumerate(stated):
        if kind not in (None, wanted):
            other = f"but {names[1 - k]} has" if dtype is None else "the training points"
            raise ValueError(f"{names[k]}: has dtype {kind}, {other} {wanted}: give one dtype.")
    first, second = (
        End(x.astype(np.float64), p.astype(wanted)) for x, p in zip(given, checked, strict=True)
    )
    return first, second


def repeated(name: str, x: Values, weights: Values | None) -> Values:
    """Rows repeated in proportion to their weights, systematically: w_i/w̄ of each to within one in
    eight, of more than 1024 rows within one row. The rows themselves where all weigh the same."""
    if weights is None:
        return x
    rows = as_numbers(name, x)
    kept, w = rows_that_count(f"weights of {name}", weights, len(rows))
    rows = counted(rows, kept)
    return rows if w is None else rows[systematic(w, max(len(w), min(_TIMES * len(w), _MOST)))]


def exact_rows(manifold: Manifold, x: Values, name: str) -> NumPyOrJax:
    """Checked points, shape ``(n, *shape)``: with all the digits of their flat coordinates, as a
    NumPy array, where JAX would cut them."""
    points = check_points(manifold, x, name)
    given = as_numbers(name, x)
    if given.dtype != np.float64 or points.dtype == np.float64:
        return points
    return np.where(manifold.flat_coordinates, given, np.asarray(points, np.float64))


def both_inside(
    manifold: Manifold, ends: tuple[End, End], units: BridgeUnits | None
) -> tuple[Array, Array]:
    """The points of both ends in inner coordinates; as they are without ``units``."""
    if units is None:
        return ends[0].points, ends[1].points
    flat, found = manifold.flat_coordinates, []
    for end, middle in zip(ends, (units.start, units.end), strict=True):
        moved = (end.rows - np.asarray(middle)) / units.scale
        found.append(jnp.asarray(np.where(flat, moved, np.asarray(end.points)), end.dtype))
    return found[0], found[1]


class Samples(NamedTuple):
    """Points of both laws: ``ends`` and held-out ones in the coordinates that a bridge is fitted
    in, ``given`` and ``given_held`` as they were given, ``reference`` and ``units`` (None: the
    same coordinates) how one makes the other."""

    ends: tuple[Array, Array]
    held: tuple[Array, Array] | None
    given: tuple[End, End]
    given_held: tuple[End, End] | None
    reference: Noising
    units: BridgeUnits | None

    @classmethod
    def of(cls, reference: Noising, a: Values, b: Values, val: object, least: int) -> Samples:
        """**Raises:** what ``ends_of`` raises, with ``a``, ``b``, ``val[0]``, ``val[1]`` named."""
        manifold = reference.manifold
        given = ends_of(manifold, a, b, ("a", "b"), least=least)
        given_held = None
        if val is not None:
            if not (isinstance(val, tuple | list) and len(val) == 2):
                raise ValueError("val: give a pair, held-out points of A and held-out points of B.")
            given_held = ends_of(manifold, val[0], val[1], ("val[0]", "val[1]"), given[0].dtype)
        units = BridgeUnits.of(reference, *(end.rows for end in given))
        inside = reference if units is None else units.inside(reference)
        noise, dtype = math.sqrt(inside.schedule.total), given[0].dtype
        if noise < 16.0 * float(jnp.finfo(dtype).eps):
            raise ValueError(
                f"reference: the noise of the whole bridge is {noise:.1e} beside ends of size 1, "
                f"below what {dtype.name} tells apart. Take a larger variance, or float64."
            )
        held = None if given_held is None else both_inside(manifold, given_held, units)
        return cls(both_inside(manifold, given, units), held, given, given_held, reference, units)

    @property
    def scale(self) -> float:
        """The unit of length of ``ends`` in that of ``given``."""
        return 1.0 if self.units is None else self.units.scale
