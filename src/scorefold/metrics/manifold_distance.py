"""How far samples lie from a set on which the true law is known to live."""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Values
from scorefold.manifolds import Manifold, check_points


class ManifoldDistance(NamedTuple):
    """Distances of n samples to the set: mean and its standard error (None for one sample), root of
    the mean square, quantiles and largest."""

    mean: float
    standard_error: float | None
    root_mean_square: float
    median: float
    q90: float
    q99: float
    largest: float
    n: int


def manifold_distance(
    manifold: Manifold, samples: Values, nearest_point: Callable[[Point], Point]
) -> ManifoldDistance:
    """r(x, P(x)) for each sample x, with P = ``nearest_point`` the projection to the true set and
    r the geodesic distance of ``manifold``, in which the samples live.

    For example x/|x| for the sphere in R³, or the foot of the perpendicular to a roll. A P that
    returns some point of the set, not the nearest, gives an upper bound. Samples of the law with
    normal noise of standard deviation σ in c normal directions are at root mean square σ√c if σ
    is small against the radius of curvature: that is the floor for noisy data.

    **Arguments:** ``samples``, shape ``(n, *manifold.shape)``; ``nearest_point``: a JAX function
    of ONE point.
    **Raises:** ``ValueError`` naming the rows at which P is not finite.
    """
    x = check_points(manifold, samples, "samples").reshape(-1, *manifold.shape)
    feet, distance = _feet(manifold, nearest_point, x)
    bad = np.flatnonzero(~np.isfinite(np.asarray(feet)).reshape(len(x), -1).all(axis=1))
    if bad.size:
        shown = ", ".join(str(i) for i in bad[:10])
        raise ValueError(
            f"nearest_point: not finite at {bad.size} of {len(x)} samples (rows {shown}); "
            "define it there or drop these rows."
        )
    r = np.asarray(distance, np.float64)
    error = float(r.std(ddof=1) / math.sqrt(len(r))) if len(r) > 1 else None
    median, q90, q99 = (float(q) for q in np.quantile(r, (0.5, 0.9, 0.99)))
    rms = float(np.sqrt(np.mean(r**2)))
    return ManifoldDistance(float(r.mean()), error, rms, median, q90, q99, float(r.max()), len(r))


@eqx.filter_jit
def _feet(
    manifold: Manifold, nearest_point: Callable[[Point], Point], x: Array
) -> tuple[Array, Array]:
    feet = jax.vmap(nearest_point)(x)
    return feet, jax.vmap(manifold.dist)(x, jnp.asarray(feet))
