"""Local kernels as a mixture of wrapped kernels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold.kernels.local.covariance import LocalKernels
from scorefold.kernels.local.precision import cap_precision, invert, precision, unpack
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.wrapped.background import MixedReference
from scorefold.kernels.wrapped.families import KernelFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture, moved_kernels
from scorefold.manifolds import Manifold
from scorefold.noising import Reference


def as_mixture(
    manifold: Manifold,
    centres: Array,
    kernels: LocalKernels,
    kept: Array,
    shares: Shares,
    broad: tuple[Reference, ...],
    family: KernelFamily,
    row_log_weights: Array | None = None,
) -> WrappedMixture:
    """(1 − ε)·(kernels around ``centres``) + ε·(broad laws), by ``shares``: n narrow kernels, then
    n for each widening, then n of one bandwidth where there are some. Kernels that are not
    ``kept`` have weight 0. ``row_log_weights``: log of the weights of the rows, which those of
    ``kernels`` have already."""
    cap = cap_precision(manifold)
    packed, _ = precision(kernels.covariance, kernels.widening, cap)
    inverse = unpack(packed)
    cap_matrix = jnp.diag(jnp.asarray(cap, inverse.dtype))[None]
    log_w = jnp.where(kept, kernels.log_weights, -jnp.inf)
    log_w = log_w - jax.nn.logsumexp(log_w)
    log_w = (log_w[:, None] + kernels.log_shares).T.reshape(-1)
    factors = jnp.pad(kernels.widening, ((0, 0), (1, 0)), constant_values=1.0).T
    parts = [
        moved_kernels(manifold, centres, kernels.shift, invert(inverse / f + cap_matrix)[0])
        for f in factors[..., None, None]
    ]
    share = shares.logarithms()
    behind = share[1 : 1 + len(broad)]
    if shares.bandwidth is not None:
        eye = jnp.eye(manifold.dim, dtype=inverse.dtype)[None]
        even = invert(eye / shares.bandwidth**2 + cap_matrix)[0]
        parts.append((centres, jnp.broadcast_to(even, parts[0][1].shape)))
        if row_log_weights is None:
            alike = jnp.where(kept, -jnp.log(jnp.sum(kept).astype(log_w.dtype)), -jnp.inf)
        else:
            alike = jnp.where(kept, row_log_weights, -jnp.inf)
            alike = alike - jax.nn.logsumexp(alike)
        log_w = jnp.concatenate([log_w + share[0], alike + share[-1]])
        log_w = log_w - jnp.logaddexp(share[0], share[-1])
    means, covariances = (jnp.concatenate(p) for p in zip(*parts, strict=True))
    log_share = jax.nn.logsumexp(behind)
    background = broad[0]
    if len(broad) > 1:
        background = MixedReference(manifold, broad, behind - log_share)
    return WrappedMixture.from_covariances(
        manifold, means, covariances, log_w, background, log_share, family
    )
