"""The noising process to use when the user has not chosen one."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.manifolds import Euclidean, Manifold
from scorefold.noising import Brownian, Linear, Noising, OrnsteinUhlenbeck, VarianceExploding

__all__ = ["default_noising"]

_FORGOTTEN = 5.0
_CENTRES = 64


def default_noising(manifold: Manifold, data: Array) -> Noising:
    """Brownian motion on compact manifolds, run until the slowest mode has decayed by e⁻⁵;
    Ornstein–Uhlenbeck on flat space; elsewhere Brownian motion that is stopped at s = 4, with a
    reference around 64 training points (evenly spaced rows of ``data``), whose spread is the
    data's distance to the nearest of them.
    """
    if isinstance(manifold, Euclidean):
        return OrnsteinUhlenbeck(manifold, Linear(1e-3, 20.0))
    if manifold.compact:
        s_max = 2.0 * _FORGOTTEN / manifold.spectral_gap
        return Brownian(manifold, Linear(1e-3, 2.0 * s_max))
    rows = np.unique(np.linspace(0, len(data) - 1, _CENTRES).round().astype(int))
    centres = jnp.asarray(data)[rows]
    distance = jax.vmap(lambda x: jnp.min(jax.vmap(lambda c: manifold.dist(x, c))(centres)))
    rms = float(jnp.sqrt(jnp.mean(distance(jnp.asarray(data)[:4096]) ** 2) / manifold.dim))
    spread = rms if math.isfinite(rms) and rms > 1e-2 else 1e-2
    return VarianceExploding(manifold, Linear(1e-3, 8.0), data_std=spread, centres=centres)
