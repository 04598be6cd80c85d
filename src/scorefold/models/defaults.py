"""The noising process where the user has not chosen one."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import evenly
from scorefold._geometry import require_manifold
from scorefold._types import Values
from scorefold._weights import counted, mean, on_device, rows_that_count, systematic
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.mixture import FittedMixture
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import (
    Brownian,
    Linear,
    MixtureBrownian,
    Noising,
    OrnsteinUhlenbeck,
    TorusBrownian,
    VarianceExploding,
)

_FORGOTTEN = 5.0
_CENTRES = 16


def default_noising(manifold: Manifold, data: Values, *, weights: Values | None = None) -> Noising:
    """Brownian motion on compact manifolds, run until the slowest mode has decayed by e⁻⁵,
    on tori with the wrapped normal law of the data to start from (``TorusBrownian``);
    Ornstein–Uhlenbeck on flat space; elsewhere Brownian motion that is stopped at s = 4, with a
    reference around 16 training points (evenly spaced rows of ``data``), each spread by half of
    the data's own spread: smooth, and wide enough to stand for the rest. Flat coordinates of
    ``data`` are standardised, as ``ScoreModel`` does. ``weights``: of the rows of ``data``, as of
    ``fit``.
    """
    require_manifold(manifold)
    if manifold.euclidean:
        return OrnsteinUhlenbeck(manifold, Linear(1e-3, 20.0))
    kept, w = None, None
    if weights is not None:
        data = np.asarray(data)
        kept, w = rows_that_count("weights", weights, len(data))
        data = counted(data, kept)
    if manifold.compact:
        clock = _clock(manifold)
        if manifold.toral:
            points = to_inner(manifold, Units(), data, "data")
            return TorusBrownian.measure(manifold, points, clock, w)
        return Brownian(manifold, clock)
    points = to_inner(manifold, Units.measure(manifold, data, weights=w), data, "data")
    centres = points[
        evenly(len(points), _CENTRES) if w is None else systematic(w, min(len(w), _CENTRES))
    ]
    some = None if w is None else on_device(w[:4096], points.dtype)
    spread = 0.5 * float(_spread(manifold, points[:4096], centres, some))
    spread = spread if math.isfinite(spread) and spread > 1e-2 else 1e-2
    return VarianceExploding(manifold, Linear(1e-3, 8.0), data_std=spread, centres=centres)


def started_noising(mixture: FittedMixture) -> MixtureBrownian:
    """``default_noising`` of a compact manifold with a fitted ``HeatKernelMixture`` to start from:
    a ``ScoreModel`` with it has the density of the mixture, smoothed by ``s_min``, before anything
    is learned.

    **Raises:** ``ValueError`` for a mixture of other laws and a manifold that is not compact.
    """
    known = mixture.parameters if isinstance(mixture, FittedMixture) else {}
    if "s" not in known:
        made = mixture.description if isinstance(mixture, FittedMixture) else mixture
        raise ValueError(
            f"mixture: one of heat kernels, as HeatKernelMixture makes it, got "
            f"{type(made).__name__}."
        )
    return MixtureBrownian(
        mixture.manifold, _clock(mixture.manifold), centres=known["centre"],
        variances=known["s"], weights=known["weights"],
    )  # fmt: skip


def _clock(manifold: Manifold) -> Linear:
    """Until the slowest mode of a compact manifold has decayed by e⁻⁵."""
    gap = manifold.spectral_gap if manifold.compact else 1.0
    return Linear(1e-3, 4.0 * _FORGOTTEN / gap)


@eqx.filter_jit
def _spread(manifold: Manifold, data: Array, centres: Array, weights: Array | None) -> Array:
    """Root mean square distance per dimension to the most central of the centres."""
    squares = jax.vmap(lambda c: mean(jax.vmap(lambda x: manifold.dist(x, c))(data) ** 2, weights))
    return jnp.sqrt(jnp.min(squares(centres)) / manifold.dim)
