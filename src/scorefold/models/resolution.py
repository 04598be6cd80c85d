"""How fine the structure of data is: what networks and the data end of a model are set by.

Kernels here are Gaussians of the distance, not the heat kernels that ``kernels.bandwidth``
compares: a scale is wanted, not a density, and no model should wait long for its first step.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import evenly
from scorefold._types import Point, Scalar, Values
from scorefold.manifolds import Manifold
from scorefold.models.standardise import Units, to_inner

_CENTRES, _POINTS, _WIDTHS = 4096, 512, 24
_NUMBERS = 4e8
"""Coordinates of all pairs, beyond which fewer points are compared, 64 at least."""
_BACKGROUND = 0.01
"""Share of one wide kernel, so that a point far from all others does not decide."""
_ONE_PLACE = 1e-4
"""Distance below which two points are the same one."""
_LARGEST, _SMALLEST = 1e-4, 1e-6
"""Of the variance-times of the data end. At the smallest, float32 still tells points apart."""


def data_resolution(manifold: Manifold, points: Values) -> float:
    """h = argmax Σ_i log Σ_{j: x_j ≠ x_i} (2πh²)^{−d/2} e^{−dist(x_i, x_j)²/2h²}, the leave-one-out
    choice of one bandwidth: the finest scale that the data show, in units of length per dimension.

    **Arguments:** ``points``: inner coordinates, shape ``(n, *manifold.shape)``; 512 of them (64
    in many dimensions) are compared with 4,096. One in a hundred of a kernel's mass is spread as
    widely as the data, and points closer than 10⁻⁴ are one place: rounding makes such pairs.

    **Returns:** 1 where there are no two different places.
    **Raises:** ``PointsError`` for rows that are not points of the manifold.
    """
    return inner_resolution(manifold, to_inner(manifold, Units(), points, "points"))


def inner_resolution(manifold: Manifold, points: Array) -> float:
    """``data_resolution`` of points that are known to be inner coordinates."""
    each = _CENTRES * math.prod(manifold.shape)
    count = max(64, min(_POINTS, int(_NUMBERS / each)))
    rows = evenly(len(points), count), evenly(len(points), _CENTRES)
    h = float(_leave_one_out(manifold, *(points[row] for row in rows)))
    return h if math.isfinite(h) and h > 0.0 else 1.0


def data_end(resolution: float) -> float:
    """min(10⁻⁴, h²/4), 10⁻⁶ at least: a blur of half of the finest scale that the data show."""
    return max(_SMALLEST, min(_LARGEST, 0.25 * resolution**2))


@eqx.filter_jit
def _leave_one_out(manifold: Manifold, x: Array, centres: Array) -> Scalar:
    def squares(point: Array) -> Array:
        def one(c: Point) -> Scalar:
            square = manifold.dist(point, c) ** 2
            return jnp.where(square > _ONE_PLACE**2, square, jnp.inf)

        return jax.vmap(one)(centres)

    together = max(1, min(64, (1 << 22) // centres.size))
    square = jax.lax.map(squares, x, batch_size=together)
    others = jnp.isfinite(square)
    count = jnp.sum(others.astype(square.dtype), axis=1)
    mean = jnp.sum(jnp.where(others, square, 0.0), axis=1) / jnp.maximum(count, 1.0)
    wide = jnp.min(mean) / manifold.dim
    nearest = jnp.where(count > 0.0, jnp.min(square, axis=1), jnp.nan)
    low = jnp.minimum(jnp.nanquantile(nearest, 0.1) / manifold.dim, wide) / 4.0
    steps = jnp.linspace(0.0, 1.0, _WIDTHS, dtype=x.dtype)
    variances = jnp.exp(jnp.log(low) + steps * (jnp.log(wide) - jnp.log(low)))

    def log_kernels(v: Scalar) -> Array:
        return jax.nn.logsumexp(-0.5 * square / v, axis=1) - 0.5 * manifold.dim * jnp.log(v)

    far = log_kernels(wide) + math.log(_BACKGROUND)
    near = jax.lax.map(log_kernels, variances) + math.log1p(-_BACKGROUND)
    return jnp.sqrt(variances[jnp.argmax(jnp.mean(jnp.logaddexp(near, far[None]), axis=1))])
