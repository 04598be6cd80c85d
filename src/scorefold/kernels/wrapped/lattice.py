"""Normal laws with any covariance on the torus: sums over images and over waves."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._matmul import matmul
from scorefold._types import Scalar

MOST_ANGLES = 3
"""Angles up to which all images are summed: 7^d of them."""
_REACH = 3
_SWITCH = 5.0
"""Variance from which waves are summed in place of images."""


def lattice_normal(v: Array, axes: Array, variances: Array, s: Scalar) -> Scalar:
    """log Σ_k N(v + 2πk; 0, Σ + s) over the integers k, Σ = Σ_j λ_j E_jE_jᵀ: the density on T^d of
    a normal draw of covariance Σ, wrapped, after Brownian motion for s.

    Images with |k_j| ≤ 3 for s < 5, and above that waves,

        (2π)^{−d} (1 + 2 Σ_n e^{−n·(Σ + s)n/2} cos n·v),   n_j ≤ 3, one of n and −n.

    For λ ≤ (π/5.2)², which ``cap_precision`` sees to, the terms left out are below e^{−40} of the
    largest. Cost 7^d.

    **Arguments:** ``v``: difference of angles, shape ``(d,)``, d ≤ 3; ``axes``: rows E_j;
    ``variances``: λ. **Raises:** ``ValueError`` for more than three angles.
    """
    d = v.shape[0]
    if d > MOST_ANGLES:
        raise ValueError(f"{d} angles have {7**d} images; at most {MOST_ANGLES} angles are summed.")
    k = np.asarray(list(itertools.product(range(-_REACH, _REACH + 1), repeat=d)), np.float64)
    half = k[len(k) // 2 + 1 :]
    spread = variances + s

    def images() -> Scalar:
        away = matmul(v[None, :] + jnp.asarray(2.0 * math.pi * k, v.dtype), axes.T)
        square = jnp.sum(away * away / spread[None, :], axis=1)
        return jax.nn.logsumexp(-0.5 * square) - 0.5 * jnp.sum(jnp.log(2.0 * math.pi * spread))

    def waves() -> Scalar:
        n = jnp.asarray(half, v.dtype)
        along = matmul(n, axes.T)
        decay = jnp.exp(-0.5 * jnp.sum(along * along * spread[None, :], axis=1))
        return jnp.log1p(2.0 * jnp.sum(decay * jnp.cos(matmul(n, v)))) - d * math.log(2.0 * math.pi)

    return jax.lax.cond(s < _SWITCH, images, waves)
