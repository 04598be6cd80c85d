"""Units of flat coordinates: models work on unit variance, users see their own units."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced, listed
from scorefold._fixed import fixed
from scorefold._types import NumPyOrJax, Scalar, Values
from scorefold._warnings import warn
from scorefold._weights import average, counted, quantiles, rows_that_count
from scorefold.manifolds import Manifold, PointsError, exact_points
from scorefold.manifolds.points import require_shape

_PARTS = 3
"""32-bit numbers that add up to one of 64 bits."""
_FAR = 10.0
"""Robust deviations beyond which a point counts as if it lay there."""
_NORMAL = 2.0 * 1.2815515655446004
"""Distance of the first and the last decile of a normal law, in standard deviations."""
_POINTS, _COMMON, _OWN = 500, 12, 25
"""Points and steps of ``near_scales``, with one bandwidth and with one a column."""
_WIDE = 32
"""Columns beyond which distances of neighbours say little."""
_WORTH = 0.01
"""Nats a point that bandwidths of columns gain by chance."""
_LOST = 1e4
"""Shift over scale beyond which 32-bit numbers of the user's lose more than 3 digits of 7."""
_MERGED = 0.01
"""Share of different rows that a cast may merge."""


class Units(eqx.Module):
    """The units of flat coordinates: inner coordinates are z = (x − shift)/scale.

    ``Units()`` changes nothing; ``Units.measure`` reads shift and scale off training data. Curved
    coordinates keep shift 0 and scale 1: their units are the geometry's. Shift and scale are kept
    as sums of three numbers each, so that they have the digits of 64 bits where JAX has 32.

    ``shifts``, ``scales``: shape ``(3, *manifold.shape)``.
    """

    shifts: Array | None = fixed(default=None)
    scales: Array | None = fixed(default=None)

    @classmethod
    def measure(
        cls,
        manifold: Manifold,
        data: Values,
        *,
        alike: bool = False,
        near: bool = False,
        weights: np.ndarray | None = None,
        name: str = "data",
    ) -> Units:
        """Mean and standard deviation of every flat coordinate of ``data``, shape
        ``(n, *manifold.shape)``, computed in 64 bits. A number farther than ten robust deviations
        from the median counts as one that lies there (robust deviation: the distance of the first
        and the last decile, over that of a normal law), so that one wrong number does not set the
        unit. Without such numbers these are the mean and the standard deviation.

        ``alike``: one shift and one scale for all coordinates of R^d, as the pixels of images
        need. ``near``: of R^d, scales at which the distance of neighbours means the same in all
        columns (``near_scales``): data near a surface are thick along some columns and thin along
        others. ``weights``: of the rows, positive.

        A coordinate without spread keeps scale 1, with a ``ScorefoldWarning`` that names it.
        **Raises:** ``PointsError`` for numbers that are too large to be squared, or to be cast.
        """
        flat, x = manifold.flat_coordinates.ravel(), np.asarray(data)
        require_shape(manifold, name, x.shape)
        if not flat.any():
            return cls()
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        dtype, eps = jax.dtypes.canonicalize_dtype(x.dtype), float(np.finfo(x.dtype).eps)
        x = x.astype(np.float64).reshape(len(x), -1)
        shift, scale = np.zeros(flat.size), np.ones(flat.size)
        if alike and manifold.euclidean:
            each = None if weights is None else np.repeat(weights, x.shape[1])
            a, b = _moments(x.reshape(-1, 1), each)
            shift[:], scale[:] = a[0], b[0] or 1.0
            _refuse_huge(name, x, shift, scale, dtype)
        else:
            shift[flat], scale[flat] = _moments(x[:, flat], weights)
            if near and manifold.euclidean:
                scale *= near_scales((x - shift) / np.where(scale > 0, scale, 1.0), weights)
            _refuse_huge(name, x, shift, scale, dtype)
            rounding = 4.0 * eps * np.abs(x).max(axis=0)
            constant = flat & (np.ptp(x, axis=0) <= rounding)
            scale[constant] = 1.0
            if constant.any() and not constant[flat].all():
                _warn(name, np.flatnonzero(constant), x)
        parts = lambda a: jnp.asarray(_parts(a, dtype).reshape(_PARTS, *manifold.shape))  # noqa: E731
        return cls(parts(shift), parts(scale))

    @property
    def shift(self) -> NumPyOrJax:
        """In 64 bits as a NumPy array (inside a transformation: a JAX array)."""
        return _sum(self.shifts)

    @property
    def scale(self) -> NumPyOrJax:
        return _sum(self.scales)

    def inward(self, x: NumPyOrJax) -> NumPyOrJax:
        """Inner coordinates of points, shape ``(…, *manifold.shape)``: of NumPy arrays in 64 bits,
        of JAX arrays in their own dtype."""
        if self.shifts is None:
            return x
        shifts, scale = self._for(x)
        for part in shifts:
            x = x - part
        return x / scale

    def outward(self, z: NumPyOrJax) -> NumPyOrJax:
        """The points of inner coordinates; as ``inward``."""
        if self.shifts is None:
            return z
        shifts, scale = self._for(z)
        x = z * scale
        for part in reversed(shifts):
            x = x + part
        return x

    def gradient(self, slope: NumPyOrJax) -> NumPyOrJax:
        """Gradients in the user's units from those in inner coordinates."""
        return slope if self.shifts is None else slope / self._for(slope)[1]

    def _for(self, x: NumPyOrJax) -> tuple[Sequence[NumPyOrJax], NumPyOrJax]:
        """Numbers that add up to the shift, and the scale, as ``x`` is computed with."""
        if isinstance(x, np.ndarray) and not is_traced(self):
            return [self.shift], self.scale
        assert self.shifts is not None and self.scales is not None
        lead = (None,) * (x.ndim + 1 - self.shifts.ndim)
        shifts, scales = (
            [part[lead].astype(x.dtype) for part in parts] for parts in (self.shifts, self.scales)
        )
        return shifts, sum(scales[1:], scales[0])

    @property
    def log_volume(self) -> float | Scalar:
        """Σ log scale: log densities in the user's units are those of z less this."""
        if self.scales is None:
            return 0.0
        if is_traced(self.scales):
            return jnp.sum(jnp.log(_sum(self.scales)))
        return float(np.sum(np.log(self.scale)))

    @property
    def dtype(self) -> np.dtype:
        """What draws are made in."""
        return np.dtype(jnp.result_type(float) if self.scales is None else self.scales.dtype)

    @property
    def beyond_single(self) -> bool:
        """Whether 32-bit numbers cannot hold points in the user's units."""
        if self.scales is None or self.scales.dtype == np.float64:
            return False
        return bool(np.any(np.abs(self.shift) > _LOST * self.scale))


