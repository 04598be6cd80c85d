"""Covariances learned from the shape of neighbourhoods."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key
from scorefold.kernels.precision import diagonal_of

__all__ = ["LocalCovariance"]

_ROUND = 0.02
"""Start of r, the share of the mean variance that is added in every direction."""
_ROUNDEST = 1e-4
"""Least share: bounds the anisotropy at what single precision can invert."""
_PLAIN = -4.0
"""Start of the logarithm of the isotropic part, against the spread of the 5 nearest."""


class LocalCovariance(eqx.Module):
    """Covariance and weight of a kernel from the moments C_k of its neighbourhoods:

        Σ = Σ_k a_k C_k + Σ_k c_k diag C_k + (b t + r tr(Σ_k a_k C_k)/d + floor²) 1,
        m = Σ_k e_k μ_k,   log w,

    with a_k, b, c_k, e_k and log w from a network of the features φ (logarithms of the size and
    roundness of each C_k, the place), and t the size of a middle C_k. Equivariant under
    isometries but for the place and the diagonals, which belong to the frame; at the start the
    network is 0 and Σ the mean of C_k/2 with a little of the rest.

    ``centre``, ``scale``: what standardises the features; ``middle``: which feature is log t.
    """

    layers: list[eqx.nn.Linear]
    shares: Array
    diagonals: Array
    isotropic: Array
    roundness: Array
    pulls: Array
    middle: int = eqx.field(static=True)
    centre: Array = fixed()
    scale: Array = fixed()
    floor: Array = fixed()

    @classmethod
    def start(
        cls, features: Array, counts: int, floor: float, width: int, depth: int, key: Key
    ) -> LocalCovariance:
        dtype = features.dtype
        sizes = [features.shape[-1]] + [width] * depth
        keys = jax.random.split(key, depth + 1)
        layers = [
            eqx.nn.Linear(a, b, key=k, dtype=dtype)
            for a, b, k in zip(sizes[:-1], sizes[1:], keys[:-1], strict=True)
        ]
        last = eqx.nn.Linear(sizes[-1], 3 * counts + 2, key=keys[-1], dtype=dtype)
        layers.append(jax.tree.map(jnp.zeros_like, last))
        scale = jnp.std(features, axis=0)
        return cls(
            layers=layers,
            shares=jnp.full((counts,), jnp.log(0.5 / counts), dtype),
            diagonals=jnp.full((counts,), jnp.log(0.5 / counts) + _PLAIN, dtype),
            roundness=jnp.full((), jnp.log(_ROUND), dtype),
            isotropic=jnp.full((), _PLAIN, dtype),
            pulls=jnp.zeros((counts,), dtype),
            centre=jnp.mean(features, axis=0),
            scale=jnp.where(scale > 1e-6, scale, 1.0),
            floor=jnp.full((), floor, dtype),
            middle=min(2, counts - 1),
        )

    def __call__(self, features: Array, moments: Array, means: Array) -> tuple[Array, Array, Array]:
        """(packed Σ, m, log w up to a constant), shapes ``(n, p)``, ``(n, d)`` and ``(n,)``, from
        features ``(n, f)``, packed moments ``(n, counts, p)`` and means ``(n, counts, d)``."""
        z = (features - self.centre[None]) / self.scale[None]
        for layer in self.layers[:-1]:
            z = jax.nn.silu(jax.vmap(layer)(z))
        out = jax.vmap(self.layers[-1])(z)
        k = self.shares.shape[0]
        a = jnp.exp(self.shares[None] + out[:, :k])
        covariance = jnp.einsum("nk,nkp->np", a, moments)
        on = diagonal_of(means.shape[-1])
        pulls = (self.pulls[None] + out[:, k + 2 : 2 * k + 2]) / k
        mean_shift = jnp.einsum("nk,nkd->nd", pulls, means)
        mean = jnp.mean(covariance[:, on], axis=1)
        plain = jnp.exp(self.isotropic + out[:, k] + features[:, self.middle])
        plain = plain + (jnp.exp(self.roundness) + _ROUNDEST) * mean + self.floor**2
        c = jnp.exp(self.diagonals[None] + out[:, 2 * k + 2 :])
        extra = jnp.einsum("nk,nkd->nd", c, moments[..., on]) + plain[:, None]
        return covariance.at[:, on].add(extra), mean_shift, out[:, k + 1]
