"""Shares of the parts of a density: learned, then settled by points that had no part in them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._fixed import fixed
from scorefold._types import DTypeLike

_BROAD = -4.0
"""Start of the log odds of a broad law."""
_MOST = 20.0
"""Bound on log odds."""
_STEPS = 2000


class Shares(eqx.Module):
    """Shares of learned kernels, of broad laws behind them, and of kernels of one bandwidth.

    ``odds``: log odds of the others against the learned kernels, shape ``(B,)``, or ``(B + 1,)``
    with kernels of one ``bandwidth`` (a standard deviation) in the last place.
    """

    odds: Array
    bandwidth: Array | None = fixed(default=None)

    @classmethod
    def start(cls, broad: int, dtype: DTypeLike) -> Shares:
        """Before training: so many broad laws, all but learned kernels."""
        return cls(device(np.full((broad,), _BROAD), dtype))

    @classmethod
    def of(cls, log_shares: Array, bandwidth: Array | None = None) -> Shares:
        odds = jnp.clip(log_shares[1:] - log_shares[0], -_MOST, _MOST)
        return cls(odds, bandwidth)

    def logarithms(self) -> Array:
        """Logarithms of all shares, that of the learned kernels first."""
        odds = jnp.clip(self.odds, -_MOST, _MOST)
        return jax.nn.log_softmax(jnp.pad(odds, (1, 0)))


def likeliest_shares(
    log_densities: np.ndarray, prior: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """π* = argmax_π Σ_i log Σ_j π_j p_j(x_i) + Σ_j a_j log π_j over the simplex.

    The objective is concave, and expectation–maximisation climbs it. **Arguments:**
    ``log_densities``: log p_j(x_i), shape ``(n, parts)``; ``prior``: a ≥ 0, points that each part
    is given beforehand, shape ``(parts,)``; ``weights``: of the terms of the first sum.
    """
    top = log_densities.max(1, keepdims=True)
    density = np.exp(log_densities - np.where(np.isfinite(top), top, 0.0))
    share = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(_STEPS):
        joint = density * share[None]
        sums = np.maximum(joint.sum(1), np.finfo(np.float64).tiny)
        each = joint / sums[:, None]
        now = (each.sum(0) if weights is None else weights @ each) + prior
        before, share = share, now / now.sum()
        if np.abs(share - before).max() < 1e-7:
            break
    return share
