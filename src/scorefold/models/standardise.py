"""Units of flat coordinates: models work on unit variance, users see their own units."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from scorefold.manifolds import Euclidean, Manifold, Product

__all__ = ["standardiser"]


def standardiser(manifold: Manifold, data: Array, *, alike: bool = False) -> tuple[Array, Array]:
    """(shift, scale), each of shape ``manifold.shape``: mean and standard deviation of every flat
    coordinate of ``data``, and (0, 1) for curved ones, whose units are the geometry's.

    ``(x − shift) / scale`` keeps points on the manifold; densities change by −Σ log scale.
    A coordinate without spread keeps scale 1. ``alike``: R^d has one mean and one deviation for
    all coordinates, as the pixels of images need.
    """
    zero, one = jnp.zeros(manifold.shape, data.dtype), jnp.ones(manifold.shape, data.dtype)
    if isinstance(manifold, Euclidean) and alike:
        std = jnp.std(data)
        return zero + jnp.mean(data), one * jnp.where(std > 0, std, jnp.ones_like(std))
    if isinstance(manifold, Euclidean):
        std = jnp.std(data, axis=0)
        return jnp.mean(data, axis=0), jnp.where(std > 0, std, one)
    if isinstance(manifold, Product):
        shift, scale, at = [], [], 0
        for factor in manifold.factors:
            size = int(factor.origin(data.dtype).size)
            part = data[:, at : at + size].reshape(-1, *factor.shape)
            a, b = standardiser(factor, part)
            shift.append(a.ravel())
            scale.append(b.ravel())
            at += size
        return jnp.concatenate(shift), jnp.concatenate(scale)
    return zero, one