def to_inner(manifold: Manifold, units: Units, data: Values, name: str) -> Array:
    """Points of the user's, ``(n, *manifold.shape)``, in inner coordinates, cast at the end.

    **Raises:** ``PointsError`` for rows that are no points, and where 32 bits make more than a
    hundredth of the different rows equal.
    """
    exact = np.asarray(exact_points(manifold, data, name))
    if exact.ndim == len(manifold.shape):
        exact = exact[None]
    cast = units.inward(exact).astype(jax.dtypes.canonicalize_dtype(exact.dtype))
    if exact.dtype == np.float64 and cast.dtype == np.float32:
        _refuse_merged(exact, np.asarray(cast), name)
    return jnp.asarray(cast)


_Weighted = tuple[Array, np.ndarray | None]
"""Points and their weights; None: all alike."""


def weighted_points(
    manifold: Manifold,
    data: Values,
    val: Values | None,
    weights: Values | None,
    val_weights: Values | None,
) -> tuple[_Weighted, _Weighted | None, Units]:
    """Training points and held-out ones that count, in inner coordinates, with their weights, of
    mean 1; and the units.

    **Raises:** ``ValueError`` for fewer than two points, and weights that are none.
    """
    exact = exact_points(manifold, data, "data")
    if exact.ndim == len(manifold.shape) or len(exact) < 2:
        raise ValueError("data: needs two points or more.")
    kept, w = rows_that_count("weights", weights, len(exact))
    exact = counted(np.asarray(exact), kept)
    if len(exact) < 2:
        raise ValueError("weights: needs two points or more of positive weight, has 1.")
    units = Units.measure(manifold, exact, near=True, weights=w)
    points = to_inner(manifold, units, exact, "data")
    if val is None:
        if val_weights is not None:
            raise ValueError("val_weights: there are no held-out points; give val as well.")
        return (points, w), None, units
    held_out = to_inner(manifold, units, val, "val").astype(points.dtype)
    kept, w_val = rows_that_count("val_weights", val_weights, len(held_out))
    return (points, w), (counted(held_out, kept), w_val), units


