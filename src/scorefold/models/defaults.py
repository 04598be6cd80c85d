"""The noising process where the user has not chosen one."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import evenly
from scorefold._geometry import require_manifold
from scorefold._types import Values
from scorefold.manifolds import Manifold
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import (
    Brownian,
    Linear,
    Noising,
    OrnsteinUhlenbeck,
    TorusBrownian,
    VarianceExploding,
)

_FORGOTTEN = 5.0
_CENTRES = 16


def default_noising(manifold: Manifold, data: Values) -> Noising:
    """Brownian motion on compact manifolds, run until the slowest mode has decayed by e⁻⁵,
    on tori with the wrapped normal law of the data to start from (``TorusBrownian``);
    Ornstein–Uhlenbeck on flat space; elsewhere Brownian motion that is stopped at s = 4, with a
    reference around 16 training points (evenly spaced rows of ``data``), each spread by half of
    the data's own spread: smooth, and wide enough to stand for the rest. Flat coordinates of
    ``data`` are standardised, as ``ScoreModel`` does.
    """
    require_manifold(manifold)
    if manifold.euclidean:
        return OrnsteinUhlenbeck(manifold, Linear(1e-3, 20.0))
    if manifold.compact:
        s_max = 2.0 * _FORGOTTEN / manifold.spectral_gap
        clock = Linear(1e-3, 2.0 * s_max)
        if manifold.toral:
            return TorusBrownian.measure(manifold, to_inner(manifold, Units(), data, "data"), clock)
        return Brownian(manifold, clock)
    points = to_inner(manifold, Units.measure(manifold, data), data, "data")
    centres = points[evenly(len(points), _CENTRES)]
    spread = 0.5 * float(_spread(manifold, points[:4096], centres))
    spread = spread if math.isfinite(spread) and spread > 1e-2 else 1e-2
    return VarianceExploding(manifold, Linear(1e-3, 8.0), data_std=spread, centres=centres)


@eqx.filter_jit
def _spread(manifold: Manifold, data: Array, centres: Array) -> Array:
    """Root mean square distance per dimension to the most central of the centres."""
    squares = jax.vmap(lambda c: jnp.mean(jax.vmap(lambda x: manifold.dist(x, c))(data) ** 2))
    return jnp.sqrt(jnp.min(squares(centres)) / manifold.dim)