def _refuse_merged(exact: np.ndarray, cast: np.ndarray, name: str) -> None:
    flat = lambda a: np.ascontiguousarray(a.reshape(len(a), -1))  # noqa: E731
    before = np.unique(flat(exact), axis=0, return_index=True)[1]
    after = np.unique(flat(cast)[before], axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(after)
    lost = len(before) - len(count)
    if lost > _MERGED * len(before):
        rows = np.sort(before[count[after] > 1])
        raise PointsError(
            f"{name}: {len(before)} different rows become {len(count)} in 32-bit numbers (rows "
            f"{listed(rows)}): they differ by less than a ten-millionth of the spread of all. "
            "jax.config.update('jax_enable_x64', True) before anything else keeps them apart."
        )


def near_scales(z: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Factors of the columns of standardised points z, shape ``(n, d)``, with product 1.

    The bandwidths h_1, …, h_d of the normal kernel density at which left-out points are likeliest,
    by the steps h_k² ← Σ_ij w_ij (z_ik − z_jk)²/n, w_ij the share of j in the density at i (each
    step raises the likelihood), taken to the power gain/(gain + 0.01), where the gain is that in
    nats a point over one bandwidth for all columns: what chance gains hardly counts. A fixed number
    of steps, of 500 points, so that a change of units, which z does not see, changes nothing.
    Columns in which most values repeat keep the common bandwidth. Of rows with ``weights`` w, w_ij
    is proportional to w_j, and means are weighted.
    """
    n, d = z.shape
    ones = np.ones(d)
    if not 2 <= d <= _WIDE or n < 10 * d or not np.isfinite(z).all():
        return ones
    rows = _some(z)
    z, w = np.clip(z[rows], -_FAR, _FAR), None if weights is None else weights[rows]
    free = np.array([len(np.unique(column)) > 0.5 * len(z) for column in z.T])
    h = np.full(d, len(z) ** (-1.0 / (d + 4)))
    for _ in range(_COMMON):
        before, square = _left_out(z, h, w)
        h = np.full(d, np.sqrt(np.mean(square)))
    before, square = _left_out(z, h, w)
    common = h
    for _ in range(_OWN):
        h = np.where(free, np.sqrt(square), common)
        after, square = _left_out(z, h, w)
    gain = max(after - before, 0.0)
    logs = (np.log(h) - np.mean(np.log(h))) * gain / (gain + _WORTH)
    return np.clip(np.exp(logs), 0.1, 10.0)


def _some(z: np.ndarray) -> np.ndarray:
    """Numbers of at most 500 rows: the same ones in any order of rows and columns and in any units,
    by the sum of a hash of each number's rank in its column."""
    if len(z) <= _POINTS:
        return np.arange(len(z))
    words = np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in z.T])
    mixed = words.astype(np.uint64) + np.uint64(1)
    # The mixing of SplitMix64 (Steele, Lea & Flood 2014).
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(factor)
    return np.sort(np.argsort(mixed.sum(axis=0), kind="stable")[:_POINTS])


def _left_out(
    z: np.ndarray, h: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """The mean log density at left-out points but for a constant, and the next h²."""
    y = z / h
    size = np.sum(y * y, axis=1)
    power = -0.5 * np.maximum(size[:, None] + size[None] - 2.0 * y @ y.T, 0.0)
    if weights is not None:
        power = power + np.log(weights)[None]
    np.fill_diagonal(power, -np.inf)
    top = power.max(axis=1, keepdims=True)
    share = np.exp(power - top)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    if weights is not None:
        # Each point weighs w in the mean over points.
        w = weights / weights.mean()
        share *= w[:, None]
        square = w @ (z * z) + share.sum(axis=0) @ (z * z)
        square -= 2.0 * np.sum(z * (share @ z), axis=0)
        value = float(np.average((top + np.log(total))[:, 0], weights=w) - np.sum(np.log(h)))
        return value, np.maximum(square / len(z), 1e-4)
    square = np.sum(z * z, axis=0) + share.sum(axis=0) @ (z * z)
    square -= 2.0 * np.sum(z * (share @ z), axis=0)
    value = float(np.mean(top + np.log(total)) - np.sum(np.log(h)))
    return value, np.maximum(square / len(z), 1e-4)


@np.errstate(over="ignore", invalid="ignore")
def _moments(x: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns, numbers far away pulled in."""
    shares = [0.1, 0.5, 0.9]
    if weights is None:
        low, middle, high = np.quantile(x, shares, axis=0)
    else:
        low, middle, high = quantiles(x, weights, shares)
    reach = _FAR * (high - low) / _NORMAL
    gap = x - middle
    near = np.where(reach > 0, np.clip(gap, -reach, reach), gap)
    mean = average(near, weights)
    return middle + mean, np.sqrt(average((near - mean) ** 2, weights))


def _refuse_huge(
    name: str, x: np.ndarray, shift: np.ndarray, scale: np.ndarray, dtype: np.dtype
) -> None:
    top = float(np.finfo(dtype).max)
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~(np.maximum(np.abs(shift), scale) < top))
    if bad.size:
        largest = np.abs(x[:, bad[0]]).max()
        raise PointsError(
            f"{name}: column {bad[0]} reaches {largest:.3g}, more than {np.dtype(dtype)} can be "
            "computed with. Divide it by a constant first."
        )


def _parts(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers of ``dtype`` that add up to 64-bit ones."""
    rest, parts = np.asarray(values, np.float64), []
    for _ in range(_PARTS):
        parts.append(rest.astype(dtype))
        rest = rest - parts[-1].astype(np.float64)
    return np.stack(parts)


def _sum(parts: Array | None) -> NumPyOrJax:
    assert parts is not None, "Units() has neither shift nor scale."
    if is_traced(parts):
        return jnp.sum(parts, axis=0)
    return np.sum(np.asarray(parts, np.float64), axis=0)


def _warn(name: str, columns: np.ndarray, x: np.ndarray) -> None:
    shown = listed([f"{c} (= {x[0, c]:g})" for c in columns], 5)
    several = "s" if len(columns) > 1 else ""
    warn(
        f"{name}: column{several} {shown} without spread: a density along it follows from the "
        "smallest width of the model alone. Leave it out."
    )
